//! A table in many small parts, of which a copy shares all that has not changed since.

use std::sync::Arc;

use hashbrown::HashTable;

/// How many parts: with 10,000 services a change copies some forty entries.
const SHARDS: usize = 256;

/// A table whose entries know their own keys; one key may have several.
#[derive(Debug)]
pub(crate) struct Shards<T>(Arc<[Arc<HashTable<T>>]>);

impl<T> Clone for Shards<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Shards<T> {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Arc::default()).collect())
    }
}

/// The part that a hash belongs to: of its bits, some that the table within does not use.
fn shard_of(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

impl<T: Clone> Shards<T> {
    /// The entry with that key.
    pub(crate) fn find(&self, hash: u64, is: impl FnMut(&T) -> bool) -> Option<&T> {
        self.0[shard_of(hash)].find(hash, is)
    }

    /// All entries with that key.
    pub(crate) fn find_all(&self, hash: u64, mut is: impl FnMut(&T) -> bool) -> impl Iterator<Item = &T> {
        self.0[shard_of(hash)].iter_hash(hash).filter(move |entry| is(entry))
    }

    /// Adds an entry beside whatever has that key already.
    pub(crate) fn add(&mut self, hash: u64, entry: T, hasher: impl Fn(&T) -> u64) {
        self.shard_mut(hash).insert_unique(hash, entry, hasher);
    }

    /// Puts an entry in the place of the one with that key.
    pub(crate) fn put(&mut self, hash: u64, is: impl FnMut(&T) -> bool, entry: T, hasher: impl Fn(&T) -> u64) {
        let shard = self.shard_mut(hash);
        match shard.find_mut(hash, is) {
            Some(there) => *there = entry,
            None => {
                shard.insert_unique(hash, entry, hasher);
            }
        }
    }

    /// Removes one entry with that key, if there is one.
    pub(crate) fn remove(&mut self, hash: u64, is: impl FnMut(&T) -> bool + Copy) {
        if self.find(hash, is).is_some()
            && let Ok(entry) = self.shard_mut(hash).find_entry(hash, is)
        {
            entry.remove();
        }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.len()).sum()
    }

    /// Every entry, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|shard| shard.iter())
    }

    fn shard_mut(&mut self, hash: u64) -> &mut HashTable<T> {
        Arc::make_mut(&mut Arc::make_mut(&mut self.0)[shard_of(hash)])
    }

    /// How many parts are not the very same in `other`.
    #[cfg(test)]
    pub(crate) fn differing(&self, other: &Self) -> usize {
        self.0.iter().zip(other.0.iter()).filter(|(ours, theirs)| !Arc::ptr_eq(ours, theirs)).count()
    }
}
