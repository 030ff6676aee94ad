//! The catalog: what a cluster has at one moment, immutable.
//!
//! A catalog is a handful of tables that share with the one before what has not changed (`shards.rs`). Names and zones
//! are not its concern: `lookup.rs` reads them out of it, `source.rs` puts them under a zone.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use foldhash::fast::RandomState;

use crate::cluster_set::SharedView;
use crate::picture::SET_KINDS;
use crate::pods::PodMode;
use crate::service::{ServiceId, ServiceView};
use crate::shards::Shards;
use crate::{Kind, Label};

/// How the catalog tells what it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogSettings {
    /// The TTL of every record, in seconds.
    pub ttl: u32,
    /// Which names pods have.
    pub pods: PodMode,
}

impl Default for CatalogSettings {
    fn default() -> Self {
        Self { ttl: 5, pods: PodMode::Off }
    }
}

impl CatalogSettings {
    /// The kinds that must be known before anything is told.
    pub fn kinds(&self) -> &'static [Kind] {
        match self.pods {
            PodMode::Verified => &[Kind::Namespace, Kind::Service, Kind::Endpoints, Kind::Pod],
            PodMode::Off | PodMode::Insecure => &[Kind::Namespace, Kind::Service, Kind::Endpoints],
        }
    }
}

/// How much the catalog knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncState {
    /// Not every kind has been listed yet: nothing is told.
    Waiting,
    /// What is told is as old as that: it was on disk, or changes have ceased to come.
    Stale {
        /// When it was saved, or when changes ceased to come.
        since: SystemTime,
    },
    /// Every kind has been listed, and its changes come.
    Synced {
        /// Since when.
        since: SystemTime,
    },
}

/// How much is known of what clusters share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SetState {
    /// Nothing yet: nothing is told.
    #[default]
    Waiting,
    /// The API has neither exports nor imports: this cluster shares nothing with others.
    Off,
    /// Exports and imports have been listed.
    On,
}

/// An address that leads back to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    address: IpAddr,
    service: ServiceId,
}

/// An address that a pod has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PodPlace {
    address: IpAddr,
    namespace: Label,
}

/// What a cluster has at one moment.
#[derive(Debug, Clone)]
pub struct Catalog {
    settings: CatalogSettings,
    hasher: RandomState,
    services: Shards<Arc<ServiceView>>,
    shared: Shards<Arc<SharedView>>,
    set: SetState,
    namespaces: Shards<Label>,
    owners: Shards<Owner>,
    pods: Shards<PodPlace>,
    sync: SyncState,
    is_stale: bool,
    changed: Option<SystemTime>,
}

impl Catalog {
    /// A catalog that knows nothing yet.
    pub fn new(settings: CatalogSettings) -> Self {
        Self {
            settings,
            hasher: RandomState::default(),
            services: Shards::default(),
            shared: Shards::default(),
            set: SetState::default(),
            namespaces: Shards::default(),
            owners: Shards::default(),
            pods: Shards::default(),
            sync: SyncState::Waiting,
            is_stale: false,
            changed: None,
        }
    }

    /// How it tells what it knows.
    pub fn settings(&self) -> CatalogSettings {
        self.settings
    }

    /// How much it knows.
    pub fn sync(&self) -> SyncState {
        self.sync
    }

    /// Whether what it tells has not been known to be current for longer than it may be.
    pub fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// How much it knows of what clusters share.
    pub fn set_state(&self) -> SetState {
        self.set
    }

    /// How many services it shares with other clusters, those that only others have included.
    pub fn shared_services(&self) -> usize {
        self.shared.len()
    }

    /// Whether it may be asked: what is not known yet is not absent.
    pub fn may_tell(&self) -> bool {
        self.sync != SyncState::Waiting
    }

    /// When something in it changed last; none when nothing has been told yet.
    pub fn changed(&self) -> Option<SystemTime> {
        self.changed
    }

    /// How many services it has.
    pub fn services(&self) -> usize {
        self.services.len()
    }

    /// How many endpoints these have, ready or not.
    pub fn endpoints(&self) -> usize {
        let slices = self.services.iter().flat_map(|view| view.slices());
        slices.map(|slice| slice.endpoints.len()).sum()
    }

    /// How many objects it has of each kind that it needs; of pods the addresses.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (Kind, usize)> {
        let count = |kind| match kind {
            Kind::Namespace => self.namespaces.len(),
            Kind::Service => self.services.len(),
            Kind::Endpoints => self.services.iter().map(|view| view.slices().len()).sum(),
            Kind::Pod => self.pods.len(),
            Kind::Export => self.shared.iter().filter(|view| view.is_exported()).count(),
            Kind::Import => self.shared.iter().filter(|view| view.is_imported()).count(),
        };
        let set = SET_KINDS.iter().filter(|_| self.set != SetState::Waiting);
        self.settings.kinds().iter().chain(set).map(move |kind| (*kind, count(*kind)))
    }

    /// The service that two labels name: its name and its namespace as they stand in a question, in lower case.
    pub(crate) fn service(&self, wire: &[u8]) -> Option<&ServiceView> {
        self.services.find(self.hasher.hash_one(wire), |view| view.id().as_wire() == wire).map(|view| &**view)
    }

    /// What that service is among the clusters of the set; the two labels as for [`Catalog::service`].
    pub(crate) fn shared(&self, wire: &[u8]) -> Option<&SharedView> {
        self.shared.find(self.hasher.hash_one(wire), |view| view.id().as_wire() == wire).map(|view| &**view)
    }

    /// Whether there is a namespace of that name, a label in lower case.
    pub(crate) fn has_namespace(&self, label: &[u8]) -> bool {
        self.namespaces.find(self.hasher.hash_one(label), |name| name.is(label)).is_some()
    }

    /// Whether a pod in that namespace has that address.
    pub(crate) fn has_pod(&self, namespace: &[u8], address: IpAddr) -> bool {
        let is = |place: &PodPlace| place.address == address && place.namespace.is(namespace);
        self.pods.find(self.hasher.hash_one(address), is).is_some()
    }

    /// The services that an address leads back to.
    pub(crate) fn owners(&self, address: IpAddr) -> impl Iterator<Item = &ServiceView> {
        let owners = self.owners.find_all(self.hasher.hash_one(address), move |owner| owner.address == address);
        owners.filter_map(|owner| self.service(owner.service.as_wire()))
    }

    /// Puts a service in its place, or removes it; the addresses that lead back to it follow.
    pub(crate) fn set_service(&mut self, id: &ServiceId, view: Option<Arc<ServiceView>>) {
        let addresses = |view: Option<&ServiceView>| view.map(ServiceView::reverse_addresses).unwrap_or_default();
        let before = addresses(self.service(id.as_wire()));
        let after = addresses(view.as_deref());
        let hasher = &self.hasher;
        for address in only_in(&before, &after) {
            let is = |owner: &Owner| owner.address == *address && owner.service == *id;
            self.owners.remove(hasher.hash_one(address), is);
        }
        for address in only_in(&after, &before) {
            let owner = Owner { address: *address, service: id.clone() };
            self.owners.add(hasher.hash_one(address), owner, |owner| hasher.hash_one(owner.address));
        }
        let hash = hasher.hash_one(id.as_wire());
        let is = |there: &Arc<ServiceView>| there.id() == id;
        match view {
            Some(view) => self.services.put(hash, is, view, |view| hasher.hash_one(view.id().as_wire())),
            None => self.services.remove(hash, is),
        }
    }

    /// Puts what a service is among the clusters in its place, or removes it.
    pub(crate) fn set_shared(&mut self, id: &ServiceId, view: Option<Arc<SharedView>>) {
        let hasher = &self.hasher;
        let hash = hasher.hash_one(id.as_wire());
        let is = |there: &Arc<SharedView>| there.id() == id;
        match view {
            Some(view) => self.shared.put(hash, is, view, |view| hasher.hash_one(view.id().as_wire())),
            None => self.shared.remove(hash, is),
        }
    }

    pub(crate) fn set_set_state(&mut self, set: SetState) {
        self.set = set;
    }

    /// Adds or removes a namespace.
    pub(crate) fn set_namespace(&mut self, name: &Label, is_there: bool) {
        let hasher = &self.hasher;
        let hash_of = |name: &Label| hasher.hash_one(name.as_str().as_bytes());
        match (is_there, self.namespaces.find(hash_of(name), |there| there == name).is_some()) {
            (true, false) => self.namespaces.add(hash_of(name), name.clone(), hash_of),
            (false, true) => self.namespaces.remove(hash_of(name), |there| there == name),
            _ => {}
        }
    }

    /// Adds the addresses of a pod. Pods may share one: those on a node's network.
    pub(crate) fn add_pod(&mut self, namespace: &Label, addresses: &[IpAddr]) {
        let hasher = &self.hasher;
        for address in addresses {
            let place = PodPlace { address: *address, namespace: namespace.clone() };
            self.pods.add(hasher.hash_one(address), place, |place| hasher.hash_one(place.address));
        }
    }

    /// Removes the addresses of one pod.
    pub(crate) fn remove_pod(&mut self, namespace: &Label, addresses: &[IpAddr]) {
        for address in addresses {
            let is = |place: &PodPlace| place.address == *address && place.namespace == *namespace;
            self.pods.remove(self.hasher.hash_one(address), is);
        }
    }

    pub(crate) fn set_sync(&mut self, sync: SyncState) {
        self.sync = sync;
    }

    pub(crate) fn set_stale(&mut self, is_stale: bool) {
        self.is_stale = is_stale;
    }

    pub(crate) fn set_changed(&mut self, at: SystemTime) {
        self.changed = Some(at);
    }
}

#[cfg(test)]
impl Catalog {
    /// How many parts of its tables are not the very same in `other`: of services, namespaces, addresses, pods.
    pub(crate) fn differing(&self, other: &Self) -> [usize; 4] {
        [
            self.services.differing(&other.services),
            self.namespaces.differing(&other.namespaces),
            self.owners.differing(&other.owners),
            self.pods.differing(&other.pods),
        ]
    }

    /// How many entries its tables have: services, namespaces, addresses, pods.
    pub(crate) fn entries(&self) -> [usize; 4] {
        [self.services.len(), self.namespaces.len(), self.owners.len(), self.pods.len()]
    }
}

/// What is in `these` and not in `those`, both in order.
fn only_in<'a>(these: &'a [IpAddr], those: &'a [IpAddr]) -> impl Iterator<Item = &'a IpAddr> {
    these.iter().filter(|address| those.binary_search(address).is_err())
}
