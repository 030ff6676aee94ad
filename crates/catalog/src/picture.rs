//! The picture: what the API has told so far, mutable, owned by one task.
//!
//! It keeps slices that have no service (yet, or any more), notes which services are touched by a change, and makes
//! the next catalog by looking at these alone.

mod set;
mod snapshot;
mod table;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use foldhash::fast::RandomState;
use set::KnownSet;
pub(crate) use set::SET_KINDS;
pub use snapshot::Snapshot;
use table::{Put, Table};

use crate::service::{ServiceId, ServiceView};
use crate::{
    Catalog, CatalogSettings, Change, EndpointSlice, Key, Kind, Label, Object, Pod, PodMode, Service, SyncState,
};

/// What the API has told so far.
pub struct Picture {
    services: HashMap<ServiceId, Known, RandomState>,
    namespaces: HashMap<Label, Namespace, RandomState>,
    slices: Table<EndpointSlice>,
    pods: Table<Pod>,
    /// Services whose part of the catalog must be made anew.
    touched: HashSet<ServiceId, RandomState>,
    /// Whether the catalog published last is not up to date.
    is_dirty: bool,
    /// Kinds that have been listed whole.
    listed: Vec<Kind>,
    /// Kinds whose changes do not come any more.
    lost: Vec<Kind>,
    /// Kinds that were saved whole, and the time of which they tell.
    restored: Vec<Kind>,
    restored_of: SystemTime,
    /// Kinds that the API does not have.
    absent: Vec<Kind>,
    /// The catalog to be published next; `touched` is still missing in it.
    next: Catalog,
    published: Arc<Catalog>,
}

/// What is known of a service: itself, its slices in the order of their names, or both.
#[derive(Default)]
struct Known {
    service: Option<Arc<Service>>,
    slices: Vec<Arc<EndpointSlice>>,
    /// What it is among the clusters of the set; few services are anything there.
    set: Option<Box<KnownSet>>,
}

impl Known {
    fn is_empty(&self) -> bool {
        self.service.is_none() && self.slices.is_empty() && self.set.is_none()
    }
}

/// Why a namespace counts as there: it has been told of, or services lie in it.
#[derive(Default)]
struct Namespace {
    is_told: bool,
    services: usize,
}

impl Picture {
    /// An empty picture.
    pub fn new(settings: CatalogSettings) -> Self {
        let next = Catalog::new(settings);
        Self {
            services: HashMap::default(),
            namespaces: HashMap::default(),
            slices: Table::default(),
            pods: Table::default(),
            touched: HashSet::default(),
            is_dirty: false,
            listed: Vec::new(),
            lost: Vec::new(),
            restored: Vec::new(),
            restored_of: SystemTime::UNIX_EPOCH,
            absent: Vec::new(),
            published: Arc::new(next.clone()),
            next,
        }
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
            Change::Absent(kind) => {
                self.keys(kind).iter().for_each(|key| self.delete(kind, key));
                self.note_absent(kind);
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

    /// What is told has not been known to be current for longer than it may be; or it is again.
    pub(crate) fn set_stale(&mut self, is_stale: bool) {
        if self.next.is_stale() != is_stale {
            self.next.set_stale(is_stale);
            self.is_dirty = true;
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
                let shared = known.and_then(|known| known.set.as_ref()?.view(&id, view.as_ref(), ttl));
                self.next.set_shared(&id, shared);
                self.next.set_service(&id, view);
            }
            self.next.set_changed(SystemTime::now());
            self.published = Arc::new(self.next.clone());
        }
        Arc::clone(&self.published)
    }

    fn apply_object(&mut self, object: Object) {
        match object {
            Object::Namespace(name) => self.set_namespace(&name, true),
            Object::Service(service) => self.apply_service(Arc::new(service)),
            Object::Endpoints(slice) => self.apply_slice(Arc::new(slice)),
            Object::Pod(pod) => self.apply_pod(Arc::new(pod)),
            Object::Export(export) => self.set_exported(ServiceId::new(&export.namespace, &export.name), true),
            Object::Import(import) => {
                self.set_import(ServiceId::new(&import.namespace, &import.name), Some(Arc::new(import)));
            }
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
            Kind::Export => id_of(key).into_iter().for_each(|id| self.set_exported(id, false)),
            Kind::Import => id_of(key).into_iter().for_each(|id| self.set_import(id, None)),
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
            Kind::Endpoints => self.slices.keys(),
            Kind::Pod => self.pods.keys(),
            Kind::Export => self.set_keys(|set| set.is_exported),
            Kind::Import => self.set_keys(|set| set.import.is_some()),
        }
    }

    fn note_listed(&mut self, kind: Kind) {
        if !self.listed.contains(&kind) {
            self.listed.push(kind);
        }
        self.absent.retain(|absent| *absent != kind);
        self.resume(kind);
        self.note_set();
    }

    fn note_synced(&mut self) {
        let is_whole = || self.next.settings().kinds().iter().all(|kind| self.is_known(*kind));
        match self.sync() {
            SyncState::Synced { .. } => {}
            _ if self.missing().next().is_none() => self.set_sync(SyncState::Synced { since: SystemTime::now() }),
            SyncState::Waiting if is_whole() => self.set_sync(SyncState::Stale { since: self.restored_of }),
            SyncState::Waiting | SyncState::Stale { .. } => {}
        }
    }

    /// Whether what it lacks of a kind was not there, be it now or when it was saved.
    fn is_known(&self, kind: Kind) -> bool {
        self.listed.contains(&kind) || self.restored.contains(&kind)
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
        match self.slices.put(&slice) {
            Put::Nothing => return,
            Put::New => {}
            Put::InPlaceOf(before) => self.let_go(&before),
        }
        if let Some(service) = &slice.service {
            let id = ServiceId::new(&slice.namespace, service);
            insert(&mut self.services.entry(id.clone()).or_default().slices, &slice);
            self.touch(id);
        }
        self.apply_imported(&slice);
    }

    fn delete_slice(&mut self, key: &Key) {
        if let Some(slice) = self.slices.remove(key) {
            self.let_go(&slice);
        }
    }

    /// Takes a slice away from its service.
    fn let_go(&mut self, slice: &Arc<EndpointSlice>) {
        if let Some(service) = &slice.service {
            let id = ServiceId::new(&slice.namespace, service);
            if let Some(known) = self.services.get_mut(&id) {
                known.slices.retain(|other| other.name != slice.name);
            }
            self.touch(id);
        }
        self.let_imported_go(slice);
    }

    fn apply_pod(&mut self, pod: Arc<Pod>) {
        if self.next.settings().pods != PodMode::Verified {
            return;
        }
        match self.pods.put(&pod) {
            Put::Nothing => return,
            Put::New => {}
            Put::InPlaceOf(before) => self.next.remove_pod(&before.namespace, &before.addresses),
        }
        self.next.add_pod(&pod.namespace, &pod.addresses);
        self.is_dirty = true;
    }

    fn delete_pod(&mut self, key: &Key) {
        if let Some(pod) = self.pods.remove(key) {
            self.next.remove_pod(&pod.namespace, &pod.addresses);
            self.is_dirty = true;
        }
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
        if self.services.get(&id).is_some_and(|known| known.is_empty()) {
            self.services.remove(&id);
        }
        self.touched.insert(id);
        self.is_dirty = true;
    }
}

/// Puts a slice among others, in the order of their names.
fn insert(slices: &mut Vec<Arc<EndpointSlice>>, slice: &Arc<EndpointSlice>) {
    let at = slices.partition_point(|other| other.name < slice.name);
    slices.insert(at, Arc::clone(slice));
}

/// The service that a key means; none when it is no service's.
fn id_of(key: &Key) -> Option<ServiceId> {
    Some(ServiceId::new(&Label::new(&key.namespace)?, &Label::new(&key.name)?))
}
