//! Which addresses belong to everybody, and which lead into somebody's own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is for when it is not public, in a word or two; `None` when it is public.
///
/// IPv6 addresses that carry an IPv4 address are judged by what they carry, wherever a router could unwrap them.
pub(super) fn special(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

/// After IANA's registry of special-purpose IPv4 addresses.
fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    Some(match address.octets() {
        [0, 0, 0, 0] => "unspecified",
        [0, ..] => "reserved",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "private",
        [100, 64..=127, ..] => "shared by a provider's customers",
        [127, ..] => "loopback",
        [169, 254, ..] => "link-local",
        [192, 0, 0, _] | [192, 88, 99, _] => "reserved",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "for documentation",
        [198, 18..=19, ..] => "for benchmarks",
        [224..=239, ..] => "multicast",
        [255, 255, 255, 255] => "broadcast",
        [240..=255, ..] => "reserved",
        _ => return None,
    })
}

/// Only `2000::/3` is given out, and not all of it to everybody.
fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    let carried = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        special_v4(Ipv4Addr::new(a, b, c, d))
    };
    Some(match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => "unspecified",
        [0, 0, 0, 0, 0, 0, 0, 1] => "loopback",
        // NAT64: a gateway takes it to the IPv4 address.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => return carried(high, low),
        [0x64, 0xff9b, 1, ..] => "private",
        // 6to4: a relay takes it to the IPv4 address.
        [0x2002, high, low, ..] => return carried(high, low),
        // Teredo, ORCHID and others that the IETF keeps.
        [0x2001, 0..=0x1ff, ..] => "reserved",
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => "for documentation",
        [0x2000..=0x3fff, ..] => return None,
        [0xfc00..=0xfdff, ..] => "private",
        [0xfe80..=0xfebf, ..] => "link-local",
        [0xfec0..=0xfeff, ..] => "private",
        [0xff00..=0xffff, ..] => "multicast",
        _ => "reserved",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_told_from_public_ones() {
        for (address, expected) in [
            ("8.8.8.8", None),
            ("172.15.0.1", None),
            ("172.32.0.1", None),
            ("100.128.0.1", None),
            ("223.255.255.255", None),
            ("0.0.0.0", Some("unspecified")),
            ("0.1.2.3", Some("reserved")),
            ("10.1.2.3", Some("private")),
            ("172.16.0.1", Some("private")),
            ("172.31.255.255", Some("private")),
            ("192.168.1.1", Some("private")),
            ("100.64.0.1", Some("shared by a provider's customers")),
            ("127.0.0.1", Some("loopback")),
            ("127.255.0.1", Some("loopback")),
            ("169.254.169.254", Some("link-local")),
            ("192.0.0.1", Some("reserved")),
            ("192.0.2.1", Some("for documentation")),
            ("198.18.0.1", Some("for benchmarks")),
            ("224.0.0.1", Some("multicast")),
            ("240.0.0.1", Some("reserved")),
            ("255.255.255.255", Some("broadcast")),
            ("2606:4700::1111", None),
            ("::", Some("unspecified")),
            ("::1", Some("loopback")),
            ("fc00::1", Some("private")),
            ("fd12::1", Some("private")),
            ("fe80::1", Some("link-local")),
            ("fec0::1", Some("private")),
            ("ff02::1", Some("multicast")),
            ("2001:db8::1", Some("for documentation")),
            ("3fff:fff::1", Some("for documentation")),
            ("2001::1", Some("reserved")),
            ("4000::1", Some("reserved")),
            ("100::1", Some("reserved")),
        ] {
            assert_eq!(special(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn an_address_inside_another_is_judged_by_what_it_carries() {
        for (address, expected) in [
            ("::ffff:127.0.0.1", Some("loopback")),
            ("::ffff:8.8.8.8", None),
            ("::127.0.0.1", Some("reserved")),
            ("64:ff9b::10.0.0.1", Some("private")),
            ("64:ff9b::169.254.169.254", Some("link-local")),
            ("64:ff9b::8.8.8.8", None),
            ("64:ff9b:1::8.8.8.8", Some("private")),
            ("2002:7f00:1::", Some("loopback")),
            ("2002:a00:5::1", Some("private")),
            ("2002:808:808::1", None),
        ] {
            assert_eq!(special(address.parse().unwrap()), expected, "{address}");
        }
    }
}
