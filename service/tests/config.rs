//! The configuration, from outside: layers, the report of mistakes, and that no secret ever shows.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "config/relations.rs"]
mod relations;
#[path = "config/schema.rs"]
mod schema;
#[path = "config/secret_files.rs"]
mod secret_files;
#[path = "config/tls.rs"]
mod tls;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use garde::Validate;
use insta::assert_snapshot;
use orderly::config::{self, Entry, Environment, Inputs, Loaded, LogFormat, Origin, Settings};

/// A directory with a configuration in it, and an environment of its own.
struct Place {
    directory: PathBuf,
    inputs: Inputs,
}

/// Each test gives its own name, so that none sees another's files.
fn place(test: &str) -> Place {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("config")
        .join(test);
    if directory.exists() {
        fs::remove_dir_all(&directory).unwrap();
    }
    fs::create_dir_all(directory.join("config")).unwrap();
    let mut inputs = Inputs {
        dotenv: directory.join(".env"),
        ..Inputs::default()
    };
    inputs.flags.config_dir = Some(directory.join("config"));
    Place { directory, inputs }
}

impl Place {
    fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.directory.join(name), text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.inputs.variables.insert(name.into(), value.into());
        self
    }

    fn flag(mut self, key: &str, value: &str) -> Self {
        self.inputs.flags.set.push((key.into(), value.into()));
        self
    }

    fn load(&self) -> Loaded {
        config::load_from(&self.inputs)
            .map_err(|error| error.to_string())
            .unwrap()
    }

    /// The message, with the directory's path left out.
    fn mistakes(&self) -> String {
        let error = config::load_from(&self.inputs).expect_err("the configuration is wrong");
        error
            .to_string()
            .replace(&format!("{}/", self.directory.display()), "")
    }

    /// Runs the binary here, with nothing of the tests' own environment.
    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_orderly"))
            .args(arguments)
            .env_clear()
            .envs(&self.inputs.variables)
            .current_dir(&self.directory)
            .output()
            .unwrap()
    }
}

fn entry(loaded: &Loaded, key: &str) -> Entry {
    loaded
        .entries()
        .into_iter()
        .find(|entry| entry.key == key)
        .unwrap()
}

fn ed25519_pem() -> String {
    use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
    use base64::Engine;
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

#[test]
fn the_built_in_defaults_are_allowed() {
    Settings::default().validate().unwrap();
    let settings = place("defaults").load().settings;
    assert_eq!(settings.environment, Environment::Development);
    assert_eq!(settings.http.port, 8080);
}

#[test]
fn each_layer_wins_over_those_before_it() {
    let expect = |here: Place, port: u16, origin: &str| {
        let loaded = here.load();
        assert_eq!(loaded.settings.http.port, port);
        let shown = entry(&loaded, "http.port").origin.to_string();
        assert!(
            shown.ends_with(origin),
            "{shown} does not end with {origin}"
        );
        here
    };
    let here = place("layers");
    let here = expect(here, 8080, "default");
    let here = here.file("config/default.toml", "http.port = 1");
    let here = expect(here, 1, "config/default.toml");
    let here = here.file("config/development.toml", "http.port = 2");
    let here = expect(here, 2, "config/development.toml");
    let here = here.file("config/local.toml", "http.port = 3");
    let here = expect(here, 3, "config/local.toml");
    let here = here.file(".env", "ORDERLY__HTTP__PORT=4");
    let here = expect(here, 4, ".env");
    let here = here.variable("ORDERLY__HTTP__PORT", "5");
    let here = expect(here, 5, "environment");
    let here = here.flag("http.port", "6");
    let here = expect(here, 6, "--set");
    expect(here.flag("http.port", "7"), 7, "--set");
}

#[test]
fn fractions_may_come_from_the_environment() {
    let here = place("fractions").variable("ORDERLY__BREAKER__FAILURE_RATE", "0.25");
    assert_eq!(here.load().settings.breaker.failure_rate, 0.25);
}

#[test]
fn lists_and_switches_may_come_from_the_environment_and_from_files() {
    let here = place("lists").file(
        "config/default.toml",
        "rate_limit.trusted_proxies = [\"10.0.0.0/8\"]",
    );
    let proxies = |here: &Place| entry(&here.load(), "rate_limit.trusted_proxies").value;
    assert_eq!(proxies(&here), serde_json::json!(["10.0.0.0/8"]));
    let here = here
        .variable(
            "ORDERLY__RATE_LIMIT__TRUSTED_PROXIES",
            "fd00::/8, 192.168.0.1",
        )
        .variable("ORDERLY__RATE_LIMIT__ENABLED", "false");
    assert_eq!(
        proxies(&here),
        serde_json::json!(["fd00::/8", "192.168.0.1/32"])
    );
    assert!(!here.load().settings.rate_limit.enabled);
    let here = here.variable("ORDERLY__RATE_LIMIT__TRUSTED_PROXIES", "");
    assert_eq!(proxies(&here), serde_json::json!([]));
}

#[test]
fn a_proxy_that_is_no_address_is_named_with_the_cure() {
    let here = place("no-proxy").variable(
        "ORDERLY__RATE_LIMIT__TRUSTED_PROXIES",
        "10.0.0.0/8,10.0.0.0/33",
    );
    let mistakes = here.mistakes();
    assert!(
        mistakes.contains("ORDERLY__RATE_LIMIT__TRUSTED_PROXIES")
            && mistakes.contains("expected IP addresses or CIDR blocks, such as 10.0.0.0/8"),
        "{mistakes}"
    );
}

#[test]
fn a_layer_leaves_alone_what_it_does_not_name() {
    let here = place("siblings")
        .file("config/default.toml", "[http]\nport = 1\nworkers = 3")
        .variable("ORDERLY__HTTP__PORT", "2");
    let settings = here.load().settings;
    assert_eq!((settings.http.port, settings.http.workers), (2, 3));
}

#[test]
fn the_environment_chooses_its_file_and_may_be_named_in_dotenv() {
    let here = place("environment")
        .file("config/development.toml", "http.port = 1")
        .file("config/test.toml", "http.port = 2")
        .file(".env", "ORDERLY_ENV=test");
    let loaded = here.load();
    assert_eq!(
        (loaded.settings.environment, loaded.settings.http.port),
        (Environment::Test, 2)
    );
    assert_eq!(entry(&loaded, "environment").origin, Origin::DotEnv);

    let loaded = here.variable("ORDERLY_ENV", "development").load();
    assert_eq!(
        (loaded.settings.environment, loaded.settings.http.port),
        (Environment::Development, 1)
    );
}

#[test]
fn the_directory_may_be_named_by_a_variable() {
    let here = place("directory");
    fs::create_dir(here.directory.join("elsewhere")).unwrap();
    let mut here = here.file("elsewhere/default.toml", "http.port = 1");
    here.inputs.flags.config_dir = None;
    let elsewhere = here.directory.join("elsewhere").display().to_string();
    let loaded = here.variable("ORDERLY_CONFIG_DIR", &elsewhere).load();
    assert_eq!(loaded.settings.http.port, 1);
}

#[test]
fn an_unknown_environment_is_told_the_three() {
    let here = place("unknown-environment").variable("ORDERLY_ENV", "prod");
    assert_snapshot!(here.mistakes(), @r#"
    The configuration has 1 problem:

      ORDERLY_ENV (environment)
        is "prod"
        expected development, test or production
    "#);
}

#[test]
fn every_setting_can_be_set_by_its_variable() {
    let mut here = place("every-setting");
    for Entry { key, value, .. } in here.load().entries().into_iter().skip(1) {
        let text = match value {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text,
            serde_json::Value::Array(list) => (list.iter().filter_map(serde_json::Value::as_str))
                .collect::<Vec<_>>()
                .join(","),
            other => other.to_string(),
        };
        here = here.variable(&config::variable(&key), &text);
    }
    for entry in here.load().entries().iter().skip(1) {
        assert_eq!(entry.origin, Origin::Environment, "{}", entry.key);
    }
}

#[test]
fn every_mistake_of_every_layer_is_reported_at_once() {
    let default = "
        [http]
        port = 70_000
        body_limit_bytes = 1.5
        [log]
        format = 'xml'
        [queue]
        size = 3";
    let here = place("all-at-once")
        .file("config/default.toml", default)
        .file("config/local.toml", "[http\n")
        .file(
            ".env",
            "ORDERLY__AUTH__TOKEN_LIFETIME=2h\nORDERLY__HTTP__BIND=localhost",
        )
        .variable("ORDERLY__DATABASE__POOL_SIZE", "many")
        .variable("ORDERLY__DATABASE__POOL_WAIT", "10")
        .variable("ORDERLY__HTTP__WORKERS", "0")
        .flag("log.filter", "orderly=loud")
        .flag("payments.gateway_url", "pay.example");
    assert_snapshot!(here.mistakes(), @r#"
    The configuration has 12 problems:

      config/local.toml
        cannot be read
        TOML parse error at line 1, column 6: unclosed table, expected `]`

      http.body_limit_bytes in config/default.toml
        is 1.5
        expected a whole number; allowed: 1024 to 1048576

      http.port in config/default.toml
        is 70000
        expected a whole number from 0 to 65535

      log.format in config/default.toml
        is "xml"
        expected `pretty` or `json`

      queue.size in config/default.toml
        is not a setting
        `orderly config` lists every setting; remove this one

      ORDERLY__AUTH__TOKEN_LIFETIME (.env)
        is "2h"
        allowed: 60s to 3600s

      ORDERLY__HTTP__BIND (.env)
        is "localhost"
        expected an IP address such as 127.0.0.1, 0.0.0.0 or ::

      ORDERLY__DATABASE__POOL_SIZE (environment)
        is "many"
        expected a whole number; allowed: 1 to 1000

      ORDERLY__DATABASE__POOL_WAIT (environment)
        is "10"
        expected a duration such as 500ms, 10s or 15m

      ORDERLY__HTTP__WORKERS (environment)
        is 0
        allowed: 1 to 256

      --set log.filter
        is "orderly=loud"
        expected a tracing filter such as info or warn,orderly=debug

      --set payments.gateway_url
        is "pay.example"
        expected an http or https URL without credentials, such as https://pay.example
    "#);
}

#[test]
fn an_unknown_name_is_reported_with_the_nearest_known_one() {
    let here = place("typos")
        .file("config/default.toml", "[database]\npoolsize = 4")
        .variable("ORDERLY__HTTP__PROT", "1")
        .variable("ORDERLY__HTTP_PORT", "1")
        .variable("ORDERLY__HTTP", "1")
        .flag("loging.filter", "info");
    assert_snapshot!(here.mistakes(), @"
    The configuration has 5 problems:

      database.poolsize in config/default.toml
        is not a setting
        did you mean database.pool_size?

      ORDERLY__HTTP (environment)
        is not a setting
        `orderly config` lists every setting; remove this one

      ORDERLY__HTTP_PORT (environment)
        is not a setting
        did you mean ORDERLY__HTTP__PORT?

      ORDERLY__HTTP__PROT (environment)
        is not a setting
        did you mean ORDERLY__HTTP__PORT?

      --set loging.filter
        is not a setting
        did you mean --set log.filter?
    ");
}

#[test]
fn variables_of_others_are_none_of_our_business() {
    // What Kubernetes sets for a service of that name.
    place("others")
        .variable("ORDERLY_PORT", "tcp://10.0.0.1:8080")
        .variable("PATH", "/bin")
        .load();
}

#[test]
fn a_section_may_be_empty_and_an_unknown_one_may_not() {
    place("empty-section")
        .file("config/default.toml", "[http]\n")
        .load();
    let mistakes = place("empty-unknown")
        .file("config/default.toml", "[htpp]\n")
        .mistakes();
    assert!(
        mistakes.contains("htpp in config/default.toml"),
        "{mistakes}"
    );
}

#[test]
fn settings_are_judged_against_each_other() {
    let here = place("rules")
        .variable("ORDERLY__ORDERS__IDEMPOTENCY_WAIT", "6s")
        .variable("ORDERLY__DATABASE__STATEMENT_TIMEOUT", "5s")
        .variable("ORDERLY__PAYMENTS__LEASE", "5s")
        .variable("ORDERLY__PAYMENTS__BACKOFF_CAP", "100ms");
    assert_snapshot!(here.mistakes(), @"
    The configuration has 4 problems:

      ORDERLY__ORDERS__IDEMPOTENCY_WAIT (environment)
        does not fit: orders.idempotency_wait = 6s (environment), database.lock_timeout = 5s (default)
        orders.idempotency_wait must be shorter than database.lock_timeout

      ORDERLY__DATABASE__STATEMENT_TIMEOUT (environment)
        does not fit: database.lock_timeout = 5s (default), database.statement_timeout = 5s (environment)
        database.lock_timeout must be shorter than database.statement_timeout

      ORDERLY__PAYMENTS__LEASE (environment)
        does not fit: payments.timeout = 5s (default), payments.timeout = 5s (default), payments.lease = 5s (environment)
        payments.timeout + payments.timeout must be shorter than payments.lease

      ORDERLY__PAYMENTS__BACKOFF_CAP (environment)
        does not fit: payments.backoff_base = 500ms (default), payments.backoff_cap = 100ms (environment)
        payments.backoff_base must not be longer than payments.backoff_cap
    ");
}

#[test]
fn a_setting_that_is_wrong_itself_is_not_judged_against_others() {
    let here = place("one-at-a-time")
        .variable("ORDERLY__DATABASE__LOCK_TIMEOUT", "soon")
        .variable("ORDERLY__DATABASE__STATEMENT_TIMEOUT", "4s");
    let mistakes = here.mistakes();
    assert!(mistakes.contains("has 1 problem:"), "{mistakes}");
}

#[test]
fn a_share_may_be_set_by_a_variable() {
    let here = place("share").variable("ORDERLY__BREAKER__FAILURE_RATE", "0.25");
    assert_eq!(here.load().settings.breaker.failure_rate, 0.25);
    let mistakes = place("no-share")
        .variable("ORDERLY__BREAKER__FAILURE_RATE", "half")
        .mistakes();
    assert!(
        mistakes.contains("expected a number such as 0.5"),
        "{mistakes}"
    );
}

#[test]
fn the_phases_of_a_shutdown_must_fit_into_its_grace_period() {
    let here = place("grace")
        .file("config/default.toml", "[shutdown]\ngrace_period = '42s'")
        .variable("ORDERLY__SHUTDOWN__JOBS", "11s");
    assert_snapshot!(here.mistakes(), @"
    The configuration has 1 problem:

      ORDERLY__SHUTDOWN__JOBS (environment)
        does not fit: shutdown.drain_delay = 5s (default), shutdown.drain = 20s (default), shutdown.jobs = 11s (environment), shutdown.pools = 5s (default), shutdown.telemetry = 2s (default), shutdown.grace_period = 42s (config/default.toml)
        shutdown.drain_delay + shutdown.drain + shutdown.jobs + shutdown.pools + shutdown.telemetry must not be longer than shutdown.grace_period
    ");
    here.variable("ORDERLY__SHUTDOWN__JOBS", "10s").load();
}

#[test]
fn equal_backoff_base_and_cap_are_a_constant_backoff() {
    let here = place("constant-backoff").variable("ORDERLY__PAYMENTS__BACKOFF_CAP", "500ms");
    assert_eq!(
        here.load().settings.payments.backoff_cap,
        Duration::from_millis(500)
    );
}

#[test]
fn production_requires_a_signing_key() {
    let here = place("production").variable("ORDERLY_ENV", "production");
    assert_snapshot!(here.mistakes(), @"
    The configuration has 1 problem:

      ORDERLY__AUTH__SIGNING_KEY
        is not set
        required in production: an Ed25519 key in PKCS#8 PEM (openssl genpkey -algorithm ed25519)
    ");
    here.variable("ORDERLY__AUTH__SIGNING_KEY", &ed25519_pem())
        .load();
}

#[test]
fn a_command_that_needs_the_database_says_how_to_name_it() {
    let settings = place("no-database").load().settings;
    assert_snapshot!(settings.database.url().unwrap_err(), @"
    The configuration has 1 problem:

      ORDERLY__DATABASE__URL
        is not set
        for example postgres://user:password@localhost:5432/orderly
    ");

    let url = "postgres://orderly:secret@localhost:5432/orderly";
    let here = place("database").variable("ORDERLY__DATABASE__URL", url);
    assert_eq!(here.load().settings.database.url().unwrap().expose(), url);
}

#[test]
fn an_empty_variable_unsets_what_may_be_unset() {
    let here = place("unset")
        .file("config/local.toml", "redis.url = 'redis://localhost'")
        .variable("ORDERLY__REDIS__URL", "");
    assert!(here.load().settings.redis.url.is_none());
}

#[test]
fn secrets_are_masked_where_settings_are_shown() {
    let here = place("masked")
        .variable(
            "ORDERLY__DATABASE__URL",
            "postgres://orderly:canary@localhost/orderly",
        )
        .variable("ORDERLY__REDIS__URL", "redis://:canary@localhost/0")
        .variable("ORDERLY__AUTH__SIGNING_KEY", &ed25519_pem());
    let loaded = here.load();
    let shown = format!("{loaded:?}");
    assert!(
        !shown.contains("canary") && !shown.contains("PRIVATE KEY"),
        "{shown}"
    );

    for arguments in [&["config"][..], &["config", "--json"]] {
        let output = here.run(arguments);
        assert!(output.status.success(), "{output:?}");
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(
            !shown.contains("canary") && !shown.contains("PRIVATE KEY"),
            "{shown}"
        );
        assert_eq!(shown.matches("[redacted]").count(), 3, "{shown}");
    }
}

#[test]
fn no_message_shows_a_secret() {
    let url = "postgres://orderly:canary@localhost/orderly";
    let wrong = [
        // Malformed, and so judged and found wanting.
        place("leak-1").variable("ORDERLY__DATABASE__URL", "canary"),
        place("leak-2").variable("ORDERLY__REDIS__URL", "canary"),
        place("leak-3").variable("ORDERLY__AUTH__SIGNING_KEY", "canary"),
        place("leak-4").file("config/local.toml", "auth.signing_key = ['canary']"),
        // Under a name that is not known, or not meant for it.
        place("leak-5").variable("ORDERLY__DATABSE__URL", url),
        place("leak-6").variable("ORDERLY__DATABASE", "canary"),
        place("leak-7").file("config/local.toml", "[database.url]\nvalue = 'canary'"),
        place("leak-8").variable("ORDERLY__PAYMENTS__GATEWAY_URL", url),
        place("leak-9").variable("ORDERLY__HTTP__BIND", url),
        // In a file that cannot be parsed: both parsers quote the line.
        place("leak-10").file("config/local.toml", "database.url = canary"),
        place("leak-11").file("config/local.toml", "[auth]\nsigning_key = '''\ncanary"),
        place("leak-12").file(".env", "ORDERLY__DATABASE__URL=canary canary"),
        place("leak-13").file(
            ".env",
            "ORDERLY__HTTP__PORT=1\nORDERLY__DATABASE__URL='canary",
        ),
    ];
    for here in wrong {
        let error = config::load_from(&here.inputs).expect_err("the configuration is wrong");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[test]
fn the_shipped_files_fit() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let key = ed25519_pem();
    let load = |environment: &str, files: &[&str]| {
        let mut here = place(&format!("shipped-{environment}-{}", files.len()))
            .variable("ORDERLY_ENV", environment)
            .variable("ORDERLY__AUTH__SIGNING_KEY", &key);
        for file in files {
            let text = fs::read_to_string(root.join("config").join(file)).unwrap();
            here = here.file(&format!("config/{file}"), &text);
        }
        here.load()
    };
    load("development", &["default.toml", "development.toml"]);
    let production = load("production", &["default.toml", "production.toml"]);
    assert_eq!(production.settings.log.format, LogFormat::Json);

    // default.toml shows the built-in values, and must not drift from them.
    let values = |loaded: Loaded| -> Vec<_> {
        loaded
            .entries()
            .into_iter()
            .map(|entry| (entry.key, entry.value))
            .collect()
    };
    assert_eq!(
        values(load("test", &["default.toml"])),
        values(load("test", &[]))
    );

    let example = fs::read_to_string(root.join(".env.example")).unwrap();
    place("example").file(".env", &example).load();
}

#[test]
fn wrong_configuration_has_an_exit_code_of_its_own() {
    let output = place("exit-code")
        .variable("ORDERLY__HTTP__PORT", "none")
        .run(&["config"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(output.stdout.is_empty());
    assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @r#"
    The configuration has 1 problem:

      ORDERLY__HTTP__PORT (environment)
        is "none"
        expected a whole number from 0 to 65535
    "#);

    let output = place("no-directory").run(&["config", "--config-dir", "nowhere"]);
    assert_eq!(output.status.code(), Some(78));
    assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @"
    The configuration has 1 problem:

      --config-dir
        is nowhere
        expected a directory that exists
    ");
}

#[test]
fn version_tells_which_build_this_is() {
    let output = place("version").run(&["version", "--json"]);
    let build: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(build["version"], env!("CARGO_PKG_VERSION"));
    for key in ["commit", "build_date", "rustc", "target"] {
        assert!(
            build[key].as_str().is_some_and(|text| !text.is_empty()),
            "{build}"
        );
    }
}
