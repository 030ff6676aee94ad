//! Objects by what the API calls them; each holds its own key.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::{EndpointSlice, Key, Pod};

/// An object that knows what the API calls it.
pub(super) trait Named: PartialEq {
    /// Its namespace and its name.
    fn name(&self) -> (&str, &str);
}

impl Named for EndpointSlice {
    fn name(&self) -> (&str, &str) {
        (self.namespace.as_str(), &self.name)
    }
}

impl Named for Pod {
    fn name(&self) -> (&str, &str) {
        (self.namespace.as_str(), &self.name)
    }
}

/// The objects of one kind.
pub(super) struct Table<T> {
    objects: HashTable<Arc<T>>,
    hasher: RandomState,
}

/// What became of an object that was put in.
pub(super) enum Put<T> {
    /// It was there, just like this.
    Nothing,
    /// It is new.
    New,
    /// It was there, like this.
    InPlaceOf(Arc<T>),
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { objects: HashTable::new(), hasher: RandomState::default() }
    }
}

impl<T: Named> Table<T> {
    /// Puts an object in its place.
    pub(super) fn put(&mut self, object: &Arc<T>) -> Put<T> {
        let hash_of = |object: &Arc<T>| self.hasher.hash_one(object.name());
        match self.objects.find_mut(hash_of(object), |there| there.name() == object.name()) {
            Some(there) if there == object => Put::Nothing,
            Some(there) => Put::InPlaceOf(std::mem::replace(there, Arc::clone(object))),
            None => {
                self.objects.insert_unique(hash_of(object), Arc::clone(object), hash_of);
                Put::New
            }
        }
    }

    /// Takes an object out.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<T>> {
        let name = (&*key.namespace, &*key.name);
        let entry = self.objects.find_entry(self.hasher.hash_one(name), |there| there.name() == name);
        entry.ok().map(|entry| entry.remove().0)
    }

    /// Every object, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.objects.iter()
    }

    /// What they are called.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.iter().map(|object| object.name()).map(|(namespace, name)| Key::new(namespace, name)).collect()
    }
}
