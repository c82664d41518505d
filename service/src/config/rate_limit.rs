//! Rate limits.

use std::time::Duration;

use super::Network;
use super::section::{in_range, section};

section! {
    /// How many requests one client may make, by class: see `docs/rate-limits.md`. Each class has a rate, at which the
    /// quota comes back, and a burst, which is the whole quota.
    pub struct RateLimitConfig {
        /// Whether there are any limits at all.
        enabled: bool = true;
        /// Proxies whose `X-Forwarded-For` is believed: IP addresses or CIDR blocks, separated by commas. Without the
        /// load balancer in this list all of its clients share one limit; with a stranger in it he has none.
        trusted_proxies: Vec<Network> = Vec::new();
        /// `GET` and `HEAD`, by user or address, 1 to 6000000 a minute.
        read_per_minute: u32 = 60_000, in_range(1..=6_000_000);
        /// `GET` and `HEAD` at once, 1 to 1000000.
        read_burst: u32 = 2_000, in_range(1..=1_000_000);
        /// All that changes something, by user or address, 1 to 6000000 a minute.
        write_per_minute: u32 = 30_000, in_range(1..=6_000_000);
        /// All that changes something at once, 1 to 1000000.
        write_burst: u32 = 1_000, in_range(1..=1_000_000);
        /// Registrations, by address, 1 to 6000000 a minute. Each costs a password hash.
        register_per_minute: u32 = 60, in_range(1..=6_000_000);
        /// Registrations at once, 1 to 1000000.
        register_burst: u32 = 60, in_range(1..=1_000_000);
        /// Log-ins, by address, 1 to 6000000 a minute: against one client who tries many accounts.
        login_per_minute: u32 = 10, in_range(1..=6_000_000);
        /// Log-ins at once, 1 to 1000000.
        login_burst: u32 = 10, in_range(1..=1_000_000);
        /// Log-ins to one account, from anywhere, 1 to 6000000 a minute: against many clients who try one account.
        login_account_per_minute: u32 = 10, in_range(1..=6_000_000);
        /// Log-ins to one account at once, 1 to 1000000.
        login_account_burst: u32 = 10, in_range(1..=1_000_000);
        /// Clients counted one by one in this process, for each class, 1000 to 10000000; some 50 bytes each. Those
        /// beyond share the quotas of 1024 strangers.
        max_keys: usize = 100_000, in_range(1_000..=10_000_000);
        /// Replicas that share the limits, 1 to 1000. While Redis is away each grants this share of the strict classes.
        replicas: u32 = 3, in_range(1..=1_000);
    }
    durations {
        /// How long Redis may take to decide, 1ms to 1s; after that this process decides alone.
        redis_timeout = Duration::from_millis(100), in_range(Duration::from_millis(1)..=Duration::from_secs(1));
    }
}
