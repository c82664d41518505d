//! The README: every command in it works, every path in it exists, and every test it names is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::process::Signal;

use crate::support::gateway::start_gateway;
use crate::support::process::{ChildProcess, OrderlyCommand};
use crate::support::service_process::{ServiceProcess, seeded_database};

/// Where the README's lines look for the service: its default address.
const URL: &str = "http://127.0.0.1:8080";

/// The text that `make run` prints.
const BANNER: &str = "xtask/src/commands/banner.txt";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

/// The blocks of shell commands.
fn blocks(text: &str) -> Vec<&str> {
    let after_fence = text.split("```sh\n").skip(1);
    after_fence
        .map(|block| block.split("```").next().unwrap())
        .collect()
}

/// What stands in backticks within a line.
fn quoted(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| !line.starts_with("```"))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect()
}

/// The links as their text and their target.
fn links(text: &str) -> Vec<(&str, &str)> {
    text.split("](")
        .zip(text.split("](").skip(1))
        .map(|(before, after)| {
            let label = before.rsplit_once('[').unwrap().1;
            (label, after.split(')').next().unwrap())
        })
        .collect()
}

/// What is said to be run: in blocks, and in the midst of a sentence.
fn commands(text: &str) -> Vec<&str> {
    let in_blocks = blocks(text).into_iter().flat_map(str::lines);
    let in_sentences = quoted(text).into_iter();
    let runs = |line: &&str| {
        ["make ", "orderly ", "scripts/"]
            .iter()
            .any(|program| line.starts_with(program))
    };
    in_blocks.chain(in_sentences).filter(runs).collect()
}

#[tokio::test]
async fn every_readme_command_exists() {
    let readme = read("README.md");
    let makefile = read("Makefile");
    let commands = commands(&readme);
    assert!(commands.contains(&"make run") && commands.contains(&"make test"));
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["make", target, ..] => {
                let rule = format!("\n{target}: ");
                assert!(makefile.contains(&rule), "{command}");
            }
            ["orderly", subcommand, ..] => {
                OrderlyCommand::new().succeed(&[subcommand, "--help"]).await;
            }
            [script, ..] => assert!(root().join(script).exists(), "{command}"),
            [] => {}
        }
    }
}

#[test]
fn every_readme_path_exists() {
    let readme = read("README.md");
    let linked = links(&readme).into_iter().map(|(_, target)| target);
    let named = quoted(&readme).into_iter().filter(|name| {
        let folder = name.split('/').next().unwrap();
        // Commands make `.data` and its folders.
        name.contains('/') && folder != ".data" && root().join(folder).is_dir()
    });
    let folders = readme.lines().filter_map(|line| {
        let folder = line.strip_prefix("| `")?.split('`').next()?;
        Some(folder)
    });
    let paths: BTreeSet<&str> = linked
        .filter(|target| !target.starts_with("http"))
        .chain(named)
        .chain(folders)
        .collect();
    assert!(paths.len() > 15, "{paths:?}");
    for path in paths {
        assert!(root().join(path).exists(), "{path}");
    }
}

#[test]
fn folder_table_shows_every_folder() {
    let readme = read("README.md");
    for entry in fs::read_dir(root()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let is_ours = entry.path().is_dir() && !name.starts_with('.') && name != "target";
        let shown = |end: &str| readme.contains(&format!("\n| `{name}{end}"));
        assert!(!is_ours || shown("`") || shown("/"), "{name}");
    }
}

#[test]
fn every_claim_names_existing_test() {
    let readme = read("README.md");
    let mut claims = 0;
    for (label, file) in links(&readme) {
        let Some(name) = label
            .strip_prefix('`')
            .and_then(|name| name.strip_suffix('`'))
        else {
            continue;
        };
        if name.contains(['/', '.']) {
            continue;
        }
        let test = format!("fn {name}() {{");
        assert!(read(file).contains(&test), "{name} in {file}");
        claims += 1;
    }
    let rows = readme.lines().filter(|line| line.ends_with(".rs) |"));
    assert_eq!(claims, rows.count());
    assert!(claims > 5, "{claims}");
}

/// The block of the README that begins with a log-in.
fn order_example(readme: &str) -> &str {
    let mut blocks = blocks(readme).into_iter();
    blocks.find(|block| block.starts_with("TOKEN=")).unwrap()
}

#[test]
fn banner_shows_readme_example() {
    let shown = read(BANNER).replace("{api}", URL);
    for line in order_example(&read("README.md")).lines() {
        assert!(shown.contains(line), "{line}");
    }
}

#[test]
fn banner_lists_admin_paths_and_fault_commands() {
    let banner = read(BANNER);
    let source = read("service/src/http/admin.rs");
    let paths = source.split("\n//! | `/").skip(1);
    let paths: Vec<&str> = paths.map(|row| row.split('`').next().unwrap()).collect();
    assert_eq!(paths.len(), 5, "the table has another format: {paths:?}");
    for path in paths {
        assert!(banner.contains(&format!("{{admin}}/{path}")), "{path}");
    }
    for faults in [r#"'{"error_rate": 1}'"#, "'{}'"] {
        let command = format!("{{gateway_program}} faults {faults}");
        assert!(banner.contains(&command), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readme_example_places_order() {
    let database = seeded_database().await;
    let gateway = start_gateway().await;
    let gateway_url = gateway.url();
    let orderly = OrderlyCommand::with_database(&database)
        .set("ORDERLY__PAYMENTS__GATEWAY_URL", &gateway_url);
    let service = ServiceProcess::start(&orderly).await;
    let lines = order_example(&read("README.md")).replace(URL, &service.url);
    let run = ChildProcess::start(Command::new("bash").args(["-c", &lines]));
    let shown = run.wait().await;
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    assert!(
        shown.stdout.contains(r#""status":"paid""#),
        "{}",
        shown.stdout
    );
    assert_eq!(database.count_rows("orders WHERE status = 'paid'").await, 1);
    service.stop(Signal::TERM).await;
}

#[test]
fn checker_reads_commands_links_and_blocks() {
    let text = "Run `make x`.\n```sh\nmake y\n```\nSee [`name`](a/b.rs) and [c](d.md).\n";
    assert_eq!(commands(text), ["make y", "make x"]);
    assert_eq!(links(text), [("`name`", "a/b.rs"), ("c", "d.md")]);
}
