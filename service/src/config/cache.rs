//! The cache of products.

use std::time::Duration;

use super::check::{in_range, not_blank};
use super::section::section;

section! {
    /// The cache of products: in the process, and in Redis if there is one. Orders are never decided from it.
    pub struct CacheConfig {
        /// Whether to cache at all. `false`: each read goes to the database, and none is answered while it is away.
        enabled: bool = true;
        /// What its keys in Redis begin with. Services with a database each must not share one.
        key_prefix: String = "orderly:cache".into(), not_blank();
        /// Products kept in the process; about 500 bytes each.
        local_capacity: u64 = 10_000, in_range(1..=10_000_000);
        /// How much sooner than its time an entry may end, at random, as a share of the time. Entries that were made
        /// together then do not end together.
        ttl_jitter: f64 = 0.1, in_range(0.0..=0.9);
    }
    durations {
        /// How long an entry in Redis is fresh. A change ends it at once; this only bounds what is left behind by a
        /// process that dies between a commit and telling Redis of it.
        ttl = Duration::from_mins(1), in_range(Duration::from_secs(1)..=Duration::from_hours(24));
        /// How long an entry in the process is fresh: how long a change made by another replica may stay unseen. At
        /// most `ttl`, or what `ttl` bounds would live on here.
        local_ttl = Duration::from_secs(1), in_range(Duration::from_millis(1)..=Duration::from_mins(1));
        /// How long "there is no such product" holds; at most `ttl`.
        negative_ttl = Duration::from_secs(1), in_range(Duration::from_millis(1)..=Duration::from_mins(1));
        /// How long an entry may be served, marked as stale, while the database is away, counted from when it was
        /// read.
        stale_if_error = Duration::from_hours(1), in_range(Duration::ZERO..=Duration::from_hours(24));
        /// How long one read of the database may take. Then a stale entry is served, if there is one.
        load_timeout = Duration::from_secs(2), in_range(Duration::from_millis(10)..=Duration::from_mins(1));
    }
}
