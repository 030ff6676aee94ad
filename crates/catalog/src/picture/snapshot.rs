//! A picture as it is kept: its objects, shared, and a picture of them again.

use std::sync::Arc;
use std::time::SystemTime;

use super::Picture;
use crate::{CatalogSettings, EndpointSlice, Kind, Label, Pod, Service, ServiceExport, SetState};

/// Everything that a picture holds, as it is kept on disk.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The kinds that it holds whole; what it lacks of others may exist.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) namespaces: Vec<Label>,
    pub(crate) services: Vec<Arc<Service>>,
    pub(crate) slices: Vec<Arc<EndpointSlice>>,
    pub(crate) pods: Vec<Arc<Pod>>,
    /// How much is known of what clusters share.
    pub(crate) set: SetState,
    pub(crate) exports: Vec<ServiceExport>,
    pub(crate) imports: Vec<Arc<Service>>,
}

impl Picture {
    /// A picture of what was current at that time: it is told, as stale, until every kind has been listed; but not before
    /// those have been that were not saved.
    pub fn restored(settings: CatalogSettings, snapshot: Snapshot, saved: SystemTime) -> Self {
        let mut picture = Self::new(settings);
        snapshot.namespaces.iter().for_each(|name| picture.set_namespace(name, true));
        snapshot.services.into_iter().for_each(|service| picture.apply_service(service));
        snapshot.slices.into_iter().for_each(|slice| picture.apply_slice(slice));
        snapshot.pods.into_iter().for_each(|pod| picture.apply_pod(pod));
        picture.restore_set(snapshot.set, snapshot.exports, snapshot.imports);
        picture.restored = snapshot.kinds;
        picture.restored_of = saved;
        picture.note_synced();
        picture
    }

    /// Everything it holds: to be written by whoever may wait for a disk.
    pub fn snapshot(&self) -> Snapshot {
        let told = self.namespaces.iter().filter(|(_, namespace)| namespace.is_told);
        let needed = self.next.settings().kinds().iter().copied();
        Snapshot {
            kinds: needed.filter(|kind| self.is_known(*kind)).collect(),
            namespaces: told.map(|(name, _)| name.clone()).collect(),
            services: self.services.values().filter_map(|known| known.service.clone()).collect(),
            slices: self.slices.iter().cloned().collect(),
            pods: self.pods.iter().cloned().collect(),
            set: self.next.set_state(),
            exports: self.exports(),
            imports: self.imports(),
        }
    }
}
