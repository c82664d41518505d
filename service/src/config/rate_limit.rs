//! Rate limits.

use std::time::Duration;

use super::Network;
use super::check::in_range;
use super::section::section;

section! {
    /// How many requests one client may make, by class: see `docs/rate-limits.md`. Each class has a rate, at which the
    /// quota comes back, and a burst, which is the whole quota.
    pub struct RateLimitConfig {
        /// Whether there are any limits at all.
        enabled: bool = true;
        /// Proxies whose `X-Forwarded-For` is believed: IP addresses or CIDR blocks, separated by commas. Without the
        /// load balancer in this list all of its clients share one limit; with a stranger in it he has none.
        trusted_proxies: Vec<Network> = Vec::new();
        /// `GET` and `HEAD` a minute, by user or address.
        read_per_minute: u32 = 60_000, in_range(1..=6_000_000);
        /// `GET` and `HEAD` at once.
        read_burst: u32 = 2_000, in_range(1..=1_000_000);
        /// All that changes something a minute, by user or address.
        write_per_minute: u32 = 30_000, in_range(1..=6_000_000);
        /// All that changes something at once.
        write_burst: u32 = 1_000, in_range(1..=1_000_000);
        /// Registrations a minute, by address. Each costs a password hash. A wider IPv6 network has a
        /// multiple of each quota that is counted by address.
        register_per_minute: u32 = 60, in_range(1..=6_000_000);
        /// Registrations at once.
        register_burst: u32 = 60, in_range(1..=1_000_000);
        /// Log-ins a minute, by address: against one client who tries many accounts.
        login_per_minute: u32 = 10, in_range(1..=6_000_000);
        /// Log-ins at once.
        login_burst: u32 = 10, in_range(1..=1_000_000);
        /// Log-ins to one account a minute, from anywhere: against many clients who try one account.
        login_account_per_minute: u32 = 10, in_range(1..=6_000_000);
        /// Log-ins to one account at once.
        login_account_burst: u32 = 10, in_range(1..=1_000_000);
        /// Clients counted one by one in this process, for each class and width of IPv6 network; some 50 bytes each.
        /// Those beyond share the quotas of 1024 strangers.
        max_keys: usize = 100_000, in_range(1_000..=10_000_000);
        /// Replicas that share the limits. While Redis is away each grants this share of the strict classes.
        replicas: u32 = 3, in_range(1..=1_000);
    }
    durations {
        /// How long Redis may take to decide; after that this process decides alone.
        redis_timeout = Duration::from_millis(100), in_range(Duration::from_millis(1)..=Duration::from_secs(1));
    }
}
