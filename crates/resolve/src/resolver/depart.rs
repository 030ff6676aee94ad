//! Into flight: a question that its source must be asked, and the client that waits for its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use strait_wire::{ClusterPath, Query};

use super::reply::{Due, Refusing, Step};
use super::{Asked, Road};
use crate::active::{ActiveRoute, ActiveTable, ZoneState};
use crate::cache::{CacheKey, Entry};
use crate::client_share::{Client, Place};
use crate::flight::{Departure, Joined, Waiting};
use crate::follow::{self, Errand};
use crate::{Ask, Origin, Outlet, Pending, Reply};

/// No source is waited for longer, whatever it does: an exchange holds a place of a bounded number.
/// Sources bound themselves to a few seconds; this is the net below.
pub(crate) const SOURCE_BOUND: Duration = Duration::from_secs(15);

/// How often clients in flight are looked at for whether they have waited too long, or are gone. Whoever waits for seconds waits no
/// longer for it to matter, and nothing in flight needs a timer of its own.
const WATCH_INTERVAL: Duration = Duration::from_millis(20);

/// A question that has come as far as its route.
pub(crate) struct Routed {
    pub(crate) query: Query,
    path: ClusterPath,
    arrived: Instant,
    active: Arc<ActiveTable>,
    route: Arc<ActiveRoute>,
}

impl Pending {
    pub(super) fn routed(asked: &Asked<'_>, active: Arc<ActiveTable>, route: Arc<ActiveRoute>) -> Self {
        let (query, path, arrived) = (Query::new(&asked.query), asked.path.clone(), asked.arrived);
        let routed = Routed { query, path, arrived, active, route };
        Self { origin: asked.origin.clone(), state: crate::respond::PendingState::Routed(Box::new(routed)) }
    }
}

/// A client that waits for an exchange.
pub(crate) struct Waiter {
    client: Caller,
    zone: Arc<ZoneState>,
    since: tokio::time::Instant,
    /// Whether an answer past its time has been looked for.
    looked_for_stale: bool,
    _places: (Waiting, Place),
}

impl Waiter {
    /// Whether so much time has passed.
    fn has_waited(&self, now: tokio::time::Instant, time: Duration) -> bool {
        now - self.since >= time
    }
}

/// What becomes of who waits.
enum Verdict {
    /// Nobody is there any more.
    LetGo,
    /// A reply without the exchange.
    Tell(Step<'static>),
}

/// Whom to reply to, and where.
struct Caller {
    road: Arc<Road>,
    query: Query,
    arrived: Instant,
    origin: Origin,
    outlet: Arc<dyn Outlet>,
    tag: u64,
}

impl Caller {
    /// The reply goes out. Better an answer past its time than a failure (RFC 8767 4).
    fn tell(self, step: Step<'static>) {
        let step = if step.is_failure() { self.stale().map_or(step, Step::Stale) } else { step };
        let Self { road, query, arrived, origin, outlet, tag } = self;
        outlet.deliver(tag, Reply { origin, due: Due::Step(Box::new((road, query, arrived, step))) });
    }

    /// The answer past its time, when there is one that may be told.
    fn stale(&self) -> Option<Arc<Entry>> {
        let view = self.query.view();
        self.road.look_up_stale(&CacheKey::of_query(&view), &view.cluster_path().ok()?)
    }
}

/// An exchange on its way; dropped before it lands, it tells those who wait that it broke off.
pub(super) struct Exchange {
    pub(super) departure: Departure<Waiter>,
    pub(super) zone: Arc<ZoneState>,
}

impl Exchange {
    pub(super) fn land(mut self, entry: &Arc<Entry>) {
        for waiter in self.departure.land() {
            waiter.client.tell(Step::Exchanged(Arc::clone(entry)));
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        for waiter in self.departure.land() {
            waiter.client.tell(Step::Refuse(Refusing::BrokenOff(Arc::clone(&self.zone))));
        }
    }
}

impl Road {
    /// Puts the question into flight: into that of an equal question, or into one of its own.
    pub(super) fn depart(self: &Arc<Self>, routed: Routed, origin: Origin, outlet: Arc<dyn Outlet>, tag: u64) {
        let Routed { query, path, arrived, active, route } = routed;
        let zone = Arc::clone(&route.zone);
        if route.route.cached {
            zone.metrics.miss();
        }
        let share = Client::of(origin.client.ip());
        let errand = Errand::new(Ask::new(&query.view(), path), active, route);
        let client = Caller { road: Arc::clone(self), query, arrived, origin, outlet, tag };
        let places = match zone.wait(share) {
            Ok(places) => places,
            Err(bound) => return client.tell(Step::Refuse(Refusing::Overloaded(zone, bound))),
        };
        let since = tokio::time::Instant::now();
        let waiter = Waiter { client, zone: Arc::clone(&zone), since, looked_for_stale: false, _places: places };
        match self.flights.join(&errand.key, errand.route.starter(share), waiter) {
            Joined::First(departure) => {
                if departure.is_unwatched() {
                    self.watch();
                }
                let (road, exchange) = (Arc::clone(self), Exchange { departure, zone });
                tokio::spawn(async move {
                    let entry = follow::resolve(&road, &errand).await;
                    exchange.land(&entry);
                });
            }
            Joined::Shared => self.settings.metrics.shared.inc(),
            Joined::Refused(bound, waiter) => waiter.client.tell(Step::Refuse(Refusing::Overloaded(zone, bound))),
        }
    }

    /// Has somebody look after those who wait too long, and exchanges that take too long, as long as anything is in
    /// flight.
    pub(super) fn watch(self: &Arc<Self>) {
        let road = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(WATCH_INTERVAL).await;
                road.asking.wake_overdue(SOURCE_BOUND);
                let Some(ended) = road.flights.take_where(|waiter| road.verdict(waiter)) else { return };
                for (waiter, verdict) in ended {
                    match verdict {
                        Verdict::LetGo => {}
                        Verdict::Tell(step) => waiter.client.tell(step),
                    }
                }
            }
        });
    }

    /// What becomes of a client before its exchange lands, if it need not or must not wait any longer.
    fn verdict(&self, waiter: &mut Waiter) -> Option<Verdict> {
        let (now, timer) = (tokio::time::Instant::now(), self.settings.cache.stale.client_timer);
        if waiter.client.outlet.is_gone() {
            return Some(Verdict::LetGo);
        }
        if waiter.has_waited(now, self.settings.deadline) {
            let refusing = Refusing::Deadline(Arc::clone(&waiter.zone), self.settings.deadline);
            return Some(Verdict::Tell(Step::Refuse(refusing)));
        }
        if waiter.looked_for_stale || timer.is_zero() || !waiter.has_waited(now, timer) {
            return None;
        }
        waiter.looked_for_stale = true;
        let entry = waiter.client.stale()?;
        self.cache.tell_late(&entry);
        Some(Verdict::Tell(Step::Stale(entry)))
    }
}
