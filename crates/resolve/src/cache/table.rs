//! The table under the cache: who looks up waits for nobody.
//!
//! ```text
//! slot (64 bits) ─► segment ─► pair of buckets, each 6 tags and 6 entries in a line of the processor's cache ─► entry
//! ```
//!
//! A slot is a keyed hash of the question, with its flags; whether an entry answers the question is compared in full.
//! One at a time puts in and takes out (who holds the shelves does). It keeps others out of one bucket for as long as a
//! pointer takes to change; who looks up tries that long, and else has found nothing. A segment whose pair of buckets
//! is full doubles by itself, so that growing never takes longer than one segment does.

use std::array;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use parking_lot::RwLock;

use super::{CacheKey, Entry};

/// Entries of a bucket. With their tags they fill one line of the processor's cache.
const WAYS: usize = 6;

/// How often who looks up tries a bucket that is being changed: longer than that takes, unless the system has taken the
/// processor away from who changes it.
const TRIES: usize = 100;

/// Segments, a power of two: as many as the highest octet of a slot tells apart.
const SEGMENTS: usize = 256;

/// Every octet of a word set to one.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of every octet.
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Octets that the table takes for an entry: its place in a bucket, of which a third to two thirds are in use.
pub(super) const PER_ENTRY: usize = 24;

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Slot(u64);

impl Slot {
    /// The bits of the flags.
    const FLAGS: u64 = 3;

    pub(super) fn of_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) fn bits(self) -> u64 {
        self.0
    }

    fn segment(self) -> usize {
        (self.0 >> 56) as usize
    }

    /// What a bucket tells its entries apart by at a glance; zero is for none.
    fn tag(self) -> u8 {
        ((self.0 >> 48) as u8).max(1)
    }

    fn bucket(self) -> usize {
        (self.0 >> 8) as usize
    }
}

/// Entries by slot.
pub(super) struct Table {
    /// Keyed at random, so that from outside nobody sees which questions share a slot or a bucket. No proof against who
    /// finds such all the same: of questions in one slot each takes the other's place, and a crowded bucket makes its
    /// segment grow.
    hasher: RandomState,
    segments: [ArcSwap<Segment>; SEGMENTS],
}

impl Table {
    pub(super) fn new() -> Self {
        let segment = |_| ArcSwap::from_pointee(Segment::with_buckets(2));
        Self { hasher: RandomState::default(), segments: array::from_fn(segment) }
    }

    /// Where the answer under `key` is, if it is there.
    pub(super) fn slot(&self, key: &CacheKey) -> Slot {
        Slot(self.hasher.hash_one(key.as_bytes()) & !Slot::FLAGS | key.flags())
    }

    /// The answer under `key`.
    pub(super) fn find(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.get(self.slot(key)).filter(|entry| entry.answers(key))
    }

    /// What is in the slot.
    pub(super) fn get(&self, slot: Slot) -> Option<Arc<Entry>> {
        self.segment(slot).load().find(slot).map(|(_, _, entry)| entry)
    }

    /// Puts `entry` into the slot, in place of what is there. One at a time.
    pub(super) fn put(&self, slot: Slot, entry: &Arc<Entry>) {
        entry.lies_in(slot);
        let current = self.segment(slot).load();
        if current.put(slot, entry) {
            return;
        }
        let grown = current.grown_for(slot, entry);
        self.segment(slot).store(Arc::new(grown));
    }

    /// Empties the slot. One at a time.
    pub(super) fn remove(&self, slot: Slot) {
        self.segment(slot).load().remove(slot);
    }

    fn segment(&self, slot: Slot) -> &ArcSwap<Segment> {
        &self.segments[slot.segment()]
    }
}

/// A part of the table that grows by itself.
struct Segment {
    /// A power of two, and two at least.
    buckets: Box<[Bucket]>,
}

/// The tags are a hint, read before the entries: an entry is what it says itself.
#[repr(align(64))]
struct Bucket {
    /// In its octets the tags of the entries; zero where there is none.
    tags: AtomicU64,
    entries: RwLock<[Option<Arc<Entry>>; WAYS]>,
}

impl Segment {
    fn with_buckets(count: usize) -> Self {
        Self { buckets: (0..count).map(|_| Bucket::new()).collect() }
    }

    /// The two buckets where an entry may be; neighbours in memory.
    fn pair(&self, slot: Slot) -> [&Bucket; 2] {
        let home = slot.bucket() & (self.buckets.len() - 1);
        [&self.buckets[home], &self.buckets[home ^ 1]]
    }

    fn find(&self, slot: Slot) -> Option<(&Bucket, usize, Arc<Entry>)> {
        self.pair(slot).into_iter().find_map(|bucket| {
            let (way, entry) = bucket.find(slot)?;
            Some((bucket, way, entry))
        })
    }

    /// False: there is no room.
    fn put(&self, slot: Slot, entry: &Arc<Entry>) -> bool {
        let free = || self.pair(slot).into_iter().find_map(|bucket| Some((bucket, bucket.free()?)));
        let place = self.find(slot).map(|(bucket, way, _)| (bucket, way)).or_else(free);
        let Some((bucket, way)) = place else { return false };
        drop(bucket.set(way, slot.tag(), Some(Arc::clone(entry))));
        true
    }

    fn remove(&self, slot: Slot) {
        if let Some((bucket, way, _)) = self.find(slot) {
            drop(bucket.set(way, 0, None));
        }
    }

    /// The same entries and another, in twice the room or more.
    fn grown_for(&self, slot: Slot, entry: &Arc<Entry>) -> Self {
        let mut count = self.buckets.len();
        loop {
            count *= 2;
            let grown = Self::with_buckets(count);
            let mut held = self.buckets.iter().flat_map(Bucket::held).flatten();
            if held.all(|entry| grown.put(entry.slot(), &entry)) && grown.put(slot, entry) {
                return grown;
            }
        }
    }
}

impl Bucket {
    fn new() -> Self {
        Self { tags: AtomicU64::new(0), entries: RwLock::default() }
    }

    fn find(&self, slot: Slot) -> Option<(usize, Arc<Entry>)> {
        let mut alike = octets_equal(self.tags.load(Ordering::Acquire), slot.tag());
        if alike == 0 {
            return None;
        }
        let entries = (0..TRIES).find_map(|_| self.entries.try_read())?;
        while alike != 0 {
            let way = (alike.trailing_zeros() / 8) as usize;
            match entries.get(way) {
                Some(Some(entry)) if entry.slot() == slot => return Some((way, Arc::clone(entry))),
                _ => alike &= alike - 1,
            }
        }
        None
    }

    fn free(&self) -> Option<usize> {
        let free = octets_equal(self.tags.load(Ordering::Acquire), 0);
        let way = (free.trailing_zeros() / 8) as usize;
        (way < WAYS).then_some(way)
    }

    /// What was there comes back: it is not let go of while others are kept out.
    fn set(&self, way: usize, tag: u8, entry: Option<Arc<Entry>>) -> Option<Arc<Entry>> {
        let mut tags = self.tags.load(Ordering::Relaxed).to_le_bytes();
        tags[way] = tag;
        let before = std::mem::replace(&mut self.entries.write()[way], entry);
        self.tags.store(u64::from_le_bytes(tags), Ordering::Release);
        before
    }

    fn held(&self) -> [Option<Arc<Entry>>; WAYS] {
        self.entries.read().clone()
    }
}

/// The highest bit of every octet of `word` that equals `octet`; now and then of the octet after one as well, so
/// whoever asks compares again.
fn octets_equal(word: u64, octet: u8) -> u64 {
    let differ = word ^ (ONES * u64::from(octet));
    differ.wrapping_sub(ONES) & !differ & HIGHS
}

#[cfg(test)]
mod tests;
