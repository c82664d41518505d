//! Builds the client of redis-rs from the settings: address, TCP options and TLS.

use anyhow::Context as _;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{ConnectionInfo, IntoConnectionInfo as _, RedisResult, TlsCertificates};

use crate::config::{RedisConfig, variable_name};
use crate::tls;

pub(super) fn build_client(url: &str, config: &RedisConfig) -> anyhow::Result<redis::Client> {
    let server = || variable_name("redis.url");
    let address = connection_info(url, config).with_context(server)?;
    let Some(path) = &config.ca_certificate else {
        return redis::Client::open(address).with_context(server);
    };
    let variable = variable_name("redis.ca_certificate");
    let unusable = || format!("{variable}: {} can't be used", path.display());
    // The client itself would take an empty file, and trust nobody.
    tls::client::verifying_config(Some(path), &variable)?;
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(std::fs::read(path).with_context(unusable)?),
    };
    redis::Client::build_with_tls(address, certificates).with_context(unusable)
}

fn connection_info(url: &str, config: &RedisConfig) -> RedisResult<ConnectionInfo> {
    let keepalive = TcpKeepalive::new().with_time(config.keepalive);
    let tcp = TcpSettings::default().set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(config.tcp_user_timeout);
    Ok(url.into_connection_info()?.set_tcp_settings(tcp))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn sets_keepalive_and_tcp_user_timeout() {
        let config = RedisConfig::default();
        let client = build_client("redis://localhost", &config).unwrap();
        let tcp = client.get_connection_info().tcp_settings();
        assert!(tcp.keepalive().is_some());
        #[cfg(target_os = "linux")]
        assert_eq!(tcp.user_timeout(), Some(config.tcp_user_timeout));
    }
}
