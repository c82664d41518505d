//! Requests of operators to the gateway on this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method};

use super::Options;

/// Time limit of a request, shorter than that of a container's probe.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Sends a request over the loopback address and returns the body of the response.
///
/// # Errors
/// Returns an error if there is no response or its status is not 2xx.
pub(super) async fn send(
    options: &Options,
    method: Method,
    path: &str,
    json: &str,
) -> anyhow::Result<String> {
    let host: IpAddr = match options.bind {
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
    };
    let url = format!("http://{}{path}", SocketAddr::new(host, options.port));
    let response = Client::builder()
        .no_proxy()
        .timeout(TIMEOUT)
        .build()?
        .request(method, &url)
        .header(CONTENT_TYPE, "application/json")
        .body(json.to_owned())
        .send()
        .await
        .with_context(|| format!("{url} does not respond: start the gateway with sandbox-gateway serve, or set --port"))?;
    let (status, body) = (response.status(), response.text().await?);
    if !status.is_success() {
        bail!("{url} responds with {status}: {body}");
    }
    Ok(body)
}
