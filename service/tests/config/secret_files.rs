//! Secrets that come as files, as Docker, Kubernetes and systemd hand them out.

use insta::assert_snapshot;
use orderly::config::Origin;

use super::{config_dir, ed25519_pem, entry};

const URL: &str = "postgres://orderly:canary@localhost/orderly";

#[test]
fn reads_secret_from_file() {
    let dir = config_dir("secret-file").file("database-url", &format!("{URL}\n"));
    let path = dir.directory.join("database-url");
    let dir = dir.variable("ORDERLY__DATABASE__URL_FILE", path.to_str().unwrap());
    let loaded = dir.load();
    assert_eq!(loaded.settings.database.url().unwrap().expose(), URL);
    assert_eq!(entry(&loaded, "database.url").origin, Origin::File(path));
    assert_eq!(entry(&loaded, "database.url").value, "[redacted]");

    let dir = config_dir("key-file").file("key", &ed25519_pem());
    let path = dir.directory.join("key").display().to_string();
    dir.variable("ORDERLY_ENV", "production")
        .variable("ORDERLY__AUTH__SIGNING_KEY_FILE", &path)
        .load();
}

#[test]
fn environment_overrides_dotenv_for_value_and_file() {
    let dir = config_dir("file-over-dotenv")
        .file("url", "redis://from-file")
        .file(".env", "ORDERLY__REDIS__URL=redis://from-dotenv");
    let path = dir.directory.join("url").display().to_string();
    let dir = dir.variable("ORDERLY__REDIS__URL_FILE", &path);
    let url = dir.load().settings.redis.url.unwrap();
    assert_eq!(url.expose(), "redis://from-file");
    // Empty is unset.
    let dir = dir.variable("ORDERLY__REDIS__URL_FILE", "");
    let url = dir.load().settings.redis.url.unwrap();
    assert_eq!(url.expose(), "redis://from-dotenv");
}

#[test]
fn rejects_secret_set_twice_or_unreadable() {
    let dir = config_dir("secret-twice")
        .file("url", URL)
        .variable("ORDERLY__DATABASE__URL", URL)
        .variable("ORDERLY__DATABASE__URL_FILE", "url")
        .variable("ORDERLY__REDIS__URL_FILE", "/nowhere/redis-url")
        .variable("ORDERLY__HTTP__PORT_FILE", "port")
        .variable("ORDERLY_ENV", "production")
        .variable("ORDERLY__AUTH__SIGNING_KEY_FILE", "/nowhere/key");
    assert_snapshot!(dir.error_message(), @"
    The configuration has 4 problems:

      ORDERLY__AUTH__SIGNING_KEY_FILE (environment)
        is /nowhere/key, which cannot be read
        No such file or directory (os error 2)

      ORDERLY__DATABASE__URL_FILE (environment)
        is set, and so is ORDERLY__DATABASE__URL
        keep one of the two

      ORDERLY__REDIS__URL_FILE (environment)
        is /nowhere/redis-url, which cannot be read
        No such file or directory (os error 2)

      ORDERLY__HTTP__PORT_FILE (environment)
        is not a setting
        `orderly config` lists every setting; remove this one
    ");
}

#[test]
fn invalid_secret_shows_file_but_not_value() {
    let dir = config_dir("wrong-file").file("url", "mysql://root:canary@db");
    let path = dir.directory.join("url").display().to_string();
    let message = dir
        .variable("ORDERLY__DATABASE__URL_FILE", &path)
        .error_message();
    assert!(message.contains("database.url in url"), "{message}");
    assert!(!message.contains("canary"), "{message}");
}
