//! Who is limited, as a key of fixed size.

use std::fmt;
use std::net::IpAddr;

use sha2::{Digest as _, Sha256};

use super::network::client_networks;
use crate::domain::ids::UserId;

/// The first 128 bits of a SHA-256: whatever a client sends, a key takes 16 bytes,
/// and Redis learns no address of anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey([u8; 16]);

impl ClientKey {
    /// A user, wherever they are.
    pub(crate) fn for_user(id: UserId) -> Self {
        Self::hash("user", id.to_string().as_bytes())
    }

    /// An address. Of an IPv6 address only the first 64 bits: the rest the client
    /// picks as it likes (RFC 4291, section 2.5.4; RFC 8981).
    pub(crate) fn for_address(address: IpAddr) -> Self {
        let narrowest = client_networks(address).next();
        match narrowest.map_or(address, |(network, _)| network.network()) {
            IpAddr::V4(address) => Self::hash("ipv4", &address.octets()),
            IpAddr::V6(address) => Self::hash("ipv6", &address.octets()),
        }
    }

    /// An account, by its e-mail address in any case, whether it exists or not.
    pub(crate) fn for_account(email: &str) -> Self {
        Self::hash("account", email.to_lowercase().as_bytes())
    }

    fn hash(kind: &str, value: &[u8]) -> Self {
        let digest = Sha256::new()
            .chain_update(kind)
            .chain_update([0])
            .chain_update(value)
            .finalize();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        Self(key)
    }

    /// One of `count` keys, by the hash.
    pub(super) fn to_overflow_key(self, count: u16) -> Self {
        let index = u16::from_be_bytes([self.0[0], self.0[1]]) % count;
        Self::hash("shared", &index.to_be_bytes())
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn ipv6_addresses_of_one_network_share_key() {
        let key = |address: &str| ClientKey::for_address(address.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }

    #[test]
    fn account_key_ignores_case() {
        assert_eq!(
            ClientKey::for_account("Ada@Example.com"),
            ClientKey::for_account("ada@example.com")
        );
    }
}
