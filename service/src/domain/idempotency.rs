//! Idempotency keys: how a client may safely send the same request twice.
//!
//! A client that got no answer can't know whether its order was taken. It sends
//! the request again with the same `Idempotency-Key` header
//! (draft-ietf-httpapi-idempotency-key-header), and gets the stored answer. The
//! fingerprint tells a repeated request from a key used for something else.
//! Run it: `tests/api/idempotency.rs`.

use super::invalid::Invalid;

/// The value of the `Idempotency-Key` header: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Checks the header's value.
    ///
    /// # Errors
    /// `invalid_idempotency_key`.
    pub fn parse(value: &[u8]) -> Result<Self, Invalid> {
        let visible = !value.is_empty() && value.iter().all(u8::is_ascii_graphic);
        match std::str::from_utf8(value) {
            Ok(text) if visible && value.len() <= 255 => Ok(Self(text.to_owned())),
            _ => Err(Invalid::new(
                "invalid_idempotency_key",
                "must have 1 to 255 visible ASCII characters",
            )),
        }
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// SHA-256 of what a request asks for. Two requests with one fingerprint ask
/// for the same thing, however their JSON was laid out.
pub type Fingerprint = [u8; 32];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_and_visible() {
        let ok = |key: &str| IdempotencyKey::parse(key.as_bytes()).is_ok();
        assert!(ok("a") && ok(&"x".repeat(255)) && ok("\"8e03978e-40d5\""));
        assert!(!ok("") && !ok(&"x".repeat(256)) && !ok("a b") && !ok("é") && !ok("a\n"));
    }
}
