//! No secret shows, neither where settings are listed nor in what is said of a mistake.

use orderly::config::{self};

use super::{ed25519_pem, place};

#[test]
fn masks_secrets_in_shown_settings() {
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
fn error_messages_never_show_secrets() {
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
