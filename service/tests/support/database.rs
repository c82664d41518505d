//! A database for each test, copied from one that was migrated once.

use diesel_async::{
    AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _,
};
use orderly::storage::migrations::MIGRATIONS;
use tokio::sync::OnceCell;
use uuid::Uuid;

const TEMPLATE_LOCK: i64 = 0x6f72_6465_726c_79ff;

/// Locales of a database, with the words of `CREATE DATABASE` for them.
pub const LOCALES: &[(&str, &str)] = &[
    ("C", "LOCALE 'C'"),
    ("C.UTF-8", "LOCALE 'C.UTF-8'"),
    (
        "Turkish, by ICU",
        "LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR'",
    ),
];

/// A database of the test's own; dropped with the value.
pub struct TestDatabase {
    name: String,
    pub url: String,
}

impl TestDatabase {
    /// Copies the migrated template.
    pub async fn new() -> Self {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        let template = TEMPLATE.get_or_init(migrated_template).await;
        let name = format!("test_{}", Uuid::now_v7().simple());
        let mut admin = connect(&server_url()).await;
        admin
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}"))
            .await
            .unwrap();
        let url = database_url(&name);
        Self { name, url }
    }

    /// An empty database, without even the schema.
    pub async fn empty() -> Self {
        let name = format!("test_{}", Uuid::now_v7().simple());
        let mut admin = connect(&server_url()).await;
        admin
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        let url = database_url(&name);
        Self { name, url }
    }

    /// A migrated database with a locale: options of `CREATE DATABASE`. `None` if this server does not have it.
    pub async fn with_locale(options: &str) -> Option<Self> {
        let name = format!("test_{}", Uuid::now_v7().simple());
        let mut admin = connect(&server_url()).await;
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' {options}");
        if admin.batch_execute(&create).await.is_err() {
            report_skipped(options);
            return None;
        }
        let url = database_url(&name);
        let database = Self { name, url };
        super::migrations::apply(&database.url, MIGRATIONS)
            .await
            .unwrap();
        Some(database)
    }

    /// Its name, which no other test's has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A connection of the test's own.
    pub async fn connect(&self) -> AsyncPgConnection {
        connect(&self.url).await
    }

    /// Terminates all connections and rejects new ones.
    pub async fn block_connections(&self) {
        let name = &self.name;
        let mut admin = connect(&server_url()).await;
        // Two statements: in one transaction new connections would still be accepted while
        // the existing ones are terminated.
        for sql in [
            format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"),
            format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            ),
        ] {
            admin.batch_execute(&sql).await.unwrap();
        }
    }

    /// Changes a default of the sessions to come: `SET ...` or `RESET ...`.
    pub async fn alter(&self, change: &str) {
        let mut admin = connect(&server_url()).await;
        let alter = format!("ALTER DATABASE {} {change}", self.name);
        admin.batch_execute(&alter).await.unwrap();
    }

    /// Terminates all sessions, and waits until they have ended.
    pub async fn terminate_sessions(&self) {
        let mut admin = connect(&server_url()).await;
        let terminate = format!(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{}'",
            self.name
        );
        admin.batch_execute(&terminate).await.unwrap();
    }

    /// Accepts connections again.
    pub async fn allow_connections(&self) {
        let name = &self.name;
        let mut admin = connect(&server_url()).await;
        admin
            .batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
            .await
            .unwrap();
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let drop_it = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // The test's own runtime may be going down: this one is only for the drop.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut admin = connect(&server_url()).await;
                admin.batch_execute(&drop_it).await
            })
        });
        if !std::thread::panicking() {
            dropped.join().unwrap().unwrap();
        }
    }
}

/// Migrates the template unless another test binary has. Its name says which
/// schema it has, so a changed migration makes a new one.
async fn migrated_template() -> String {
    let schema = migrations_hash();
    let name = format!("template_{schema:016x}");
    let mut admin = connect(&server_url()).await;
    let lock = format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})");
    diesel::sql_query(lock).execute(&mut admin).await.unwrap();
    let known = format!("SELECT 1 FROM pg_database WHERE datname = '{name}' AND datistemplate");
    if diesel::sql_query(known).execute(&mut admin).await.unwrap() == 0 {
        admin
            .batch_execute(&format!("DROP DATABASE IF EXISTS {name}"))
            .await
            .unwrap();
        admin
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        super::migrations::apply(&database_url(&name), MIGRATIONS)
            .await
            .unwrap();
        admin
            .batch_execute(&format!("ALTER DATABASE {name} IS_TEMPLATE true"))
            .await
            .unwrap();
    }
    name
}

#[expect(clippy::print_stderr, reason = "a reader of the test's output")]
fn report_skipped(options: &str) {
    eprintln!("skipped: this Postgres has no database with {options}");
}

/// A number that changes when any migration does.
fn migrations_hash() -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};

    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
    let mut files: Vec<_> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("up.sql"))
        .filter(|file| file.exists())
        .collect();
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        std::fs::read(file).unwrap().hash(&mut hasher);
    }
    hasher.finish()
}

/// The address of the server, as a superuser.
pub fn server_url() -> String {
    std::env::var("ORDERLY_TEST_DATABASE_URL")
        .expect("ORDERLY_TEST_DATABASE_URL is not set: run the tests with `make test`")
}

fn database_url(database: &str) -> String {
    let server = server_url();
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{database}")
}

async fn connect(url: &str) -> AsyncPgConnection {
    AsyncPgConnection::establish(url).await.unwrap()
}
