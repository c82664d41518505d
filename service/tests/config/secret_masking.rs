//! No secret shows, neither where settings are listed nor in what is said of a mistake.

use orderly::config::{self};

use super::{config_dir, ed25519_pem};

#[test]
fn masks_secrets_in_shown_settings() {
    let dir = config_dir("masked")
        .variable(
            "ORDERLY__DATABASE__URL",
            "postgres://orderly:canary@localhost/orderly",
        )
        .variable("ORDERLY__REDIS__URL", "redis://:canary@localhost/0")
        .variable("ORDERLY__AUTH__SIGNING_KEY", &ed25519_pem());
    let loaded = dir.load();
    let shown = format!("{loaded:?}");
    assert!(
        !shown.contains("canary") && !shown.contains("PRIVATE KEY"),
        "{shown}"
    );

    for arguments in [&["config"][..], &["config", "--json"]] {
        let output = dir.run(arguments);
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
fn error_messages_never_show_secrets() {
    let url = "postgres://orderly:canary@localhost/orderly";
    let wrong = [
        // Malformed, and so judged and found wanting.
        config_dir("leak-1").variable("ORDERLY__DATABASE__URL", "canary"),
        config_dir("leak-2").variable("ORDERLY__REDIS__URL", "canary"),
        config_dir("leak-3").variable("ORDERLY__AUTH__SIGNING_KEY", "canary"),
        config_dir("leak-4").file("config/local.toml", "auth.signing_key = ['canary']"),
        // Under a name that is not known, or not meant for it.
        config_dir("leak-5").variable("ORDERLY__DATABSE__URL", url),
        config_dir("leak-6").variable("ORDERLY__DATABASE", "canary"),
        config_dir("leak-7").file("config/local.toml", "[database.url]\nvalue = 'canary'"),
        config_dir("leak-8").variable("ORDERLY__PAYMENTS__GATEWAY_URL", url),
        config_dir("leak-9").variable("ORDERLY__HTTP__BIND", url),
        // In a file that cannot be parsed: both parsers quote the line.
        config_dir("leak-10").file("config/local.toml", "database.url = canary"),
        config_dir("leak-11").file("config/local.toml", "[auth]\nsigning_key = '''\ncanary"),
        config_dir("leak-12").file(".env", "ORDERLY__DATABASE__URL=canary canary"),
        config_dir("leak-13").file(
            ".env",
            "ORDERLY__HTTP__PORT=1\nORDERLY__DATABASE__URL='canary",
        ),
    ];
    for dir in wrong {
        let error = config::load_from(&dir.inputs).expect_err("the configuration is wrong");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}
