//! PTR records (specification 2.3.3 and 2.4.3), and the zones they lie in.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use strait_resolve::Source;
use strait_wire::RecordType;

use crate::testing::*;
use crate::{CatalogSettings, Change, Key, Kind, Object, ReverseZone, ServiceKind};

fn zone_of(objects: Vec<Object>, apex: &str) -> ReverseZone {
    let catalog = shared(&mut synced(CatalogSettings::default(), objects));
    ReverseZone::new(catalog, name(apex), name("cluster.local")).unwrap()
}

fn objects() -> Vec<Object> {
    let mut early = service("early.shop", ServiceKind::Headless, &[]);
    early.publish_not_ready = true;
    vec![
        cluster_ip("web.shop", &["10.96.0.1", "fd00::1"], &[]),
        slice("web.shop", "web-1", &["10.1.0.1", "named=10.1.0.2"], &[]),
        headless("db.shop"),
        slice("db.shop", "db-1", &["pod-0=10.1.0.3", "10.1.0.4", "!10.1.0.5", "fd00::4"], &[]),
        Object::Service(early),
        slice("early.shop", "early-1", &["!10.1.0.6"], &[]),
        external("out.shop", "www.example.com"),
        slice("out.shop", "out-1", &["pod-0=10.1.0.7"], &[]),
    ]
}

#[test]
fn section_2_3_3_ptr_of_cluster_ips() {
    check(
        &zone_of(objects(), "10.in-addr.arpa"),
        &[
            ("1.0.96.10.in-addr.arpa", "PTR", "PTR web.shop.svc.cluster.local."),
            ("1.0.96.10.IN-ADDR.ARPA", "PTR", "PTR web.shop.svc.cluster.local."),
            ("1.0.96.10.in-addr.arpa", "A", "NODATA"),
            ("1.0.96.10.in-addr.arpa", "ANY", "PTR web.shop.svc.cluster.local."),
            // Nobody has it.
            ("2.0.96.10.in-addr.arpa", "PTR", "NXDOMAIN"),
            ("2.0.96.10.in-addr.arpa", "A", "NXDOMAIN"),
        ],
    );
    let six = format!("1.{}0.0.d.f.ip6.arpa", "0.".repeat(27));
    check(&zone_of(objects(), "0.0.d.f.ip6.arpa"), &[(&six, "PTR", "PTR web.shop.svc.cluster.local.")]);
}

#[test]
fn section_2_4_3_ptr_of_endpoints() {
    check(
        &zone_of(objects(), "10.in-addr.arpa"),
        &[
            // Ready endpoints of headless services, by their endpoint names.
            ("3.0.1.10.in-addr.arpa", "PTR", "PTR pod-0.db.shop.svc.cluster.local."),
            ("4.0.1.10.in-addr.arpa", "PTR", "PTR 10-1-0-4.db.shop.svc.cluster.local."),
            // Not ready; ready by publishNotReadyAddresses.
            ("5.0.1.10.in-addr.arpa", "PTR", "NXDOMAIN"),
            ("6.0.1.10.in-addr.arpa", "PTR", "PTR 10-1-0-6.early.shop.svc.cluster.local."),
            // Of a service with a ClusterIP those that ask for a name, as the known server does.
            ("1.0.1.10.in-addr.arpa", "PTR", "NXDOMAIN"),
            ("2.0.1.10.in-addr.arpa", "PTR", "PTR named.web.shop.svc.cluster.local."),
            // Of an alias none.
            ("7.0.1.10.in-addr.arpa", "PTR", "NXDOMAIN"),
        ],
    );
    let six = format!("4.{}0.0.d.f.ip6.arpa", "0.".repeat(27));
    check(
        &zone_of(objects(), "0.0.d.f.ip6.arpa"),
        &[(&six, "PTR", "PTR fd00-0-0-0-0-0-0-4.db.shop.svc.cluster.local.")],
    );
}

#[test]
fn an_address_with_several_owners_has_all_their_names_services_first() {
    let objects = vec![
        headless("a.shop"),
        slice("a.shop", "a-1", &["10.1.0.1", "x=10.1.0.1"], &[]),
        headless("b.shop"),
        slice("b.shop", "b-1", &["pod-0=10.1.0.1"], &[]),
        cluster_ip("z.shop", &["10.1.0.1"], &[]),
    ];
    check(
        &zone_of(objects, "10.in-addr.arpa"),
        &[(
            "1.0.1.10.in-addr.arpa",
            "PTR",
            "PTR z.shop.svc.cluster.local., PTR x.a.shop.svc.cluster.local., PTR 10-1-0-1.a.shop.svc.cluster.local., \
             PTR pod-0.b.shop.svc.cluster.local.",
        )],
    );
}

#[test]
fn an_address_with_too_many_owners_has_some_of_their_names() {
    let many = (0..200).flat_map(|n| {
        [headless(&format!("s-{n}.shop")), slice(&format!("s-{n}.shop"), &format!("s-{n}"), &["10.1.0.1"], &[])]
    });
    let zone = zone_of(many.collect(), "10.in-addr.arpa");
    assert_eq!(reply(&zone, "1.0.1.10.in-addr.arpa", "PTR").answers.len(), 64);
}

#[test]
fn names_above_addresses_exist_and_others_do_not() {
    check(
        &zone_of(objects(), "96.10.in-addr.arpa"),
        &[
            ("96.10.in-addr.arpa", "SOA", "SOA ns.dns.cluster.local."),
            ("96.10.in-addr.arpa", "NS", "NS ns.dns.cluster.local."),
            ("96.10.in-addr.arpa", "PTR", "NODATA"),
            // RFC 8020: to deny it would deny the addresses below.
            ("0.96.10.in-addr.arpa", "PTR", "NODATA"),
            // None of these is a part of an address.
            ("256.96.10.in-addr.arpa", "PTR", "NXDOMAIN"),
            ("01.96.10.in-addr.arpa", "PTR", "NXDOMAIN"),
            ("x.96.10.in-addr.arpa", "PTR", "NXDOMAIN"),
            ("9.1.0.96.10.in-addr.arpa", "PTR", "NXDOMAIN"),
        ],
    );
    let zone = zone_of(objects(), "0.0.d.f.ip6.arpa");
    check(&zone, &[("g.0.0.d.f.ip6.arpa", "PTR", "NXDOMAIN"), ("00.0.0.d.f.ip6.arpa", "PTR", "NXDOMAIN")]);
    for outside in ["1.0.1.10.in-addr.arpa", "arpa", "x0.0.d.f.ip6.arpa"] {
        assert!(zone.ready(name(outside).as_wire(), RecordType::PTR).is_none(), "{outside}");
        assert!(zone.answer_now(&ask(outside, "PTR")).is_none(), "{outside}");
    }
}

#[test]
fn addresses_follow_changes() {
    let mut picture = synced(CatalogSettings::default(), objects());
    let catalog = shared(&mut picture);
    let zone = ReverseZone::new(Arc::clone(&catalog), name("10.in-addr.arpa"), name("cluster.local")).unwrap();
    // (change, address, what is said)
    let steps = [
        (Change::Apply(slice("db.shop", "db-1", &["10.1.0.4", "10.1.0.8"], &[])), "3.0.1.10", "NXDOMAIN"),
        (Change::Delete(Kind::Service, Key::new("shop", "web")), "1.0.96.10", "NXDOMAIN"),
        (Change::Apply(cluster_ip("new.shop", &["10.96.0.1"], &[])), "1.0.96.10", "PTR new.shop.svc.cluster.local."),
        (Change::Delete(Kind::Endpoints, Key::new("shop", "db-1")), "8.0.1.10", "NXDOMAIN"),
    ];
    for (change, address, expected) in steps {
        picture.apply(change);
        catalog.store(picture.publish());
        check(&zone, &[(&format!("{address}.in-addr.arpa"), "PTR", expected)]);
    }
}
