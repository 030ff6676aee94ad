//! The road of a query, its stages in order.
//!
//! ```text
//! receive ─► refuse cheaply ─► admission ─► answer cache ─► route ─► guard ─► source ─► follow, store ─► reply
//!            └──────────────────── respond_now ───────────────────────────┘   └── an exchange of its own ──┘
//! ```
//!
//! [`Road::receive`] and [`Road::travel`] take a question as far as it goes without waiting,
//! [`Road::depart`] puts it into flight, [`Road::reply`] writes and counts.

mod asked;
mod depart;
#[cfg(test)]
pub(crate) mod kit;
mod refresh;
mod reply;
mod settings;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use arc_swap::ArcSwap;
use strait_wire::{Answer, ClusterPath, RecordType};

pub(crate) use asked::Asked;
pub(crate) use depart::SOURCE_BOUND;
use depart::Waiter;
pub(crate) use reply::{Awaiting, Due};
use reply::{Refusing, Step};
pub use settings::{ResolverSettings, Transit};

use crate::active::{ActiveRoute, ActiveTable, ZoneState};
use crate::cache::{CacheKey, Entry};
use crate::flight::Flights;
use crate::moment::Moment;
use crate::respond::{Addressee, PendingState, UnansweredState};
use crate::sharing::Sharing;
use crate::{
    Admission, AnswerCache, Ask, CacheHolding, Flush, Now, Origin, Outlet, Pending, Reply, Respond, RouteTable,
    SourceError, Unanswered, minimal,
};

/// Answers questions from its routes, its cache and what the sources say.
pub struct Resolver {
    road: Arc<Road>,
}

/// What the stages work with; shared with the exchanges in flight.
pub(crate) struct Road {
    pub(crate) settings: ResolverSettings,
    pub(crate) cache: AnswerCache,
    active: ArcSwap<ActiveTable>,
    /// Questions in flight, with the clients that wait for their answers.
    flights: Arc<Flights<Waiter>>,
    /// Questions on their way to sources.
    pub(crate) asking: Sharing<Result<Answer, SourceError>>,
    /// Stands for the zone of names that no zone holds.
    nowhere: Arc<ZoneState>,
    /// Answers being asked for anew before their time is over.
    refreshing: Arc<AtomicUsize>,
    /// Where that runs, since a hit may be answered outside of it.
    runtime: Option<tokio::runtime::Handle>,
}

/// How far a question comes without waiting.
enum Travelled<'t> {
    /// To its reply.
    Done(Step<'t>),
    /// To its route, whose source must be asked.
    Ask(Arc<ActiveRoute>, Ask),
}

impl Resolver {
    /// A resolver. Made within a tokio runtime it asks for popular answers before they expire; otherwise not.
    pub fn new(mut settings: ResolverSettings) -> Self {
        let metrics = &settings.metrics;
        let cache = AnswerCache::new(&settings.cache, metrics.evictions.clone());
        metrics.observe(&cache, &settings.query_log);
        let active = ActiveTable::first(std::mem::take(&mut settings.routes), metrics);
        let nowhere = Arc::new(ZoneState::new("none", "none", metrics));
        let active = ArcSwap::from_pointee(active);
        let (flights, asking) = (Flights::new(), Sharing::default());
        let (refreshing, runtime) = (Arc::default(), tokio::runtime::Handle::try_current().ok());
        Self { road: Arc::new(Road { settings, cache, active, flights, asking, nowhere, refreshing, runtime }) }
    }

    /// Puts another route table in force; cached answers of zones whose source is another now are told no more,
    /// and answers still in flight from an old source are not kept.
    pub fn replace_routes(&self, routes: RouteTable) {
        let (metrics, routes) = (&self.road.settings.metrics, Arc::new(routes));
        // `rcu`: of two changes at once, the second builds on the first.
        let before = self.road.active.rcu(|before| Arc::new(before.followed_by(&routes, metrics)));
        before.forget_missing(&routes);
        self.road.cache.follow_routes(&self.road.active.load());
    }

    /// The route table in force.
    pub fn routes(&self) -> Arc<RouteTable> {
        Arc::clone(self.road.active.load().table())
    }

    /// Forgets cached answers; how many. What is still in flight is not kept either, and no question shares it.
    pub fn flush(&self, flush: &Flush) -> u64 {
        // In this order: what comes in by the old table after the second step is refused.
        self.road.active.rcu(|before| Arc::new(before.forgetting()));
        self.road.cache.flush(flush)
    }

    /// Forgets every cached answer.
    pub fn flush_all(&self) {
        self.flush(&Flush::All);
    }

    /// What the cache holds.
    pub fn cached(&self) -> CacheHolding {
        self.road.cache.holding()
    }
}

impl Respond for Resolver {
    fn respond_now<'a>(&self, packet: &'a [u8], origin: &'a Origin, reply: &mut Vec<u8>) -> Now<'a> {
        let asked = match self.road.receive(packet, origin, reply) {
            Ok(asked) => asked,
            Err(refused) => return refused.into(),
        };
        let active = self.road.active.load();
        match self.road.travel(&asked, &active) {
            Travelled::Done(step) => self.road.reply(&asked, &step, reply),
            Travelled::Ask(route, ask) => {
                let active = Arc::clone(&active);
                Now::Later(Unanswered(UnansweredState::Routed { asked, ask, active, route }))
            }
        }
    }

    fn respond_later(&self, pending: Pending, outlet: Arc<dyn Outlet>, tag: u64) {
        match pending.0 {
            PendingState::Routed(awaiting, errand) => self.road.depart(awaiting, errand, Addressee::new(outlet, tag)),
            PendingState::Packet(packet) => {
                let (origin, packet) = *packet;
                let mut octets = Vec::new();
                match self.respond_now(&packet, &origin, &mut octets) {
                    Now::Later(unanswered) => self.respond_later(unanswered.keep(), outlet, tag),
                    now => {
                        let given = matches!(now, Now::Reply);
                        let make = move |out: &mut Vec<u8>| {
                            out.extend_from_slice(&octets);
                            given
                        };
                        outlet.deliver(tag, Reply::new(origin, make));
                    }
                }
            }
        }
    }
}

impl Road {
    /// The stages that need no waiting, in order.
    fn travel<'t>(self: &Arc<Self>, asked: &Asked<'_>, active: &'t Arc<ActiveTable>) -> Travelled<'t> {
        let done = Travelled::Done;
        // Before the cache, for every question: the cache does not know who asked for what it holds, so
        // nobody who may not ask gets that far. Where an answer leads is looked at when it is told ([`Road::reply`]).
        match self.settings.admit.admit(asked.origin, &asked.query) {
            Admission::Admit => {}
            Admission::Drop => return done(Step::Drop),
            Admission::Refuse(ede) => return done(Step::Refuse(Refusing::NotAllowed(ede))),
        }
        let key = CacheKey::of_query(&asked.query);
        if let Some((entry, now)) = self.look_up(&key, &asked.path, active, asked.arrived) {
            self.refresh_if_due(&entry, now, asked, active);
            return done(Step::Cached(entry, now));
        }
        let Some(route) = active.find(key.name()) else {
            return done(Step::Refuse(Refusing::NoRoute));
        };
        if let Some(error) = self.loop_guard(&asked.path, &route.zone) {
            return done(Step::Refuse(Refusing::Loop(Arc::clone(&route.zone), error.ede())));
        }
        let outside = route.route.source.told_outside().filter(|_| self.settings.admit.is_outside(asked.origin));
        let source = outside.unwrap_or(&*route.route.source);
        if let Some(answer) = source.ready(key.name(), asked.query.rtype()) {
            return done(Step::Ready(&route.zone, answer));
        }
        let ask = asked.ask();
        let at_once = match source.answer_now(&ask) {
            // Whoever is asked later is the source of those inside.
            None if outside.is_some() => Some(not_ready(&ask)),
            at_once => at_once,
        };
        if ask.question.rtype == RecordType::ANY {
            // RFC 8482 4.2: never asked further, whatever the source.
            return done(Step::Local(Arc::clone(&route.zone), minimal::answer(ask.question, at_once)));
        }
        // Without RD nothing is asked further, and so no alias is followed either.
        let follow = self.settings.follow_aliases && asked.query.recursion_desired();
        match at_once {
            Some(answer) if !(follow && answer.dangling_alias().is_some()) => {
                done(Step::Local(Arc::clone(&route.zone), answer))
            }
            None if route.route.needs_recursion() && !asked.query.recursion_desired() => {
                done(Step::Refuse(Refusing::NoRecursion(Arc::clone(&route.zone))))
            }
            _ => Travelled::Ask(Arc::clone(route), ask),
        }
    }

    /// The cached answer, when it is still true of the routes in force and may be told to who asks.
    pub(crate) fn look_up(
        &self,
        key: &CacheKey,
        path: &ClusterPath,
        active: &ActiveTable,
        now: impl Into<Moment>,
    ) -> Option<(Arc<Entry>, Moment)> {
        self.cache.get(key, now).filter(|(entry, _)| self.may_tell(entry, key, path, active))
    }

    /// The same of an answer past its time.
    fn look_up_stale(&self, key: &CacheKey, path: &ClusterPath) -> Option<Arc<Entry>> {
        let entry = self.cache.get_stale(key, Moment::now());
        entry.filter(|entry| self.may_tell(entry, key, path, &self.active.load()))
    }

    fn may_tell(&self, entry: &Entry, key: &CacheKey, path: &ClusterPath, active: &ActiveTable) -> bool {
        let forbidden = !path.is_empty() && self.settings.transit == Transit::Refused && entry.is_through_peer();
        !forbidden && entry.is_current(key.name(), active)
    }

    /// Keeps an answer, unless the routes it came by are no longer in force.
    pub(crate) fn store(&self, key: &CacheKey, entry: &Arc<Entry>) {
        self.cache.store(key, entry, &self.active);
    }

    /// Refuses to send a question on to a peer that has already passed a cluster, unless transit is allowed.
    pub(crate) fn loop_guard(&self, path: &ClusterPath, zone: &ZoneState) -> Option<SourceError> {
        let refused = zone.is_peer && !path.is_empty() && self.settings.transit == Transit::Refused;
        refused.then(|| {
            let zone = &zone.label;
            SourceError::Loop(format!("this question has passed {path} and is not sent on to the peer of {zone}"))
        })
    }
}

/// The answer of a source that has none yet.
fn not_ready(ask: &Ask) -> Answer {
    let error = SourceError::NotReady("the names of this cluster's addresses are not known yet".to_owned());
    Answer::failure(ask.question.clone(), error.rcode(), Some(error.ede()))
}

#[cfg(test)]
mod tests;
