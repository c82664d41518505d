//! The order of the ways in which a server may come.

use std::cell::{Cell, RefCell};

use super::*;

/// A server that reports which ways were used.
#[derive(Default)]
struct FakeServer {
    installed: Cell<Option<&'static str>>,
    prebuilt: Option<&'static str>,
    is_hash_wrong: bool,
    package: Option<&'static str>,
    is_unsuitable: bool,
    used: RefCell<Vec<&'static str>>,
}

impl Server for FakeServer {
    type Programs = &'static str;
    const PACKAGES: &str = "the packages";

    fn name(&self) -> String {
        "Fake".to_owned()
    }

    fn find_installed(&self) -> Option<&'static str> {
        self.installed.get()
    }

    fn is_suitable(&self, _programs: &&'static str) -> bool {
        !self.is_unsuitable
    }

    fn is_prebuilt_suitable(&self) -> bool {
        true
    }

    fn install_prebuilt(&self) -> Result<&'static str, PrebuiltError> {
        self.used.borrow_mut().push("prebuilt");
        let server = "Fake 1.0".to_owned();
        if self.is_hash_wrong {
            return Err(PrebuiltError::WrongHash { server });
        }
        let reason = "no pip".to_owned();
        (self.prebuilt).ok_or(PrebuiltError::Unavailable { server, reason })
    }

    fn install_package(&self) {
        self.used.borrow_mut().push("package");
        self.installed.set(self.package);
    }
}

fn fake() -> FakeServer {
    FakeServer::default()
}

fn provide_with(server: &FakeServer, choice: &str) -> Result<&'static str, String> {
    let choice = choice.parse().map_err(|error| format!("{error:#}"))?;
    provide(server, choice).map_err(|error| format!("{error:#}"))
}

#[test]
fn auto_prefers_installed_then_prebuilt_then_package() {
    let server = fake();
    server.installed.set(Some("installed"));
    assert_eq!(provide_with(&server, "auto"), Ok("installed"));
    assert!(server.used.borrow().is_empty());

    let server = FakeServer {
        prebuilt: Some("prebuilt"),
        package: Some("package"),
        ..fake()
    };
    assert_eq!(provide_with(&server, "auto"), Ok("prebuilt"));
    assert_eq!(*server.used.borrow(), ["prebuilt"]);

    let server = FakeServer {
        package: Some("package"),
        ..fake()
    };
    assert_eq!(provide_with(&server, "auto"), Ok("package"));
    assert_eq!(*server.used.borrow(), ["prebuilt", "package"]);
}

#[test]
fn auto_prefers_suitable_prebuilt_to_unsuitable_installed() {
    let server = FakeServer {
        prebuilt: Some("prebuilt"),
        is_unsuitable: true,
        ..fake()
    };
    server.installed.set(Some("installed"));
    assert_eq!(provide_with(&server, "auto"), Ok("prebuilt"));

    // The caller reports the version that it found.
    let server = FakeServer {
        is_unsuitable: true,
        ..fake()
    };
    server.installed.set(Some("installed"));
    assert_eq!(provide_with(&server, "auto"), Ok("installed"));
    assert_eq!(*server.used.borrow(), ["prebuilt"]);
}

#[test]
fn prebuilt_ignores_installed_server() {
    let server = FakeServer {
        prebuilt: Some("prebuilt"),
        ..fake()
    };
    server.installed.set(Some("installed"));
    assert_eq!(provide_with(&server, "prebuilt"), Ok("prebuilt"));
}

#[test]
fn each_choice_fails_with_one_message() {
    for (choice, message, used) in [
        (
            "auto",
            "Fake is missing: install it (the packages)",
            &["prebuilt", "package"][..],
        ),
        (
            "installed",
            "Fake is missing, and ORDERLY_SERVERS=installed gets none: install it (the packages)",
            &[],
        ),
        (
            "prebuilt",
            "the prebuilt Fake 1.0 is not available: no pip",
            &["prebuilt"],
        ),
        (
            "package-manager",
            "Fake is missing: install it (the packages)",
            &["package"],
        ),
        (
            "other",
            "ORDERLY_SERVERS is 'other': use auto, installed, prebuilt or package-manager",
            &[],
        ),
    ] {
        let server = fake();
        assert_eq!(provide_with(&server, choice), Err(message.to_owned()));
        assert_eq!(*server.used.borrow(), used, "{choice}");
    }
}

#[test]
fn wrong_hash_installs_nothing() {
    for choice in ["auto", "prebuilt"] {
        let server = FakeServer {
            is_hash_wrong: true,
            package: Some("package"),
            ..fake()
        };
        let error = provide_with(&server, choice).unwrap_err();
        assert!(error.contains("SHA-256"), "{error}");
        assert_eq!(*server.used.borrow(), ["prebuilt"]);
    }
}
