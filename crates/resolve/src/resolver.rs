//! The road of a query, its stages in order.
//!
//! ```text
//! receive ─► refuse cheaply ─► admission ─► answer cache ─► route ─► guard ─► source ─► follow, store ─► reply
//!            └──────────────────── respond_now ───────────────────────────┘   └── an exchange of its own ──┘
//! ```
//!
//! [`Road::receive`] and [`Road::travel`] take a question as far as it goes without waiting,
//! [`Road::exchange`] waits for a source, [`Road::reply`] writes and counts.

mod asked;
#[cfg(test)]
pub(crate) mod kit;
mod reply;
mod settings;

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use strait_wire::{Answer, ClusterPath, RecordType};

pub(crate) use asked::Asked;
use reply::{Refusing, Step};
pub use settings::{ResolverSettings, Transit};

use crate::active::{ActiveRoute, ActiveTable, ZoneState};
use crate::cache::{CacheKey, Entry};
use crate::client_share::Client;
use crate::flight::Flights;
use crate::{Admission, AnswerCache, BoxFuture, Now, Origin, Respond, RouteTable, SourceError, follow, minimal};

/// Answers questions from its routes, its cache and what the sources say.
pub struct Resolver {
    road: Arc<Road>,
}

/// What the stages work with; shared with the exchanges in flight.
pub(crate) struct Road {
    pub(crate) settings: ResolverSettings,
    pub(crate) cache: AnswerCache,
    active: ArcSwap<ActiveTable>,
    /// Answers on their way to clients.
    flights: Arc<Flights<Arc<Entry>>>,
    /// Questions on their way to sources.
    pub(crate) asking: Arc<Flights<Result<Answer, SourceError>>>,
    /// Stands for the zone of names that no zone holds.
    nowhere: Arc<ZoneState>,
}

impl Resolver {
    /// A resolver.
    pub fn new(mut settings: ResolverSettings) -> Self {
        let metrics = &settings.metrics;
        let cache = AnswerCache::new(&settings.cache, metrics.evictions.clone());
        metrics.observe(&cache, &settings.query_log);
        let active = ActiveTable::first(std::mem::take(&mut settings.routes), metrics);
        let nowhere = Arc::new(ZoneState::new("none", "none", metrics));
        let active = ArcSwap::from_pointee(active);
        Self {
            road: Arc::new(Road { settings, cache, active, flights: Flights::new(), asking: Flights::new(), nowhere }),
        }
    }

    /// Puts another route table in force; cached answers of zones whose source is another now are told no more,
    /// and answers still in flight from an old source are not kept.
    pub fn replace_routes(&self, routes: RouteTable) {
        let (metrics, routes) = (&self.road.settings.metrics, Arc::new(routes));
        // `rcu`: of two changes at once, the second builds on the first.
        let before = self.road.active.rcu(|before| Arc::new(before.followed_by(&routes, metrics)));
        before.forget_missing(&routes);
    }

    /// The route table in force.
    pub fn routes(&self) -> Arc<RouteTable> {
        Arc::clone(self.road.active.load().table())
    }

    /// Forgets every cached answer; those still in flight are not kept either.
    pub fn flush_all(&self) {
        self.road.active.rcu(|before| Arc::new(before.forgetting()));
        self.road.cache.clear();
    }
}

impl Respond for Resolver {
    fn respond_now(&self, packet: &[u8], origin: &Origin, reply: &mut Vec<u8>) -> Now {
        let asked = match self.road.receive(packet, origin, reply) {
            Ok(asked) => asked,
            Err(now) => return now,
        };
        let step = self.road.travel(&asked, &self.road.active.load());
        self.road.reply(&asked, step, reply)
    }

    fn respond<'a>(&'a self, packet: &'a [u8], origin: &'a Origin) -> BoxFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let mut reply = Vec::new();
            let asked = match self.road.receive(packet, origin, &mut reply) {
                Ok(asked) => asked,
                Err(now) => return (now == Now::Reply).then_some(reply),
            };
            let active = self.road.active.load_full();
            let step = match self.road.travel(&asked, &active) {
                Step::Ask(route) => self.road.exchange(&asked, active, route).await,
                step => step,
            };
            (self.road.reply(&asked, step, &mut reply) == Now::Reply).then_some(reply)
        })
    }
}

impl Road {
    /// The stages that need no waiting, in order.
    fn travel(&self, asked: &Asked<'_>, active: &ActiveTable) -> Step {
        // Before the cache, for every question: the cache does not know who asked for what it holds, so
        // nobody who may not ask gets that far. (Every client that may ask sees the same names.)
        match self.settings.admit.admit(asked.origin, &asked.query) {
            Admission::Admit => {}
            Admission::Drop => return Step::Drop,
            Admission::Refuse(ede) => return Step::Refuse(Refusing::NotAllowed(ede)),
        }
        if let Some(entry) = self.look_up(&asked.key, &asked.path, active, asked.arrived) {
            return Step::Cached(entry);
        }
        let Some(route) = active.find(asked.key.name()) else {
            return Step::Refuse(Refusing::NoRoute);
        };
        if let Some(error) = self.loop_guard(&asked.path, &route.zone) {
            return Step::Refuse(Refusing::Loop(Arc::clone(&route.zone), error.ede()));
        }
        let ask = asked.ask();
        let at_once = route.route.source.answer_now(&ask);
        if ask.question.rtype == RecordType::ANY {
            // RFC 8482 4.2: never asked further, whatever the source.
            return Step::Local(Arc::clone(&route.zone), minimal::answer(ask.question, at_once));
        }
        // Without RD nothing is asked further, and so no alias is followed either.
        let follow = self.settings.follow_aliases && asked.query.recursion_desired();
        match at_once {
            Some(answer) if !(follow && answer.dangling_alias().is_some()) => {
                Step::Local(Arc::clone(&route.zone), answer)
            }
            None if route.route.needs_recursion() && !asked.query.recursion_desired() => {
                Step::Refuse(Refusing::NoRecursion(Arc::clone(&route.zone)))
            }
            _ => Step::Ask(Arc::clone(route)),
        }
    }

    /// Waits for the exchange that answers the question, but no longer than the deadline.
    async fn exchange(self: &Arc<Self>, asked: &Asked<'_>, active: Arc<ActiveTable>, route: Arc<ActiveRoute>) -> Step {
        if route.route.cached {
            route.zone.metrics.miss();
        }
        let zone = Arc::clone(&route.zone);
        let overloaded = |bound| Step::Refuse(Refusing::Overloaded(Arc::clone(&zone), bound));
        let client = Client::of(asked.origin.client.ip());
        let _waiting = match zone.wait(client) {
            Ok(places) => places,
            Err(bound) => return overloaded(bound),
        };
        let key = asked.flight_key(active.generation());
        let start = || follow::resolve(Arc::clone(self), asked.ask(), active, Arc::clone(&route));
        let seat = match self.flights.join(&key, Some(route.starter(client)), start) {
            Ok(seat) => seat,
            Err(bound) => return overloaded(bound),
        };
        if seat.shared {
            self.settings.metrics.shared.inc();
        }
        match tokio::time::timeout(self.settings.deadline, seat.outcome()).await {
            Ok(Some(entry)) => Step::Exchanged(entry),
            Ok(None) => Step::Refuse(Refusing::BrokenOff(Arc::clone(&zone))),
            Err(_) => Step::Refuse(Refusing::Deadline(Arc::clone(&zone), self.settings.deadline)),
        }
    }

    /// The cached answer, when it is still true of the routes in force and may be told to who asks.
    pub(crate) fn look_up(
        &self,
        key: &CacheKey,
        path: &ClusterPath,
        active: &ActiveTable,
        now: Instant,
    ) -> Option<Arc<Entry>> {
        let entry = self.cache.get(key, now)?;
        let forbidden = !path.is_empty() && self.settings.transit == Transit::Refused && entry.is_through_peer();
        (!forbidden && entry.is_current(key.name(), active)).then_some(entry)
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

#[cfg(test)]
mod tests;
