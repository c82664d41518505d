//! Where a request comes from, when proxies stand between.
//!
//! A proxy appends the address of who spoke to it to `X-Forwarded-For`. All that
//! is left of what a proxy of ours appended, anybody may have written: a service
//! that believes the leftmost entry lets each client pick its own address, and so
//! its own rate limit. So it is read from the right, past the proxies that are
//! ours (`rate_limit.trusted_proxies`), to the first address that is not.

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;

use crate::config::Network;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address, as far as it can be trusted. `None` if the peer has none.
pub(super) fn client_address(request: &HttpRequest, proxies: &[Network]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let headers = request.headers().get_all(X_FORWARDED_FOR);
    // What a stranger wrote into the line must not hide what our proxy added to it.
    let values: Vec<_> = headers
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    Some(first_untrusted_address(peer, &values.join(","), proxies))
}

fn first_untrusted_address(peer: IpAddr, forwarded_for: &str, proxies: &[Network]) -> IpAddr {
    let mut client = peer;
    for entry in forwarded_for.rsplit(',') {
        if !proxies.iter().any(|proxy| proxy.contains(client)) {
            break;
        }
        // What can't be read is not ours: the last known stands for all behind it.
        let Some(address) = parse_address(entry.trim()) else {
            break;
        };
        client = address;
    }
    client
}

/// Some proxies append the port too.
fn parse_address(entry: &str) -> Option<IpAddr> {
    let with_port = || entry.parse::<SocketAddr>().map(|address| address.ip());
    entry.parse().or_else(|_| with_port()).ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn trusts_only_entries_of_trusted_proxies() {
        let trusted: Vec<Network> = ["10.0.0.0/8", "fd00::/8"]
            .map(|network| network.parse().unwrap())
            .to_vec();
        for (peer, forwarded_for, expected) in [
            ("203.0.113.7", "", "203.0.113.7"),
            ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
            (
                "10.0.0.1",
                "1.1.1.1,198.51.100.1 , 10.9.9.9",
                "198.51.100.1",
            ),
            ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
            ("fd00::1", "[2001:db8::1]:80", "2001:db8::1"),
            ("10.0.0.1", "1.1.1.1, unknown, 10.9.9.9", "10.9.9.9"),
            ("10.0.0.1", "10.1.1.1, 10.2.2.2", "10.1.1.1"),
            ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ] {
            let address = first_untrusted_address(peer.parse().unwrap(), forwarded_for, &trusted);
            assert_eq!(address.to_string(), expected, "{peer} {forwarded_for}");
        }
    }
}
