//! Into flight: a question that its source must be asked, and the client that waits for its answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Road;
use super::reply::{Awaiting, Refusing, Step};
use crate::active::{Seat, ZoneState};
use crate::cache::{CacheKey, Entry};
use crate::client_share::Client;
use crate::flight::{Departure, Joined};
use crate::follow::{self, Errand};
use crate::respond::Addressee;

/// No source is waited for longer, whatever it does: an exchange holds a place of a bounded number.
/// Sources bound themselves to a few seconds; this is the net below.
pub(crate) const SOURCE_BOUND: Duration = Duration::from_secs(15);

/// How often the clients in flight are looked at: whether they are gone, or have waited too long. So much later than it
/// is due a client may be told that; for it, nothing in flight needs a timer of its own.
const WATCH_INTERVAL: Duration = Duration::from_millis(20);

/// A client that waits for an exchange.
pub(crate) struct Waiter {
    client: Caller,
    seat: Seat,
    since: Instant,
    /// Whether an answer past its time has been looked for.
    looked_for_stale: bool,
}

impl Waiter {
    /// Whether so much time has passed.
    fn has_waited(&self, now: Instant, time: Duration) -> bool {
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

/// A client with its question.
struct Caller {
    road: Arc<Road>,
    awaiting: Box<Awaiting>,
    addressee: Addressee,
}

impl Caller {
    /// The reply goes out. Better an answer past its time than a failure (RFC 8767 4).
    fn tell(self, step: Step<'static>) {
        let step = if step.is_worse_than_stale() { self.stale().map_or(step, Step::Stale) } else { step };
        self.addressee.deliver(self.awaiting.reply(self.road, step));
    }

    /// The answer past its time, when there is one that may be told.
    fn stale(&self) -> Option<Arc<Entry>> {
        let query = self.awaiting.query();
        self.road.look_up_stale(&CacheKey::of_query(&query), &query.cluster_path().ok()?)
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

/// The watcher. When it ends by a fault of ours, the next question in flight starts another.
struct Watch {
    road: Arc<Road>,
    /// Nothing was in flight any more: since then it is another's turn.
    ended: bool,
}

impl Watch {
    /// Looks after all who wait, once. False: there is nothing in flight any more.
    fn look(&mut self) -> bool {
        let road = &self.road;
        road.asking.wake_overdue(SOURCE_BOUND);
        let Some(taken) = road.flights.take_where(|waiter| road.verdict(waiter)) else {
            self.ended = true;
            return false;
        };
        for (waiter, verdict) in taken {
            match verdict {
                Verdict::LetGo => {}
                Verdict::Tell(step) => waiter.client.tell(step),
            }
        }
        true
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.ended {
            self.road.flights.unwatch();
        }
    }
}

impl Road {
    /// Puts the question into flight: into that of an equal question, or into one of its own.
    pub(super) fn depart(self: &Arc<Self>, awaiting: Box<Awaiting>, errand: Errand, addressee: Addressee) {
        let zone = Arc::clone(&errand.route.zone);
        if errand.route.route.cached {
            zone.metrics.miss();
        }
        let share = Client::of(awaiting.origin().client.ip());
        let client = Caller { road: Arc::clone(self), awaiting, addressee };
        let seat = match zone.wait(share) {
            Ok(seat) => seat,
            Err(bound) => return client.tell(Step::Refuse(Refusing::Overloaded(zone, bound))),
        };
        let waiter = Waiter { client, seat, since: errand.since, looked_for_stale: false };
        match self.flights.join(&errand.key, errand.route.starter(share), waiter) {
            Joined::First(departure) => {
                let (unwatched, exchange) = (departure.is_unwatched(), Exchange { departure, zone });
                if unwatched {
                    self.watch();
                }
                let road = Arc::clone(self);
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
        let mut watch = Watch { road: Arc::clone(self), ended: false };
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(WATCH_INTERVAL).await;
                if !watch.look() {
                    return;
                }
            }
        });
    }

    /// What becomes of a client before its exchange lands, if it need not or must not wait any longer.
    fn verdict(&self, waiter: &mut Waiter) -> Option<Verdict> {
        let (now, timer) = (Instant::now(), self.settings.cache.stale.client_timer);
        if waiter.client.addressee.is_gone() {
            return Some(Verdict::LetGo);
        }
        if waiter.has_waited(now, self.settings.deadline) {
            let refusing = Refusing::Deadline(Arc::clone(waiter.seat.zone()), self.settings.deadline);
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::resolver::kit::Bench;

    #[test]
    fn a_watcher_that_has_ended_takes_nothing_from_the_next() {
        let bench = Bench::new([]);
        let road = &bench.resolver.road;
        let depart = |key: &[u8]| road.flights.depart(&key.into()).unwrap();
        let mut watch = Watch { road: Arc::clone(road), ended: false };
        assert!(!watch.look(), "nothing is in flight");
        let first = depart(b"first");
        assert!(first.is_unwatched(), "it is to start the next watcher");
        drop(watch);
        assert!(!depart(b"second").is_unwatched(), "the next watcher is there");
        // One that breaks while something is in flight.
        drop(Watch { road: Arc::clone(road), ended: false });
        assert!(depart(b"third").is_unwatched());
    }
}
