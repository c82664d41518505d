//! Password hashing, in a bounded pool.
//!
//! Argon2id (RFC 9106) is slow and hungry on purpose: with the parameters of the
//! OWASP Password Storage Cheat Sheet one hash takes 19 MiB and some 20 ms of a
//! core. So it must not run on an async thread, where it would stall every other
//! request, and a storm of log-ins must not start a thousand at once. A
//! semaphore of `auth.max_concurrent_hashes` lets that many run on blocking threads; whoever
//! waits longer than `auth.hash_queue_timeout` is turned away.
//!
//! An unknown user costs the same hash as a wrong password
//! ([`PasswordHashingPool::verify`] with no hash), so the time of the answer does not tell
//! which addresses are registered. See it break:
//! `unknown_email_costs_one_password_hash` in `tests/api/users/sessions.rs`.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use prometheus::IntCounter;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::AuthConfig;
use crate::domain::password::{Password, hashed_forms};

/// Why no hash was computed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    /// All slots stayed busy for `auth.hash_queue_timeout`: try again later.
    #[error("too many passwords are being hashed")]
    Busy,
    /// A stored hash can't be read, or the hasher failed: a bug.
    #[error("the password hasher failed: {0}")]
    Failed(String),
}

/// Hashes and verifies passwords. Clones share the slots.
#[derive(Clone)]
pub(crate) struct PasswordHashingPool {
    argon2: Argon2<'static>,
    slots: Arc<Semaphore>,
    queue_timeout: Duration,
    dummy_hash: Arc<str>,
    hashes: IntCounter,
}

impl PasswordHashingPool {
    /// A hasher with the parameters of `config`; `hashes` counts what it computes.
    ///
    /// # Errors
    /// Returns an error if Argon2 rejects the parameters.
    pub(crate) fn new(config: &AuthConfig, hashes: IntCounter) -> anyhow::Result<Self> {
        let params = Params::new(config.hash_memory_kib, config.hash_iterations, 1, None).map_err(
            |error| anyhow::anyhow!("auth.hash_memory_kib, auth.hash_iterations: {error}"),
        )?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let dummy_hash = hash_password(&argon2, "dummy password")?;
        Ok(Self {
            argon2,
            slots: Arc::new(Semaphore::new(config.max_concurrent_hashes)),
            queue_timeout: config.hash_queue_timeout,
            dummy_hash: dummy_hash.into(),
            hashes,
        })
    }

    /// Hashes a new password, with a fresh salt, into a PHC string.
    ///
    /// # Errors
    /// Returns [`PasswordError::Busy`] if no slot becomes free within `auth.hash_queue_timeout`.
    pub(crate) async fn hash(&self, password: &Password) -> Result<String, PasswordError> {
        let (argon2, password) = (self.argon2.clone(), password.clone());
        self.run_in_slot(move || hash_password(&argon2, password.secret().expose_secret()))
            .await
    }

    /// Whether `candidate` is the password behind `stored`, in one of the forms in which it may have been hashed.
    /// Without a stored hash the result is `false`, after the same work.
    ///
    /// # Errors
    /// Returns [`PasswordError::Busy`] if no slot becomes free within `auth.hash_queue_timeout`, and
    /// [`PasswordError::Failed`] if `stored` is no PHC string.
    pub(crate) async fn verify(
        &self,
        candidate: &SecretString,
        stored: Option<String>,
    ) -> Result<bool, PasswordError> {
        let user_exists = stored.is_some();
        let hash: Arc<str> = stored.map_or_else(|| Arc::clone(&self.dummy_hash), Arc::from);
        let mut matches = false;
        // Each form is hashed, also after a match, so that the time depends on the candidate alone.
        for form in hashed_forms(candidate) {
            matches |= self.verify_form(form, Arc::clone(&hash)).await?;
        }
        Ok(matches && user_exists)
    }

    async fn verify_form(&self, form: SecretString, hash: Arc<str>) -> Result<bool, PasswordError> {
        let argon2 = self.argon2.clone();
        self.run_in_slot(move || {
            let parsed = PasswordHash::new(&hash)
                .map_err(|error| PasswordError::Failed(error.to_string()))?;
            Ok(argon2
                .verify_password(form.expose_secret().as_bytes(), &parsed)
                .is_ok())
        })
        .await
    }

    async fn run_in_slot<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let slot: OwnedSemaphorePermit =
            tokio::time::timeout(self.queue_timeout, Arc::clone(&self.slots).acquire_owned())
                .await
                .map_err(|_| PasswordError::Busy)?
                .map_err(|_| PasswordError::Busy)?;
        self.hashes.inc();
        // The slot goes with the work: if the request gives up, the thread does
        // not, and the slot stays taken until it is done.
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(slot);
            result
        })
        .await
        .map_err(|error| PasswordError::Failed(error.to_string()))?
    }
}

fn hash_password(argon2: &Argon2<'_>, password: &str) -> Result<String, PasswordError> {
    argon2
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| PasswordError::Failed(error.to_string()))
}
