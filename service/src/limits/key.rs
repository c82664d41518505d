//! Who is limited, as keys of fixed size.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use sha2::{Digest as _, Sha256};

use super::network::client_networks;
use crate::domain::ids::UserId;

/// A client, as the keys that its requests count against: the narrowest first, each with the number
/// of quotas that it has.
#[derive(Debug, Clone)]
pub(crate) struct Client(Vec<(ClientKey, u32)>);

impl Client {
    /// Returns a user, wherever they are.
    pub(crate) fn user(id: UserId) -> Self {
        let key = ClientKey::hash("user", id.to_string().as_bytes());
        Self(vec![(key, 1)])
    }

    /// Returns the networks of an address.
    pub(crate) fn at(address: IpAddr) -> Self {
        let networks = client_networks(address);
        Self(
            networks
                .map(|(network, share)| (ClientKey::for_network(network), share))
                .collect(),
        )
    }

    /// Returns an account, by its e-mail address in any case, whether it exists or not.
    pub(crate) fn account(email: &str) -> Self {
        Self(vec![(ClientKey::for_account(email), 1)])
    }

    pub(super) fn keys(&self) -> &[(ClientKey, u32)] {
        &self.0
    }
}

/// The first 128 bits of a SHA-256: whatever a client sends, a key takes 16 bytes,
/// and Redis learns no address of anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey([u8; 16]);

impl ClientKey {
    fn for_network(network: IpNet) -> Self {
        match (network.network(), network.prefix_len()) {
            (IpAddr::V4(address), _) => Self::hash("ipv4", &address.octets()),
            // The key that earlier versions use.
            (IpAddr::V6(address), 64) => Self::hash("ipv6", &address.octets()),
            (IpAddr::V6(address), length) => {
                Self::hash(&format!("ipv6/{length}"), &address.octets())
            }
        }
    }

    pub(super) fn for_account(email: &str) -> Self {
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
    use std::collections::HashSet;

    #[test]
    fn ipv6_addresses_of_one_network_share_keys() {
        let keys = |address: &str| Client::at(address.parse().unwrap()).0;
        let shared = |one: &str, other: &str| {
            let others = keys(other);
            keys(one).iter().filter(|key| others.contains(key)).count()
        };
        assert_eq!(shared("2001:db8::1", "2001:db8::ffff:1"), 3);
        assert_eq!(shared("2001:db8::1", "2001:db8:0:1::1"), 2);
        assert_eq!(shared("2001:db8::1", "2001:db8:0:ffff::1"), 1);
        assert_eq!(shared("2001:db8::1", "2001:db8:1::1"), 0);
        assert_eq!(keys("192.0.2.1"), keys("::ffff:192.0.2.1"));
        assert_ne!(keys("192.0.2.1"), keys("192.0.2.2"));
    }

    /// The first address of a network is also that of each wider one.
    #[test]
    fn networks_of_one_client_have_different_keys() {
        let Client(keys) = Client::at("2001:db8::".parse().unwrap());
        let different: HashSet<ClientKey> = keys.iter().map(|(key, _)| *key).collect();
        assert_eq!(different.len(), 3);
    }

    #[test]
    fn account_key_ignores_case() {
        assert_eq!(
            ClientKey::for_account("Ada@Example.com"),
            ClientKey::for_account("ada@example.com")
        );
    }
}
