//! The floors of `src`: who may know whom, so that the plan in `src/lib.rs` cannot rot.
//!
//! Reads every source file as text and looks for the top-level modules that it names, after `crate::` or after as many
//! `super::` as lead out of its own module, in `use` lines and in the midst of code. Comments and tests do not count.

mod checker;
mod reader;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use reader::{files, named_modules, names, tokens, without_comments, without_tests};

/// A module, its floor, and those of its own floor that it may know. It may know every floor below.
const FLOORS: &[(&str, usize, &[&str])] = &[
    ("domain", 0, &[]),
    ("config", 1, &[]),
    ("telemetry", 1, &["config"]),
    ("resilience", 1, &["config", "telemetry"]),
    ("lifecycle", 1, &["config", "telemetry", "resilience"]),
    ("tls", 1, &["config"]),
    (
        "redis_client",
        1,
        &["config", "telemetry", "resilience", "tls"],
    ),
    ("storage", 2, &[]),
    ("cache", 2, &[]),
    ("limits", 2, &[]),
    ("payments", 2, &[]),
    ("events", 2, &[]),
    ("secrets", 2, &[]),
    ("usecases", 3, &[]),
    ("health", 3, &["usecases"]),
    ("http", 4, &[]),
    ("jobs", 4, &[]),
    ("app", 5, &[]),
    ("cli", 6, &[]),
    ("main", 7, &[]),
];

/// What is at home in some folders and may be named nowhere else: the words, the folders, and why.
const AT_HOME: &[(&[&str], &[&str], &str)] = &[
    (
        &[
            "diesel",
            "diesel_async",
            "diesel_migrations",
            "tokio_postgres",
        ],
        &["storage", "config/ssl_mode"],
        "SQL is written in `storage` alone",
    ),
    (
        &[
            "std::env",
            "env::var",
            "env::vars",
            "env::vars_os",
            "dotenvy",
        ],
        &["config"],
        "the environment is read by `config` alone",
    ),
    (
        &["StatusCode", "HttpResponse"],
        &["http", "payments/sandbox"],
        "status codes are known to `http` alone (the sandbox is a server of its own)",
    ),
    (
        &["actix_web"],
        &["http", "payments/sandbox", "app"],
        "the web framework is known to the servers and to who starts them",
    ),
];

/// Who opens a transaction has to name the connection it passes down: this line, and nothing else of diesel.
const CONNECTION: &str = "use diesel_async::AsyncPgConnection;";
const OPEN_TRANSACTIONS: &[&str] = &["usecases", "jobs", "health"];

/// All that `domain` takes from outside: no I/O, no framework, and no clock of its own.
const DOMAIN_CRATES: &[&str] = &[
    "std",
    "base64",
    "chrono",
    "secrecy",
    "serde",
    "thiserror",
    "uuid",
];
const CLOCKS: &[&str] = &["Utc::now", "SystemTime", "Instant"];

const MOST_LINES: usize = 300;
const MOST_LINES_OF_MAIN: usize = 50;

/// A source file without comments and tests.
struct Source {
    /// Below `src`, without `.rs` and `/mod`: `http/handlers/orders`.
    place: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let place = path.trim_end_matches(".rs").trim_end_matches("/mod");
        Self {
            place: place.to_owned(),
            text: without_comments(&without_tests(text)),
        }
    }

    fn module(&self) -> &str {
        self.place.split('/').next().unwrap_or_default()
    }

    fn is_in(&self, folders: &[&str]) -> bool {
        (folders.iter()).any(|folder| Path::new(&self.place).starts_with(folder))
    }

    /// The arrows of this file that the plan does not have.
    fn forbidden_arrows(&self) -> Vec<String> {
        let from = self.module();
        named_modules(&self.place, &self.text)
            .into_iter()
            .filter(|to| from != to && !may_know(from, to))
            .map(|to| format!("{}: `{from}` may not know `{to}`", self.place))
            .collect()
    }

    /// The words in this file that are at home elsewhere.
    fn strangers(&self) -> Vec<String> {
        let mut text = self.text.clone();
        if self.is_in(OPEN_TRANSACTIONS) {
            text = text.replace(CONNECTION, "");
        }
        let tokens = tokens(&text);
        let mut strangers = Vec::new();
        for (words, homes, why) in AT_HOME {
            let named = words.iter().filter(|word| names(&tokens, word));
            if !self.is_in(homes) {
                strangers.extend(named.map(|word| format!("{}: `{word}`: {why}", self.place)));
            }
        }
        strangers
    }
}

fn may_know(from: &str, to: &str) -> bool {
    let find = |name: &str| FLOORS.iter().find(|(module, ..)| *module == name);
    match (find(from), find(to)) {
        (Some((_, floor, neighbours)), Some((_, other, _))) => {
            other < floor || neighbours.contains(&to)
        }
        _ => false,
    }
}

fn sources() -> Vec<Source> {
    let files = files();
    assert!(files.len() > 50, "the sources were not found");
    (files.iter())
        .map(|(path, text)| Source::new(path, text))
        .collect()
}

#[track_caller]
fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "\n  {}\n", found.join("\n  "));
}

#[test]
fn a_file_imports_only_from_floors_below() {
    let arrows: Vec<String> = sources()
        .iter()
        .flat_map(Source::forbidden_arrows)
        .collect();
    assert_none(&arrows);
}

#[test]
fn sql_environment_and_status_codes_stay_at_home() {
    let strangers: Vec<String> = sources().iter().flat_map(Source::strangers).collect();
    assert_none(&strangers);
}

#[test]
fn the_domain_is_pure() {
    let local = ["self", "super", "crate", "OrderTransition", "OrderStatus"];
    for source in sources()
        .iter()
        .filter(|source| source.module() == "domain")
    {
        let tokens = tokens(&source.text);
        let foreign: Vec<String> = (tokens.windows(3))
            .filter(|window| matches!(window[0], "use") && window[2] == "::")
            .map(|window| window[1].to_owned())
            .filter(|name| {
                !DOMAIN_CRATES.contains(&name.as_str()) && !local.contains(&name.as_str())
            })
            .collect();
        assert_none(&foreign);
        let clocks = CLOCKS.iter().filter(|clock| names(&tokens, clock));
        assert_none(
            &clocks
                .map(|clock| format!("{}: {clock}", source.place))
                .collect::<Vec<_>>(),
        );
    }
}

#[test]
fn every_module_has_a_floor_and_the_table_of_the_crate_shows_it() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let modules: BTreeSet<&str> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    let in_plan = FLOORS.iter().map(|(module, ..)| *module);
    assert_eq!(
        modules,
        in_plan.filter(|module| *module != "main").collect()
    );
    for (module, floor, _) in FLOORS.iter().filter(|(module, ..)| *module != "main") {
        let row = format!("//! | {floor} | ");
        let row = lib.lines().find(|line| line.starts_with(&row)).expect(&row);
        assert!(row.contains(&format!("[`{module}`]")), "{module}: {row}");
    }
}

#[test]
fn files_are_short() {
    let long: Vec<String> = files()
        .iter()
        .map(|(path, text)| (path, without_tests(text).lines().count()))
        .filter(|(path, lines)| match path.as_str() {
            "main.rs" => *lines >= MOST_LINES_OF_MAIN,
            _ => *lines > MOST_LINES,
        })
        .map(|(path, lines)| format!("{path} has {lines} lines: it has two stories, split it"))
        .collect();
    assert_none(&long);
}
