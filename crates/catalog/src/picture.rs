//! The picture: what the API has told so far, mutable, owned by one task.
//!
//! It keeps slices that have no service (yet, or any more), notes which services are touched by a change, and makes
//! the next catalog by looking at these alone.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::SystemTime;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::service::{ServiceId, ServiceView};
use crate::{
    Catalog, CatalogSettings, Change, EndpointSlice, Key, Kind, Label, Object, Pod, PodMode, Service, SyncState,
};

/// What the API has told so far.
pub struct Picture {
    services: HashMap<ServiceId, Known, RandomState>,
    namespaces: HashMap<Label, Namespace, RandomState>,
    slices: HashTable<Arc<EndpointSlice>>,
    pods: HashTable<Arc<Pod>>,
    hasher: RandomState,
    /// Services whose part of the catalog must be made anew.
    touched: HashSet<ServiceId, RandomState>,
    /// Whether the catalog published last is not up to date.
    is_dirty: bool,
    /// Kinds that have been listed whole.
    listed: Vec<Kind>,
    /// Of these, the kinds whose changes do not come any more.
    lost: Vec<Kind>,
    /// The catalog to be published next; `touched` is still missing in it.
    next: Catalog,
    published: Arc<Catalog>,
}

/// What is known of a service: itself, its slices in the order of their names, or both.
#[derive(Default)]
struct Known {
    service: Option<Arc<Service>>,
    slices: Vec<Arc<EndpointSlice>>,
}

/// Why a namespace counts as there: it has been told of, or services lie in it.
#[derive(Default)]
struct Namespace {
    is_told: bool,
    services: usize,
}

/// Everything that a picture holds, as it is kept on disk.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub(crate) namespaces: Vec<Label>,
    pub(crate) services: Vec<Arc<Service>>,
    pub(crate) slices: Vec<Arc<EndpointSlice>>,
    pub(crate) pods: Vec<Arc<Pod>>,
}

impl Picture {
    /// An empty picture.
    pub fn new(settings: CatalogSettings) -> Self {
        let next = Catalog::new(settings);
        Self {
            services: HashMap::default(),
            namespaces: HashMap::default(),
            slices: HashTable::new(),
            pods: HashTable::new(),
            hasher: RandomState::default(),
            touched: HashSet::default(),
            is_dirty: false,
            listed: Vec::new(),
            lost: Vec::new(),
            published: Arc::new(next.clone()),
            next,
        }
    }

    /// A picture of what was saved at that time: it is told, as stale, until every kind has been listed.
    pub fn restored(settings: CatalogSettings, snapshot: Snapshot, saved: SystemTime) -> Self {
        let mut picture = Self::new(settings);
        snapshot.namespaces.iter().for_each(|name| picture.set_namespace(name, true));
        snapshot.services.into_iter().for_each(|service| picture.apply_service(service));
        snapshot.slices.into_iter().for_each(|slice| picture.apply_slice(slice));
        snapshot.pods.into_iter().for_each(|pod| picture.apply_pod(pod));
        picture.set_sync(SyncState::Stale { since: saved });
        picture
    }

    /// Takes a change in. What is told twice changes nothing.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Apply(object) => self.apply_object(object),
            Change::Delete(kind, key) => self.delete(kind, &key),
            Change::Replace(kind, mut objects) => {
                objects.retain(|object| object.kind() == kind);
                let named: HashSet<Key> = objects.iter().map(Object::key).collect();
                let gone = self.keys(kind).into_iter().filter(|key| !named.contains(key));
                gone.collect::<Vec<_>>().iter().for_each(|key| self.delete(kind, key));
                objects.into_iter().for_each(|object| self.apply_object(object));
                self.note_listed(kind);
            }
        }
    }

    /// Whether the catalog published last is not up to date.
    pub fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// How much is known.
    pub fn sync(&self) -> SyncState {
        self.next.sync()
    }

    /// The kinds that are not up to date, of those that are needed: not listed yet, or lost since.
    pub fn missing(&self) -> impl Iterator<Item = Kind> {
        let needed = self.next.settings().kinds().iter().copied();
        needed.filter(|kind| !self.listed.contains(kind) || self.lost.contains(kind))
    }

    /// Changes of that kind do not come any more, since that time. What is known is told on, as stale.
    pub fn lose(&mut self, kind: Kind, since: SystemTime) {
        if !self.lost.contains(&kind) {
            self.lost.push(kind);
        }
        if matches!(self.sync(), SyncState::Synced { .. }) && self.missing().next().is_some() {
            self.set_sync(SyncState::Stale { since });
        }
    }

    /// Changes of that kind come again, from where they ended. (After a gap there must be a list.)
    pub fn resume(&mut self, kind: Kind) {
        self.lost.retain(|lost| *lost != kind);
        self.note_synced();
    }

    /// The catalog of what is known now. It costs what has changed since the last one; the last one when nothing has.
    pub fn publish(&mut self) -> Arc<Catalog> {
        if std::mem::take(&mut self.is_dirty) {
            let ttl = self.next.settings().ttl;
            for id in std::mem::take(&mut self.touched) {
                let known = self.services.get(&id);
                let service = known.and_then(|known| Some((known.service.as_ref()?, &known.slices)));
                let view = service
                    .map(|(service, slices)| Arc::new(ServiceView::new(id.clone(), Arc::clone(service), slices, ttl)));
                self.next.set_service(&id, view);
            }
            self.next.set_changed(SystemTime::now());
            self.published = Arc::new(self.next.clone());
        }
        Arc::clone(&self.published)
    }

    /// Everything it holds: to be written by whoever may wait for a disk.
    pub fn snapshot(&self) -> Snapshot {
        let told = self.namespaces.iter().filter(|(_, namespace)| namespace.is_told);
        Snapshot {
            namespaces: told.map(|(name, _)| name.clone()).collect(),
            services: self.services.values().filter_map(|known| known.service.clone()).collect(),
            slices: self.slices.iter().cloned().collect(),
            pods: self.pods.iter().cloned().collect(),
        }
    }

    fn apply_object(&mut self, object: Object) {
        match object {
            Object::Namespace(name) => self.set_namespace(&name, true),
            Object::Service(service) => self.apply_service(Arc::new(service)),
            Object::Endpoints(slice) => self.apply_slice(Arc::new(slice)),
            Object::Pod(pod) => self.apply_pod(Arc::new(pod)),
        }
    }

    fn delete(&mut self, kind: Kind, key: &Key) {
        match kind {
            Kind::Namespace => {
                if let Some(name) = Label::new(&key.name) {
                    self.set_namespace(&name, false);
                }
            }
            Kind::Service => self.delete_service(key),
            Kind::Endpoints => self.delete_slice(key),
            Kind::Pod => self.delete_pod(key),
        }
    }

    /// What there is of a kind.
    fn keys(&self, kind: Kind) -> Vec<Key> {
        match kind {
            Kind::Namespace => {
                let told = self.namespaces.iter().filter(|(_, namespace)| namespace.is_told);
                told.map(|(name, _)| Key::new("", name.as_str())).collect()
            }
            Kind::Service => {
                let services = self.services.values().filter_map(|known| known.service.as_ref());
                services.map(|service| Key::new(service.namespace.as_str(), service.name.as_str())).collect()
            }
            Kind::Endpoints => {
                self.slices.iter().map(|slice| Key::new(slice.namespace.as_str(), &slice.name)).collect()
            }
            Kind::Pod => self.pods.iter().map(|pod| Key::new(pod.namespace.as_str(), &pod.name)).collect(),
        }
    }

    fn note_listed(&mut self, kind: Kind) {
        if !self.listed.contains(&kind) {
            self.listed.push(kind);
        }
        self.resume(kind);
    }

    fn note_synced(&mut self) {
        if self.missing().next().is_none() && !matches!(self.sync(), SyncState::Synced { .. }) {
            self.set_sync(SyncState::Synced { since: SystemTime::now() });
        }
    }

    fn set_sync(&mut self, sync: SyncState) {
        self.next.set_sync(sync);
        self.is_dirty = true;
    }

    fn apply_service(&mut self, service: Arc<Service>) {
        let id = ServiceId::new(&service.namespace, &service.name);
        let known = self.services.entry(id.clone()).or_default();
        if known.service.as_ref() == Some(&service) {
            return;
        }
        let namespace = service.namespace.clone();
        if known.service.replace(service).is_none() {
            self.change_namespace(&namespace, |namespace| namespace.services += 1);
        }
        self.touch(id);
    }

    fn delete_service(&mut self, key: &Key) {
        let Some(id) = id_of(key) else { return };
        let Some(service) = self.services.get_mut(&id).and_then(|known| known.service.take()) else { return };
        self.change_namespace(&service.namespace, |namespace| namespace.services -= 1);
        self.touch(id);
    }

    fn apply_slice(&mut self, slice: Arc<EndpointSlice>) {
        let id = ServiceId::new(&slice.namespace, &slice.service);
        let hash = self.hash(slice.namespace.as_str(), &slice.name);
        let is = |there: &Arc<EndpointSlice>| there.namespace == slice.namespace && there.name == slice.name;
        match self.slices.find_mut(hash, is) {
            Some(there) if *there == slice => return,
            Some(there) => {
                let before = std::mem::replace(there, Arc::clone(&slice));
                self.let_go(&before);
            }
            None => {
                let hasher = &self.hasher;
                let hash_of = |slice: &Arc<EndpointSlice>| hasher.hash_one((slice.namespace.as_str(), &*slice.name));
                self.slices.insert_unique(hash, Arc::clone(&slice), hash_of);
            }
        }
        let slices = &mut self.services.entry(id.clone()).or_default().slices;
        let at = slices.partition_point(|other| other.name < slice.name);
        slices.insert(at, slice);
        self.touch(id);
    }

    fn delete_slice(&mut self, key: &Key) {
        let hash = self.hash(&key.namespace, &key.name);
        let is = |slice: &Arc<EndpointSlice>| slice.namespace.as_str() == &*key.namespace && slice.name == key.name;
        let Ok(entry) = self.slices.find_entry(hash, is) else { return };
        let (slice, _) = entry.remove();
        self.let_go(&slice);
    }

    /// Takes a slice away from its service.
    fn let_go(&mut self, slice: &Arc<EndpointSlice>) {
        let id = ServiceId::new(&slice.namespace, &slice.service);
        if let Some(known) = self.services.get_mut(&id) {
            known.slices.retain(|other| other.name != slice.name);
        }
        self.touch(id);
    }

    fn apply_pod(&mut self, pod: Arc<Pod>) {
        if self.next.settings().pods != PodMode::Verified {
            return;
        }
        let hash = self.hash(pod.namespace.as_str(), &pod.name);
        let is = |there: &Arc<Pod>| there.namespace == pod.namespace && there.name == pod.name;
        match self.pods.find_mut(hash, is) {
            Some(there) if *there == pod => return,
            Some(there) => {
                self.next.remove_pod(&there.namespace, &there.addresses);
                *there = Arc::clone(&pod);
            }
            None => {
                let hasher = &self.hasher;
                let hash_of = |pod: &Arc<Pod>| hasher.hash_one((pod.namespace.as_str(), &*pod.name));
                self.pods.insert_unique(hash, Arc::clone(&pod), hash_of);
            }
        }
        self.next.add_pod(&pod.namespace, &pod.addresses);
        self.is_dirty = true;
    }

    fn delete_pod(&mut self, key: &Key) {
        let hash = self.hash(&key.namespace, &key.name);
        let is = |pod: &Arc<Pod>| pod.namespace.as_str() == &*key.namespace && pod.name == key.name;
        let Ok(entry) = self.pods.find_entry(hash, is) else { return };
        let (pod, _) = entry.remove();
        self.next.remove_pod(&pod.namespace, &pod.addresses);
        self.is_dirty = true;
    }

    fn set_namespace(&mut self, name: &Label, is_told: bool) {
        self.change_namespace(name, |namespace| namespace.is_told = is_told);
    }

    fn change_namespace(&mut self, name: &Label, change: impl FnOnce(&mut Namespace)) {
        let is_there = |namespace: &Namespace| namespace.is_told || namespace.services > 0;
        let namespace = self.namespaces.entry(name.clone()).or_default();
        let before = is_there(namespace);
        change(namespace);
        let after = is_there(namespace);
        if !after {
            self.namespaces.remove(name);
        }
        if before != after {
            self.next.set_namespace(name, after);
            self.is_dirty = true;
        }
    }

    fn touch(&mut self, id: ServiceId) {
        if self.services.get(&id).is_some_and(|known| known.service.is_none() && known.slices.is_empty()) {
            self.services.remove(&id);
        }
        self.touched.insert(id);
        self.is_dirty = true;
    }

    fn hash(&self, namespace: &str, name: &str) -> u64 {
        self.hasher.hash_one((namespace, name))
    }
}

/// The service that a key means; none when it is no service's.
fn id_of(key: &Key) -> Option<ServiceId> {
    Some(ServiceId::new(&Label::new(&key.namespace)?, &Label::new(&key.name)?))
}
