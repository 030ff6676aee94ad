//! The answer cache: wire-ready answers under (lower-cased name, type, DO, CD), bounded in bytes.
//!
//! A look-up composes its key on the stack and borrows it: no allocation, no parse. The class is
//! not in the key, since only IN gets so far; nor is the client: who may ask is decided before.
//! Answers stay for a while past their time, to be told when their source does not answer (RFC 8767).

mod entry;
mod key;
mod settings;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use moka::notification::RemovalCause;
use prometheus::IntCounter;

pub(crate) use self::entry::Entry;
pub(crate) use self::key::CacheKey;
pub use self::settings::{CacheSettings, StaleSettings};
use crate::active::ActiveTable;

/// What moka keeps per entry besides key and value (the table slot, the entry's bookkeeping, its places in the
/// access queue and in the timer wheel) and the allocator's share: resident memory of 600,000 entries, less what
/// is counted for each.
const ENTRY_OVERHEAD: usize = 464;

/// A failure that comes within this after another had run out follows it (RFC 9520 3.2).
const FAILURE_MEMORY: Duration = Duration::from_secs(60);

type Key = Box<[u8]>;
type Entries = moka::sync::Cache<Key, Arc<Entry>, RandomState>;

/// The cache.
#[derive(Clone)]
pub struct AnswerCache {
    settings: Arc<CacheSettings>,
    entries: Option<Entries>,
    /// Held while something is put in or taken out; look-ups never take it.
    writing: Arc<Mutex<()>>,
}

impl AnswerCache {
    /// An empty cache; `evicted` counts what had to go for want of room.
    pub fn new(settings: &CacheSettings, evicted: IntCounter) -> Self {
        let build = || {
            moka::sync::Cache::builder()
                .max_capacity(settings.size)
                .weigher(|key: &Key, entry: &Arc<Entry>| {
                    u32::try_from(key.len() + entry.weight() + ENTRY_OVERHEAD).unwrap_or(u32::MAX)
                })
                .expire_after(Lifetime { stale: settings.stale.keep_for })
                .eviction_listener(move |_, _, cause| {
                    if cause == RemovalCause::Size {
                        evicted.inc();
                    }
                })
                .build_with_hasher(RandomState::default())
        };
        let entries = (settings.size > 0).then(build);
        Self { settings: Arc::new(settings.clone()), entries, writing: Arc::default() }
    }

    /// The entry under `key` that may be told without asking anybody: it is fresh, or past its time while its
    /// source is known to fail ([`Entry::write_cached`] tells either as it must be).
    pub(crate) fn get(&self, key: &CacheKey, now: Instant) -> Option<Arc<Entry>> {
        let entry = self.entries.as_ref()?.get(key.as_bytes())?;
        if entry.is_stale(now) && !entry.is_told_past_its_time(now) {
            return None;
        }
        entry.count_hit(self.settings.prefetch_hits);
        Some(entry)
    }

    /// The entry under `key` that may be told when its source does not answer: past its time, not for too long, and
    /// no failure.
    #[allow(dead_code, reason = "exchanges that are late or fail will call it")]
    pub(crate) fn get_stale(&self, key: &CacheKey, now: Instant) -> Option<Arc<Entry>> {
        let entry = self.entries.as_ref()?.get(key.as_bytes())?;
        let past = now.saturating_duration_since(entry.stored_at).checked_sub(entry.lifetime)?;
        (past < self.settings.stale.keep_for && !entry.is_failure()).then_some(entry)
    }

    /// Whether the answer just told should be asked for again before its time is over. Says yes once.
    #[allow(dead_code, reason = "the hit path will call it")]
    pub(crate) fn claim_refresh(&self, entry: &Entry, now: Instant) -> bool {
        let hits = self.settings.prefetch_hits;
        hits > 0 && entry.claim_refresh(now, hits)
    }

    /// Keeps the entry, unless it may not be told twice or the routes it came by are no longer in force. A failure
    /// does not take the place of an answer (RFC 8767 5): that is told for a while without asking anew.
    pub(crate) fn store(&self, key: &CacheKey, entry: &Arc<Entry>, active: &ArcSwap<ActiveTable>) {
        let Some(entries) = self.entries.as_ref().filter(|_| !entry.lifetime.is_zero()) else { return };
        // Who empties the cache puts a new table in force first, and then waits here.
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let active = active.load();
        if !active.keeps(entry.begun) || !entry.is_current(key.name(), &active) {
            return;
        }
        let before = if entry.is_failure() { entries.get(key.as_bytes()) } else { None };
        match before.filter(|before| before.is_current(key.name(), &active)) {
            Some(before) if before.is_failure() => {
                entries.insert(key.as_bytes().into(), self.following(&before, entry));
            }
            Some(before) => before.tell_past_its_time(entry.stored_at, self.settings.stale.recheck),
            None => entries.insert(key.as_bytes().into(), Arc::clone(entry)),
        }
    }

    /// The failure as it is kept after another.
    fn following(&self, before: &Entry, failure: &Arc<Entry>) -> Arc<Entry> {
        let gap = failure.stored_at.saturating_duration_since(before.stored_at).saturating_sub(before.lifetime);
        match gap < FAILURE_MEMORY {
            true => Arc::new(failure.lasting(self.settings.next_failure_lifetime(before.lifetime))),
            false => Arc::clone(failure),
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entries) = &self.entries {
            entries.invalidate_all();
        }
    }

    /// Entries and bytes held. Does the cache's pending housekeeping, which look-ups never wait for.
    pub(crate) fn held(&self) -> (u64, u64) {
        let count = |entries: &Entries| {
            entries.run_pending_tasks();
            (entries.entry_count(), entries.weighted_size())
        };
        self.entries.as_ref().map_or((0, 0), count)
    }
}

/// Entries go when nobody may be told them any more; a look-up checks once more, against its own clock.
struct Lifetime {
    stale: Duration,
}

impl Lifetime {
    fn of(&self, entry: &Entry) -> Option<Duration> {
        Some(entry.lifetime + if entry.is_failure() { FAILURE_MEMORY } else { self.stale })
    }
}

impl moka::Expiry<Key, Arc<Entry>> for Lifetime {
    fn expire_after_create(&self, _: &Key, entry: &Arc<Entry>, _: Instant) -> Option<Duration> {
        self.of(entry)
    }

    fn expire_after_update(&self, _: &Key, entry: &Arc<Entry>, _: Instant, _: Option<Duration>) -> Option<Duration> {
        self.of(entry)
    }
}

#[cfg(test)]
mod tests;
