//! What is known of the services that clusters share: exports, imports, and the endpoints of imports.

use std::sync::Arc;

use super::{Picture, insert};
use crate::cluster_set::SharedView;
use crate::service::{ServiceId, ServiceView};
use crate::{EndpointSlice, Key, Kind, Label, Service, ServiceExport, SetState};

/// The kinds that say what clusters share. The API need not have them.
pub(crate) const SET_KINDS: [Kind; 2] = [Kind::Export, Kind::Import];

/// What is known of one service.
#[derive(Default)]
pub(super) struct KnownSet {
    pub(super) is_exported: bool,
    pub(super) import: Option<Arc<Service>>,
    /// The slices of the import, in the order of their names.
    slices: Vec<Arc<EndpointSlice>>,
}

impl KnownSet {
    /// What the catalog tells of it; `own` is the service here.
    pub(super) fn view(&self, id: &ServiceId, own: Option<&Arc<ServiceView>>, ttl: u32) -> Option<Arc<SharedView>> {
        // A service that is another name is not shared (KEP-1645, "ExternalName services").
        let exported = own.filter(|view| self.is_exported && view.alias().is_none()).map(Arc::clone);
        let imported = self
            .import
            .as_ref()
            .map(|import| Arc::new(ServiceView::new(id.clone(), Arc::clone(import), &self.slices, ttl)));
        SharedView::new(id.clone(), exported, imported).map(Arc::new)
    }

    fn is_empty(&self) -> bool {
        !self.is_exported && self.import.is_none() && self.slices.is_empty()
    }
}

impl Picture {
    pub(super) fn set_exported(&mut self, id: ServiceId, is_exported: bool) {
        self.change_set(id, |set| std::mem::replace(&mut set.is_exported, is_exported) != is_exported);
    }

    pub(super) fn set_import(&mut self, id: ServiceId, import: Option<Arc<Service>>) {
        self.change_set(id, |set| {
            let is_new = set.import != import;
            set.import = import;
            is_new
        });
    }

    pub(super) fn apply_imported(&mut self, slice: &Arc<EndpointSlice>) {
        if let Some(imported) = &slice.imported {
            self.change_set(ServiceId::new(&slice.namespace, &imported.service), |set| {
                insert(&mut set.slices, slice);
                true
            });
        }
    }

    pub(super) fn let_imported_go(&mut self, slice: &EndpointSlice) {
        if let Some(imported) = &slice.imported {
            self.change_set(ServiceId::new(&slice.namespace, &imported.service), |set| {
                set.slices.retain(|other| other.name != slice.name);
                true
            });
        }
    }

    /// What the API calls those of the set that `is_meant` is true for.
    pub(super) fn set_keys(&self, is_meant: impl Fn(&KnownSet) -> bool) -> Vec<Key> {
        let sets = self.services.iter().filter_map(|(id, known)| Some((id, known.set.as_ref()?)));
        sets.filter(|(_, set)| is_meant(set)).filter_map(|(id, _)| id.key()).collect()
    }

    /// What was known when it was saved.
    pub(super) fn restore_set(&mut self, set: SetState, exports: Vec<ServiceExport>, imports: Vec<Arc<Service>>) {
        exports.iter().for_each(|export| self.set_exported(ServiceId::new(&export.namespace, &export.name), true));
        for import in imports {
            self.set_import(ServiceId::new(&import.namespace, &import.name), Some(import));
        }
        self.next.set_set_state(set);
        self.is_dirty = true;
    }

    /// The exports.
    pub(super) fn exports(&self) -> Vec<ServiceExport> {
        let keys = self.set_keys(|set| set.is_exported).into_iter();
        keys.filter_map(|key| {
            Some(ServiceExport { namespace: Label::new(&key.namespace)?, name: Label::new(&key.name)? })
        })
        .collect()
    }

    /// The imports.
    pub(super) fn imports(&self) -> Vec<Arc<Service>> {
        let sets = self.services.values().filter_map(|known| known.set.as_ref());
        sets.filter_map(|set| set.import.clone()).collect()
    }

    /// The API does not have that kind.
    pub(super) fn note_absent(&mut self, kind: Kind) {
        self.listed.retain(|listed| *listed != kind);
        self.lost.retain(|lost| *lost != kind);
        if !self.absent.contains(&kind) {
            self.absent.push(kind);
        }
        self.note_set();
    }

    /// Those of the kinds that are not up to date: not listed yet and not absent, or lost since.
    pub(crate) fn missing_of_set(&self) -> impl Iterator<Item = Kind> {
        let is_known = |kind: &Kind| self.listed.contains(kind) || self.absent.contains(kind);
        SET_KINDS.into_iter().filter(move |kind| !is_known(kind) || self.lost.contains(kind))
    }

    /// Draws the conclusion from which kinds are known.
    pub(super) fn note_set(&mut self) {
        let absent = SET_KINDS.iter().filter(|kind| self.absent.contains(kind)).count();
        let known = absent + SET_KINDS.iter().filter(|kind| self.listed.contains(kind)).count();
        let state = match (known == SET_KINDS.len(), absent == SET_KINDS.len()) {
            (_, true) => SetState::Off,
            (true, _) => SetState::On,
            // What was known before is told on until the rest is known again.
            (false, _) => return,
        };
        if self.next.set_state() != state {
            self.next.set_set_state(state);
            self.is_dirty = true;
        }
    }

    fn change_set(&mut self, id: ServiceId, change: impl FnOnce(&mut KnownSet) -> bool) {
        let known = self.services.entry(id.clone()).or_default();
        let set = known.set.get_or_insert_default();
        let is_changed = change(set);
        if set.is_empty() {
            known.set = None;
        }
        match (is_changed, known.is_empty()) {
            (true, _) => self.touch(id),
            (false, true) => drop(self.services.remove(&id)),
            (false, false) => {}
        }
    }
}
