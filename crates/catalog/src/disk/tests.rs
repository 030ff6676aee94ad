#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "figures for whoever reads the output")]

use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::testing::*;
use crate::{CatalogSettings, Object, Picture, PodMode, SetState, SyncState};

fn settings() -> CatalogSettings {
    CatalogSettings { pods: PodMode::Verified, ..CatalogSettings::default() }
}

fn picture() -> Picture {
    let objects = [
        Object::Namespace(label("empty")),
        cluster_ip("web.shop", &["10.0.0.1", "fd00::1"], &["http/tcp/80", "/udp/53", "x/sctp/9"]),
        headless("db.shop"),
        external("out.shop", "www.example.com"),
        slice("db.shop", "db-1.with.dots", &["pod-0=10.1.0.1", "!10.1.0.2", "fd00::2"], &["sql/tcp/5432"]),
        pod("web-0.shop", &["10.1.0.9"]),
        export("web.shop"),
        import(cluster_ip("cart.shop", &["10.3.0.1"], &["http/tcp/80"])),
        import(headless("nodes.shop")),
        imported(slice("nodes.shop", "nodes-b", &["n-0=10.9.0.1"], &[]), "cluster-b"),
    ];
    synced(settings(), objects)
}

/// Sorted, for what a table gives in no order.
fn texts(snapshot: &Snapshot) -> Vec<String> {
    let mut texts: Vec<String> = snapshot.namespaces.iter().map(|item| format!("{item:?}")).collect();
    texts.extend(snapshot.services.iter().map(|item| format!("{item:?}")));
    texts.extend(snapshot.slices.iter().map(|item| format!("{item:?}")));
    texts.extend(snapshot.pods.iter().map(|item| format!("{item:?}")));
    texts.extend(snapshot.exports.iter().map(|item| format!("{item:?}")));
    texts.extend(snapshot.imports.iter().map(|item| format!("import {item:?}")));
    texts.push(format!("{:?}", snapshot.set));
    texts.sort();
    texts
}

#[test]
fn what_is_saved_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    // The folder is made when it is missing.
    let file = CatalogFile::new(folder.path().join("state/catalog"));
    assert!(file.load().unwrap().is_none(), "nothing has been saved yet");
    let snapshot = picture().snapshot();
    let current = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    file.save(&snapshot, current).unwrap();
    let restored = file.load().unwrap().unwrap();
    assert_eq!(texts(&restored.snapshot), texts(&snapshot));
    assert_eq!((restored.saved, &restored.snapshot.kinds), (current, &snapshot.kinds));

    let mut told = Picture::restored(settings(), restored.snapshot, restored.saved);
    let zone = zone(shared(&mut told), "cluster.local");
    check(&zone, &[("db.shop.svc.cluster.local", "A", "A 10.1.0.1")]);
    assert_eq!(snapshot.set, SetState::On);
    assert_eq!(told.sync(), SyncState::Stale { since: restored.saved });
}

#[test]
fn what_is_still_current_is_as_old_as_that() {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let folder = tempfile::tempdir().unwrap();
    let file = CatalogFile::new(folder.path().join("catalog"));
    let saved = file.save(&picture().snapshot(), at(1_000)).unwrap();
    let note = folder.path().join("catalog.current");
    let age = || file.load().unwrap().unwrap().saved;
    file.note_current(saved, at(2_000)).unwrap();
    assert_eq!(age(), at(2_000));
    // Never older than when it was saved.
    file.note_current(saved, at(500)).unwrap();
    assert_eq!(age(), at(1_000));
    // What is damaged says nothing.
    file.note_current(saved, at(2_000)).unwrap();
    let good = std::fs::read_to_string(&note).unwrap();
    for text in ["", "x", &good[..good.len() - 1], &good.replace('2', "x"), &good.replace(' ', "")] {
        std::fs::write(&note, text).unwrap();
        assert_eq!(age(), at(1_000), "{text:?}");
    }
    // Nor does a note of what was there before.
    std::fs::write(&note, &good).unwrap();
    assert_eq!(age(), at(2_000));
    file.save(&Snapshot::default(), at(1_500)).unwrap();
    assert_eq!(age(), at(1_500));
}

#[test]
fn a_damaged_file_is_set_aside_and_the_error_says_so() {
    let snapshot = picture().snapshot();
    let (good, _) = encode(&snapshot, SystemTime::now());
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    // (content, what is wrong)
    let cases = [
        (Vec::new(), "shorter than its head"),
        (good[..HEAD_LEN - 1].to_vec(), "shorter than its head"),
        (b"{\"services\": []} and so on, long enough for a head".to_vec(), "does not begin as a catalog does"),
        (flipped(MAGIC.len() + 3), "another version"),
        (good[..good.len() - 1].to_vec(), "its length"),
        ([&good[..], b"x"].concat(), "its length"),
        // The time, the checksum itself, the objects.
        (flipped(MAGIC.len() + 11), "its checksum"),
        (flipped(HEAD_LEN - 1), "its checksum"),
        (flipped(HEAD_LEN + 40), "its checksum"),
    ];
    for (content, what) in cases {
        let folder = tempfile::tempdir().unwrap();
        let file = CatalogFile::new(folder.path().join("catalog"));
        std::fs::write(file.path(), &content).unwrap();
        let error = file.load().unwrap_err().to_string();
        let aside = folder.path().join("catalog.damaged");
        assert!(error.contains(what) && error.contains(&*aside.to_string_lossy()), "{error}");
        assert_eq!(std::fs::read(&aside).unwrap(), content);
        assert!(file.load().unwrap().is_none(), "the next start is an ordinary one");
    }
}

#[test]
fn what_cannot_be_read_or_written_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    // A folder in its place.
    let file = CatalogFile::new(folder.path());
    let error = file.load().unwrap_err();
    assert!(matches!(&error, DiskError::Read { .. }), "{error}");
    assert!(error.to_string().contains(&*folder.path().to_string_lossy()), "{error}");
    assert!(matches!(file.save(&Snapshot::default(), SystemTime::now()), Err(DiskError::Write { .. })));
}

#[test]
fn iso3309_the_checksum_is_crc_32() {
    // The check value of the algorithm.
    assert_eq!(crc32(&[b"12345", b"6789"]), 0xcbf4_3926);
}

#[test]
fn a_count_alone_takes_no_memory() {
    assert!(codec::decode(&[0xff; 64]).is_none(), "four thousand million of something");
}

proptest! {
    /// No content of a file ends the process.
    #[test]
    fn objects_are_read_from_any_octets(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        octet in any::<u8>(),
    ) {
        let _ = codec::decode(&bytes);
        let mut body = codec::encode(&picture().snapshot());
        let at = at.index(body.len());
        body[at] = octet;
        let _ = codec::decode(&body);
    }
}

/// 10,000 services with 10 endpoints each, as the targets have it.
#[test]
fn a_large_catalog_is_loaded_quickly() {
    let mut objects = Vec::new();
    for n in 0..10_000u32 {
        let at = format!("service-{n}.namespace-{}", n % 100);
        let [_, a, b, c] = n.to_be_bytes();
        objects.push(cluster_ip(&at, &[&format!("10.{a}.{b}.{c}")], &["http/tcp/80"]));
        let endpoints: Vec<_> = (0..10).map(|e| format!("11.{}.{b}.{c}", a * 10 + e)).collect();
        let endpoints: Vec<_> = endpoints.iter().map(String::as_str).collect();
        objects.push(slice(&at, &format!("service-{n}-abcde"), &endpoints, &["http/tcp/8080"]));
    }
    let snapshot = synced(CatalogSettings::default(), objects).snapshot();
    let folder = tempfile::tempdir().unwrap();
    let file = CatalogFile::new(folder.path().join("catalog"));
    let began = Instant::now();
    file.save(&snapshot, SystemTime::now()).unwrap();
    let saved = began.elapsed();
    let octets = std::fs::metadata(file.path()).unwrap().len();
    let began = Instant::now();
    let restored = file.load().unwrap().unwrap();
    let loaded = began.elapsed();
    let mut picture = Picture::restored(CatalogSettings::default(), restored.snapshot, restored.saved);
    let catalog = picture.publish();
    let told = began.elapsed();
    assert_eq!((catalog.services(), catalog.endpoints()), (10_000, 100_000));
    assert!(octets < 8 << 20, "{octets}");
    println!("100,000 endpoints: {octets} octets, saved in {saved:?}, loaded in {loaded:?}, told after {told:?}");
}
