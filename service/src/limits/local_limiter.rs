//! The limit of this process alone, in bounded memory.
//!
//! The GCRA of the crate `governor`, which keeps one number for each client and
//! never forgets one by itself. Somebody who has many addresses (an IPv6 /48 has
//! 65,536 /64 networks) could so fill the memory of a service that limits them.
//! Two things bound it:
//!
//! - [`LocalLimiter::sweep`], on a timer, drops the clients whose quota is whole
//!   again: they are as good as new.
//! - [`BoundedStore`] holds at most `rate_limit.max_keys` clients. Those beyond fall, by
//!   their hash, into 1024 quotas that they share with strangers. So nobody goes
//!   unlimited, a flood hurts itself first, and who was known before it goes on as
//!   before.
//!
//! A million clients under the default cap of 100,000 take some 3 MiB a class; without
//! a cap it would be 50 MiB. See it break: `million_clients_use_bounded_memory`, below.

use std::convert::Infallible;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore};
use governor::{Quota, RateLimiter};

use super::{ClientKey, Decision, Policy};

/// A key, and whether a request is charged to it or only measured.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Charge {
    key: ClientKey,
    is_preview: bool,
}

const OVERFLOW_KEYS: u16 = 1024;

/// The limiter of one class.
pub(super) struct LocalLimiter<C: Clock = DefaultClock> {
    limiter: RateLimiter<Charge, BoundedStore, C, StateInformationMiddleware>,
}

impl<C: Clock> LocalLimiter<C> {
    pub(super) fn new(policy: Policy, max_keys: usize, clock: C) -> Self {
        // An interval of zero, the only one there is no quota for, is none that can be set.
        let quota = Quota::with_period(policy.interval)
            .unwrap_or(Quota::per_second(policy.burst))
            .allow_burst(policy.burst);
        let store = BoundedStore {
            states: DashMapStateStore::default(),
            max_keys,
        };
        Self {
            limiter: RateLimiter::new(quota, store, clock),
        }
    }

    /// Charges one request to a client, unless it is over the limit.
    pub(super) fn check(&self, key: ClientKey) -> Decision {
        self.decide(&Charge {
            key,
            is_preview: false,
        })
    }

    /// Returns the decision on a request without charging it.
    pub(super) fn preview(&self, key: ClientKey) -> Decision {
        self.decide(&Charge {
            key,
            is_preview: true,
        })
    }

    fn decide(&self, charge: &Charge) -> Decision {
        match self.limiter.check_key(charge) {
            Ok(state) => Decision::Allowed {
                remaining: state.remaining_burst_capacity(),
            },
            Err(not_until) => Decision::Rejected {
                retry_after: not_until.wait_time_from(self.limiter.clock().now()),
            },
        }
    }

    /// Forgets the clients whose quota is whole again; returns how many are left.
    pub(super) fn sweep(&self) -> usize {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
        self.limiter.len()
    }
}

/// A map of clients that does not grow beyond its cap.
struct BoundedStore {
    states: DashMapStateStore<ClientKey>,
    max_keys: usize,
}

impl StateStore for BoundedStore {
    type Key = Charge;

    fn measure_and_replace<T, F, E>(&self, charge: &Charge, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let has_room = self.states.contains_key(&charge.key) || self.states.len() < self.max_keys;
        let key = match has_room {
            true => charge.key,
            false => charge.key.to_overflow_key(OVERFLOW_KEYS),
        };
        if !charge.is_preview {
            return self.states.measure_and_replace(&key, f);
        }
        // An error keeps the state as it is.
        let measured: Result<Infallible, _> = self
            .states
            .measure_and_replace(&key, |state| Err(f(state).map(|(outcome, _)| outcome)));
        let Err(outcome) = measured;
        outcome
    }
}

impl ShrinkableKeyedStateStore<Charge> for BoundedStore {
    fn retain_recent(&self, drop_below: Nanos) {
        ShrinkableKeyedStateStore::retain_recent(&self.states, drop_below);
    }

    fn shrink_to_fit(&self) {
        self.states.shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.states.len()
    }

    fn is_empty(&self) -> bool {
        self.states.is_empty()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::config::RateLimitConfig;
    use governor::clock::FakeRelativeClock;
    use std::num::NonZeroU32;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    fn limiter(
        burst: u32,
        max_keys: usize,
    ) -> (LocalLimiter<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let policy = Policy {
            burst: NonZeroU32::new(burst).unwrap(),
            interval: SECOND,
        };
        (LocalLimiter::new(policy, max_keys, clock.clone()), clock)
    }

    fn key(number: u32) -> ClientKey {
        ClientKey::for_account(&number.to_string())
    }

    fn is_allowed(decision: Decision) -> bool {
        matches!(decision, Decision::Allowed { .. })
    }

    #[test]
    fn quota_is_burst_and_refills_one_by_one() {
        let (limiter, clock) = limiter(3, 10);
        let decisions = [(); 4].map(|()| limiter.check(key(1)));
        assert_eq!(
            decisions,
            [
                Decision::Allowed { remaining: 2 },
                Decision::Allowed { remaining: 1 },
                Decision::Allowed { remaining: 0 },
                Decision::Rejected {
                    retry_after: SECOND
                },
            ]
        );
        clock.advance(SECOND);
        assert!(is_allowed(limiter.check(key(1))));
        assert!(!is_allowed(limiter.check(key(1))));
        assert!(is_allowed(limiter.check(key(2))), "another client");
    }

    #[test]
    fn preview_charges_nothing() {
        let (limiter, _) = limiter(1, 10);
        for _ in 0..2 {
            let remaining = Decision::Allowed { remaining: 0 };
            assert_eq!(limiter.preview(key(1)), remaining);
        }
        assert!(is_allowed(limiter.check(key(1))));
        assert!(!is_allowed(limiter.preview(key(1))));
    }

    #[test]
    fn million_clients_use_bounded_memory() {
        let max = RateLimitConfig::default().max_keys;
        let (limiter, _) = limiter(1, max);
        let known = key(0);
        assert!(is_allowed(limiter.check(known)));
        let allowed = (1..1_000_000)
            .filter(|number| is_allowed(limiter.check(key(*number))))
            .count();
        let overflow = usize::from(OVERFLOW_KEYS);
        assert_eq!(limiter.limiter.len(), max + overflow);
        assert_eq!(allowed, max - 1 + overflow, "those beyond share");
        assert!(!is_allowed(limiter.check(known)), "and none is forgotten");
        // What the map has room for: an entry is a key, its state and a byte of the table.
        let entry_bytes = size_of::<(ClientKey, u64)>() + 1;
        let states = limiter.limiter.into_state_store().states;
        let mib = (states.capacity() * entry_bytes) as f64 / f64::from(1 << 20);
        assert!((1.0..8.0).contains(&mib), "{mib} MiB");
    }

    #[test]
    fn sweep_forgets_clients_with_full_quota() {
        let (limiter, clock) = limiter(1, 10);
        limiter.check(key(1));
        clock.advance(2 * SECOND);
        limiter.check(key(2));
        assert_eq!(limiter.sweep(), 1);
        clock.advance(2 * SECOND);
        assert_eq!(limiter.sweep(), 0);
    }
}
