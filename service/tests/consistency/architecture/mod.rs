//! The layers of `src`: which module may import which, so that the table in `src/lib.rs` stays
//! true.
//!
//! Looks in every source file for the top-level modules that it names, after `crate::` or after as many `super::` as
//! lead out of its own module, in imports, expressions and macro calls. Comments and unit tests do not count.

mod checker_tests;
mod module_imports;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use module_imports::{files, find, named_modules, parse, tokens_of};

/// A module, its layer, and the modules of its own layer that it may import. It may import every
/// layer below.
const LAYERS: &[(&str, usize, &[&str])] = &[
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

/// Names that are restricted to some folders: the names, the folders, and why.
const RESTRICTED_NAMES: &[(&[&str], &[&str], &str)] = &[
    (
        &["diesel", "diesel_async", "tokio_postgres"],
        &["storage", "config/postgres_url"],
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
        &["http"],
        "status codes are used by `http` alone",
    ),
    (
        &["actix_web"],
        &["http", "app"],
        "the web framework is used by the servers and by `app`, which starts them",
    ),
];

/// Modules that open a transaction name the connection that they pass down: this line, and nothing
/// else of diesel.
const CONNECTION_IMPORT: &str = "use diesel_async::AsyncPgConnection;";
const TRANSACTION_OWNERS: &[&str] = &["usecases", "jobs", "health"];

/// All that `domain` takes from outside: no I/O, no framework, and no clock of its own.
const DOMAIN_CRATES: &[&str] = &[
    "std",
    "base64",
    "chrono",
    "secrecy",
    "serde",
    "thiserror",
    "uuid",
    "unicode_normalization",
];
const CLOCKS: &[&str] = &["Utc::now", "SystemTime", "Instant"];

const MAX_LINES: usize = 300;
const MAX_LINES_OF_MAIN: usize = 50;

/// A source file without comments and unit tests.
struct Source {
    /// Below `src`, without `.rs` and `/mod`: `http/handlers/orders`.
    module_path: String,
    tokens: Vec<String>,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let module_path = path.trim_end_matches(".rs").trim_end_matches("/mod");
        Self {
            module_path: module_path.to_owned(),
            tokens: parse(text).tokens,
        }
    }

    fn module(&self) -> &str {
        self.module_path.split('/').next().unwrap_or_default()
    }

    fn is_in(&self, folders: &[&str]) -> bool {
        (folders.iter()).any(|folder| Path::new(&self.module_path).starts_with(folder))
    }

    /// Returns the imports of this file that [`LAYERS`] does not allow.
    fn forbidden_imports(&self) -> Vec<String> {
        let from = self.module();
        named_modules(&self.module_path, &self.tokens)
            .into_iter()
            .filter(|to| from != to && !may_import(from, to))
            .map(|to| format!("{}: `{from}` may not import `{to}`", self.module_path))
            .collect()
    }

    /// Returns the names in this file that are restricted to other folders.
    fn misplaced_names(&self) -> Vec<String> {
        let mut tokens = self.tokens.clone();
        let import = tokens_of(CONNECTION_IMPORT);
        if self.is_in(TRANSACTION_OWNERS)
            && let Some(at) = find(&tokens, &import)
        {
            tokens.drain(at..at + import.len());
        }
        let contains = |path: &str| find(&tokens, &tokens_of(path)).is_some();
        let mut misplaced = Vec::new();
        for (words, allowed_folders, reason) in RESTRICTED_NAMES {
            let named = words.iter().filter(|word| contains(word));
            if !self.is_in(allowed_folders) {
                misplaced
                    .extend(named.map(|word| format!("{}: `{word}`: {reason}", self.module_path)));
            }
        }
        misplaced
    }
}

fn may_import(from: &str, to: &str) -> bool {
    let find = |name: &str| LAYERS.iter().find(|(module, ..)| *module == name);
    match (find(from), find(to)) {
        (Some((_, layer, same_layer)), Some((_, other, _))) => {
            other < layer || same_layer.contains(&to)
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
fn files_import_only_from_layers_below() {
    let imports: Vec<String> = sources()
        .iter()
        .flat_map(Source::forbidden_imports)
        .collect();
    assert_none(&imports);
}

#[test]
fn sql_environment_and_status_codes_stay_in_their_layer() {
    let misplaced: Vec<String> = sources().iter().flat_map(Source::misplaced_names).collect();
    assert_none(&misplaced);
}

#[test]
fn domain_is_pure() {
    let local = ["self", "super", "crate", "OrderTransition", "OrderStatus"];
    for source in sources()
        .iter()
        .filter(|source| source.module() == "domain")
    {
        let foreign: Vec<String> = (source.tokens.windows(3))
            .filter(|window| window[0] == "use" && window[2] == "::")
            .map(|window| window[1].clone())
            .filter(|name| {
                !DOMAIN_CRATES.contains(&name.as_str()) && !local.contains(&name.as_str())
            })
            .collect();
        assert_none(&foreign);
        let clocks = CLOCKS
            .iter()
            .filter(|clock| find(&source.tokens, &tokens_of(clock)).is_some());
        assert_none(
            &clocks
                .map(|clock| format!("{}: {clock}", source.module_path))
                .collect::<Vec<_>>(),
        );
    }
}

#[test]
fn crate_docs_list_layer_of_every_module() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let modules: BTreeSet<&str> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    let in_plan = LAYERS.iter().map(|(module, ..)| *module);
    assert_eq!(
        modules,
        in_plan.filter(|module| *module != "main").collect()
    );
    for (module, layer, _) in LAYERS.iter().filter(|(module, ..)| *module != "main") {
        let row = format!("//! | {layer} | ");
        let row = lib.lines().find(|line| line.starts_with(&row)).expect(&row);
        assert!(row.contains(&format!("[`{module}`]")), "{module}: {row}");
    }
}

#[test]
fn files_are_short() {
    let long: Vec<String> = files()
        .iter()
        .map(|(path, text)| (path, parse(text).line_count))
        .filter(|(path, lines)| match path.as_str() {
            "main.rs" => *lines >= MAX_LINES_OF_MAIN,
            _ => *lines > MAX_LINES,
        })
        .map(|(path, lines)| format!("{path} has {lines} lines: split it"))
        .collect();
    assert_none(&long);
}
