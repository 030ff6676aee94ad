//! What every store must do. Each test runs over the file and over the API server.

use strait_federation::{
    ChangeError, Conflict, Federation, FileStore, Generation, OnExisting, PeerSet, StateStore, StoreChange, StoreError,
};

use super::*;

/// Where peers are kept, opened anew at will.
trait Place {
    type Store: StateStore + Clone;

    /// Opens it as it was left.
    async fn open(&self) -> Self::Store;
}

struct File(tempfile::TempDir);

impl Place for File {
    type Store = FileStore;

    async fn open(&self) -> FileStore {
        let path = self.0.path().join("peers.json");
        // Whoever had it lets go of it when it is told to.
        until_async("the file to be free", async || FileStore::open(&path).is_ok()).await;
        FileStore::open(&path).unwrap()
    }
}

/// Each time another replica.
struct Api(Cluster, std::cell::Cell<u32>);

impl Api {
    fn at(start: StartApi) -> Self {
        Self(Cluster::new(start), std::cell::Cell::new(0))
    }
}

impl Place for Api {
    type Store = KubernetesStore;

    async fn open(&self) -> KubernetesStore {
        self.1.set(self.1.get() + 1);
        self.0.replica(&format!("replica-{}", self.1.get())).await
    }
}

/// A test over every store.
macro_rules! battery {
    ($($name:ident),* $(,)?) => {
        mod over_a_file {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::File(tempfile::tempdir().unwrap())).await;
            })*
        }

        mod over_an_api_server {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Api::at(strait_tests::api_server::ours)).await;
            })*
        }

        mod over_a_real_api_server {
            $(#[tokio::test]
            #[ignore = "needs KUBEBUILDER_ASSETS"]
            async fn $name() {
                super::$name(super::Api::at(strait_tests::api_server::a_real_one)).await;
            })*
        }
    };
}

battery!(
    what_is_committed_is_there_when_the_store_is_opened_anew,
    every_field_of_a_peer_is_kept,
    a_change_of_what_has_changed_meanwhile_is_a_conflict,
    a_federation_keeps_its_peers,
    what_is_refused_changes_nothing,
);

/// Without what the store itself says.
fn bare(set: &PeerSet) -> Vec<PeerRecord> {
    set.iter().map(|peer| PeerRecord { changed_at: 0, ..PeerRecord::clone(peer) }).collect()
}

fn bare_of(records: &[&PeerRecord]) -> Vec<PeerRecord> {
    records.iter().map(|&peer| PeerRecord { changed_at: 0, ..peer.clone() }).collect()
}

async fn commit<S: StateStore>(store: &S, change: StoreChange) -> PeerSet {
    let base = store.load().await.unwrap().generation();
    let set = store.commit(base, change).await.unwrap();
    assert_eq!(set, store.load().await.unwrap(), "what is said is what is there");
    set
}

async fn what_is_committed_is_there_when_the_store_is_opened_anew(place: impl Place) {
    let (b, c) = (record("cluster-b"), record("cluster-c"));
    let store = place.open().await;
    let empty = store.load().await.unwrap();
    assert!(empty.is_empty());
    let mut seen = vec![empty.generation()];
    for (change, expected) in [
        (StoreChange::Put(b.clone()), vec![&b]),
        (StoreChange::Put(c.clone()), vec![&b, &c]),
        (StoreChange::Remove(b.name.clone()), vec![&c]),
    ] {
        let set = commit(&store, change).await;
        assert_eq!(bare(&set), bare_of(&expected));
        assert!(!seen.contains(&set.generation()), "each has a generation of its own");
        seen.push(set.generation());
    }
    let before = store.load().await.unwrap();
    drop(store);
    assert_eq!(place.open().await.load().await.unwrap(), before);
}

async fn every_field_of_a_peer_is_kept(place: impl Place) {
    let b = record("cluster-b");
    let store = place.open().await;
    let namespaces = NamespacePolicy::parse(["shop", "kube-system"], ["secret"]).unwrap();
    // One after another in the place of the one before: nothing of that must stay.
    for peer in [
        PeerRecord { namespaces, addresses: vec!["10.96.0.0/12".parse().unwrap()], ..b.clone() },
        PeerRecord { directions: Directions::InboundOnly, endpoints: vec![], ..b.clone() },
        PeerRecord { directions: Directions::OutboundOnly, ..b.clone() },
        PeerRecord { suffix: "b2.example.com".parse().unwrap(), ..b.clone() },
        PeerRecord { trust_bundle: record("cluster-b").trust_bundle, ..b.clone() },
        b,
    ] {
        let set = commit(&store, StoreChange::Put(peer.clone())).await;
        assert_eq!(bare(&set), bare_of(&[&peer]));
    }
    let before = store.load().await.unwrap();
    drop(store);
    assert_eq!(place.open().await.load().await.unwrap(), before);
}

async fn a_change_of_what_has_changed_meanwhile_is_a_conflict(place: impl Place) {
    let store = place.open().await;
    let old = store.load().await.unwrap().generation();
    commit(&store, StoreChange::Put(record("cluster-b"))).await;
    let before = store.load().await.unwrap();
    for change in [StoreChange::Put(record("cluster-c")), StoreChange::Remove("cluster-b".parse().unwrap())] {
        let error = store.commit(old, change).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict), "{error}");
        assert_eq!(store.load().await.unwrap(), before);
    }
}

async fn a_federation_keeps_its_peers(place: impl Place) {
    let (b, c) = (record("cluster-b"), record("cluster-c"));
    let federation = Federation::open(place.open().await, home()).await.unwrap();
    let mut seen = federation.subscribe();
    let generation: Generation = federation.add(b.clone(), OnExisting::Refuse).await.unwrap();
    assert!(seen.has_changed().unwrap(), "published before it is acknowledged");
    assert_eq!(seen.borrow_and_update().generation(), generation);
    federation.add(c, OnExisting::Refuse).await.unwrap();
    let one_way = PeerRecord { directions: Directions::InboundOnly, endpoints: vec![], ..b };
    federation.add(one_way.clone(), OnExisting::Replace).await.unwrap();
    federation.remove("cluster-c").await.unwrap();
    let before = federation.current();
    assert_eq!(bare(&before), bare_of(&[&one_way]));
    drop(federation);
    let again = Federation::open(place.open().await, home()).await.unwrap();
    assert_eq!((bare(&again.current()), again.current().generation()), (bare(&before), before.generation()));
}

async fn what_is_refused_changes_nothing(place: impl Place) {
    let federation = Federation::open(place.open().await, home()).await.unwrap();
    let b = record("cluster-b");
    federation.add(b.clone(), OnExisting::Refuse).await.unwrap();
    let before = federation.current();
    let error = federation.add(b, OnExisting::Refuse).await.unwrap_err();
    assert!(matches!(error, ChangeError::Conflict(Conflict::Exists(_))), "{error}");
    let below = PeerRecord { suffix: "x.cluster-b.example.com".parse().unwrap(), ..record("cluster-c") };
    let error = federation.add(below, OnExisting::Refuse).await.unwrap_err();
    assert!(matches!(error, ChangeError::Conflict(Conflict::Taken { .. })), "{error}");
    let error = federation.remove("cluster-x").await.unwrap_err();
    assert!(matches!(error, ChangeError::Unknown { .. }), "{error}");
    assert_eq!(federation.current(), before);
    drop(federation);
    let again = Federation::open(place.open().await, home()).await.unwrap();
    assert_eq!(bare(&again.current()), bare(&before));
}
