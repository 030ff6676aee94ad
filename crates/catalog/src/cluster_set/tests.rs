//! The specification of names that clusters share (KEP-1645, DNS specification 1.0.0), a table for each of its sections;
//! and what becomes of a service that is not here.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use strait_resolve::{Ask, BoxFuture, Source, SourceError};
use strait_wire::{Answer, Ede, Flags, Message, Rcode, Rdata, Record};

use super::*;
use crate::testing::*;
use crate::{Catalog, CatalogSettings, Change, Kind, Label, Object, Picture, SetState};

mod merged;

/// A peer, or none of them.
#[derive(Default)]
struct Peers(Mutex<Vec<Member>>);

impl Members for Peers {
    fn members(&self) -> Vec<Member> {
        self.0.lock().unwrap().clone()
    }
}

fn settings(cluster: &str) -> ClusterSetSettings {
    let suffix = name(&format!("{cluster}.example.com"));
    ClusterSetSettings { suffix, cluster: Label::new(cluster).unwrap() }
}

/// What cluster-a tells its own agents of, with nobody to ask.
fn set(objects: Vec<Object>) -> ClusterSetZone {
    let catalog = shared(&mut synced(CatalogSettings::default(), objects));
    ClusterSetZone::new(catalog, &settings("cluster-a"), Arc::new(Peers::default())).unwrap()
}

/// What a cluster tells others of.
fn exports(cluster: &str, objects: Vec<Object>) -> ExportZone {
    ExportZone::new(shared(&mut synced(CatalogSettings::default(), objects)), &settings(cluster)).unwrap()
}

#[test]
fn section_2_2_schema_version() {
    let zone = set(vec![]);
    check(
        &zone,
        &[
            ("dns-version.clusterset.local", "TXT", "TXT 1.0.0"),
            ("dns-version.clusterset.local", "A", "NODATA"),
            ("clusterset.local", "NS", "NS ns.dns.clusterset.local."),
            ("svc.clusterset.local", "A", "NODATA"),
            // Nothing else is of the set.
            ("pod.clusterset.local", "A", "NXDOMAIN"),
            ("web.clusterset.local", "A", "NXDOMAIN"),
        ],
    );
    check(&exports("cluster-b", vec![]), &[("dns-version.clusterset.cluster-b.example.com", "TXT", "TXT 1.0.0")]);
}

#[test]
fn section_2_3_imported_services_with_an_address_of_the_set() {
    let zone = set(vec![
        import(cluster_ip("web.shop", &["10.42.0.1", "fd42::1"], &["https/tcp/443", "/tcp/80"])),
        // Whoever manages imports has not given it an address yet.
        import(cluster_ip("new.shop", &[], &[])),
        imported(slice("web.shop", "web-b", &["web-0=10.2.0.1"], &["https/tcp/8443"]), "cluster-b"),
    ]);
    let web = "web.shop.svc.clusterset.local";
    let beside = format!("{web}. A 10.42.0.1, {web}. AAAA fd42::1");
    check(
        &zone,
        &[
            (web, "A", "A 10.42.0.1"),
            (web, "AAAA", "AAAA fd42::1"),
            ("WEB.Shop.SVC.clusterset.local", "A", "A 10.42.0.1"),
            (web, "TXT", "NODATA"),
            (&format!("_https._tcp.{web}"), "SRV", &format!("SRV {web}.:443 + {beside}")),
            (&format!("_https._tcp.{web}"), "A", "NODATA"),
            (&format!("_tcp.{web}"), "SRV", "NODATA"),
            (&format!("_http._tcp.{web}"), "SRV", "NXDOMAIN"),
            // 2.3.4: nothing leads to the endpoints of one cluster.
            (&format!("cluster-b.{web}"), "A", "NXDOMAIN"),
            (&format!("web-0.cluster-b.{web}"), "A", "NXDOMAIN"),
            (&format!("web-0.{web}"), "A", "NXDOMAIN"),
        ],
    );
}

#[test]
fn section_2_4_imported_headless_services() {
    let zone = set(vec![
        import(headless("db.shop")),
        imported(slice("db.shop", "db-a", &["db-0=10.1.0.1", "!10.1.0.2"], &["pg/tcp/5432", "/tcp/1"]), "cluster-a"),
        imported(slice("db.shop", "db-b", &["db-0=10.2.0.1", "10.2.0.2"], &["pg/tcp/5432"]), "cluster-b"),
        import(headless("none.shop")),
        imported(slice("none.shop", "none-b", &["!10.2.0.3"], &[]), "cluster-b"),
    ]);
    let db = "db.shop.svc.clusterset.local";
    let endpoints = ["db-0.cluster-a", "db-0.cluster-b", "10-2-0-2.cluster-b"].map(|label| format!("{label}.{db}."));
    let [one, two, three] = &endpoints;
    check(
        &zone,
        &[
            (db, "A", "A 10.1.0.1, A 10.2.0.1, A 10.2.0.2"),
            (db, "AAAA", "NODATA"),
            (&format!("db-0.cluster-a.{db}"), "A", "A 10.1.0.1"),
            (&format!("DB-0.Cluster-B.{db}"), "A", "A 10.2.0.1"),
            (&format!("10-2-0-2.cluster-b.{db}"), "A", "A 10.2.0.2"),
            // In the other cluster; not ready; in no cluster.
            (&format!("10-2-0-2.cluster-a.{db}"), "A", "NXDOMAIN"),
            (&format!("10-1-0-2.cluster-a.{db}"), "A", "NXDOMAIN"),
            (&format!("db-0.{db}"), "A", "NXDOMAIN"),
            // 2.4.4: what is above endpoints exists (RFC 8020), without records.
            (&format!("cluster-b.{db}"), "A", "NODATA"),
            (&format!("cluster-c.{db}"), "A", "NXDOMAIN"),
            (
                &format!("_pg._tcp.{db}"),
                "SRV",
                &format!(
                    "SRV {one}:5432, SRV {two}:5432, SRV {three}:5432 + {one} A 10.1.0.1, {two} A 10.2.0.1, {three} A 10.2.0.2"
                ),
            ),
            // None is ready in any cluster (2.4.1).
            ("none.shop.svc.clusterset.local", "A", "NXDOMAIN"),
        ],
    );
}

#[test]
fn what_is_exported_is_told_from_what_is_here() {
    let objects = || {
        vec![
            cluster_ip("web.shop", &["10.0.0.1"], &["http/tcp/80"]),
            slice("web.shop", "web-1", &["web-0=10.1.0.5"], &["http/tcp/8080"]),
            export("web.shop"),
            headless("db.shop"),
            slice("db.shop", "db-1", &["db-0=10.1.0.1"], &["pg/tcp/5432"]),
            export("db.shop"),
            cluster_ip("own.shop", &["10.0.0.2"], &[]),
            external("out.shop", "www.example.org"),
            export("out.shop"),
            // There is no such service.
            export("gone.shop"),
        ]
    };
    let (ours, theirs) = (set(objects()), exports("cluster-a", objects()));
    let sources: [(&dyn Source, &str); 2] =
        [(&ours, "clusterset.local"), (&theirs, "clusterset.cluster-a.example.com")];
    for (source, zone) in sources {
        check(
            source,
            &[
                (&format!("web.shop.svc.{zone}"), "A", "A 10.0.0.1"),
                (&format!("web.shop.svc.{zone}"), "AAAA", "NODATA"),
                (
                    &format!("_http._tcp.web.shop.svc.{zone}"),
                    "SRV",
                    &format!("SRV web.shop.svc.{zone}.:80 + web.shop.svc.{zone}. A 10.0.0.1"),
                ),
                (&format!("cluster-a.web.shop.svc.{zone}"), "A", "NXDOMAIN"),
                (&format!("db-0.cluster-a.db.shop.svc.{zone}"), "A", "A 10.1.0.1"),
                (&format!("db-1.cluster-a.db.shop.svc.{zone}"), "A", "NXDOMAIN"),
                (&format!("cluster-a.db.shop.svc.{zone}"), "A", "NODATA"),
                (&format!("shop.svc.{zone}"), "A", "NODATA"),
            ],
        );
    }
    check(
        &theirs,
        &[
            ("db.shop.svc.clusterset.cluster-a.example.com", "A", "A 10.1.0.1"),
            // What is not exported, is another name, or is not there.
            ("own.shop.svc.clusterset.cluster-a.example.com", "A", "NXDOMAIN"),
            ("out.shop.svc.clusterset.cluster-a.example.com", "A", "NXDOMAIN"),
            ("gone.shop.svc.clusterset.cluster-a.example.com", "A", "NXDOMAIN"),
            ("db-0.cluster-b.db.shop.svc.clusterset.cluster-a.example.com", "A", "NXDOMAIN"),
        ],
    );
}

#[test]
fn imports_are_told_to_our_own_alone_and_come_first() {
    let objects = || {
        vec![
            cluster_ip("web.shop", &["10.0.0.1"], &[]),
            slice("web.shop", "web-1", &["10.1.0.5"], &[]),
            export("web.shop"),
            import(cluster_ip("web.shop", &["10.42.0.1"], &[])),
            import(cluster_ip("far.shop", &["10.42.0.2"], &[])),
        ]
    };
    check(
        &set(objects()),
        &[("web.shop.svc.clusterset.local", "A", "A 10.42.0.1"), ("far.shop.svc.clusterset.local", "A", "A 10.42.0.2")],
    );
    // What others have given us is not ours to give.
    check(
        &exports("cluster-a", objects()),
        &[
            ("web.shop.svc.clusterset.cluster-a.example.com", "A", "A 10.0.0.1"),
            ("far.shop.svc.clusterset.cluster-a.example.com", "A", "NXDOMAIN"),
        ],
    );
}

#[test]
fn changes_of_exports_and_imports_are_followed() {
    let mut picture = synced(
        CatalogSettings::default(),
        vec![cluster_ip("web.shop", &["10.0.0.1"], &[]), slice("web.shop", "web-1", &["10.1.0.5"], &[])],
    );
    let catalog = shared(&mut picture);
    let zone = ExportZone::new(Arc::clone(&catalog), &settings("cluster-a")).unwrap();
    let web = "web.shop.svc.clusterset.cluster-a.example.com";
    let mut then = |change: Option<Change>, expected: &str, shared: usize| {
        change.into_iter().for_each(|change| picture.apply(change));
        catalog.store(picture.publish());
        assert_eq!((said(&zone, web, "A"), catalog.load().shared_services()), (expected.to_owned(), shared));
    };
    let key = export("web.shop").key();
    then(None, "NXDOMAIN", 0);
    then(Some(Change::Apply(export("web.shop"))), "A 10.0.0.1", 1);
    then(Some(Change::Apply(cluster_ip("web.shop", &["10.0.0.2"], &[]))), "A 10.0.0.2", 1);
    then(Some(Change::Delete(Kind::Service, key.clone())), "NXDOMAIN", 0);
    then(Some(Change::Apply(cluster_ip("web.shop", &["10.0.0.3"], &[]))), "A 10.0.0.3", 1);
    then(Some(Change::Delete(Kind::Export, key)), "NXDOMAIN", 0);
    then(Some(Change::Replace(Kind::Export, vec![export("web.shop")])), "A 10.0.0.3", 1);
    then(Some(Change::Replace(Kind::Export, vec![])), "NXDOMAIN", 0);
    then(Some(Change::Apply(import(cluster_ip("web.shop", &["10.42.0.1"], &[])))), "NXDOMAIN", 1);
    then(Some(Change::Absent(Kind::Import)), "NXDOMAIN", 0);
}

fn asked(zone: &dyn Source, at: &str) -> Result<Answer, SourceError> {
    let ask = ask(at, "A");
    match zone.answer_now(&ask) {
        Some(answer) => Ok(answer),
        None => {
            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(zone.answer(&ask))
        }
    }
}

#[test]
fn what_is_not_known_yet_is_not_denied_and_what_the_api_lacks_is_refused() {
    let mut picture = Picture::new(CatalogSettings::default());
    let catalog = shared(&mut picture);
    let ours = ClusterSetZone::new(Arc::clone(&catalog), &settings("cluster-a"), Arc::new(Peers::default())).unwrap();
    let theirs = ExportZone::new(Arc::clone(&catalog), &settings("cluster-a")).unwrap();
    let zones: [(&dyn Source, &str); 2] =
        [(&ours, "web.shop.svc.clusterset.local"), (&theirs, "web.shop.svc.clusterset.cluster-a.example.com")];
    let mut then = |changes: Vec<Change>, state: SetState, expected: Option<Rcode>| {
        changes.into_iter().for_each(|change| picture.apply(change));
        catalog.store(picture.publish());
        assert_eq!(catalog.load().set_state(), state);
        for (zone, at) in zones {
            match (asked(zone, at), expected) {
                (Ok(answer), Some(rcode)) => assert_eq!(answer.rcode(), rcode, "{at} {state:?}"),
                (Err(SourceError::NotReady(_)), None) => {}
                (other, _) => panic!("{at} {state:?}: {other:?}"),
            }
        }
    };
    let listed = |kind| Change::Replace(kind, Vec::new());
    then(vec![], SetState::Waiting, None);
    // One of the two does not do.
    then(vec![listed(Kind::Export)], SetState::Waiting, None);
    // Nor do both, before the services are known.
    then(vec![listed(Kind::Import)], SetState::On, None);
    then([Kind::Namespace, Kind::Service, Kind::Endpoints].map(listed).to_vec(), SetState::On, Some(Rcode::NXDOMAIN));
    // The definitions go, one after the other, and come again.
    then(vec![Change::Absent(Kind::Import)], SetState::On, Some(Rcode::NXDOMAIN));
    then(vec![Change::Absent(Kind::Export)], SetState::Off, Some(Rcode::REFUSED));
    then(vec![listed(Kind::Export), listed(Kind::Import)], SetState::On, Some(Rcode::NXDOMAIN));
}
