//! The two servers: the public one, and the one for operators.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use super::check::{expects, in_range};
use super::section::section;

section! {
    /// The public HTTP server.
    pub struct HttpConfig {
        /// Address to listen on. The default is reachable from this machine only; a container needs `0.0.0.0`.
        bind: IpAddr = Ipv4Addr::LOCALHOST.into();
        /// TCP port. 0 takes any free port, for tests.
        port: u16 = 8080, in_range(0..=u16::MAX);
        /// Worker threads. Each runs an event loop of its own. About one for two cores: the other half is taken by the
        /// main runtime, which serves the connections to Postgres and works on new orders.
        workers: usize = 1, in_range(1..=256);
        /// Connections at once, over all workers. Above 80 % of it the oldest idle connections are closed, and at the
        /// limit a new connection is rejected or replaces one that waits for its client. As many bodies may be on their
        /// way in (over HTTP/2 a connection has several); further requests are shed. Times `body_limit_bytes` it bounds
        /// the memory that bodies take before any other limit is asked.
        max_connections: usize = 4096, in_range(1..=1_000_000);
        /// Connections of one client at once: of an IPv4 address or an IPv6 /64. A /56 may have twice as many, a /48
        /// three times. Further ones are rejected, and so are connections for a minute after as many malformed
        /// requests. Peers in `rate_limit.trusted_proxies` have no such limit.
        max_connections_per_client: usize = 256, in_range(1..=1_000_000);
        /// Largest request body, bytes. A larger one is answered with 413.
        body_limit_bytes: usize = 64 * 1024, in_range(1024..=1024 * 1024);
        /// PEM file with the server's certificate and those that lead from it to the CA. With it and `tls_key` the
        /// listener speaks TLS 1.2 and 1.3; without, plain HTTP.
        tls_certificate: Option<PathBuf> = None;
        /// PEM file with the private key of that certificate.
        tls_key: Option<PathBuf> = None;
        /// Whether clients may choose HTTP/2 during the TLS handshake. **Risk:** the HTTP/2 library of the server (h2 0.3,
        /// RUSTSEC-2026-0258) has no limits for header lists and streams, so that one anonymous client can fill the memory
        /// with a few megabytes of compressed headers. Terminate HTTP/2 at the edge instead: a proxy that has such limits
        /// speaks HTTP/1.1 to the service.
        http2: bool = false;
        /// Web pages that may call the API from a browser, by origin, separated by commas: `https://shop.example`.
        /// None, unless they are named; programs are not concerned (CORS).
        cors_origins: Vec<String> = Vec::new(), expects(
            "origins as a browser sends them, each named, without a path: https://shop.example,http://localhost:3000",
            are_origins
        );
    }
    durations {
        /// How long an idle connection stays open for its next request, on both listeners. Longer than the idle timeout of the load
        /// balancer in front, or it sends a request down a connection that is just being closed.
        keep_alive = Duration::from_secs(75), in_range(Duration::from_secs(1)..=Duration::from_mins(10));
        /// The deadline of a request. A client may request a shorter one, of at least 100 ms, with
        /// `x-request-timeout-ms`.
        request_timeout = Duration::from_secs(10), in_range(Duration::from_millis(100)..=Duration::from_mins(5));
        /// A request that runs for longer is logged while it still runs.
        slow_request_threshold = Duration::from_secs(2), in_range(Duration::from_millis(10)..=Duration::from_mins(1));
        /// How long a client may take to send the body once its headers are here (slow POST defence).
        request_body_timeout = Duration::from_secs(5), in_range(Duration::from_millis(100)..=Duration::from_mins(1));
        /// Time for a client to send the request line and the headers of each request, from their first byte (slowloris
        /// defence). It is also the time for the TLS handshake, and for the first request of a connection.
        request_head_timeout = Duration::from_secs(5), in_range(Duration::from_millis(100)..=Duration::from_mins(1));
        /// Time for which a client may read nothing of a response that waits to be sent. Then the connection is closed.
        write_timeout = Duration::from_secs(10), in_range(Duration::from_millis(100)..=Duration::from_mins(5));
    }
}

section! {
    /// The operators' HTTP server: health, readiness and metrics, on a port that is not published.
    pub struct AdminConfig {
        /// Address to listen on.
        bind: IpAddr = Ipv4Addr::LOCALHOST.into();
        /// TCP port. 0 takes any free port, for tests.
        port: u16 = 8081, in_range(0..=u16::MAX);
    }
}

fn are_origins(list: &[String]) -> bool {
    let is_origin = |text: &String| {
        reqwest::Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.origin().ascii_serialization() == *text
                && !text.contains('*')
        })
    };
    list.iter().all(is_origin)
}
