//! What is not known yet is not absent; what comes from disk is told, and known to be stale.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use strait_resolve::{Source, SourceError};
use strait_wire::{Ede, Rcode, RecordType};

use crate::testing::*;
use crate::{CatalogSettings, Change, ClusterSetSettings, ExportZone, Kind, Picture, PodMode, ReverseZone, SyncState};

const WEB: &str = "web.shop.svc.cluster.local";

/// The kinds that have to be listed, in turn; nothing is told before the last.
async fn list_all(settings: CatalogSettings, kinds: &[Kind]) {
    let mut picture = Picture::new(settings);
    let catalog = shared(&mut picture);
    let zone = zone(Arc::clone(&catalog), "cluster.local");
    let reverse = ReverseZone::new(Arc::clone(&catalog), name("10.in-addr.arpa"), name("cluster.local")).unwrap();
    // A change before its list says nothing about the rest.
    picture.apply(Change::Apply(cluster_ip("web.shop", &["10.0.0.1"], &[])));
    for (at, kind) in kinds.iter().enumerate() {
        catalog.store(picture.publish());
        assert_eq!(picture.missing().collect::<Vec<_>>(), kinds[at..]);
        assert_eq!(catalog.load().sync(), SyncState::Waiting);
        for source in [&zone as &dyn Source, &reverse] {
            for asked in [WEB, "no.such.name.cluster.local", "cluster.local", "1.0.0.10.in-addr.arpa"] {
                let question = ask(asked, "A");
                assert!(source.ready(question.question.name.as_wire(), RecordType::A).is_none());
                assert!(source.answer_now(&question).is_none());
                let error = source.answer(&question).await.unwrap_err();
                assert!(matches!(error, SourceError::NotReady(_)), "{error:?}");
                assert_eq!((error.rcode(), error.ede().code), (Rcode::SERVFAIL, Ede::NOT_READY));
            }
        }
        let objects = match kind {
            Kind::Service => vec![cluster_ip("web.shop", &["10.0.0.1"], &[])],
            _ => vec![],
        };
        picture.apply(Change::Replace(*kind, objects));
    }
    let began = SystemTime::now() - Duration::from_secs(600);
    catalog.store(picture.publish());
    assert!(matches!(catalog.load().sync(), SyncState::Synced { since } if since > began));
    assert!(catalog.load().changed().unwrap() > began);
    check(&zone, &[(WEB, "A", "A 10.0.0.1"), ("no.shop.svc.cluster.local", "A", "NXDOMAIN")]);
    check(&reverse, &[("1.0.0.10.in-addr.arpa", "PTR", "PTR web.shop.svc.cluster.local.")]);
}

#[tokio::test]
async fn before_every_kind_has_been_listed_nothing_is_told() {
    let settings = CatalogSettings::default();
    list_all(settings, &[Kind::Namespace, Kind::Service, Kind::Endpoints]).await;
    let settings = CatalogSettings { pods: PodMode::Verified, ..settings };
    list_all(settings, &[Kind::Namespace, Kind::Service, Kind::Endpoints, Kind::Pod]).await;
}

#[test]
fn rfc8914_4_4_what_is_stale_says_so_in_every_answer() {
    let mut picture = synced(
        CatalogSettings::default(),
        [
            cluster_ip("web.shop", &["10.0.0.1"], &["http/tcp/80"]),
            external("out.shop", "www.example.com"),
            slice("web.shop", "web-1", &["10.1.0.1"], &[]),
            export("web.shop"),
        ],
    );
    let catalog = shared(&mut picture);
    let zone = zone(Arc::clone(&catalog), "cluster.local");
    let reverse = ReverseZone::new(Arc::clone(&catalog), name("10.in-addr.arpa"), name("cluster.local")).unwrap();
    let settings = ClusterSetSettings { suffix: name("b.example.com"), cluster: label("b") };
    let exports = ExportZone::new(Arc::clone(&catalog), &settings).unwrap();
    // (zone, name, type, the mark when it is stale)
    let cases: [(&dyn Source, &str, &str, u16); 9] = [
        (&zone, WEB, "A", Ede::STALE_ANSWER),
        (&zone, WEB, "AAAA", Ede::STALE_ANSWER),
        (&zone, "_http._tcp.web.shop.svc.cluster.local", "SRV", Ede::STALE_ANSWER),
        (&zone, "out.shop.svc.cluster.local", "A", Ede::STALE_ANSWER),
        (&zone, "no.shop.svc.cluster.local", "A", Ede::STALE_NXDOMAIN),
        (&zone, "cluster.local", "SOA", Ede::STALE_ANSWER),
        (&reverse, "1.0.0.10.in-addr.arpa", "PTR", Ede::STALE_ANSWER),
        (&reverse, "2.0.0.10.in-addr.arpa", "PTR", Ede::STALE_NXDOMAIN),
        (&exports, "web.shop.svc.clusterset.b.example.com", "A", Ede::STALE_ANSWER),
    ];
    let before: Vec<String> = cases.iter().map(|(source, asked, rtype, _)| said(*source, asked, rtype)).collect();
    for is_stale in [false, true, false] {
        picture.set_stale(is_stale);
        catalog.store(picture.publish());
        for ((source, asked, rtype, code), before) in cases.iter().zip(&before) {
            // The mark is besides what is said.
            assert_eq!(said(*source, asked, rtype), *before);
            let told = source.answer_now(&ask(asked, rtype)).unwrap().ede().map(|ede| ede.code);
            assert_eq!(told, is_stale.then_some(*code), "{asked} {rtype}");
        }
    }
}

#[test]
fn a_picture_from_disk_is_told_as_stale_until_every_kind_has_been_listed() {
    let settings = CatalogSettings::default();
    let objects = [cluster_ip("web.shop", &["10.0.0.1"], &[]), cluster_ip("old.shop", &["10.0.0.2"], &[])];
    let saved = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let mut picture = Picture::restored(settings, synced(settings, objects).snapshot(), saved);
    let catalog = shared(&mut picture);
    let zone = zone(Arc::clone(&catalog), "cluster.local");
    let old = "old.shop.svc.cluster.local";
    check(&zone, &[(WEB, "A", "A 10.0.0.1"), (old, "A", "A 10.0.0.2")]);
    assert_eq!(catalog.load().sync(), SyncState::Stale { since: saved });

    // What was deleted meanwhile goes with the list of its kind.
    picture.apply(Change::Replace(Kind::Service, vec![cluster_ip("web.shop", &["10.0.0.3"], &[])]));
    catalog.store(picture.publish());
    check(&zone, &[(WEB, "A", "A 10.0.0.3"), (old, "A", "NXDOMAIN")]);
    assert_eq!(catalog.load().sync(), SyncState::Stale { since: saved });

    picture.apply(Change::Replace(Kind::Namespace, vec![]));
    picture.apply(Change::Replace(Kind::Endpoints, vec![]));
    catalog.store(picture.publish());
    assert!(matches!(catalog.load().sync(), SyncState::Synced { .. }));
}

#[test]
fn what_was_not_saved_is_not_denied() {
    let without = CatalogSettings::default();
    let with = CatalogSettings { pods: PodMode::Verified, ..without };
    let saved = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let objects = [cluster_ip("web.shop", &["10.0.0.1"], &[])];
    // Saved without pods: nothing is told before these are known.
    let mut picture = Picture::restored(with, synced(without, objects).snapshot(), saved);
    let catalog = shared(&mut picture);
    let zone = zone(Arc::clone(&catalog), "cluster.local");
    assert_eq!(catalog.load().sync(), SyncState::Waiting);
    for asked in [WEB, "10-1-0-9.shop.pod.cluster.local"] {
        assert!(zone.answer_now(&ask(asked, "A")).is_none(), "{asked}");
    }
    // What is not whole is not said to be.
    assert_eq!(picture.snapshot().kinds, [Kind::Namespace, Kind::Service, Kind::Endpoints]);
    picture.apply(Change::Replace(Kind::Pod, vec![pod("web-0.shop", &["10.1.0.9"])]));
    catalog.store(picture.publish());
    assert_eq!(catalog.load().sync(), SyncState::Stale { since: saved });
    check(&zone, &[(WEB, "A", "A 10.0.0.1"), ("10-1-0-9.shop.pod.cluster.local", "A", "A 10.1.0.9")]);
    check(&zone, &[("10-1-0-8.shop.pod.cluster.local", "A", "NXDOMAIN")]);
    assert_eq!(picture.snapshot().kinds, with.kinds());

    // Saved with pods and restored without, it is told at once.
    let saved_with = synced(with, [cluster_ip("web.shop", &["10.0.0.1"], &[])]).snapshot();
    assert_eq!(Picture::restored(without, saved_with, saved).publish().sync(), SyncState::Stale { since: saved });
}

#[test]
fn since_when_it_is_synced_does_not_change_with_another_list() {
    let mut picture = synced(CatalogSettings::default(), []);
    let before = picture.sync();
    picture.apply(Change::Replace(Kind::Service, vec![cluster_ip("web.shop", &["10.0.0.1"], &[])]));
    assert_eq!(picture.publish().sync(), before);
}

#[test]
fn what_changes_have_ceased_for_is_told_on_as_stale() {
    let lost = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let stale = SyncState::Stale { since: lost };
    let web = || vec![cluster_ip("web.shop", &["10.0.0.1"], &[])];
    let mut picture = synced(CatalogSettings::default(), web());
    let catalog = shared(&mut picture);
    let zone = zone(Arc::clone(&catalog), "cluster.local");
    // Pods are not needed.
    picture.lose(Kind::Pod, lost);
    assert!(matches!(picture.sync(), SyncState::Synced { .. }));
    picture.lose(Kind::Service, lost);
    // Since when is the first of it.
    picture.lose(Kind::Endpoints, lost + Duration::from_secs(9));
    catalog.store(picture.publish());
    assert_eq!(catalog.load().sync(), stale);
    check(&zone, &[(WEB, "A", "A 10.0.0.1"), ("no.shop.svc.cluster.local", "A", "NXDOMAIN")]);
    // Each must be up to date again: by a list, or because nothing has been missed.
    picture.apply(Change::Replace(Kind::Service, web()));
    assert_eq!(picture.sync(), stale);
    picture.resume(Kind::Endpoints);
    assert!(matches!(picture.publish().sync(), SyncState::Synced { since } if since > lost));
}

#[test]
fn what_was_never_listed_is_not_resumed() {
    let mut picture = Picture::new(CatalogSettings::default());
    for kind in [Kind::Namespace, Kind::Service, Kind::Endpoints] {
        picture.lose(kind, SystemTime::now());
        picture.resume(kind);
    }
    assert_eq!(picture.publish().sync(), SyncState::Waiting);
}
