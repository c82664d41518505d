//! The networks that one client controls.
//!
//! An IPv4 client has one address. An IPv6 client chooses the last 64 bits of its address freely (RFC 4291, section
//! 2.5.4; RFC 8981), and a site is assigned a whole /56 or /48 (RFC 6177). A limit for each /64 alone grants one client
//! 65,536 quotas. So each connection and each log-in counts against three networks, of which the wider ones have a
//! larger share: several households of one provider may lie in one /48.

use std::net::IpAddr;

use ipnet::IpNet;

/// Prefix length, and the share: the number of quotas that all addresses of the network have together.
const IPV4_SHARES: &[(u8, u32)] = &[(32, 1)];
const IPV6_SHARES: &[(u8, u32)] = &[(64, 1), (56, 2), (48, 3)];

/// Largest share of a network.
pub(super) const MAX_SHARE: u32 = 3;

/// Returns the networks of a client, the narrowest first, each with its share: the number of quotas it has.
///
/// An IPv4 address that came in over an IPv6 socket (`::ffff:192.0.2.1`) is still that IPv4 address.
pub(crate) fn client_networks(address: IpAddr) -> impl Iterator<Item = (IpNet, u32)> {
    let address = address.to_canonical();
    let shares = match address {
        IpAddr::V4(_) => IPV4_SHARES,
        IpAddr::V6(_) => IPV6_SHARES,
    };
    shares.iter().map(move |(prefix_length, share)| {
        let network = IpNet::new_assert(address, *prefix_length).trunc();
        (network, *share)
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn networks(address: &str) -> Vec<(String, u32)> {
        client_networks(address.parse().unwrap())
            .map(|(network, share)| (network.to_string(), share))
            .collect()
    }

    #[test]
    fn ipv4_client_has_one_address() {
        let expected = [("192.0.2.1/32".to_owned(), 1)];
        assert_eq!(networks("192.0.2.1"), expected);
        assert_eq!(networks("::ffff:192.0.2.1"), expected);
    }

    #[test]
    fn ipv6_client_has_three_networks_with_growing_shares() {
        let expected = [
            ("2001:db8:1:ab12::/64".to_owned(), 1),
            ("2001:db8:1:ab00::/56".to_owned(), 2),
            ("2001:db8:1::/48".to_owned(), 3),
        ];
        assert_eq!(networks("2001:db8:1:ab12:3:4:5:6"), expected);
    }

    #[test]
    fn no_share_is_above_maximum() {
        for (_, share) in client_networks("2001:db8::1".parse().unwrap()) {
            assert!((1..=MAX_SHARE).contains(&share), "{share}");
        }
    }

    #[test]
    fn wider_networks_hold_neighbours_that_narrower_ones_do_not() {
        let shared = |other: &str| {
            let own = networks("2001:db8:1:ab12::1");
            let others = networks(other);
            own.iter()
                .filter(|network| others.contains(network))
                .count()
        };
        assert_eq!(shared("2001:db8:1:ab12::2"), 3);
        assert_eq!(shared("2001:db8:1:abff::1"), 2);
        assert_eq!(shared("2001:db8:1:ff12::1"), 1);
        assert_eq!(shared("2001:db8:2:ab12::1"), 0);
    }
}
