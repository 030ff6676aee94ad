//! The answer cache: wire-ready answers under (lower-cased name, type, DO, CD), bounded in bytes.
//!
//! ```text
//! get, get_stale ──► table ◄── put, take out ── shelves ◄── store, flush    (one at a time)
//! ```
//!
//! A look-up composes its key on the stack and borrows it: no allocation, no parse, and no waiting for who stores.
//! The class is not in the key, since only IN gets so far; nor is the client: who may ask is decided before. Answers stay
//! for a while past their time, to be told when their source does not answer (RFC 8767).

mod entry;
mod flush;
mod key;
mod settings;
mod shelves;
mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::IntCounter;

pub(crate) use self::entry::Entry;
pub use self::flush::Flush;
pub(crate) use self::key::CacheKey;
pub use self::settings::{CacheSettings, StaleSettings};
use self::shelves::Shelves;
use self::table::Table;
use crate::active::ActiveTable;
use crate::moment::Moment;

/// A failure that comes within this after another had run out follows it (RFC 9520 3.2).
const FAILURE_MEMORY: Duration = Duration::from_secs(60);

/// The cache.
#[derive(Clone)]
pub struct AnswerCache {
    settings: Arc<CacheSettings>,
    evicted: IntCounter,
    /// None: turned off.
    table: Option<Arc<Table>>,
    /// Held while something is put in or taken out; look-ups never take it.
    shelves: Arc<Mutex<Shelves>>,
}

/// What the cache holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheHolding {
    /// Answers.
    pub entries: u64,
    /// Octets they take.
    pub bytes: u64,
    /// Octets they may take.
    pub size: u64,
    /// Zone, answers and octets of each zone that has any; the largest first.
    pub zones: Vec<(Arc<str>, u64, u64)>,
}

impl AnswerCache {
    /// An empty cache; `evicted` counts what had to go before its time for want of room.
    pub fn new(settings: &CacheSettings, evicted: IntCounter) -> Self {
        let shelves = Arc::new(Mutex::new(Shelves::new(settings.size)));
        let table = (settings.size > 0).then(|| Arc::new(Table::new()));
        Self { settings: Arc::new(settings.clone()), evicted, table, shelves }
    }

    /// The entry under `key` that may be told without asking anybody: it is fresh, or past its time while its
    /// source is known to fail ([`Entry::write_cached`] tells either as it must be).
    /// With it comes `now` as a moment: who finds nothing need not make one of it.
    pub(crate) fn get(&self, key: &CacheKey, now: impl Into<Moment>) -> Option<(Arc<Entry>, Moment)> {
        let entry = self.table.as_ref()?.find(key)?;
        let now = now.into();
        if entry.is_stale(now) && !(entry.is_told_past_its_time(now) && self.may_be_told_stale(&entry, now)) {
            return None;
        }
        self.count_hit(&entry);
        Some((entry, now))
    }

    /// The entry under `key` that may be told when its source does not answer: past its time, not for too long, and
    /// no failure.
    pub(crate) fn get_stale(&self, key: &CacheKey, now: Moment) -> Option<Arc<Entry>> {
        let entry = self.table.as_ref()?.find(key)?;
        let told = entry.is_stale(now) && self.may_be_told_stale(&entry, now);
        told.then(|| self.count_hit(&entry)).map(|()| entry)
    }

    fn may_be_told_stale(&self, entry: &Entry, now: Moment) -> bool {
        entry.overdue(now) < self.settings.stale.keep_for && !entry.is_failure()
    }

    /// One is enough to stay, `prefetch_hits` to be asked for again: nobody wants to know of more.
    fn count_hit(&self, entry: &Entry) {
        entry.count_hit(self.settings.prefetch_hits.max(1));
    }

    /// The answer, past its time, is told because its source is late: others need not wait for as long.
    pub(crate) fn tell_late(&self, entry: &Entry) {
        entry.tell_past_its_time(Moment::now(), self.settings.stale.recheck);
    }

    /// Whether the answer just told should be asked for again before its time is over. Says yes once.
    pub(crate) fn claim_refresh(&self, entry: &Entry, now: Moment) -> bool {
        let hits = self.settings.prefetch_hits;
        hits > 0 && entry.claim_refresh(now, hits)
    }

    /// Keeps the entry, unless it may not be told twice or the routes it came by are no longer in force. A failure
    /// does not take the place of an answer (RFC 8767 5): that is told for a while without asking anew. A prohibition does.
    pub(crate) fn store(&self, key: &CacheKey, entry: &Arc<Entry>, active: &ArcSwap<ActiveTable>) {
        let Some(table) = self.table.as_ref().filter(|_| !entry.lifetime().is_zero()) else { return };
        // Who empties the cache puts a new table in force first, and then waits here.
        let mut shelves = self.shelves();
        let active = active.load();
        if !active.keeps(entry.begun) || !entry.is_current(key.name(), &active) {
            return;
        }
        let now = entry.stored_at;
        let before = if entry.is_failure() { table.find(key) } else { None };
        let entry = match before.filter(|before| before.is_current(key.name(), &active)) {
            Some(before) if before.is_failure() => &self.following(&before, entry),
            Some(_) if entry.is_prohibition() => entry,
            Some(before) if !before.is_stale(now) || self.may_be_told_stale(&before, now) => {
                return before.tell_past_its_time(now, self.settings.stale.recheck);
            }
            _ => entry,
        };
        let count = |gone: &Entry| {
            if !gone.is_stale(now) {
                self.evicted.inc();
            }
        };
        shelves.put(table, table.slot(key), entry, count);
    }

    /// The failure as it is kept after another.
    fn following(&self, before: &Entry, failure: &Arc<Entry>) -> Arc<Entry> {
        let gap = before.overdue(failure.stored_at);
        match gap < FAILURE_MEMORY {
            true => Arc::new(failure.lasting(self.settings.next_failure_lifetime(before.lifetime()))),
            false => Arc::clone(failure),
        }
    }

    /// Forgets what is meant; how many answers that were.
    pub(crate) fn flush(&self, flush: &Flush) -> u64 {
        let taken = |table| self.shelves().take_out(table, |entry| flush.is_meant(entry));
        self.table.as_deref().map_or(0, taken)
    }

    /// Forgets the answers of zones that are not in force any more: they will not be told again.
    pub(crate) fn follow_routes(&self, active: &ActiveTable) {
        if let Some(table) = &self.table {
            self.shelves().clear_away(table, |zone| active.has(zone));
        }
    }

    /// Entries and bytes held.
    pub(crate) fn held(&self) -> (u64, u64) {
        self.shelves().held()
    }

    /// What is held, by zone.
    pub(crate) fn holding(&self) -> CacheHolding {
        let shelves = self.shelves();
        let (entries, bytes) = shelves.held();
        let of_zone =
            |(zone, entries, bytes): (&crate::active::ZoneState, u64, u64)| (Arc::clone(&zone.label), entries, bytes);
        let mut zones: Vec<_> = shelves.by_zone().filter(|(_, entries, _)| *entries > 0).map(of_zone).collect();
        zones.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
        CacheHolding { entries, bytes, size: self.settings.size, zones }
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
