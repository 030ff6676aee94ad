#![allow(clippy::unwrap_used)]

use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;

use super::*;
use crate::testing::{name, names};

#[test]
fn rfc1035_5_1_presentation_format() {
    // Text, and what is wrong with it; none where it is a name.
    let cases: &[(&str, Option<NameError>)] = &[
        (".", None),
        ("example.com", None),
        ("example.com.", None),
        ("*.apps.example.com.", None),
        // A dot and a backslash within a label, and an octet by its number.
        (r"a\.b.c\\d.\065.", None),
        ("", Some(NameError::EmptyLabel)),
        ("..", Some(NameError::EmptyLabel)),
        (".example", Some(NameError::EmptyLabel)),
        ("a..b", Some(NameError::EmptyLabel)),
        // The escape has no character, too few digits, or a number over 255.
        ("a\\", Some(NameError::BadEscape)),
        (r"a\12", Some(NameError::BadEscape)),
        (r"a\1x3", Some(NameError::BadEscape)),
        (r"a\256", Some(NameError::BadEscape)),
    ];
    for (text, error) in cases {
        assert_eq!(text.parse::<Name>().err(), *error, "{text:?}");
    }
    assert_eq!(name(r"a\.b.\065").as_wire(), b"\x03a.b\x01A\0");
}

#[test]
fn rfc1035_2_3_4_limits_of_labels_and_names() {
    assert_eq!("a".repeat(63).parse::<Name>().unwrap().as_wire().len(), 65);
    assert_eq!("a".repeat(64).parse::<Name>(), Err(NameError::LabelTooLong));
    // 127 labels of one octet and the root are 255 octets.
    assert_eq!("a.".repeat(127).parse::<Name>().unwrap().label_count(), 127);
    assert_eq!("a.".repeat(128).parse::<Name>(), Err(NameError::NameTooLong));
    assert_eq!(Name::from_labels(vec![&b"a"[..]; 128]), Err(NameError::NameTooLong));
    assert_eq!(name(&"a.".repeat(127)).child(b"b"), Err(NameError::NameTooLong));
}

#[test]
fn names_from_wire_are_whole_names() {
    let cases: &[(&[u8], NameError)] = &[
        (b"", NameError::Malformed),
        (b"\x01a", NameError::Malformed),
        (b"\x05a\0", NameError::Malformed),
        // Octets after the root.
        (b"\x01a\0\0", NameError::Malformed),
        // A compression pointer has no place here.
        (b"\xc0\x0c", NameError::LabelTooLong),
        (&[1; 300], NameError::NameTooLong),
    ];
    for (wire, error) in cases {
        assert_eq!(Name::from_wire(wire), Err(*error), "{wire:?}");
    }
}

#[test]
fn rfc4343_names_compare_without_case_and_keep_it() {
    assert_eq!(name("ExAmPlE.com"), name("example.COM"));
    assert_eq!(name("ExAmPlE.com").to_string(), "ExAmPlE.com.");
    assert_eq!(HashSet::from([name("A.b"), name("a.B")]).len(), 1);
    // Only ASCII letters have a case: 0xc4 and 0xe4 differ.
    assert_ne!(name(r"\196"), name(r"\228"));
    // Neither do '@' and '`', '[' and '{', which differ in the same bit.
    assert_ne!(name("[@"), name("{`"));
}

#[test]
fn rfc4034_6_1_canonical_order() {
    // The example of the RFC.
    let ordered = [
        "example",
        "a.example",
        "yljkjljk.a.example",
        "Z.a.example",
        "zABC.a.EXAMPLE",
        "z.example",
        r"\001.z.example",
        "*.z.example",
        r"\200.z.example",
    ];
    let names: Vec<Name> = ordered.iter().map(|text| name(text)).collect();
    let sorted: Vec<Name> = names.iter().rev().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    assert_eq!(sorted, names);
}

#[test]
fn suffixes_count_at_label_boundaries() {
    let zone = name("cluster.local");
    assert!(name("Cluster.LOCAL").is_within(&zone));
    assert!(name("a.cluster.local").is_within(&zone));
    assert!(!name("xcluster.local").is_within(&zone));
    // The octets of the zone are there, but as part of a label.
    assert!(!name(r"a\007cluster\005local").is_within(&zone));
    assert!(name("a").is_within(&Name::root()));
    assert!(!Name::root().is_within(&zone));
    assert_eq!(name("A.cluster.local").replace_suffix(&zone, &name("b.example")), Some(Ok(name("a.b.example"))));
    let long = name(&format!("{}cluster.local", "a.".repeat(117)));
    assert_eq!(long.replace_suffix(&zone, &name("cluster-b.example.com")), Some(Err(NameError::NameTooLong)));
}

#[test]
fn nothing_in_a_name_reaches_a_terminal_unescaped() {
    assert_eq!(Name::from_labels([&b"\x1b[2J\n\"\xff "[..]]).unwrap().to_string(), r#"\027[2J\010\"\255\032."#);
}

proptest! {
    #[test]
    fn presentation_format_round_trip(name in names()) {
        let text = name.to_string();
        let again: Name = text.parse().unwrap();
        // Octet by octet: case is kept.
        prop_assert_eq!(again.as_wire(), name.as_wire());
        prop_assert!(text.bytes().all(|b| b.is_ascii_graphic()));
    }

    #[test]
    fn order_agrees_with_equality(a in names(), b in names()) {
        prop_assert_eq!(a.cmp(&b) == Ordering::Equal, a == b);
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert_eq!(a.is_within(&b) && a != b, a.labels().count() > b.labels().count() && {
            let skip = a.label_count() - b.label_count();
            Name::from_labels(a.labels().skip(skip)).unwrap() == b
        });
    }

    #[test]
    fn any_text_is_a_name_or_an_error(text in ".{0,300}") {
        let _ = text.parse::<Name>();
    }
}
