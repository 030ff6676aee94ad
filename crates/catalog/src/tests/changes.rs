//! Changes: what each does, that it touches nothing else, and that their order does not matter to what is told.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use crate::testing::*;
use crate::{CatalogSettings, CatalogZone, Change, Key, Kind, Object, Picture, PodMode, ReverseZone};

fn published(picture: &mut Picture) -> CatalogZone {
    zone(shared(picture), "cluster.local")
}

/// Applies each change, publishes, and asks. (change, name, what A says)
fn walk(picture: &mut Picture, steps: Vec<(Change, &str, &str)>) {
    for (change, asked, expected) in steps {
        let step = format!("{change:?}");
        picture.apply(change);
        assert_eq!(said(&published(picture), asked, "A"), expected, "{asked} after {step}");
    }
}

#[test]
fn slices_come_before_their_service_and_stay_after_it() {
    let db = "db.shop.svc.cluster.local";
    walk(
        &mut synced(CatalogSettings::default(), []),
        vec![
            (Change::Apply(slice("db.shop", "db-1", &["10.1.0.1"], &[])), db, "NXDOMAIN"),
            (Change::Apply(headless("db.shop")), db, "A 10.1.0.1"),
            (Change::Delete(Kind::Service, Key::new("shop", "db")), db, "NXDOMAIN"),
            // The slice is still known.
            (Change::Apply(headless("db.shop")), db, "A 10.1.0.1"),
            (Change::Delete(Kind::Endpoints, Key::new("shop", "db-1")), db, "NXDOMAIN"),
            // What is not there is not deleted.
            (Change::Delete(Kind::Endpoints, Key::new("shop", "db-1")), db, "NXDOMAIN"),
        ],
    );
}

#[test]
fn a_slice_belongs_to_the_service_of_its_label() {
    let [db, other] = ["db.shop.svc.cluster.local", "other.shop.svc.cluster.local"];
    let mut picture = synced(CatalogSettings::default(), [headless("db.shop"), headless("other.shop")]);
    walk(
        &mut picture,
        vec![
            // Its own name says nothing.
            (Change::Apply(slice("db.shop", "other-1", &["10.1.0.1"], &[])), db, "A 10.1.0.1"),
            (Change::Apply(slice("db.shop", "other-1", &["10.1.0.2"], &[])), db, "A 10.1.0.2"),
            // Its label changes.
            (Change::Apply(slice("other.shop", "other-1", &["10.1.0.2"], &[])), other, "A 10.1.0.2"),
        ],
    );
    check(&published(&mut picture), &[(db, "A", "NXDOMAIN")]);
}

#[test]
fn a_service_may_become_of_another_kind() {
    let web = "web.shop.svc.cluster.local";
    let mut picture = synced(CatalogSettings::default(), [slice("web.shop", "web-1", &["10.1.0.1"], &[])]);
    walk(
        &mut picture,
        vec![
            (Change::Apply(headless("web.shop")), web, "A 10.1.0.1"),
            (Change::Apply(cluster_ip("web.shop", &["10.0.0.1"], &[])), web, "A 10.0.0.1"),
            (Change::Apply(external("web.shop", "www.example.com")), web, "CNAME www.example.com."),
            (Change::Apply(headless("web.shop")), web, "A 10.1.0.1"),
        ],
    );
}

#[test]
fn what_a_list_lacks_is_gone() {
    let [web, api] = ["web.shop.svc.cluster.local", "api.shop.svc.cluster.local"];
    let mut picture = synced(
        CatalogSettings::default(),
        [
            Object::Namespace(label("old")),
            cluster_ip("web.shop", &["10.0.0.1"], &[]),
            cluster_ip("api.shop", &["10.0.0.2"], &[]),
            headless("db.shop"),
            slice("db.shop", "db-1", &["10.1.0.1"], &[]),
        ],
    );
    let services =
        vec![cluster_ip("api.shop", &["10.0.0.3"], &[]), headless("db.shop"), Object::Namespace(label("not"))];
    walk(
        &mut picture,
        vec![
            (Change::Replace(Kind::Service, services), web, "NXDOMAIN"),
            (Change::Replace(Kind::Namespace, vec![Object::Namespace(label("new"))]), api, "A 10.0.0.3"),
        ],
    );
    let zone = published(&mut picture);
    check(
        &zone,
        &[
            ("old.svc.cluster.local", "A", "NXDOMAIN"),
            ("new.svc.cluster.local", "A", "NODATA"),
            // An object of another kind than the list's is not taken from it.
            ("not.svc.cluster.local", "A", "NXDOMAIN"),
            // Its services keep a namespace.
            ("shop.svc.cluster.local", "A", "NODATA"),
            ("db.shop.svc.cluster.local", "A", "A 10.1.0.1"),
        ],
    );
    picture.apply(Change::Replace(Kind::Endpoints, vec![]));
    check(&published(&mut picture), &[("db.shop.svc.cluster.local", "A", "NXDOMAIN")]);
}

#[test]
fn a_list_that_says_nothing_new_changes_nothing() {
    let objects = || vec![cluster_ip("web.shop", &["10.0.0.1"], &[]), cluster_ip("api.shop", &["10.0.0.2"], &[])];
    let mut picture = synced(CatalogSettings::default(), objects());
    let before = picture.publish();
    picture.apply(Change::Replace(Kind::Service, objects()));
    picture.apply(Change::Apply(objects().remove(0)));
    assert!(!picture.is_dirty());
    assert!(Arc::ptr_eq(&before, &picture.publish()));
}

#[test]
fn a_change_of_one_slice_copies_one_part_of_one_table() {
    let services =
        (0..1_000).map(|n| cluster_ip(&format!("web-{n}.shop"), &[&format!("10.0.{}.{}", n / 250, n % 250)], &[]));
    let mut picture = synced(CatalogSettings::default(), services);
    for n in 0..1_000 {
        picture.apply(Change::Apply(slice(&format!("web-{n}.shop"), &format!("web-{n}-1"), &["10.1.0.1"], &[])));
    }
    let before = picture.publish();
    picture.apply(Change::Apply(slice("web-7.shop", "web-7-1", &["10.1.0.1", "10.1.0.2"], &[])));
    let after = picture.publish();
    assert_eq!(after.differing(&before), [1, 0, 0, 0], "a slice of a ClusterIP service");
    // The one before is as it was.
    assert_eq!((before.endpoints(), after.endpoints()), (1_000, 1_001));
    let same = before.service(b"\x05web-8\x04shop").unwrap();
    assert!(std::ptr::eq(same, after.service(b"\x05web-8\x04shop").unwrap()), "an untouched service is shared");

    picture.apply(Change::Apply(cluster_ip("web-7.shop", &["10.0.99.1"], &[])));
    let last = picture.publish();
    let [services, namespaces, addresses, pods] = last.differing(&after);
    assert_eq!((services, namespaces, pods), (1, 0, 0));
    assert!((1..=2).contains(&addresses), "the address that goes, and the one that comes: {addresses}");
}

#[test]
fn pods_on_one_address_do_not_take_it_from_each_other() {
    let settings = CatalogSettings { pods: PodMode::Verified, ..CatalogSettings::default() };
    let node = "10-0-0-1.shop.pod.cluster.local";
    walk(
        &mut synced(settings, [pod("a.shop", &["10.0.0.1"]), pod("b.shop", &["10.0.0.1"])]),
        vec![
            (Change::Delete(Kind::Pod, Key::new("shop", "a")), node, "A 10.0.0.1"),
            (Change::Apply(pod("b.shop", &["10.0.0.2"])), node, "NXDOMAIN"),
            (Change::Apply(pod("b.shop", &["10.0.0.1"])), node, "A 10.0.0.1"),
            (Change::Delete(Kind::Pod, Key::new("shop", "b")), node, "NXDOMAIN"),
        ],
    );
}

#[test]
fn pods_are_not_kept_when_nobody_verifies_them() {
    let picture = synced(CatalogSettings::default(), [pod("a.shop", &["10.0.0.1"])]);
    assert!(picture.snapshot().pods.is_empty());
}

const NAMES: [&str; 3] = ["a.x", "b.x", "a.y"];

fn objects() -> impl Strategy<Value = Object> {
    let at = prop::sample::select(&NAMES);
    let own = || prop::sample::subsequence(vec!["10.0.0.1", "10.0.0.2", "fd00::1"], 0..=2);
    let endpoints = prop::sample::subsequence(
        vec!["10.1.0.1", "!10.1.0.2", "h=10.1.0.3", "10.0.0.1", "h=fd00::2", "fd00::3", "!i=10.1.0.4"],
        0..=4,
    );
    let port_texts = || prop::sample::subsequence(vec!["http/tcp/80", "dns/udp/53", "/tcp/9"], 0..=2);
    let publish = any::<bool>();
    prop_oneof![
        prop::sample::select(vec!["x", "y", "z"]).prop_map(|name| Object::Namespace(label(name))),
        (at.clone(), own(), port_texts()).prop_map(|(at, own, ports)| cluster_ip(at, &own, &ports)),
        (at.clone(), publish).prop_map(|(at, publish)| match headless(at) {
            Object::Service(mut service) => {
                service.publish_not_ready = publish;
                Object::Service(service)
            }
            other => other,
        }),
        at.clone().prop_map(|at| external(at, "b.x.svc.cluster.local")),
        (at.clone(), 0..3usize, endpoints, port_texts()).prop_map(|(at, n, endpoints, ports)| slice(
            at,
            &format!("slice-{n}"),
            &endpoints,
            &ports
        )),
        (prop::sample::select(vec!["p.x", "q.x", "p.y"]), own()).prop_map(|(at, own)| pod(at, &own)),
    ]
}

fn changes() -> impl Strategy<Value = Change> {
    let kinds = prop::sample::select(vec![
        Kind::Namespace,
        Kind::Service,
        Kind::Endpoints,
        Kind::Pod,
        Kind::Export,
        Kind::Import,
    ]);
    prop_oneof![
        6 => objects().prop_map(Change::Apply),
        2 => objects().prop_map(|object| Change::Delete(object.kind(), object.key())),
        1 => (kinds, prop::collection::vec(objects(), 0..6)).prop_map(|(kind, objects)| Change::Replace(kind, objects)),
    ]
}

/// What all the changes come to: the objects that are there at the end.
fn fold(changes: &[Change]) -> Vec<Object> {
    let mut there: BTreeMap<(Kind, Key), Object> = BTreeMap::new();
    for change in changes {
        match change {
            Change::Apply(object) => {
                there.insert((object.kind(), object.key()), object.clone());
            }
            Change::Delete(kind, key) => {
                there.remove(&(*kind, key.clone()));
            }
            Change::Absent(kind) => there.retain(|(other, _), _| other != kind),
            Change::Replace(kind, objects) => {
                there.retain(|(other, _), _| other != kind);
                for object in objects.iter().filter(|object| object.kind() == *kind) {
                    there.insert((*kind, object.key()), object.clone());
                }
            }
        }
    }
    there.into_values().collect()
}

/// Everything that may be asked, with what is said.
fn everything(picture: &mut Picture) -> Vec<String> {
    let catalog = shared(picture);
    let zone = zone(Arc::clone(&catalog), "cluster.local");
    let below = ["", "h.", "i.", "10-1-0-1.", "10-1-0-2.", "fd00--3.", "_tcp.", "_http._tcp.", "_dns._udp."];
    let mut names: Vec<(String, Vec<&str>)> = Vec::new();
    for at in NAMES {
        let asked =
            below.iter().map(|below| (format!("{below}{at}.svc.cluster.local"), vec!["A", "AAAA", "SRV", "TXT"]));
        names.extend(asked);
    }
    for at in ["x.svc", "y.svc", "z.svc", "10-0-0-1.x.pod", "10-0-0-2.y.pod", "x.pod"] {
        names.push((format!("{at}.cluster.local"), vec!["A"]));
    }
    let mut all: Vec<String> = Vec::new();
    for (asked, rtypes) in &names {
        all.extend(rtypes.iter().map(|rtype| format!("{asked} {rtype}: {}", said(&zone, asked, rtype))));
    }
    let reverse = ReverseZone::new(Arc::clone(&catalog), name("10.in-addr.arpa"), name("cluster.local")).unwrap();
    for address in ["1.0.0.10", "2.0.0.10", "1.0.1.10", "2.0.1.10", "3.0.1.10", "4.0.1.10"] {
        let asked = format!("{address}.in-addr.arpa");
        all.push(format!("{asked}: {}", said(&reverse, &asked, "PTR")));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever is changed, in however many publications, the catalog says what one made of the result says; so does
    /// one that comes from disk; and its tables hold nothing that is left over.
    #[test]
    fn changes_come_to_what_they_result_in(
        changes in prop::collection::vec((changes(), any::<bool>()), 0..40),
    ) {
        let settings = CatalogSettings { pods: PodMode::Verified, ..CatalogSettings::default() };
        let mut picture = synced(settings, []);
        for (change, publish) in &changes {
            picture.apply(change.clone());
            if *publish {
                picture.publish();
            }
        }
        let changes: Vec<_> = changes.into_iter().map(|(change, _)| change).collect();
        let mut fresh = synced(settings, fold(&changes));
        prop_assert_eq!(everything(&mut picture), everything(&mut fresh));
        prop_assert_eq!(picture.publish().entries(), fresh.publish().entries());
        let mut restored = Picture::restored(settings, picture.snapshot(), std::time::SystemTime::UNIX_EPOCH);
        prop_assert_eq!(everything(&mut restored), everything(&mut fresh));
    }
}
