//! Passwords and e-mail addresses in other scripts, normal forms and locales of the database.

use diesel::sql_query;
use diesel_async::RunQueryDsl as _;
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::database::{LOCALES, TestDatabase};

const COMPOSED: &str = "crème brûlée à la 한글";

fn decomposed() -> String {
    use unicode_normalization::UnicodeNormalization as _;
    COMPOSED.nfd().collect()
}

async fn register(
    app: &TestApp,
    email: &str,
    password: &str,
) -> crate::support::response::TestResponse {
    let body = json!({"email": email, "password": password, "name": "Zoe\u{308}"});
    app.post("/v1/users", "", &body).await
}

async fn login_status(app: &TestApp, email: &str, password: &str) -> u16 {
    let body = json!({"email": email, "password": password});
    app.post("/v1/sessions", "", &body).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn password_is_accepted_in_every_normal_form() {
    let app = TestApp::start().await;
    let decomposed = decomposed();
    assert_ne!(decomposed, COMPOSED);
    for (email, registered) in [("a@example.com", COMPOSED), ("b@example.com", &decomposed)] {
        let user = register(&app, email, registered).await.expect(201);
        assert_eq!(user["name"], "Zoë");
        let with_other_spaces = COMPOSED.replace(' ', "\u{a0}");
        for typed in [COMPOSED, &decomposed, &with_other_spaces] {
            assert_eq!(login_status(&app, email, typed).await, 201, "{typed}");
        }
        for wrong in [COMPOSED.to_uppercase(), COMPOSED.replace('è', "e")] {
            assert_eq!(login_status(&app, email, &wrong).await, 401, "{wrong}");
        }
    }
    let long = "e\u{301}".repeat(128);
    register(&app, "c@example.com", &long).await.expect(201);
    let too_long = register(&app, "d@example.com", &format!("{long}e")).await;
    too_long.expect_invalid(&[("/password", "too_long")]);
    let too_short = register(&app, "d@example.com", &"e\u{301}".repeat(11)).await;
    too_short.expect_invalid(&[("/password", "too_short")]);
    let control = register(&app, "d@example.com", "correct\thorse battery").await;
    control.expect_invalid(&[("/password", "control_character")]);
    app.finish().await;
}

/// A hash of a password that was not prepared, as the version before wrote it.
#[tokio::test(flavor = "multi_thread")]
async fn password_hashed_without_preparation_is_still_accepted() {
    use argon2::password_hash::PasswordHasher as _;

    let app = TestApp::start().await;
    register(&app, "old@example.com", "correct horse battery")
        .await
        .expect(201);
    for old in [
        decomposed(),
        "tab\tin the password".into(),
        "no-break\u{a0}spaces".into(),
    ] {
        let hash = argon2::Argon2::default()
            .hash_password(old.as_bytes())
            .unwrap();
        let update = format!("UPDATE users SET password_hash = '{hash}'");
        let mut conn = app.database.connect().await;
        sql_query(update).execute(&mut conn).await.unwrap();
        assert_eq!(
            login_status(&app, "old@example.com", &old).await,
            201,
            "{old:?}"
        );
        assert_eq!(
            login_status(&app, "old@example.com", "correct horse battery").await,
            401
        );
    }
    app.finish().await;
}

/// `lower('ADMIN')` is `admın` in Turkish.
#[tokio::test(flavor = "multi_thread")]
async fn email_ignores_case_in_every_locale() {
    for (locale, options) in LOCALES {
        let Some(database) = TestDatabase::with_locale(options).await else {
            continue;
        };
        let app = TestApp::start_on(database, |_| {}).await;
        register(&app, "ADMIN.I@EXAMPLE.COM", COMPOSED)
            .await
            .expect(201);
        for same in ["admin.i@example.com", "Admin.I@Example.com"] {
            assert_eq!(
                login_status(&app, same, COMPOSED).await,
                201,
                "{same} in {locale}"
            );
            let taken = register(&app, same, COMPOSED).await;
            taken.expect_problem(409, "email-taken");
        }
        for other in ["admın.i@example.com", "ada@bücher.example"] {
            let rejected = register(&app, other, COMPOSED).await;
            rejected.expect_invalid(&[("/email", "invalid_email")]);
        }
        app.finish().await;
    }
}
