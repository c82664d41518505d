//! Locks a mutex whose state stays valid when a holder panics.
//!
//! A panic while a mutex is held *poisons* it, and each further `Mutex::lock` returns an error: one
//! request that panicked would fail all that come after it. A caller of [`lock`] keeps the state
//! valid at each step of its critical section, and so may go on with a poisoned mutex.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, also after a holder panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
