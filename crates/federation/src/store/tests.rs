#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use strait_durable::{Step, replace_with};

use super::*;
use crate::testkit::{expired_authority_pem, home, peer};
use crate::{
    AddressMap, Federation, Generation, NamespacePolicy, Owners, PeerRecord, RecordDocument, TemplateDocument,
    ZoneDocument, ZoneSet,
};

const STEPS: [Step; 5] = [Step::Create, Step::Write, Step::SyncFile, Step::Rename, Step::SyncFolder];

fn set(generation: u64, names: &[&str]) -> PeerSet {
    PeerSet::new(Generation(generation), names.iter().map(|name| peer(name))).unwrap()
}

#[test]
fn what_is_saved_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path().join("peers.json")).unwrap();
    assert_eq!(store.read().unwrap(), None);
    let saved = set(7, &["cluster-b", "cluster-c"]);
    store.save(&saved).unwrap();
    assert_eq!(store.read().unwrap(), Some(saved));
}

#[test]
fn the_file_is_readable_for_people_and_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path().join("peers.json")).unwrap();
    store.save(&set(7, &["cluster-b"])).unwrap();
    let text = std::fs::read_to_string(store.path()).unwrap();
    let head = "{\n  \"version\": 1,\n  \"generation\": 7,\n  \"peers\": [\n    {\n      \"name\": \"cluster-b\",\n      \"suffix\": \"cluster-b.example.com\",\n";
    assert!(text.starts_with(head), "{text}");
    assert_eq!(std::fs::metadata(store.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_a_peer_may_see_is_kept_and_a_file_that_does_not_say_it_has_the_default() {
    let old = document::render(&set(1, &["cluster-b"]));
    assert!(!old.contains("namespaces"), "the default is not written, so that an older program can read the file");
    assert_eq!(
        document::parse(old.as_bytes()).unwrap().get("cluster-b").unwrap().namespaces,
        NamespacePolicy::default()
    );
    let namespaces = NamespacePolicy::parse(["shop", "kube-system"], ["secret"]).unwrap();
    let peer = PeerRecord { namespaces, ..peer("cluster-b") };
    let set = PeerSet::new(Generation(1), [peer]).unwrap();
    assert_eq!(document::parse(document::render(&set).as_bytes()).unwrap(), set);
    let bad = edited("\"changedAt\"", "\"namespaces\": { \"deny\": [\"*\"] },\n      \"changedAt\"");
    let error = document::parse(bad.as_bytes()).unwrap_err();
    assert!(error.what.contains("peer cluster-b: every namespace is denied"), "{error}");
}

#[test]
fn addresses_are_kept_and_a_file_without_any_does_not_say_so() {
    let old = document::render(&set(1, &["cluster-b"]));
    assert!(!old.contains("addresses"), "nothing is written, so that an older program can read the file");
    let peer = PeerRecord { addresses: vec!["10.96.0.0/16".parse().unwrap()], ..peer("cluster-b") };
    let set = PeerSet::new(Generation(1), [peer]).unwrap();
    let owners = vec!["cluster-b".parse().unwrap(), "cluster-c".parse().unwrap()];
    let ranges = [
        ("10.10.0.0/16".parse().unwrap(), Owners::Own),
        ("10.96.0.0/16".parse().unwrap(), Owners::Peer("cluster-b".parse().unwrap())),
        ("10.97.0.0/16".parse().unwrap(), Owners::Disputed(owners)),
    ];
    let set = set.with_addresses(Arc::new(AddressMap::new(ranges)));
    assert_eq!(document::parse(document::render(&set).as_bytes()).unwrap(), set);
    let bad = document::render(&set).replace("10.97.0.0/16", "10.97.0.0/33");
    assert!(document::parse(bad.as_bytes()).unwrap_err().what.contains("10.97.0.0/33"));
}

/// The text of a whole file whose first peer has `from` replaced by `to`.
/// Peers with a zone, as an agent keeps them.
fn with_zone() -> PeerSet {
    let record = RecordDocument {
        name: "www".to_owned(),
        rtype: "A".to_owned(),
        ttl: Some(5),
        values: vec!["192.0.2.1".to_owned()],
    };
    let template = TemplateDocument {
        pattern: "node-(?<n>.)".to_owned(),
        rtype: "A".to_owned(),
        ttl: None,
        answer: "10.0.0.{{ n }}".to_owned(),
    };
    let zone = ZoneDocument {
        name: "corp".to_owned(),
        apex: "corp.example.com".to_owned(),
        ttl: 60,
        records: vec![record],
        templates: vec![template],
        text: "mail A 192.0.2.2\n".to_owned(),
    };
    set(7, &["cluster-b"]).with_zones(Arc::new(ZoneSet::read([zone], &ZoneSet::default()).unwrap()))
}

#[test]
fn zones_are_kept_and_a_file_without_any_does_not_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path().join("peers.json")).unwrap();
    store.save(&with_zone()).unwrap();
    let read = store.read().unwrap().unwrap();
    assert_eq!(read, with_zone());
    assert_eq!(read.zones().get("corp").unwrap().zone().unwrap().record_count(), 3);
    // One that this program cannot build keeps nothing else from being read.
    let text = std::fs::read_to_string(store.path()).unwrap();
    std::fs::write(store.path(), text.replace("192.0.2.1", "nowhere")).unwrap();
    let read = store.read().unwrap().unwrap();
    assert!(read.zones().trouble().unwrap().contains("zone corp does not answer here"));
    assert_eq!(read.len(), 1);
    std::fs::write(store.path(), text.replace("\"apex\"", "\"apxe\"")).unwrap();
    let error = store.read().unwrap_err().to_string();
    assert!(error.contains("unknown field `apxe`"), "{error}");
    // What was written before there were zones.
    store.save(&set(7, &["cluster-b"])).unwrap();
    assert!(!std::fs::read_to_string(store.path()).unwrap().contains("zones"));
    assert!(store.read().unwrap().unwrap().zones().is_empty());
}

fn edited(from: &str, to: &str) -> String {
    let text = document::render(&set(1, &["cluster-b"]));
    assert!(text.contains(from), "{text}");
    text.replacen(from, to, 1)
}

#[tokio::test]
async fn a_damaged_file_is_reported_and_kept() {
    let whole = document::render(&set(1, &["cluster-b"]));
    let twice = {
        let entry = &whole[whole.find("    {").unwrap()..whole.rfind("    }").unwrap() + 5];
        whole.replace(entry, &format!("{entry},\n{entry}"))
    };
    let cases: &[(&str, String, &str)] = &[
        // A full disk, a crashed copy.
        ("empty", String::new(), ": the file is empty; an interrupted copy or a full disk may have done that"),
        ("blank", "\n \n".into(), ": the file is empty; an interrupted copy or a full disk may have done that"),
        // Cut in the middle: the place is the end.
        (
            "truncated",
            "{\n  \"version\": 1,\n  \"generation\": 4,\n  \"peers\": [{\"name\": \"clus".into(),
            ":4:26: EOF while parsing a string\n  4 |   \"peers\": [{\"name\": \"clus\n    |                          ^",
        ),
        // Not ours at all.
        ("garbage", "peers: []\n".into(), ":1:1: expected value\n  1 | peers: []\n    | ^"),
        // JSON, but of another shape.
        (
            "list",
            "[]".into(),
            ":1:2: invalid length 0, expected an object that begins with \"version\"\n  1 | []\n    |  ^",
        ),
        // Trailing bytes after a whole set.
        (
            "trailing",
            "{\"version\":1,\"generation\":1,\"peers\":[]}x".into(),
            ":1:40: trailing characters\n  1 | {\"version\":1,\"generation\":1,\"peers\":[]}x\n    |                                        ^",
        ),
        // From a later program.
        (
            "version",
            "{\n  \"version\": 2,\n  \"peers\": {}\n}\n".into(),
            ":2:14: version 2 is not known here (this program knows 1); use the program that wrote the file, or a newer one\n  2 |   \"version\": 2,\n    |              ^",
        ),
        ("no version", "{}".into(), ":1:2: missing field `version`\n  1 | {}\n    |  ^"),
        // A typo of who edits by hand.
        (
            "unknown key",
            edited("\"suffix\"", "\"sufix\""),
            ":7:13: unknown field `sufix`, expected one of `name`, `suffix`, `outbound`, `inbound`, `endpoints`, `trustDomain`, `trustBundle`, `namespaces`, `addresses`, `changedAt`\n  7 |       \"sufix\": \"cluster-b.example.com\",\n    |             ^",
        ),
        (
            "bad suffix",
            edited("\"cluster-b.example.com\"", "\"cluster-b..com\""),
            ":18:3: the peer that ends here cannot be used: peer cluster-b: suffix \"cluster-b..com\" is not a DNS name: empty label (two dots in a row, or a dot at the start)\n  18 |   ]\n     |   ^",
        ),
        (
            "bad name",
            edited("\"cluster-b\"", "\"Cluster_B\""),
            ":18:3: the peer that ends here cannot be used: \"Cluster_B\" is not a peer name: write 1 to 63 lower-case letters, digits and '-', with a letter or digit at both ends (for example cluster-b)\n  18 |   ]\n     |   ^",
        ),
        (
            "no direction",
            edited("\"outbound\": true,\n      \"inbound\": true", "\"outbound\": false,\n      \"inbound\": false"),
            ":18:3: the peer that ends here cannot be used: peer cluster-b: neither direction is delegated; set outbound, inbound or both\n  18 |   ]\n     |   ^",
        ),
        (
            "twice",
            twice,
            ":31:3: the peer that ends here, cluster-b, is there twice; remove one\n  31 |   ]\n     |   ^",
        ),
    ];
    for (case, text, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers.json");
        std::fs::write(&path, text).unwrap();
        let error = FileStore::open(&path).unwrap().read().unwrap_err().to_string();
        let expected = format!(
            "{}{expected}\nThe file is left as it is. Restore it from a copy, or move it away to begin without peers.",
            path.display()
        );
        assert_eq!(error, expected, "{case}");
        // A gateway does not start with it, and does not touch it.
        assert!(Federation::open(FileStore::open(&path).unwrap(), home()).await.is_err(), "{case}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), *text, "{case}");
    }
}

#[test]
fn a_file_of_other_bytes_is_damaged_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.json");
    std::fs::write(&path, [0xff, 0x00, 0x1b, b'[']).unwrap();
    let error = FileStore::open(&path).unwrap().read().unwrap_err().to_string();
    // No snippet: control characters do not belong on a terminal.
    assert!(error.starts_with(&format!("{}:1:1: expected value\nThe file", path.display())), "{error}");
}

#[test]
fn an_expired_bundle_does_not_keep_the_others_from_being_read() {
    let text = document::render(&set(1, &["cluster-b", "cluster-c"]));
    let good = crate::testkit::bundle("cluster-b.example.com").to_pem();
    let escaped = |pem: &str| serde_json::to_string(pem).unwrap();
    let text = text.replace(&escaped(&good), &escaped(&expired_authority_pem("cluster-b.example.com")));
    let read = document::parse(text.as_bytes()).unwrap();
    assert_eq!(read.len(), 2);
}

#[test]
fn a_failure_at_any_step_leaves_the_old_content_or_the_new() {
    for (at, failing) in STEPS.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers.json");
        std::fs::write(&path, "old").unwrap();
        let taken = RefCell::new(Vec::new());
        let outcome = replace_with(&path, b"new", |step| {
            taken.borrow_mut().push(step);
            if step == failing { Err(io::Error::other("power cut")) } else { Ok(()) }
        });
        assert_eq!(outcome.unwrap_err().0, failing);
        // In this order: content to disk before the rename, the rename to disk before success.
        assert_eq!(taken.into_inner(), STEPS[..=at]);
        let content = std::fs::read_to_string(&path).unwrap();
        assert_eq!(content, if failing == Step::SyncFolder { "new" } else { "old" }, "{failing:?}");
    }
}

#[test]
fn what_an_interrupted_write_left_is_cleared_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.json");
    let stored = set(3, &["cluster-b"]);
    FileStore::open(&path).unwrap().save(&stored).unwrap();
    let crash = |step| if step == Step::Rename { Err(io::Error::other("killed")) } else { Ok(()) };
    replace_with(&path, b"{\"version\":1,", crash).unwrap_err();
    let left = beside(&path, TEMPORARY);
    assert!(left.exists());
    let store = FileStore::open(&path).unwrap();
    assert!(!left.exists());
    assert_eq!(store.read().unwrap(), Some(stored));
}

#[test]
fn two_gateways_cannot_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.json");
    let first = FileStore::open(&path).unwrap();
    let error = FileStore::open(&path).unwrap_err().to_string();
    let expected = "is in use by another process; two programs must not share it: give each its own `state`";
    assert_eq!(error, format!("{} {expected}", path.display()));
    drop(first);
    FileStore::open(&path).unwrap();
}

#[test]
fn one_that_takes_over_reads_what_the_other_has_and_each_writes_in_its_turn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent-peers.json");
    let (old, new) = (FileStore::open_in_turns(&path).unwrap(), FileStore::open_in_turns(&path).unwrap());
    old.save(&set(3, &["cluster-b"])).unwrap();
    assert_eq!(new.read().unwrap(), Some(set(3, &["cluster-b"])));
    // Both at once, over and over: the file is always that of one of them.
    let sets = [set(4, &["cluster-b"]), set(4, &["cluster-b", "cluster-c"])];
    std::thread::scope(|scope| {
        for (store, set) in [(&old, &sets[0]), (&new, &sets[1])] {
            scope.spawn(move || (0..50).for_each(|_| store.save(set).unwrap()));
        }
        for _ in 0..200 {
            let read = FileStore::open_in_turns(&path).unwrap().read().unwrap().unwrap();
            assert!(sets.contains(&read) || read.generation() == Generation(3));
        }
    });
    // One that has the file for itself shuts the other out of it: that is said, and the file stays.
    drop((old, new));
    let alone = FileStore::open(&path).unwrap();
    let next = FileStore::open_in_turns(&path).unwrap();
    assert!(next.read().unwrap().is_some());
    assert!(matches!(next.save(&set(5, &[])), Err(StoreError::InUse { .. })));
    drop(alone);
    next.save(&set(5, &[])).unwrap();
}

#[test]
fn a_folder_that_cannot_be_used_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing/too/peers.json");
    let error = FileStore::open(&missing).unwrap_err().to_string();
    let expected =
        "No such file or directory (os error 2); its folder must be one that this user can write to, or can make";
    assert_eq!(error, format!("cannot use {}: {expected}", missing.display()));
}

#[test]
fn a_missing_folder_is_made_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    FileStore::open(state.join("peers.json")).unwrap();
    assert_eq!(std::fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_save_that_fails_says_the_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.json");
    let store = FileStore::open(&path).unwrap();
    // Something that cannot be renamed over.
    std::fs::create_dir_all(path.join("in the way")).unwrap();
    let error = store.save(&set(1, &[])).unwrap_err().to_string();
    let expected = format!("cannot write {}: putting the new file in place: ", path.display());
    assert!(error.starts_with(&expected), "{error}");
}
