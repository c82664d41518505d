//! The cache: products are read far more often than they change.
//!
//! ```text
//!   a read --> in process (local_ttl) --miss--> Redis (ttl) --miss--> database
//!                  |  one in-flight call a key: who comes meanwhile waits for it
//!   a commit --> forgotten in process at once --> told to Redis in the background
//! ```
//!
//! **How old may an answer be?** An order is never decided from here, it locks the
//! rows; what is shown may lag behind, and each bound is a setting:
//!
//! | who reads | sees a committed change after |
//! |---|---|
//! | the process that made the change | at once |
//! | other replicas | `cache.local_ttl` (1 s) after Redis was told, which takes milliseconds |
//! | other replicas, when the process was killed before it told Redis, or can't reach it | `cache.ttl` (1 min) |
//! | other replicas, without Redis | `cache.local_ttl` |
//! | anybody while the database is away | up to `cache.stale_if_error` (1 h), and the answer says so: `x-stale: true` |
//!
//! **Invalidated after the commit, never before.** Forgotten before, the entry
//! would be filled again from the old row while the transaction still runs, and
//! stay. A use case says beforehand what it is about to change (`InvalidationGuard`), and
//! when the transaction has ended, what came of it: so not even a request that is
//! dropped while `COMMIT` is under way is missed, and a rollback costs nobody a hit.
//!
//! **The old value that comes late.** A reader misses, reads the old row, and is
//! held up; meanwhile the row changes and the cache is told; then the reader
//! writes the old value into the cache, where it stays. Two guards: in the process
//! the reader's in-flight call is forgotten (`resilience/single_flight.rs`);
//! in Redis a reader needs the fill token it got with the miss, and an invalidation
//! revokes the token (`redis_layer.rs`; a "lease" in R. Nishtala et al., "Scaling
//! Memcache at Facebook", NSDI 2013, section 3.2.1).
//!
//! **And then:** entries that were made together don't end together
//! (`cache.ttl_jitter`); that a product does not exist is remembered, for a moment
//! (`cache.negative_ttl`); Redis is behind its circuit breaker, so that a frozen one
//! does not slow down reads.
//!
//! See it break: `tests/api/cache`, and the drills `redis_frozen` and
//! `postgres_killed`.

mod context;
mod entry;
mod invalidation_guard;
mod layered;
mod pending_invalidations;
mod products;
mod redis_layer;

pub(crate) use entry::LoadError;
pub(crate) use invalidation_guard::InvalidationGuard;
pub(crate) use products::{FIRST_ROWS, ProductCache};
