//! Installs the packages of Postgres and Redis, but not the services that come with them.

use crate::programs::{PackageManager, run, run_with_input};
use crate::progress::log_progress;

/// The folder of Debian's settings for new clusters.
const CLUSTER_SETTINGS: &str = "/etc/postgresql-common/createcluster.d";
/// The setting that is there while the package is installed.
const NO_CLUSTER: &str = "/etc/postgresql-common/createcluster.d/orderly.conf";

/// Installs Postgres, without a cluster of the machine's own, which Debian's package would create
/// and start. Failures are logged.
pub(super) fn install_postgres() {
    let Some(manager) = PackageManager::find() else {
        return;
    };
    if manager == PackageManager::Brew {
        return manager.install_or_log(&["postgresql@17"]);
    }
    if let Err(error) = forbid_cluster(manager) {
        return log_progress(&format!("{error:#}"));
    }
    manager.install_or_log(&["postgresql"]);
    // The next package that is installed here gets its cluster.
    if let Err(error) = run(manager.privileged("rm").args(["-f", NO_CLUSTER])) {
        log_progress(&format!("{error:#}"));
    }
}

fn forbid_cluster(manager: PackageManager) -> anyhow::Result<()> {
    run(manager.privileged("mkdir").args(["-p", CLUSTER_SETTINGS]))?;
    let setting = "create_main_cluster = false\n";
    run_with_input(manager.privileged("tee").arg(NO_CLUSTER), setting)
}

/// Installs Redis, and stops the service that Debian's package starts on port 6379. Failures are
/// logged.
pub(super) fn install_redis() {
    let Some(manager) = PackageManager::find() else {
        return;
    };
    if manager == PackageManager::Brew {
        return manager.install_or_log(&["redis"]);
    }
    if let Err(error) = manager.install(&["redis-server"]) {
        return log_progress(&format!("{error:#}"));
    }
    for command in [
        ["invoke-rc.d", "redis-server", "stop"],
        ["update-rc.d", "redis-server", "disable"],
    ] {
        let [program, arguments @ ..] = command;
        // Fails where no service was started.
        let _ = run(manager.privileged(program).args(arguments));
    }
}
