//! A load balancer in front of the replicas: HAProxy, which asks each of them for
//! `/readyz` and sends requests to those that say yes.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use xtask::port::find_free_port;
use xtask::programs::require_program;

use super::client;
use super::process::LoggedProcess;
use super::replica::Replica;
use crate::support::eventually::eventually;

/// Where the proxy writes which replica answered.
const SERVED_BY: &str = "x-served-by";

/// The running proxy; ends with the value.
pub struct LoadBalancer {
    pub address: SocketAddr,
    _process: LoggedProcess,
}

impl LoadBalancer {
    /// Starts it, and waits until it lets requests through.
    pub async fn start(folder: &Path, replicas: &[Replica]) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], find_free_port().unwrap()));
        let file = folder.join("haproxy.cfg");
        fs::write(&file, configuration(address, replicas)).unwrap();
        let haproxy = require_program("haproxy", "haproxy", "haproxy").unwrap();
        let mut command = Command::new(haproxy);
        let process = LoggedProcess::start(
            command.arg("-db").arg("-f").arg(file),
            folder.join("haproxy.log"),
        );
        let proxy = Self {
            address,
            _process: process,
        };
        for replica in replicas {
            proxy.wait_for_replica(replica).await;
        }
        proxy
    }

    /// Waits until it sends requests to this one, among others.
    pub async fn wait_for_replica(&self, replica: &Replica) {
        let products = format!("http://{}/v1/products", self.address);
        let client = client();
        eventually("the proxy uses the replica", async || {
            let response = client.get(&products).send().await.ok()?;
            let served_by = response.headers().get(SERVED_BY)?;
            (served_by == replica.name.as_str()).then_some(())
        })
        .await;
    }
}

/// It mends nothing by itself: a request that hits a replica which is gone has failed.
fn configuration(address: SocketAddr, replicas: &[Replica]) -> String {
    let servers: String = replicas
        .iter()
        .map(|replica| {
            let (name, api, admin) = (&replica.name, replica.api, replica.admin.port());
            format!("  server {name} {api} check port {admin} inter 100ms fall 1 rise 1\n")
        })
        .collect();
    format!(
        "defaults\n  mode http\n  timeout connect 1s\n  timeout client 30s\n  timeout server 30s\n  \
         timeout check 1s\n  retries 0\n\
         frontend api\n  bind {address}\n  default_backend replicas\n  \
         http-response set-header {SERVED_BY} %s\n\
         backend replicas\n  balance roundrobin\n  option httpchk GET /readyz\n{servers}"
    )
}
