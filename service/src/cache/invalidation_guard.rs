//! Invalidates the products of a transaction when its outcome is known.

use std::time::Duration;

use super::entry::LoadError;
use super::products::ProductCache;
use crate::domain::ids::ProductId;

/// Upper bound on a `COMMIT` whose request was dropped.
const COMMIT_GRACE: Duration = Duration::from_secs(2);

/// The products that a transaction changes, until it is known what came of it.
/// If nobody gets to know (the request was dropped while `COMMIT` was under way,
/// the connection broke), they are forgotten when this is dropped, and once more
/// when the server must have made up its mind.
#[must_use = "the products must be named, and the outcome"]
pub struct InvalidationGuard<E: LoadError> {
    cache: ProductCache<E>,
    ids: Vec<ProductId>,
}

impl<E: LoadError> InvalidationGuard<E> {
    pub(super) fn new(cache: ProductCache<E>) -> Self {
        Self {
            cache,
            ids: Vec::new(),
        }
    }

    /// These are among them.
    pub fn add(&mut self, ids: impl IntoIterator<Item = ProductId>) {
        self.ids.extend(ids);
    }

    /// It has changed them.
    pub fn committed(mut self) {
        self.cache.invalidate(&std::mem::take(&mut self.ids));
    }

    /// It has changed nothing.
    pub(crate) fn rolled_back(mut self) {
        self.ids.clear();
    }
}

impl<E: LoadError> Drop for InvalidationGuard<E> {
    fn drop(&mut self) {
        if self.ids.is_empty() {
            return;
        }
        let (cache, ids) = (self.cache.clone(), std::mem::take(&mut self.ids));
        cache.invalidate(&ids);
        self.cache.runtime.spawn(async move {
            tokio::time::sleep(COMMIT_GRACE).await;
            cache.invalidate(&ids);
        });
    }
}
