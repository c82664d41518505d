//! Invalidates cached products by the outcome of a use case.

use super::UseCaseError;
use crate::cache::InvalidationGuard;
use crate::storage::error::StorageError;

/// Tells the cache what came of a transaction that changes products. Some errors
/// leave open whether it was committed; then it counts as if it was.
pub(super) fn finish<T>(
    invalidation: InvalidationGuard<StorageError>,
    outcome: Result<T, UseCaseError>,
) -> Result<T, UseCaseError> {
    match &outcome {
        Ok(_) => invalidation.committed(),
        Err(error) if error.is_commit_unknown() => drop(invalidation),
        Err(_) => invalidation.rolled_back(),
    }
    outcome
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use anyhow::anyhow;
    use chrono::Utc;
    use prometheus::{IntCounterVec, Opts};
    use tokio::runtime::Handle;

    use super::*;
    use crate::cache::ProductCache;
    use crate::config::CacheConfig;
    use crate::domain::ids::ProductId;
    use crate::resilience::deadline::DeadlineExceeded;

    /// Returns whether a product that was cached is read again after that outcome.
    async fn is_read_again_after(outcome: Result<(), UseCaseError>) -> bool {
        let requests = IntCounterVec::new(Opts::new("test", "test"), &["layer", "outcome"]);
        let cache = ProductCache::<StorageError>::new(
            &CacheConfig::default(),
            None,
            requests.unwrap(),
            Handle::current(),
        );
        let id = ProductId::new(Utc::now());
        let loads = Arc::<AtomicU32>::default();
        let read = async || {
            let loads = Arc::clone(&loads);
            let load = move || {
                loads.fetch_add(1, Ordering::SeqCst);
                async { Ok(None) }
            };
            cache.get(id, load).await.unwrap();
        };
        read().await;
        let mut guard = cache.invalidation_guard();
        guard.add([id]);
        let _outcome = finish(guard, outcome);
        read().await;
        loads.load(Ordering::SeqCst) == 2
    }

    #[tokio::test]
    async fn unknown_commit_invalidates_cached_products() {
        for unknown in [
            UseCaseError::Unavailable("the connection broke".to_owned()),
            UseCaseError::DeadlineExceeded(DeadlineExceeded),
            UseCaseError::Internal(anyhow!("an unexpected error")),
        ] {
            assert!(is_read_again_after(Err(unknown)).await);
        }
        assert!(is_read_again_after(Ok(())).await);
    }

    #[tokio::test]
    async fn rolled_back_change_keeps_cached_products() {
        assert!(!is_read_again_after(Err(UseCaseError::PreconditionFailed)).await);
        assert!(!is_read_again_after(Err(UseCaseError::Overloaded("busy"))).await);
        let aborted = UseCaseError::Aborted("a deadlock".to_owned());
        assert!(!is_read_again_after(Err(aborted)).await);
    }
}
