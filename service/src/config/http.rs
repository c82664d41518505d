//! The two servers: the public one, and the one for operators.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::section::{section, within};

section! {
    /// The public HTTP server.
    pub struct HttpConfig {
        /// Address to listen on. The default is reachable from this machine only; a container needs `0.0.0.0`.
        bind: IpAddr = Ipv4Addr::LOCALHOST.into();
        /// TCP port, 0 to 65535. 0 takes any free port, for tests.
        port: u16 = 8080;
        /// Worker threads, 1 to 256. Each runs an event loop of its own.
        workers: usize = 2, within(1..=256);
        /// Largest request body, bytes, 1024 to 1048576 (1 MiB). A larger one is answered with 413.
        body_limit_bytes: usize = 64 * 1024, within(1024..=1024 * 1024);
    }
    durations {
        /// How long an idle connection stays open for its next request, 1s to 10m. Longer than the idle timeout of
        /// the load balancer in front, or it sends a request down a connection that is just being closed.
        keep_alive = Duration::from_secs(75), within(Duration::from_secs(1)..=Duration::from_mins(10));
        /// How long a client may take to send the request line and headers, 100ms to 1m (slowloris defence).
        request_head_timeout = Duration::from_secs(5), within(Duration::from_millis(100)..=Duration::from_mins(1));
    }
}

section! {
    /// The operators' HTTP server: health, readiness and metrics, on a port that is not published.
    pub struct AdminConfig {
        /// Address to listen on.
        bind: IpAddr = Ipv4Addr::LOCALHOST.into();
        /// TCP port, 0 to 65535. 0 takes any free port, for tests.
        port: u16 = 8081;
    }
}
