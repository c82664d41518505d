//! Idempotency keys: how a client may safely send the same request twice.
//!
//! A client that got no answer can't know whether its order was taken. It sends
//! the request again with the same `Idempotency-Key` header
//! (draft-ietf-httpapi-idempotency-key-header), and gets the stored answer. The
//! fingerprint tells a repeated request from a key used for something else.
//! Run it: `tests/api/orders/idempotency.rs`.

/// The value of the `Idempotency-Key` header: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The header's value, if it is a key.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let visible = value.iter().all(u8::is_ascii_graphic);
        let text = std::str::from_utf8(value).ok()?;
        (visible && (1..=255).contains(&value.len())).then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// SHA-256 of what a request asks for. Two requests with one fingerprint ask
/// for the same thing, however their JSON was laid out.
pub(crate) type Fingerprint = [u8; 32];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_1_to_255_visible_ascii_characters() {
        let ok = |key: &str| IdempotencyKey::parse(key.as_bytes()).is_some();
        assert!(ok("a") && ok(&"x".repeat(255)) && ok("\"8e03978e-40d5\""));
        assert!(!ok("") && !ok(&"x".repeat(256)) && !ok("a b") && !ok("é") && !ok("a\n"));
    }
}
