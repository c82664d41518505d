//! Settings that do not fit what is between the service and Postgres end the start, with one error.

use orderly::app::App;
use orderly::config::{Pooler, Settings};

use crate::support::app::test_settings;
use crate::support::database::TestDatabase;
use crate::support::gateway::start_gateway;
use crate::support::pgbouncer::PgBouncer;

/// Returns the error of a start whose settings were changed.
async fn start_error(database: &TestDatabase, change: impl FnOnce(&mut Settings)) -> String {
    let gateway = start_gateway().await;
    let mut settings = test_settings(database, &gateway);
    change(&mut settings);
    let error = match App::start(&settings).await {
        Ok(_) => panic!("the service has started"),
        Err(error) => format!("{error:#}"),
    };
    gateway.stop().await.unwrap();
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn pooler_without_setting_is_named_at_start() {
    let database = TestDatabase::new().await;
    for program in PgBouncer::programs() {
        for lines in ["", "ignore_startup_parameters = options"] {
            let pgbouncer = PgBouncer::start_with(&program, 5, lines).await;
            let error = start_error(&database, |settings| {
                settings.database.url = Some(pgbouncer.url(&database.url).into());
            })
            .await;
            for part in [
                "ORDERLY__DATABASE__URL",
                "pooler",
                "ORDERLY__DATABASE__POOLER",
            ] {
                assert!(error.contains(part), "{error}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_url_must_lead_to_postgres() {
    let database = TestDatabase::new().await;
    for program in PgBouncer::programs() {
        for lines in ["", "ignore_startup_parameters = options"] {
            let pgbouncer = PgBouncer::start_with(&program, 5, lines).await;
            let error = start_error(&database, |settings| {
                pgbouncer.serve(settings);
                settings.database.direct_url = settings.database.url.clone();
            })
            .await;
            assert!(error.contains("ORDERLY__DATABASE__DIRECT_URL"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_urls_must_lead_to_same_database() {
    let (database, other) = (TestDatabase::new().await, TestDatabase::new().await);
    let program = &PgBouncer::programs()[0];
    let pgbouncer = PgBouncer::start(program, 5).await;
    let error = start_error(&database, |settings| {
        pgbouncer.serve(settings);
        settings.database.direct_url = Some(other.url.clone().into());
    })
    .await;
    assert!(error.contains("another database"), "{error}");
}

/// A service behind no pooler may be configured for one: nothing but speed is lost.
#[tokio::test(flavor = "multi_thread")]
async fn starts_without_pooler_that_is_configured() {
    let database = TestDatabase::new().await;
    let gateway = start_gateway().await;
    let mut settings = test_settings(&database, &gateway);
    settings.database.pooler = Pooler::Transaction;
    settings.database.direct_url = settings.database.url.clone();
    App::start(&settings).await.unwrap().stop().await.unwrap();
    gateway.stop().await.unwrap();
}
