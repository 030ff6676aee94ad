#![allow(clippy::unwrap_used)]

use std::sync::{Mutex, mpsc};

use strait_identity::CertificateAuthority;
use strait_resolve::BoxFuture;

use super::*;
use crate::peers::{Directions, MAX_PEERS};
use crate::store::FileStore;
use crate::testkit::{bundle, eventually, home, peer};

/// Keeps peers in memory; `before_save` may fail it.
struct Scripted<F> {
    before_save: Arc<F>,
    set: watch::Sender<PeerSet>,
}

impl<F> Scripted<F> {
    fn new(before_save: F) -> Self {
        Self { before_save: Arc::new(before_save), set: watch::Sender::default() }
    }
}

impl<F: Fn(&PeerSet) -> Result<(), StoreError> + Send + Sync + 'static> StateStore for Scripted<F> {
    fn load(&self) -> BoxFuture<'_, Result<PeerSet, StoreError>> {
        Box::pin(async { Ok(self.set.borrow().clone()) })
    }

    fn commit(&self, base: Generation, change: StoreChange) -> BoxFuture<'_, Result<PeerSet, StoreError>> {
        let (before_save, set) = (Arc::clone(&self.before_save), self.set.clone());
        let commit = move || {
            let before = set.borrow().clone();
            if before.generation() != base {
                return Err(StoreError::Conflict);
            }
            let next = change.apply(&before);
            // This may wait for the test: nobody must wait for the set meanwhile.
            before_save(&next)?;
            set.send_replace(next.clone());
            Ok(next)
        };
        Box::pin(async { tokio::task::spawn_blocking(commit).await.unwrap() })
    }

    fn changed(&self, known: Generation) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut seen = self.set.subscribe();
            // The sender lives as long as the store.
            let _ = seen.wait_for(|set| set.generation() != known).await;
        })
    }
}

const SECOND_INBOUND: &str = "the trust domain cluster-b.example.com is already that of peer cluster-b, which may ask here: who asks is told by its trust domain, so one peer of each can be let in; let a further suffix of that cluster be asked only (--outbound-only, or directions: OutboundOnly), or remove cluster-b first (gatewayctl peer remove cluster-b, or its resource)";

async fn forgetful() -> Federation {
    Federation::open(Scripted::new(|_: &PeerSet| Ok(())), home()).await.unwrap()
}

fn disk_full() -> StoreError {
    let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
    StoreError::Write { path: "/state/peers.json".into(), step: "writing the new file", source }
}

#[tokio::test]
async fn peers_come_change_go_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.json");
    let federation = Federation::open(FileStore::open(&path).unwrap(), home()).await.unwrap();
    let mut seen = federation.subscribe();
    assert_eq!(federation.add(peer("cluster-b"), OnExisting::Refuse).await.unwrap(), Generation(1));
    assert!(seen.has_changed().unwrap());
    assert_eq!(seen.borrow_and_update().generation(), Generation(1));
    federation.add(peer("cluster-c"), OnExisting::Refuse).await.unwrap();
    let changed = PeerRecord { directions: Directions::InboundOnly, endpoints: vec![], ..peer("cluster-b") };
    federation.add(changed, OnExisting::Replace).await.unwrap();
    assert_eq!(federation.remove("cluster-c").await.unwrap(), Generation(4));
    let before = federation.current();
    assert_eq!(before.get("cluster-b").unwrap().directions, Directions::InboundOnly);
    drop(federation);
    // Whoever follows the store lets go of the file when it is told to.
    eventually("the file is free", || async { FileStore::open(&path).is_ok() }).await;
    let federation = Federation::open(FileStore::open(&path).unwrap(), home()).await.unwrap();
    assert_eq!(federation.current(), before);
}

#[tokio::test]
async fn a_refused_peer_is_told_why_and_nothing_changes() {
    let federation = forgetful().await;
    federation.add(peer("cluster-b"), OnExisting::Refuse).await.unwrap();
    let other_ca = |trust_domain: &str| {
        let ca = CertificateAuthority::create(&trust_domain.parse().unwrap(), std::time::Duration::from_secs(3600));
        TrustBundle::from_pem(ca.unwrap().certificate_pem(), None).unwrap()
    };
    let with_suffix = |suffix: &str| PeerRecord { suffix: suffix.parse().unwrap(), ..peer("cluster-c") };
    let twice = peer("cluster-c").endpoints[0].clone();
    let cases: Vec<(PeerRecord, &str)> = vec![
        (peer("cluster-b"), "peer cluster-b exists already; give --replace to change it, or choose another name"),
        (
            with_suffix("."),
            "the suffix . is the whole of DNS; name the suffix of that one cluster, for example cluster-b.example.com",
        ),
        (
            with_suffix("com"),
            "the suffix com is a top-level domain; name the suffix of that one cluster, for example cluster-b.example.com",
        ),
        (
            with_suffix("*.example.org"),
            "the suffix *.example.org is a wildcard; write it without \"*.\", everything below it is meant anyway",
        ),
        // Reserved: the zone itself, below it, in any case.
        (
            with_suffix("CLUSTER.local"),
            "the suffix CLUSTER.local overlaps cluster.local, which cannot be delegated to a peer; use the suffix under which that cluster is known, for example cluster-b.example.com",
        ),
        (
            with_suffix("10.in-addr.arpa"),
            "the suffix 10.in-addr.arpa overlaps in-addr.arpa, which cannot be delegated to a peer; use the suffix under which that cluster is known, for example cluster-b.example.com",
        ),
        (
            with_suffix("d.f.ip6.arpa"),
            "the suffix d.f.ip6.arpa overlaps ip6.arpa, which cannot be delegated to a peer; use the suffix under which that cluster is known, for example cluster-b.example.com",
        ),
        (
            with_suffix("x.clusterset.local"),
            "the suffix x.clusterset.local overlaps clusterset.local, which cannot be delegated to a peer; use the suffix under which that cluster is known, for example cluster-b.example.com",
        ),
        // Special-use names, top-level domains among them.
        (
            with_suffix("home.arpa"),
            "the suffix home.arpa overlaps home.arpa, which cannot be delegated to a peer; use the suffix under which that cluster is known, for example cluster-b.example.com",
        ),
        (
            with_suffix("onion"),
            "the suffix onion overlaps onion, which cannot be delegated to a peer; use the suffix under which that cluster is known, for example cluster-b.example.com",
        ),
        // Our own: the same, below, and above.
        (
            with_suffix("cluster-a.example.com"),
            "the suffix cluster-a.example.com overlaps this cluster's own suffix cluster-a.example.com; two clusters need two suffixes, neither below the other",
        ),
        (
            with_suffix("x.cluster-a.example.com"),
            "the suffix x.cluster-a.example.com overlaps this cluster's own suffix cluster-a.example.com; two clusters need two suffixes, neither below the other",
        ),
        (
            with_suffix("example.com"),
            "the suffix example.com overlaps this cluster's own suffix cluster-a.example.com; two clusters need two suffixes, neither below the other",
        ),
        // Another peer's.
        (
            with_suffix("west.cluster-b.example.com"),
            "the suffix west.cluster-b.example.com overlaps cluster-b.example.com of peer cluster-b; remove that peer first (gatewayctl peer remove cluster-b, or its resource), or choose another suffix",
        ),
        (
            PeerRecord { trust_bundle: bundle("cluster-a.example.com"), ..peer("cluster-c") },
            "the trust domain cluster-a.example.com is this cluster's own; the trust bundle (--ca) must be the other cluster's CA",
        ),
        (
            PeerRecord { trust_bundle: other_ca("cluster-b.example.com"), ..peer("cluster-c") },
            "the trust domain cluster-b.example.com belongs to peer cluster-b with other CAs; one trust domain has one bundle: change that peer's (--replace, or its resource), or give this cluster a trust domain of its own",
        ),
        // A second name for a cluster that may ask already, even one that sorts first.
        (
            PeerRecord {
                name: "a".parse().unwrap(),
                trust_bundle: bundle("cluster-b.example.com"),
                ..peer("cluster-c")
            },
            SECOND_INBOUND,
        ),
        (
            PeerRecord {
                trust_bundle: bundle("cluster-b.example.com"),
                directions: Directions::InboundOnly,
                ..peer("cluster-c")
            },
            SECOND_INBOUND,
        ),
        (
            PeerRecord { endpoints: vec![], ..peer("cluster-c") },
            "peer cluster-c is to be asked but has no endpoint; give --endpoint tls://host:853 or grpc://host:8443, or --inbound-only",
        ),
        (
            PeerRecord { endpoints: vec![twice.clone(), twice], ..peer("cluster-c") },
            "the endpoint tls://192.0.2.1:853 is there twice; leave one",
        ),
    ];
    let before = federation.current();
    for (record, expected) in cases {
        let error = federation.add(record, OnExisting::Refuse).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(federation.current(), before);
    }
}

#[tokio::test]
async fn what_only_looks_like_a_conflict_is_accepted() {
    let federation = forgetful().await;
    federation.add(peer("cluster-b"), OnExisting::Refuse).await.unwrap();
    // Label boundaries count: this is not below cluster-a.example.com.
    let near = PeerRecord { suffix: "xcluster-a.example.com".parse().unwrap(), ..peer("cluster-c") };
    federation.add(near, OnExisting::Refuse).await.unwrap();
    // Further suffixes of one cluster, which are only asked: same trust domain, same CAs.
    let second = PeerRecord { suffix: "b2.example.com".parse().unwrap(), ..peer("cluster-b") };
    let second = PeerRecord { name: "cluster-b2".parse().unwrap(), directions: Directions::OutboundOnly, ..second };
    federation.add(second.clone(), OnExisting::Refuse).await.unwrap();
    let third = PeerRecord { suffix: "b3.example.com".parse().unwrap(), ..second.clone() };
    federation.add(PeerRecord { name: "cluster-b3".parse().unwrap(), ..third }, OnExisting::Refuse).await.unwrap();
    // A change does not let a second one in either; once the first may not ask, it does.
    let asking = PeerRecord { directions: Directions::Both, ..second };
    let error = federation.add(asking.clone(), OnExisting::Replace).await.unwrap_err();
    assert_eq!(error.to_string(), SECOND_INBOUND);
    let silent = PeerRecord { directions: Directions::OutboundOnly, ..peer("cluster-b") };
    federation.add(silent, OnExisting::Replace).await.unwrap();
    federation.add(asking, OnExisting::Replace).await.unwrap();
    federation.remove("cluster-b2").await.unwrap();
    // Replacing a peer does not conflict with its former self.
    let moved = PeerRecord { suffix: "west.cluster-b.example.com".parse().unwrap(), ..peer("cluster-b") };
    federation.add(moved, OnExisting::Replace).await.unwrap();
}

#[tokio::test]
async fn peers_are_bounded() {
    let bundle = bundle("many.example.com");
    let record = |n: usize| PeerRecord {
        name: format!("p{n}").parse().unwrap(),
        suffix: format!("p{n}.example.org").parse().unwrap(),
        trust_bundle: bundle.clone(),
        directions: Directions::OutboundOnly,
        ..peer("many")
    };
    let full = PeerSet::new(Generation(1), (0..MAX_PEERS).map(record)).unwrap();
    let conflict = |n, existing| rules::check(&record(n), &full, &home(), existing).err();
    assert_eq!(conflict(MAX_PEERS, OnExisting::Refuse), Some(Conflict::Full));
    assert_eq!(conflict(0, OnExisting::Replace), None);
}

#[tokio::test]
async fn an_unknown_peer_cannot_be_removed() {
    let federation = forgetful().await;
    let error = federation.remove("cluster-x").await.unwrap_err();
    assert_eq!(error.to_string(), "there is no peer \"cluster-x\"; no peer has been added yet");
    federation.add(peer("cluster-b"), OnExisting::Refuse).await.unwrap();
    let error = federation.remove("cluster-x").await.unwrap_err();
    assert_eq!(error.to_string(), "there is no peer \"cluster-x\"; known peers: cluster-b");
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_in_force() {
    let federation = Federation::open(Scripted::new(|_: &PeerSet| Err(disk_full())), home()).await.unwrap();
    let seen = federation.subscribe();
    let error = federation.add(peer("cluster-b"), OnExisting::Refuse).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the change is not stored, and not in force: cannot write /state/peers.json: writing the new file: no storage space; is the disk full or the folder read-only?"
    );
    assert!(federation.current().is_empty());
    assert!(!seen.has_changed().unwrap());
}

/// Invariant 7: stored first, published then; and a caller that goes away in between changes nothing about it.
#[tokio::test]
async fn a_change_is_published_after_it_is_stored_even_when_the_caller_is_gone() {
    let (at_store, stored) = mpsc::channel();
    let (go_on, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let store = Scripted::new(move |_: &PeerSet| {
        at_store.send(()).unwrap();
        wait.lock().unwrap().recv().unwrap();
        Ok(())
    });
    let federation = Federation::open(store, home()).await.unwrap();
    let adding = tokio::spawn({
        let federation = federation.clone();
        async move { federation.add(peer("cluster-b"), OnExisting::Refuse).await }
    });
    tokio::task::spawn_blocking(move || stored.recv().unwrap()).await.unwrap();
    assert!(federation.current().is_empty());
    adding.abort();
    assert!(adding.await.unwrap_err().is_cancelled());
    go_on.send(()).unwrap();
    eventually("the stored change is published", || async { federation.current().len() == 1 }).await;
}

type Saved = fn(&PeerSet) -> Result<(), StoreError>;

/// A store that others change as well.
struct Shared {
    set: watch::Sender<PeerSet>,
    /// What others do right before the next commit.
    others: Mutex<Vec<StoreChange>>,
    scripted: Scripted<Saved>,
}

impl Shared {
    fn new(others: Vec<StoreChange>) -> Self {
        let scripted: Scripted<Saved> = Scripted::new(|_| Ok(()));
        Self { set: scripted.set.clone(), others: Mutex::new(others), scripted }
    }
}

impl StateStore for Shared {
    fn load(&self) -> BoxFuture<'_, Result<PeerSet, StoreError>> {
        self.scripted.load()
    }

    fn commit(&self, base: Generation, change: StoreChange) -> BoxFuture<'_, Result<PeerSet, StoreError>> {
        if let Some(other) = self.others.lock().unwrap().pop() {
            self.set.send_modify(|set| *set = other.apply(set));
        }
        self.scripted.commit(base, change)
    }

    fn changed(&self, known: Generation) -> BoxFuture<'_, ()> {
        self.scripted.changed(known)
    }
}

#[tokio::test]
async fn what_others_change_is_published() {
    let shared = Shared::new(vec![]);
    let set = shared.set.clone();
    let federation = Federation::open(shared, home()).await.unwrap();
    set.send_modify(|set| *set = StoreChange::Put(peer("cluster-b")).apply(set));
    eventually("the other's change", || async { federation.current().len() == 1 }).await;
    assert_eq!(federation.add(peer("cluster-c"), OnExisting::Refuse).await.unwrap(), Generation(2));
}

#[tokio::test]
async fn a_change_that_others_were_faster_than_is_checked_and_tried_again() {
    let put = |name: &str| StoreChange::Put(peer(name));
    // Something else: ours is made on top of it.
    let federation = Federation::open(Shared::new(vec![put("cluster-c")]), home()).await.unwrap();
    assert_eq!(federation.add(peer("cluster-b"), OnExisting::Refuse).await.unwrap(), Generation(2));
    assert_eq!(federation.current().len(), 2);
    // The same: ours is refused, as it would have been at first.
    let federation = Federation::open(Shared::new(vec![put("cluster-b")]), home()).await.unwrap();
    let error = federation.add(peer("cluster-b"), OnExisting::Refuse).await.unwrap_err();
    assert!(matches!(error, ChangeError::Conflict(Conflict::Exists(_))), "{error}");
    // Without end: given up.
    let others = (0..10).map(|_| put("cluster-c")).collect();
    let federation = Federation::open(Shared::new(others), home()).await.unwrap();
    let error = federation.add(peer("cluster-b"), OnExisting::Refuse).await.unwrap_err();
    assert!(matches!(error, ChangeError::Store(StoreError::Conflict)), "{error}");
}
