//! What is in force: judged anew whenever the API server tells something, and kept on disk.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use strait_federation::{
    FileStore, Generation, Home, Judgement, PeerDocument, PeerSet, Refusal, StoreError, ZoneDocument, ZoneSet, judge,
};
use tokio::sync::watch;

use super::objects::{Resource, ResourceKind};
use super::reflector::{Resources, Told};
use super::{peer, zone};
use crate::WatchFault;

/// Those that are not in force, by name, and why.
type Refused = BTreeMap<String, Refusal>;

/// How the peers and zones stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceState {
    /// Whether there are any to go by: those of the API server, or those on disk.
    pub is_known: bool,
    /// Peers that are not in force, by name, and why.
    pub refused: BTreeMap<String, Refusal>,
    /// The same of zones.
    pub refused_zones: BTreeMap<String, Refusal>,
    /// Why changes do not come, when they do not.
    pub fault: Option<WatchFault>,
    /// Why those of zones do not.
    pub zones_fault: Option<WatchFault>,
}

impl fmt::Display for ResourceState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match (self.is_known, &self.fault) {
            (false, _) => "the peers are not known yet",
            (true, Some(_)) => "the peers are in force as they were",
            (true, None) => "the peers are current",
        })?;
        self.fault.iter().try_for_each(|fault| write!(out, "; {fault}"))?;
        // A server that is gone is told of once.
        let of_zones = self.zones_fault.iter().filter(|fault| self.fault.as_ref() != Some(*fault));
        of_zones.into_iter().try_for_each(|fault| write!(out, "; zones are in force as they were: {fault}"))
    }
}

/// What is known of the peers and zones.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    /// Those in force; none before there are any to go by.
    pub(super) set: Option<Arc<PeerSet>>,
    pub(super) peers: Known,
    pub(super) zones: Known,
}

/// What is known of the resources of a kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Those of the API server; none before it has told them.
    pub(super) resources: Option<Resources>,
    /// Those of them that are not in force.
    pub(super) refused: Arc<Refused>,
    pub(super) fault: Option<WatchFault>,
}

impl View {
    pub(super) fn generation(&self) -> Option<Generation> {
        self.set.as_ref().map(|set| set.generation())
    }

    pub(super) fn state(&self) -> ResourceState {
        ResourceState {
            is_known: self.set.is_some(),
            refused: Refused::clone(&self.peers.refused),
            refused_zones: Refused::clone(&self.zones.refused),
            fault: self.peers.fault.clone(),
            zones_fault: self.zones.fault.clone(),
        }
    }

    /// Why too little may be known: peers are told together with the zones.
    pub(super) fn fault(&self) -> Option<&WatchFault> {
        self.peers.fault.as_ref().or(self.zones.fault.as_ref())
    }

    pub(super) fn of(&self, kind: ResourceKind) -> &Known {
        match kind {
            ResourceKind::Peer => &self.peers,
            ResourceKind::Zone => &self.zones,
        }
    }
}

impl Known {
    /// Logs those that are not in force for another reason than before.
    fn report(&self, before: &Self, kind: &'static str) {
        for (name, Refusal { reason, message }) in &*self.refused {
            if before.refused.get(name).is_none_or(|known| known.message != *message) {
                tracing::warn!(kind, name, reason, why = message, "a resource is not in force");
            }
        }
    }
}

/// Judges and keeps.
pub(super) struct Keeper {
    home: Home,
    copy: FileStore,
    view: watch::Sender<View>,
    /// What was judged last: most of what is told is our own statuses, and what is wanted is as it was.
    last: Option<Judged>,
}

/// What is wanted, and the verdict on it.
struct Judged {
    peers: Vec<PeerDocument>,
    zones: Vec<ZoneDocument>,
    judgement: Judgement,
}

impl Keeper {
    pub(super) fn new(home: Home, copy: FileStore, view: watch::Sender<View>) -> Self {
        Self { home, copy, view, last: None }
    }

    /// Starts with the copy on disk. One that cannot be used must not keep the gateway from starting: the API server has
    /// the truth.
    pub(super) async fn restore(&self) {
        let copy = self.copy.clone();
        let read = tokio::task::spawn_blocking(move || match copy.read() {
            Err(StoreError::Damaged { path, source }) => {
                let kept_as =
                    copy.set_aside().map_or_else(|error| error.to_string(), |aside| aside.display().to_string());
                tracing::warn!(file = %path.display(), line = source.line, column = source.column, error = source.what,
                    kept_as, "the copy of the peers is damaged, and not used; the API server's are waited for");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "the copy of the peers cannot be read");
                None
            }
            Ok(set) => set,
        });
        if let Some(set) = read.await.ok().flatten() {
            tracing::info!(generation = %set.generation(), peers = set.len(), zones = set.zones().len(), "peers of the copy on disk are in force until the API server tells");
            self.view.send_modify(|view| view.set = Some(Arc::new(set)));
        }
    }

    /// Follows what is told of peers and zones, for ever.
    pub(super) async fn run(mut self, mut peers: watch::Receiver<Told>, mut zones: watch::Receiver<Told>) {
        loop {
            let told = (peers.borrow_and_update().clone(), zones.borrow_and_update().clone());
            self.take(told.0, told.1).await;
            let changed = tokio::select! {
                changed = peers.changed() => changed,
                changed = zones.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    async fn take(&mut self, peers: Told, zones: Told) {
        let before = self.view.borrow().clone();
        let Some(Judgement { set, refused, refused_zones }) = self.judged(&before, &peers, &zones).await else {
            self.view.send_modify(|view| (view.peers.fault, view.zones.fault) = (peers.fault, zones.fault));
            return;
        };
        let known =
            |told: Told, refused| Known { resources: told.resources, refused: Arc::new(refused), fault: told.fault };
        let (peers, zones) = (known(peers, refused), known(zones, refused_zones));
        peers.report(&before.peers, "peer");
        zones.report(&before.zones, "zone");
        let is_new = before.set.as_deref() != Some(&set);
        let set = match before.set {
            Some(known) if !is_new => known,
            _ => Arc::new(set),
        };
        self.view.send_replace(View { set: Some(Arc::clone(&set)), peers, zones });
        if is_new {
            self.save(set).await;
        }
    }

    /// The verdict on what is told; none while too little is. Peers whose zones are not known yet must not go out without:
    /// every agent would forget its zones. Only who may not know them for good goes on without, or with those of the copy.
    async fn judged(&mut self, before: &View, peers: &Told, zones: &Told) -> Option<Judgement> {
        let (peers, unreadable) = documents(peers.resources.as_deref()?, peer::document);
        let in_force = before.set.as_ref().map(|set| Arc::clone(set.zones()));
        let (zones, unreadable_zones) = match (&zones.resources, &in_force) {
            (Some(told), _) => documents(told, zone::document),
            (None, Some(kept)) => (kept.iter().map(|zone| zone.document().clone()).collect(), Refused::new()),
            (None, None) if zones.fault.as_ref().is_some_and(WatchFault::is_forbidden) => Default::default(),
            (None, None) => return None,
        };
        let mut judgement = self.verdict(peers, zones, in_force.unwrap_or_default()).await?;
        judgement.refused.extend(unreadable);
        judgement.refused_zones.extend(unreadable_zones);
        Some(judgement)
    }

    /// The verdict on these, away from the threads that answer questions; none when the program ends meanwhile.
    async fn verdict(
        &mut self,
        peers: Vec<PeerDocument>,
        zones: Vec<ZoneDocument>,
        known: Arc<ZoneSet>,
    ) -> Option<Judgement> {
        let is_same = |last: &&Judged| last.peers == peers && last.zones == zones;
        if let Some(last) = self.last.as_ref().filter(is_same) {
            return Some(last.judgement.clone());
        }
        let home = self.home.clone();
        let judging = tokio::task::spawn_blocking(move || {
            let judgement = judge(&peers, &home).with_zones(&zones, &home, &known);
            Judged { peers, zones, judgement }
        });
        let judged = self.last.insert(judging.await.ok()?);
        Some(judged.judgement.clone())
    }

    /// Keeps a copy. It is not what makes a change last: that is the API server's.
    async fn save(&self, set: Arc<PeerSet>) {
        let copy = self.copy.clone();
        let saved = tokio::task::spawn_blocking(move || copy.save(&set)).await;
        if let Ok(Err(error)) = saved {
            tracing::warn!(%error, "the peers are in force, but a restart without the API server will not find them");
        }
    }
}

/// What resources want, the oldest first, so that whoever comes later does not push out who was there; and those that
/// cannot be read.
fn documents<T>(
    resources: &BTreeMap<String, Resource>,
    read: impl Fn(&Resource) -> Result<T, String>,
) -> (Vec<T>, Refused) {
    let mut in_order: Vec<&Resource> = resources.values().collect();
    in_order.sort_by_key(|resource| (resource.metadata.created_at(), resource.metadata.name.as_str()));
    let (mut documents, mut unreadable) = (Vec::new(), Refused::new());
    for resource in in_order {
        match read(resource) {
            Ok(document) => documents.push(document),
            Err(message) => {
                unreadable.insert(resource.metadata.name.clone(), Refusal { reason: "BadSpec", message });
            }
        }
    }
    (documents, unreadable)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;
    use std::time::Duration;

    use serde_json::{Value, json};
    use strait_federation::{Directions, NamespacePolicy, PeerRecord};
    use strait_identity::{CertificateAuthority, TrustBundle};

    use super::*;

    pub(in crate::resources) fn home() -> Home {
        let own = "cluster-a.example.com";
        let (suffix, trust_domain) = (own.parse().unwrap(), own.parse().unwrap());
        Home { suffix, trust_domain, home_zone: "cluster.local".parse().unwrap() }
    }

    pub(in crate::resources) fn record(name: &str) -> PeerRecord {
        let suffix = format!("{name}.example.com");
        let authority = CertificateAuthority::create(&suffix.parse().unwrap(), Duration::from_secs(3_600)).unwrap();
        PeerRecord {
            name: name.parse().unwrap(),
            suffix: suffix.parse().unwrap(),
            endpoints: vec!["tls://192.0.2.1:853".parse().unwrap()],
            trust_bundle: TrustBundle::from_pem(authority.certificate_pem(), None).unwrap(),
            directions: Directions::Both,
            namespaces: NamespacePolicy::default(),
            addresses: vec!["10.0.0.0/8".parse().unwrap()],
            changed_at: 5,
        }
    }

    /// The resource of a peer as the API server has it.
    fn resource(peer: &PeerRecord, created: &str) -> Resource {
        let mut written = peer::resource(peer);
        written["metadata"]["creationTimestamp"] = json!(created);
        serde_json::from_value(written).unwrap()
    }

    /// A keeper whose copy is in that folder.
    fn keeper(folder: &Path) -> (Keeper, watch::Receiver<View>) {
        let (view, seen) = watch::channel(View::default());
        (Keeper::new(home(), FileStore::open(folder.join("peers.json")).unwrap(), view), seen)
    }

    fn told(resources: impl IntoIterator<Item = Resource>) -> Told {
        let named = |resource: Resource| (resource.metadata.name.clone(), resource);
        Told { resources: Some(Arc::new(resources.into_iter().map(named).collect())), fault: None }
    }

    fn faulty(fault: &WatchFault) -> Told {
        Told { resources: None, fault: Some(fault.clone()) }
    }

    fn zone(name: &str, created: &str, spec: Value) -> Resource {
        let metadata = json!({ "name": name, "creationTimestamp": created });
        serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
    }

    /// What is in force, peers and then zones.
    fn in_force(view: &View) -> Vec<String> {
        let set = view.set.clone().unwrap_or_default();
        let zones = set.zones().iter().map(|zone| zone.document().name.clone());
        set.iter().map(|peer| peer.name.to_string()).chain(zones).collect()
    }

    const EARLY: &str = "2023-11-14T22:13:20Z";
    const LATE: &str = "2023-11-14T22:13:21Z";

    #[tokio::test]
    async fn of_two_that_exclude_each_other_the_older_is_in_force_whatever_their_names() {
        let (b, c) = (
            record("cluster-b"),
            PeerRecord { suffix: "x.cluster-b.example.com".parse().unwrap(), ..record("cluster-c") },
        );
        let spec = || json!({ "name": "corp.example.com" });
        for (first, second, refused) in [(EARLY, LATE, 1), (LATE, EARLY, 0), (LATE, LATE, 1)] {
            let folder = tempfile::tempdir().unwrap();
            let (mut keeper, seen) = keeper(folder.path());
            let zones = told([zone("zone-b", first, spec()), zone("zone-c", second, spec())]);
            keeper.take(told([resource(&b, first), resource(&c, second)]), zones).await;
            let view = seen.borrow().clone();
            let names = ["cluster-b", "cluster-c", "zone-b", "zone-c"];
            assert_eq!(in_force(&view), [names[1 - refused], names[3 - refused]]);
            assert_eq!(view.peers.refused.keys().collect::<Vec<_>>(), [names[refused]]);
            assert_eq!(view.zones.refused.keys().collect::<Vec<_>>(), [names[2 + refused]]);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_refused_beside_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let (mut keeper, seen) = keeper(folder.path());
        let odd = Resource { spec: json!({ "suffix": [] }), ..resource(&record("odd"), "") };
        let zones = [zone("odd", "", json!({ "name": 7 })), zone("corp", "", json!({ "name": "corp.example.com" }))];
        keeper.take(told([odd, resource(&record("cluster-b"), "")]), told(zones)).await;
        let view = seen.borrow().clone();
        assert_eq!(in_force(&view), ["cluster-b", "corp"]);
        for refused in [&view.peers.refused["odd"], &view.zones.refused["odd"]] {
            assert_eq!(refused.reason, "BadSpec");
            assert!(refused.message.starts_with("spec: invalid type"), "{refused:?}");
        }
    }

    /// Unknown is not absent: agents that are told peers without zones forget their zones.
    #[tokio::test]
    async fn peers_do_not_go_out_before_their_zones_are_known() {
        let unreachable = WatchFault::Unreachable("refused".to_owned());
        let forbidden = WatchFault::Forbidden { verb: "list", resource: "zones", group: "strait.dev" };
        let folder = tempfile::tempdir().unwrap();
        let peer = resource(&record("cluster-b"), "");
        let peers = || told([peer.clone()]);
        let (mut first, seen) = keeper(folder.path());
        for zones in [Told::default(), faulty(&unreachable)] {
            first.take(peers(), zones).await;
            assert!(seen.borrow().set.is_none());
        }
        assert_eq!(seen.borrow().state().zones_fault, Some(unreachable.clone()));
        first.take(peers(), told([zone("corp", "", json!({ "name": "corp.example.com" }))])).await;
        assert_eq!(in_force(&seen.borrow()), ["cluster-b", "corp"]);
        drop(first);
        // Those of the copy stay until it is known better.
        let (mut second, seen) = keeper(folder.path());
        second.restore().await;
        for zones in [Told::default(), faulty(&unreachable), faulty(&forbidden)] {
            second.take(peers(), zones).await;
            assert_eq!(in_force(&seen.borrow()), ["cluster-b", "corp"]);
        }
        let state = seen.borrow().state();
        assert!(state.to_string().starts_with("the peers are current; zones are in force as they were: "), "{state}");
        second.take(peers(), told([])).await;
        assert_eq!(in_force(&seen.borrow()), ["cluster-b"]);
        // Who may never know goes on.
        let folder = tempfile::tempdir().unwrap();
        let (mut third, seen) = keeper(folder.path());
        third.take(peers(), faulty(&forbidden)).await;
        assert_eq!(in_force(&seen.borrow()), ["cluster-b"]);
        third.take(faulty(&unreachable), faulty(&unreachable)).await;
        let state = seen.borrow().state();
        assert_eq!(state.to_string().matches("cannot be reached").count(), 1, "{state}");
    }

    #[tokio::test]
    async fn what_is_wanted_as_before_is_not_judged_again() {
        let folder = tempfile::tempdir().unwrap();
        let (mut keeper, seen) = keeper(folder.path());
        let corp = zone("corp", "", json!({ "name": "corp.example.com" }));
        let peer = resource(&record("cluster-b"), "");
        keeper.take(told([peer.clone()]), told([corp.clone()])).await;
        let before = seen.borrow().set.clone().unwrap();
        // A verdict that nobody else would give shows whose it is.
        let mark = Refusal { reason: "Mark", message: String::new() };
        keeper.last.as_mut().unwrap().judgement.refused_zones.insert("mark".to_owned(), mark);
        let scribbled = Resource { status: json!({ "records": 1 }), ..corp };
        keeper.take(told([peer.clone()]), told([scribbled])).await;
        assert!(seen.borrow().zones.refused.contains_key("mark"));
        assert!(Arc::ptr_eq(seen.borrow().set.as_ref().unwrap(), &before));
        keeper.take(told([peer]), told([zone("corp", "", json!({ "name": "corp.example.net" }))])).await;
        assert!(!seen.borrow().zones.refused.contains_key("mark"));
        assert_ne!(seen.borrow().set.as_ref().unwrap().generation(), before.generation());
    }
}
