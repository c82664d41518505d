//! Passwords and access tokens.

use std::time::Duration;

use super::Secret;
use super::check::{expects, in_range, in_whole_seconds, not_blank};
use super::section::section;

section! {
    /// How passwords are hashed and access tokens are signed.
    ///
    /// The hash is Argon2id; its least cost is the OWASP Password Storage Cheat Sheet's: 19 MiB of memory, two
    /// iterations, one lane.
    pub struct AuthConfig {
        /// Ed25519 private key, PKCS#8 PEM (RFC 8410). Required in production; elsewhere each start makes its own,
        /// and tokens do not outlive the process.
        signing_key: Option<Secret> = None,
            expects("an Ed25519 key in PKCS#8 PEM: openssl genpkey -algorithm ed25519", is_ed25519_key);
        /// The `iss` claim (RFC 7519): who made the token.
        issuer: String = "orderly".into(), not_blank();
        /// The `aud` claim (RFC 7519): whom the token is for.
        audience: String = "orderly-api".into(), not_blank();
        /// Memory of one hash, KiB. OWASP's least for two iterations is 19456.
        hash_memory_kib: u32 = 19_456, in_range(19_456..=1024 * 1024);
        /// Passes over that memory.
        hash_iterations: u32 = 2, in_range(2..=10);
        /// Hashes computed at once. Each takes a core and its memory, so a storm of log-ins queues here and does not
        /// eat the machine.
        max_concurrent_hashes: usize = 2, in_range(1..=64);
    }
    durations {
        /// How long an access token is valid. It cannot be revoked before.
        token_lifetime = Duration::from_mins(15), in_whole_seconds(Duration::from_mins(1)..=Duration::from_hours(1));
        /// How long a log-in waits for a hash slot before 503.
        hash_queue_timeout = Duration::from_secs(2), in_range(Duration::from_millis(10)..=Duration::from_mins(1));
    }
}

/// One PEM block and nothing else: the reader of keys would take the first of two and ignore the second.
fn is_ed25519_key(key: &Option<Secret>) -> bool {
    let is_key = |key: &Secret| {
        let text = key.expose();
        let is_one_block = text.matches("-----BEGIN ").count() == 1
            && text.starts_with("-----BEGIN ")
            && text.trim_end().ends_with("-----END PRIVATE KEY-----");
        is_one_block && jsonwebtoken::EncodingKey::from_ed_pem(text.as_bytes()).is_ok()
    };
    key.as_ref().is_none_or(is_key)
}
