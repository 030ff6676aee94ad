//! The answer cache: wire-ready answers under (lower-cased name, type, DO, CD), bounded in bytes.
//!
//! A look-up composes its key on the stack and borrows it: no allocation, no parse. The class is
//! not in the key, since only IN gets so far; nor is the client: who may ask is decided before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use moka::notification::RemovalCause;
use prometheus::IntCounter;
use strait_wire::{Answer, AnswerKind, Ede, Name, QueryView, RecordType};

use crate::active::{ActiveTable, ZoneState};
use crate::source::Ask;

/// Bounds of the cache.
#[derive(Debug, Clone)]
pub struct CacheSettings {
    /// Bytes it may hold, keys and values and bookkeeping; 0 turns it off.
    pub size: u64,
    /// Positive TTLs are raised and lowered into this range, in seconds.
    pub min_ttl: u32,
    /// See `min_ttl`.
    pub max_ttl: u32,
    /// Negative answers are kept no longer than this, in seconds (RFC 2308 5).
    pub max_negative_ttl: u32,
    /// Failures are kept so long (RFC 9520: 1 s to 5 min).
    pub failure_ttl: Duration,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            size: 32 << 20,
            min_ttl: 0,
            max_ttl: 86_400,
            max_negative_ttl: 1_800,
            failure_ttl: Duration::from_secs(1),
        }
    }
}

impl CacheSettings {
    /// The answer with its TTLs within the bounds, and how long it may be kept; zero: not at all.
    pub(crate) fn bound(&self, answer: &Answer) -> (Answer, Duration) {
        let answer = match answer.kind() {
            AnswerKind::Positive => answer.clamp_ttls(self.min_ttl, self.max_ttl),
            // RFC 2308 5: the lesser of the SOA's TTL and its minimum, and that is what clients see.
            AnswerKind::NoData | AnswerKind::NxDomain => answer.clamp_ttls(0, self.max_negative_ttl.min(answer.ttl())),
            AnswerKind::Failure => return (answer.clone(), self.failure_lifetime()),
        };
        let lifetime = Duration::from_secs(u64::from(answer.ttl()));
        (answer, lifetime)
    }

    /// RFC 9520 3.2: at least one second, at most five minutes.
    pub(crate) fn failure_lifetime(&self) -> Duration {
        self.failure_ttl.clamp(Duration::from_secs(1), Duration::from_secs(300))
    }
}

/// What an answer is kept under: the lower-cased name in wire form, the type, DO and CD.
pub(crate) struct CacheKey {
    bytes: [u8; Self::MAX_LEN],
    name_len: usize,
}

impl CacheKey {
    const TAIL: usize = 3;
    const MAX_LEN: usize = Name::MAX_LEN + Self::TAIL;

    pub(crate) fn of_query(query: &QueryView<'_>) -> Self {
        Self::new(query.qname_wire(), query.rtype(), query.dnssec_ok(), query.checking_disabled())
    }

    pub(crate) fn of_ask(ask: &Ask) -> Self {
        Self::new(ask.question.name.as_wire(), ask.question.rtype, ask.dnssec_ok, ask.checking_disabled)
    }

    /// `name` is at most [`Name::MAX_LEN`] octets: both callers have it from a checked name.
    fn new(name: &[u8], rtype: RecordType, dnssec_ok: bool, checking_disabled: bool) -> Self {
        let mut bytes = [0; Self::MAX_LEN];
        let name_len = name.len().min(Name::MAX_LEN);
        bytes[..name_len].copy_from_slice(&name[..name_len]);
        // Length octets are at most 63 and so never ASCII letters.
        bytes[..name_len].make_ascii_lowercase();
        bytes[name_len..name_len + 2].copy_from_slice(&rtype.0.to_be_bytes());
        bytes[name_len + 2] = u8::from(dnssec_ok) << 1 | u8::from(checking_disabled);
        Self { bytes, name_len }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.name_len + Self::TAIL]
    }

    /// The name in wire form, in lower case.
    pub(crate) fn name(&self) -> &[u8] {
        &self.bytes[..self.name_len]
    }
}

/// An answer with where it came from and how long it may be told.
pub(crate) struct Entry {
    pub(crate) answer: Answer,
    /// The zone of the name asked for.
    pub(crate) zone: Arc<ZoneState>,
    /// The names that aliases led to, with their zones.
    pub(crate) via: Box<[(Name, Arc<ZoneState>)]>,
    pub(crate) stored_at: Instant,
    /// Zero for what is never stored.
    pub(crate) lifetime: Duration,
    /// The generation of the last route table in which all zones here were still in force.
    confirmed: AtomicU64,
}

impl Entry {
    pub(crate) fn new(
        answer: Answer,
        zone: Arc<ZoneState>,
        via: Vec<(Name, Arc<ZoneState>)>,
        lifetime: Duration,
        generation: u64,
    ) -> Self {
        let (via, confirmed) = (via.into(), AtomicU64::new(generation));
        Self { answer, zone, via, stored_at: Instant::now(), lifetime, confirmed }
    }

    /// Whole seconds since it was made.
    pub(crate) fn age(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.stored_at).as_secs()).unwrap_or(u32::MAX)
    }

    /// How long it may still be told.
    pub(crate) fn remaining(&self, now: Instant) -> Duration {
        self.lifetime.saturating_sub(now.saturating_duration_since(self.stored_at))
    }

    /// Whether another cluster had a part in it.
    pub(crate) fn is_through_peer(&self) -> bool {
        self.zone.is_peer || self.via.iter().any(|(_, zone)| zone.is_peer)
    }

    /// What a client is told besides, when it comes from the cache (RFC 8914 4.14).
    pub(crate) fn cached_ede(&self) -> Option<&'static Ede> {
        static CACHED_ERROR: Ede = Ede { code: Ede::CACHED_ERROR, text: std::borrow::Cow::Borrowed("") };
        (self.answer.kind() == AnswerKind::Failure).then_some(&CACHED_ERROR)
    }

    /// Whether every name in it is still routed where it was when the answer was made.
    pub(crate) fn is_current(&self, name: &[u8], active: &ActiveTable) -> bool {
        if self.confirmed.load(Ordering::Relaxed) == active.generation() {
            return true;
        }
        let same = |lower: &[u8], zone| active.find(lower).is_some_and(|route| Arc::ptr_eq(&route.zone, zone));
        let current =
            same(name, &self.zone) && self.via.iter().all(|(name, zone)| same(name.to_lowercase().as_wire(), zone));
        if current {
            self.confirmed.store(active.generation(), Ordering::Relaxed);
        }
        current
    }

    fn weight(&self) -> usize {
        let via: usize =
            self.via.iter().map(|(name, _)| size_of::<(Name, Arc<ZoneState>)>() + name.as_wire().len()).sum();
        size_of::<Self>() - size_of::<Answer>() + self.answer.weight() + via
    }
}

/// What moka keeps per entry besides key and value (the table slot, the entry's bookkeeping, its places in the
/// access queue and in the timer wheel) and the allocator's share: resident memory of 600,000 entries, less what
/// is counted for each.
const ENTRY_OVERHEAD: usize = 464;

type Key = Box<[u8]>;
type Entries = moka::sync::Cache<Key, Arc<Entry>, RandomState>;

/// The cache.
#[derive(Clone)]
pub struct AnswerCache {
    entries: Option<Entries>,
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
                .expire_after(Lifetime)
                .eviction_listener(move |_, _, cause| {
                    if cause == RemovalCause::Size {
                        evicted.inc();
                    }
                })
                .build_with_hasher(RandomState::default())
        };
        Self { entries: (settings.size > 0).then(build) }
    }

    /// The entry under `key`, when it has not run out by `now`.
    pub(crate) fn get(&self, key: &CacheKey, now: Instant) -> Option<Arc<Entry>> {
        let entry = self.entries.as_ref()?.get(key.as_bytes())?;
        (!entry.remaining(now).is_zero()).then_some(entry)
    }

    /// Keeps the entry, unless it may not be told twice.
    pub(crate) fn insert(&self, key: &CacheKey, entry: &Arc<Entry>) {
        if let Some(entries) = self.entries.as_ref().filter(|_| !entry.lifetime.is_zero()) {
            entries.insert(key.as_bytes().into(), Arc::clone(entry));
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
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

/// Entries go when their life is over; a look-up checks once more, against its own clock.
struct Lifetime;

impl moka::Expiry<Key, Arc<Entry>> for Lifetime {
    fn expire_after_create(&self, _: &Key, entry: &Arc<Entry>, _: Instant) -> Option<Duration> {
        Some(entry.lifetime)
    }

    fn expire_after_update(&self, _: &Key, entry: &Arc<Entry>, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(entry.lifetime)
    }
}

#[cfg(test)]
mod tests;
