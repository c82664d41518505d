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
