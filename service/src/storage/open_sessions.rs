//! The open sessions of a command, whose statements are cancelled when the command is interrupted.

use std::sync::{Arc, Mutex};

use tokio_postgres::CancelToken;

use crate::resilience::mutex::lock;

/// Cancel tokens of the sessions that were opened; none unless [`Self::track`] was called. Clones share them.
///
/// Tokens are never removed, so a service, which opens sessions for as long as it runs, does not track them.
#[derive(Clone, Default)]
pub(super) struct OpenSessions(Arc<Mutex<Option<Vec<CancelToken>>>>);

impl OpenSessions {
    /// Keeps the tokens of sessions that are opened from now on.
    pub(super) fn track(&self) {
        lock(&self.0).get_or_insert_default();
    }

    /// Adds a session.
    pub(super) fn add(&self, token: CancelToken) {
        if let Some(tokens) = &mut *lock(&self.0) {
            tokens.push(token);
        }
    }

    /// Returns the tokens.
    pub(super) fn tokens(&self) -> Vec<CancelToken> {
        lock(&self.0).clone().unwrap_or_default()
    }
}
