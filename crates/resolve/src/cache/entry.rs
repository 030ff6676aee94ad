//! A kept answer: where it came from, how long it is fresh, and how it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use strait_wire::{Answer, AnswerKind, Ede, Name, QueryView, Rcode, ReplyLimits};

use super::table::{PER_ENTRY, Slot};
use super::{CacheKey, StaleSettings};
use crate::active::{ActiveTable, ZoneState};
use crate::moment::{Moment, millis};

/// What an entry takes besides itself and its answer's octets: its place in the table, the counters of two shared
/// pieces of memory, their rounding, and the place in its zone's queue.
pub(super) const OVERHEAD: usize = PER_ENTRY + 2 * 16 + 2 * 16 + 16;

/// The last tenth of an answer's life is when it may be asked for again.
const REFRESH_PART: u32 = 10;

/// An answer with where it came from and how long it may be told.
pub(crate) struct Entry {
    pub(crate) answer: Answer,
    /// The zone of the name asked for.
    pub(crate) zone: Arc<ZoneState>,
    /// The names that aliases led to, with their zones.
    pub(crate) via: Box<[(Name, Arc<ZoneState>)]>,
    pub(crate) stored_at: Moment,
    /// In milliseconds; zero for what is never stored.
    lifetime: u32,
    /// Where it lies in the table.
    slot: AtomicU64,
    /// The generation of the route table that its exchange began with.
    pub(super) begun: u64,
    /// The generation of the last route table in which all zones here were still in force.
    confirmed: AtomicU64,
    /// How often it was told, as far as anybody wants to know.
    hits: AtomicU8,
    /// Whether it has been asked for again before its time.
    refreshing: AtomicBool,
    /// Up to this age, in seconds, it is told past its time without asking anew.
    told_until: AtomicU32,
}

/// What is told with an answer besides its records.
static CACHED_ERROR: Ede = Ede { code: Ede::CACHED_ERROR, text: std::borrow::Cow::Borrowed("") };
static STALE_ANSWER: Ede = Ede { code: Ede::STALE_ANSWER, text: std::borrow::Cow::Borrowed("") };
static STALE_NXDOMAIN: Ede = Ede { code: Ede::STALE_NXDOMAIN, text: std::borrow::Cow::Borrowed("") };

impl Entry {
    pub(crate) fn new(
        answer: Answer,
        zone: Arc<ZoneState>,
        via: Vec<(Name, Arc<ZoneState>)>,
        lifetime: Duration,
        generation: u64,
    ) -> Self {
        Self {
            answer,
            zone,
            via: via.into(),
            stored_at: Moment::now(),
            lifetime: u32::try_from(millis(lifetime)).unwrap_or(u32::MAX),
            slot: AtomicU64::new(0),
            begun: generation,
            confirmed: AtomicU64::new(generation),
            hits: AtomicU8::new(0),
            refreshing: AtomicBool::new(false),
            told_until: AtomicU32::new(0),
        }
    }

    /// The same failure, kept for another time.
    pub(super) fn lasting(&self, lifetime: Duration) -> Self {
        let (zone, via) = (Arc::clone(&self.zone), self.via.to_vec());
        Self { stored_at: self.stored_at, ..Self::new(self.answer.clone(), zone, via, lifetime, self.begun) }
    }

    /// How long it is fresh; zero for what is never stored.
    pub(crate) fn lifetime(&self) -> Duration {
        Duration::from_millis(u64::from(self.lifetime))
    }

    /// Whether it answers the question of `key`; its flags are not looked at.
    pub(super) fn answers(&self, key: &CacheKey) -> bool {
        let (name, rtype) = key.question();
        let question = self.answer.question_wire();
        let Some((asked, rest)) = question.split_at_checked(name.len()) else { return false };
        rest.starts_with(rtype) && (asked == name || asked.eq_ignore_ascii_case(name))
    }

    /// The table says where it lies, before anybody finds it there.
    pub(super) fn lies_in(&self, slot: Slot) {
        self.slot.store(slot.bits(), Ordering::Relaxed);
    }

    pub(super) fn slot(&self) -> Slot {
        Slot::of_bits(self.slot.load(Ordering::Relaxed))
    }

    /// Whole seconds since it was made.
    pub(crate) fn age(&self, now: Moment) -> u32 {
        u32::try_from(now.millis_since(self.stored_at) / 1_000).unwrap_or(u32::MAX)
    }

    /// How long it is still fresh.
    pub(crate) fn remaining(&self, now: Moment) -> Duration {
        Duration::from_millis(self.remaining_millis(now))
    }

    fn remaining_millis(&self, now: Moment) -> u64 {
        u64::from(self.lifetime).saturating_sub(now.millis_since(self.stored_at))
    }

    /// How long its time has been over.
    pub(super) fn overdue(&self, now: Moment) -> Duration {
        Duration::from_millis(now.millis_since(self.stored_at).saturating_sub(u64::from(self.lifetime)))
    }

    /// Whether its time is over.
    pub(crate) fn is_stale(&self, now: Moment) -> bool {
        self.remaining_millis(now) == 0
    }

    /// Whether it says neither what there is nor that there is nothing.
    pub(crate) fn is_failure(&self) -> bool {
        self.answer.kind() == AnswerKind::Failure
    }

    /// Whether whoever was asked says that this may not be asked (RFC 8914 4.19). That is no failure that passes: what was
    /// told before is told no more.
    pub(crate) fn is_prohibition(&self) -> bool {
        self.answer.rcode() == Rcode::REFUSED && self.answer.ede().is_some_and(|ede| ede.code == Ede::PROHIBITED)
    }

    /// Whether another cluster had a part in it.
    pub(crate) fn is_through_peer(&self) -> bool {
        self.zone.is_peer || self.via.iter().any(|(_, zone)| zone.is_peer)
    }

    /// Appends it as the reply to `query`, told from the cache: counted down while fresh; past its time with TTLs of
    /// at most 30 s and marked as stale (RFC 8767 4, RFC 8914 4.4 and 4.20). Says whether it was the latter.
    pub(crate) fn write_cached(
        &self,
        query: &QueryView<'_>,
        now: Moment,
        limits: ReplyLimits,
        out: &mut Vec<u8>,
    ) -> bool {
        self.write(query, now, limits, self.cached_ede(), out)
    }

    /// Appends it as the reply to `query`, told to who has waited for it; says whether that was past its time. An
    /// exchange may have found it in the cache.
    pub(crate) fn write_awaited(
        &self,
        query: &QueryView<'_>,
        now: Moment,
        limits: ReplyLimits,
        out: &mut Vec<u8>,
    ) -> bool {
        self.write(query, now, limits, None, out)
    }

    fn write(
        &self,
        query: &QueryView<'_>,
        now: Moment,
        limits: ReplyLimits,
        ede: Option<&Ede>,
        out: &mut Vec<u8>,
    ) -> bool {
        let stale = self.lifetime > 0 && self.is_stale(now) && !self.is_failure();
        match stale {
            true => self.write_stale(query, limits, out),
            false => self.answer.write_reply(query, self.age(now), limits, ede, out),
        }
        stale
    }

    /// Appends it as the reply to `query`, told past its time.
    pub(crate) fn write_stale(&self, query: &QueryView<'_>, limits: ReplyLimits, out: &mut Vec<u8>) {
        self.answer.write_stale_reply(query, StaleSettings::TTL, limits, Some(self.stale_ede()), out);
    }

    /// The answer as it is told past its time, for those who tell it as part of another.
    pub(crate) fn as_stale(&self) -> Answer {
        self.answer.clamp_ttls(1, StaleSettings::TTL).with_ede(self.stale_ede().clone())
    }

    fn stale_ede(&self) -> &'static Ede {
        if self.answer.kind() == AnswerKind::NxDomain { &STALE_NXDOMAIN } else { &STALE_ANSWER }
    }

    /// What a client is told besides, when it comes from the cache (RFC 8914 4.14).
    fn cached_ede(&self) -> Option<&'static Ede> {
        self.is_failure().then_some(&CACHED_ERROR)
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

    /// Notes that it is told, up to `enough` times: past that a hit writes nothing that processors share.
    pub(super) fn count_hit(&self, enough: u8) {
        let hits = self.hits.load(Ordering::Relaxed);
        if hits < enough {
            self.hits.store(hits + 1, Ordering::Relaxed);
        }
    }

    /// Whether it has been told since this was last asked.
    pub(super) fn take_hits(&self) -> bool {
        self.hits.swap(0, Ordering::Relaxed) > 0
    }

    /// Notes that it takes the place of one that was told, so that it is not the next to go.
    pub(super) fn succeed(&self, before: &Self) {
        if before.hits.load(Ordering::Relaxed) > 0 {
            self.hits.store(1, Ordering::Relaxed);
        }
    }

    /// Whether it should be asked for again now, being near its end and asked for by at least `hits`. Says yes once.
    pub(super) fn claim_refresh(&self, now: Moment, hits: u8) -> bool {
        let remaining = self.remaining_millis(now);
        remaining > 0
            && remaining <= u64::from(self.lifetime / REFRESH_PART)
            && self.hits.load(Ordering::Relaxed) >= hits
            && !self.is_failure()
            && !self.refreshing.swap(true, Ordering::Relaxed)
    }

    /// It has not been asked for again after all: whoever is told it next may do so.
    pub(crate) fn give_refresh_back(&self) {
        self.refreshing.store(false, Ordering::Relaxed);
    }

    /// Whether it may be told past its time without asking anew.
    pub(super) fn is_told_past_its_time(&self, now: Moment) -> bool {
        self.age(now) < self.told_until.load(Ordering::Relaxed)
    }

    /// From `now`, when it is past its time, it is told for so long without asking anew.
    pub(super) fn tell_past_its_time(&self, now: Moment, recheck: Duration) {
        let until = self.age(now).saturating_add(u32::try_from(recheck.as_secs()).unwrap_or(u32::MAX));
        self.told_until.store(until, Ordering::Relaxed);
    }

    /// The octets it takes, with what the table and the allocator take for it.
    pub(super) fn weight(&self) -> u64 {
        let via: usize =
            self.via.iter().map(|(name, _)| size_of::<(Name, Arc<ZoneState>)>() + name.as_wire().len()).sum();
        (size_of::<Self>() - size_of::<Answer>() + self.answer.weight() + via + OVERHEAD) as u64
    }
}
