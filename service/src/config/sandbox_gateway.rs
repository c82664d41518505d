//! The stand-in for a payment gateway, for demos and drills.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::section::section;

section! {
    /// The `sandbox-gateway` subcommand.
    pub struct SandboxGatewayConfig {
        /// Address to listen on.
        bind: IpAddr = Ipv4Addr::LOCALHOST.into();
        /// TCP port, 0 to 65535. 0 takes any free port, for tests.
        port: u16 = 8090;
        /// File in which it notes every charge, so that a drill can count them after a crash. Unset: memory only.
        ledger_path: Option<PathBuf> = None;
    }
}
