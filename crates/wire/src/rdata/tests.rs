#![allow(clippy::unwrap_used)]

use super::*;
use crate::testing::name;

/// `before`, then web.cluster.local in wire form, then `after`.
fn around(before: &[u8], after: &[u8]) -> Vec<u8> {
    [before, name("web.cluster.local").as_wire(), after].concat()
}

#[test]
fn the_names_of_every_known_type_are_found() {
    let target = name("b.example");
    let two = |before: &[u8]| [before, name("web.cluster.local").as_wire(), target.as_wire()].concat();
    // A type, its data, and how many names are in it.
    let cases = [
        ("RFC 6742 2.4", RecordType::LP, around(&[0, 10], b""), 1),
        ("RFC 4025 2.5, a gateway by name, and a key", RecordType::IPSECKEY, around(&[10, 3, 2], b"key"), 1),
        ("a gateway by address", RecordType::IPSECKEY, vec![10, 1, 2, 192, 0, 2, 1, 9], 0),
        ("no gateway", RecordType::IPSECKEY, vec![10, 0, 2, 9], 0),
        ("RFC 8777 4.2.4, a relay by name", RecordType::AMTRELAY, around(&[10, 3], b""), 1),
        ("discovery optional", RecordType::AMTRELAY, around(&[10, 0x83], b""), 1),
        ("a relay by address", RecordType::AMTRELAY, vec![10, 1, 192, 0, 2, 1], 0),
        ("TALINK", RecordType::TALINK, two(b""), 2),
        ("RFC 9859 2", RecordType::DSYNC, around(&[0, 59, 1, 0, 53], b""), 1),
        ("RFC 8005 5, two rendezvous servers", RecordType::HIP, two(&[2, 2, 0, 3, b'h', b'h', b'k', b'k', b'k']), 2),
        ("none", RecordType::HIP, vec![1, 2, 0, 1, b'h', b'k'], 0),
    ];
    for (what, rtype, bytes, names) in cases {
        let data = Rdata::parse(rtype, &bytes).unwrap();
        assert_eq!((data.names().count(), data.as_bytes()), (names, bytes.as_slice()), "{rtype}: {what}");
        assert!(!data.hides(&name("cluster.local")), "{rtype}: {what}");
        // They are sent as they are (RFC 3597 4).
        let whole = |part| if let RdataPart::Octets(octets) = part { octets.to_vec() } else { Vec::new() };
        assert_eq!(data.parts(rtype).flat_map(whole).collect::<Vec<_>>(), bytes, "{rtype}: {what}");
    }
}

#[test]
fn data_that_does_not_fit_its_type_is_an_error() {
    let cases = [
        ("octets after the name", RecordType::LP, around(&[0, 10], b"x")),
        ("the gateway is missing", RecordType::IPSECKEY, vec![10, 3, 2]),
        ("the key is shorter than said", RecordType::HIP, vec![2, 2, 0, 9, b'h', b'h', b'k']),
        ("the lengths are missing", RecordType::HIP, vec![2, 2]),
        ("half a name", RecordType::HIP, vec![1, 2, 0, 1, b'h', b'k', 3, b'w']),
    ];
    for (what, rtype, bytes) in cases {
        assert!(Rdata::parse(rtype, &bytes).is_err(), "{rtype}: {what}");
    }
}
