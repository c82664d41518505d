//! A value holds exactly as it is written, or its variable is named and the value is not shown.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use insta::assert_snapshot;

use super::{ConfigDir, config_dir, ed25519_pem};

const PASSWORD: &str = "canary";

/// Asserts that the message names this place and gives this reason, without the password.
fn assert_rejected(dir: &ConfigDir, place: &str, reason: &str) {
    let message = dir.error_message();
    assert!(message.contains(place), "no {place}: {message}");
    assert!(message.contains(reason), "no {reason}: {message}");
    assert!(message.contains("has 1 problem:"), "{message}");
    assert!(!message.contains(PASSWORD), "{message}");
}

/// The texts that some reader of configuration would change or cut.
const INEXACT: &[(&str, &str)] = &[
    ("\n", "control character: a line feed"),
    ("\r\n", "control character: a carriage return"),
    ("\t", "control character: a tab"),
    ("\u{7f}", "control character: U+007F"),
    (" ", "begins or ends with white space"),
    ("\u{a0}", "begins or ends with white space"),
];

#[test]
fn rejects_control_characters_and_outer_blanks_in_every_source() {
    let url = format!("postgres://orderly:{PASSWORD}@localhost/o1");
    let variable = "ORDERLY__DATABASE__URL";
    for (tail, reason) in INEXACT {
        let text = format!("{url}{tail}");
        let dir = config_dir("exact-variable").variable(variable, &text);
        assert_rejected(&dir, "ORDERLY__DATABASE__URL (environment)", reason);

        let dir = config_dir("exact-flag").flag("database.url", &text);
        assert_rejected(&dir, "--set database.url", reason);

        let quoted = format!("{variable}='{text}'");
        let dir = config_dir("exact-dotenv").file(".env", &quoted);
        assert_rejected(&dir, "ORDERLY__DATABASE__URL (.env)", reason);

        let toml = format!("database.url = {}", serde_json::json!(text));
        let dir =
            config_dir("exact-toml").file("config/local.toml", &toml.replace('\u{7f}', "\\u007f"));
        assert_rejected(&dir, "database.url in config/local.toml", reason);

        let dir = config_dir("exact-file").file("url", &format!("{text}\n"));
        let path = dir.directory.join("url").display().to_string();
        let dir = dir.variable("ORDERLY__DATABASE__URL_FILE", &path);
        assert_rejected(&dir, "database.url in url", reason);
    }
}

#[test]
fn rejects_inexact_texts_in_settings_of_every_type() {
    let settings = [
        ("ORDERLY__AUTH__ISSUER", "orderly"),
        ("ORDERLY__AUTH__SIGNING_KEY", "key"),
        ("ORDERLY__CACHE__KEY_PREFIX", "orderly"),
        ("ORDERLY__DATABASE__ACQUIRE_TIMEOUT", "2s"),
        ("ORDERLY__DATABASE__CA_CERTIFICATE", "/etc/ca.crt"),
        ("ORDERLY__HTTP__BIND", "::"),
        ("ORDERLY__HTTP__CORS_ORIGINS", "https://shop.example"),
        ("ORDERLY__HTTP__PORT", "80"),
        ("ORDERLY__LOG__FILTER", "info"),
        ("ORDERLY__LOG__FORMAT", "json"),
        ("ORDERLY__PAYMENTS__GATEWAY_URL", "https://pay.example"),
        ("ORDERLY__RATE_LIMIT__ENABLED", "true"),
        ("ORDERLY__RATE_LIMIT__TRUSTED_PROXIES", "10.0.0.0/8"),
        ("ORDERLY__REDIS__URL", "redis://cache"),
        ("ORDERLY__REDIS__URL_FILE", "/run/secrets/redis_url"),
        ("ORDERLY__TELEMETRY__OTLP_ENDPOINT", "http://collector:4317"),
        ("ORDERLY__TELEMETRY__SAMPLING_RATIO", "0.5"),
    ];
    for (variable, value) in settings {
        for text in [
            format!("{value}\n"),
            format!("{value} "),
            format!(" {value}"),
        ] {
            let dir = config_dir("exact-types").variable(variable, &text);
            let message = dir.error_message();
            assert!(
                message.contains(&format!("{variable} (environment)\n"))
                    && (message.contains("white space") || message.contains("a line feed")),
                "{variable}: {message}"
            );
        }
    }
}

#[test]
fn secret_file_may_end_with_one_line_break() {
    let url = format!("redis://:{PASSWORD}@localhost");
    for (text, fault) in [
        (url.clone(), None),
        (format!("{url}\n"), None),
        (format!("{url}\r\n"), None),
        (format!("{url}\n\n"), Some("a line feed")),
        (format!("\n{url}\n"), Some("a line feed")),
        (format!("{url} \n"), Some("white space")),
        (format!("\u{feff}{url}"), Some("byte order mark")),
        (String::new(), Some("is empty")),
        ("\n".to_owned(), Some("is empty")),
    ] {
        let dir = config_dir("exact-secret").file("url", &text);
        let path = dir.directory.join("url").display().to_string();
        let dir = dir.variable("ORDERLY__REDIS__URL_FILE", &path);
        match fault {
            None => assert_eq!(dir.load().settings.redis.url.unwrap().expose(), url),
            Some(fault) => assert_rejected(&dir, "url", fault),
        }
    }
    let dir = config_dir("exact-secret-bytes");
    fs::write(dir.directory.join("url"), b"redis://:\xff@localhost").unwrap();
    let path = dir.directory.join("url").display().to_string();
    let dir = dir.variable("ORDERLY__REDIS__URL_FILE", &path);
    assert_rejected(&dir, "ORDERLY__REDIS__URL_FILE", "UTF-8");
}

#[test]
fn signing_key_is_one_pem_block() {
    let pem = ed25519_pem();
    let variable = "ORDERLY__AUTH__SIGNING_KEY";
    for key in [
        pem.clone(),
        pem.trim_end().to_owned(),
        pem.replace('\n', "\r\n"),
    ] {
        config_dir("pem").variable(variable, &key).load();
    }
    for key in [
        format!("{pem}{}", ed25519_pem()),
        format!("Key of 2026\n{pem}"),
        format!("{pem}\nend of the key"),
        pem.replace('\n', "\\n"),
    ] {
        let message = config_dir("pem-wrong")
            .variable(variable, &key)
            .error_message();
        assert!(message.contains(variable), "{message}");
        assert!(!message.contains("PRIVATE KEY-----"), "{message}");
    }
}

#[test]
fn values_that_are_not_utf_8_are_rejected() {
    let mut dir = config_dir("not-utf-8");
    let bytes = |text: &[u8]| OsString::from_vec(text.to_vec());
    dir.inputs
        .variables
        .insert("ORDERLY__AUTH__ISSUER".into(), bytes(b"caf\xe9"));
    // A variable of another program.
    dir.inputs.variables.insert("LESS".into(), bytes(b"\xff"));
    assert_snapshot!(dir.error_message(), @"
    The configuration has 1 problem:

      ORDERLY__AUTH__ISSUER (environment)
        is not UTF-8
        write it in UTF-8
    ");
}

#[test]
fn numbers_and_booleans_have_one_notation() {
    let (port, ratio) = ("ORDERLY__HTTP__PORT", "ORDERLY__TELEMETRY__SAMPLING_RATIO");
    for (variable, wrong) in [
        (port, "8_080"),
        (port, "+8080"),
        (port, "08080"),
        (port, "8e3"),
        (port, "8080.0"),
        (port, "0x1f90"),
        (port, "99999999999999999999"),
        (port, ""),
        (port, "٨٠٨٠"),
        ("ORDERLY__EVENTS__MAX_LENGTH", "18446744073709551616"),
        (ratio, "+0.5"),
        (ratio, ".5"),
        (ratio, "0,5"),
        (ratio, "nan"),
        (ratio, "inf"),
        (ratio, ""),
        ("ORDERLY__RATE_LIMIT__ENABLED", "yes"),
        ("ORDERLY__RATE_LIMIT__ENABLED", "True"),
        ("ORDERLY__RATE_LIMIT__ENABLED", "1"),
        ("ORDERLY__RATE_LIMIT__ENABLED", ""),
    ] {
        let dir = config_dir("notation").variable(variable, wrong);
        assert_rejected(&dir, variable, &format!("is \"{wrong}\""));
    }
    for wrong in ["-1", "65536"] {
        let dir = config_dir("notation").variable(port, wrong);
        assert_rejected(&dir, port, &format!("is {wrong}\n"));
    }
    let dir = config_dir("notation-good")
        .variable(port, "8080")
        .variable(ratio, "1e-1");
    assert_eq!(dir.load().settings.telemetry.sampling_ratio, 0.1);
    for toml in [
        "sampling_ratio = nan",
        "sampling_ratio = inf",
        "sampling_ratio = 1979-05-27",
    ] {
        let dir =
            config_dir("notation-toml").file("config/local.toml", &format!("[telemetry]\n{toml}"));
        assert_rejected(&dir, "config/local.toml", "");
    }
}

#[test]
fn durations_are_whole_milliseconds_with_units() {
    let variable = "ORDERLY__DATABASE__STATEMENT_TIMEOUT";
    for (text, expected) in [
        ("7s", 7000),
        ("7s 500ms", 7500),
        ("7s500ms", 7500),
        ("7.5s", 7500),
        ("7 s", 7000),
        ("0.1m", 6000),
    ] {
        let loaded = config_dir("durations").variable(variable, text).load();
        let timeout = loaded.settings.database.statement_timeout;
        assert_eq!(timeout, Duration::from_millis(expected), "{text}");
    }
    for wrong in [
        "7",
        "7000",
        "7 5s",
        "7. 5s",
        "7,5s",
        "7500000us 1ns",
        "7s 1500us",
        "7sec5",
        "-7s",
        "PT7S",
        "99999999999999999999s",
        "s",
        "",
    ] {
        let dir = config_dir("durations-wrong").variable(variable, wrong);
        assert_rejected(&dir, variable, "expected a duration from 10ms to 10m");
    }
    // TCP counts seconds.
    let dir = config_dir("durations-keepalive").variable("ORDERLY__DATABASE__KEEPALIVE", "1500ms");
    assert_rejected(&dir, "ORDERLY__DATABASE__KEEPALIVE", "in whole seconds");
}

#[test]
fn lists_have_no_empty_members() {
    let variable = "ORDERLY__RATE_LIMIT__TRUSTED_PROXIES";
    for wrong in [
        "10.0.0.1,,10.0.0.2",
        "10.0.0.1,",
        ",",
        "10.0.0.1, ,10.0.0.2",
        "10.0.0.1;10.0.0.2",
    ] {
        let dir = config_dir("list-members").variable(variable, wrong);
        assert_rejected(&dir, variable, "expected IP addresses or CIDR blocks");
    }
    let toml = "rate_limit.trusted_proxies = ['10.0.0.1 ']";
    let dir = config_dir("list-toml").file("config/local.toml", toml);
    assert_rejected(&dir, "rate_limit.trusted_proxies", "white space");
}

#[test]
fn log_filter_has_no_ignored_directives() {
    for wrong in [
        "info,,orderly=debug",
        "info, orderly=debug",
        "wran",
        "info,orderly",
        ",",
    ] {
        let dir = config_dir("filter").variable("ORDERLY__LOG__FILTER", wrong);
        assert_rejected(&dir, "ORDERLY__LOG__FILTER", "expected a tracing filter");
    }
    for good in ["off", "warn,orderly=debug", "info,orderly[request]=debug"] {
        config_dir("filter-good")
            .variable("ORDERLY__LOG__FILTER", good)
            .load();
    }
}

#[test]
fn each_setting_has_one_spelling() {
    for (variable, suggestion) in [
        ("ORDERLY__http__port", "ORDERLY__HTTP__PORT"),
        ("orderly__http__port", "ORDERLY__HTTP__PORT"),
        ("Orderly__Http__Port", "ORDERLY__HTTP__PORT"),
        ("ORDERLY__HTTP.PORT", "ORDERLY__HTTP__PORT"),
        ("ORDERLY_HTTP_PORT", "ORDERLY__HTTP__PORT"),
        (
            "ORDERLY_DATABASE__POOL_SIZE",
            "ORDERLY__DATABASE__POOL_SIZE",
        ),
        ("orderly_env", "ORDERLY_ENV"),
        ("ORDERLY_Config_Dir", "ORDERLY_CONFIG_DIR"),
    ] {
        let dir = config_dir("spelling").variable(variable, "8080");
        let reason = format!("did you mean {suggestion}?");
        assert_rejected(&dir, &format!("{variable} (environment)"), &reason);
    }
    // Kubernetes sets it for a service named orderly-http.
    config_dir("service-link")
        .variable("ORDERLY_HTTP_PORT", "tcp://10.0.0.1:80")
        .load();
    for toml in ["\"http.port\" = 1", "[HTTP]\nport = 1", "[http]\nPort = 1"] {
        let dir = config_dir("spelling-toml").file("config/local.toml", toml);
        assert_rejected(&dir, "in config/local.toml", "is not a setting");
    }
    let dir = config_dir("spelling-flag").flag(" http.port", "1");
    assert_rejected(&dir, "--set  http.port", "is not a setting");
}

#[test]
fn duplicates_in_one_source_are_rejected() {
    for toml in [
        "[http]\nport = 1\nport = 2",
        "http.port = 1\n[http]\nport = 2",
        "[http]\n[http]",
    ] {
        let dir = config_dir("duplicate-toml").file("config/local.toml", toml);
        assert_rejected(&dir, "config/local.toml", "TOML parse error at line");
    }
    let dir = config_dir("duplicate-dotenv").file(
        ".env",
        "ORDERLY__HTTP__PORT=1\nTAG=1\nTAG=2\nexport ORDERLY__HTTP__PORT=2",
    );
    assert_rejected(
        &dir,
        ".env",
        "line 4 sets a variable that an earlier line has set",
    );
}

#[test]
fn dotenv_values_hold_as_written_or_are_rejected() {
    let url = "redis://:pa$word\\n`id`#x y@cache";
    let dotenv = format!(
        "# ours\nexport ORDERLY__AUTH__ISSUER = 'a b' # comment\r\nORDERLY__CACHE__KEY_PREFIX='{}'",
        "$x\\n# \""
    );
    let settings = config_dir("dotenv").file(".env", &dotenv).load().settings;
    assert_eq!(
        (&*settings.auth.issuer, &*settings.cache.key_prefix),
        ("a b", "$x\\n# \"")
    );
    for line in [
        format!("ORDERLY__REDIS__URL={url}"),
        format!("ORDERLY__REDIS__URL=\"{url}\""),
        format!("ORDERLY__REDIS__URL='{url}"),
        format!("ORDERLY__REDIS__URL 'redis://:{PASSWORD}@cache'"),
        format!("ORDERLY__REDIS__URL='redis://:{PASSWORD}@cache' x"),
        format!("\u{feff}ORDERLY__REDIS__URL=redis://:{PASSWORD}@cache"),
    ] {
        let dir = config_dir("dotenv-wrong").file(".env", &line);
        assert_rejected(&dir, ".env", "");
    }
}

#[test]
fn config_files_without_readable_text_are_rejected() {
    let dir = config_dir("mark").file("config/local.toml", "\u{feff}http.port = 1");
    assert_rejected(&dir, "config/local.toml", "begins with a byte order mark");
    let dir = config_dir("bytes");
    fs::write(
        dir.directory.join("config/local.toml"),
        b"auth.issuer = '\xff'",
    )
    .unwrap();
    assert_rejected(&dir, "config/local.toml", "UTF-8");
    let dir = config_dir("nul").file("config/local.toml", "auth.issuer = 'a\0'");
    assert_rejected(&dir, "config/local.toml", "TOML parse error at line 1");
    let mut dir = config_dir("directory-name");
    let path = format!("{}/config\n", dir.directory.display());
    dir.inputs.flags.config_dir = None;
    let dir = dir.variable("ORDERLY_CONFIG_DIR", &path);
    assert_rejected(&dir, "ORDERLY_CONFIG_DIR", "a line feed");
}
