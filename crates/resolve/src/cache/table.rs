//! The concurrent table under the cache.
//!
//! moka, without bounds of its own: what goes for want of room is decided zone by zone ([`super::shelves`]). Its keys are
//! 64 bits made of a keyed hash of the question and of the flags; whether an entry answers the question is compared in full.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::{CacheKey, Entry};

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(u64);

impl std::hash::Hash for Slot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// Entries by slot.
#[derive(Clone)]
pub(super) struct Table {
    /// Seeded at random: nobody can make questions for one slot.
    hasher: RandomState,
    entries: moka::sync::Cache<Slot, Arc<Entry>, AsIs>,
}

impl Table {
    /// The bits of the flags.
    const FLAGS: u64 = 3;

    pub(super) fn new() -> Self {
        Self { hasher: RandomState::default(), entries: moka::sync::Cache::builder().build_with_hasher(AsIs) }
    }

    /// Where the answer under `key` is, if it is there.
    pub(super) fn slot(&self, key: &CacheKey) -> Slot {
        Slot(self.hasher.hash_one(key.as_bytes()) & !Self::FLAGS | key.flags())
    }

    /// The answer under `key`.
    pub(super) fn find(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.get(self.slot(key)).filter(|entry| entry.answers(key))
    }

    pub(super) fn get(&self, slot: Slot) -> Option<Arc<Entry>> {
        self.entries.get(&slot)
    }

    pub(super) fn put(&self, slot: Slot, entry: Arc<Entry>) {
        self.entries.insert(slot, entry);
    }

    pub(super) fn remove(&self, slot: Slot) {
        self.entries.invalidate(&slot);
    }
}

/// Hashes a slot to itself; the flags to where the table looks last.
#[derive(Clone)]
struct AsIs;

struct Same(u64);

impl BuildHasher for AsIs {
    type Hasher = Same;

    fn build_hasher(&self) -> Same {
        Same(0)
    }
}

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0.rotate_left(32)
    }

    /// A slot writes eight octets at once; anything else would be folded in.
    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.0 = self.0.rotate_left(8) ^ u64::from(*octet);
        }
    }

    fn write_u64(&mut self, slot: u64) {
        self.0 = slot;
    }
}
