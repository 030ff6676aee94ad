//! Prefetch: an answer that is asked for often is asked for anew before its time is over.

use std::sync::Arc;

use super::depart::Exchange;
use super::{Asked, Road};
use crate::active::ActiveTable;
use crate::cache::{CacheKey, Entry};
use crate::flight::Waiting;
use crate::follow::{self, Errand};
use crate::moment::Moment;

/// Answers asked for anew at a time: a small part of all exchanges, since nobody waits for them.
pub(crate) const MAX_REFRESHES: usize = 512;

impl Road {
    /// Starts an exchange for the answer just told, if it is time; without room for it, whoever is told it next may try.
    pub(super) fn refresh_if_due(
        self: &Arc<Self>,
        entry: &Entry,
        now: Moment,
        asked: &Asked<'_>,
        active: &Arc<ActiveTable>,
    ) {
        if self.cache.claim_refresh(entry, now) && !self.refresh(asked, active) {
            entry.give_refresh_back();
        }
    }

    /// False: there is no room.
    fn refresh(self: &Arc<Self>, asked: &Asked<'_>, active: &Arc<ActiveTable>) -> bool {
        let Some(runtime) = &self.runtime else { return false };
        let Some(route) = active.find(CacheKey::of_query(&asked.query).name()).map(Arc::clone) else { return false };
        let Ok(place) = Waiting::enter(&self.refreshing, MAX_REFRESHES) else { return false };
        let zone = Arc::clone(&route.zone);
        let errand = Errand::new(asked.ask(), Arc::clone(active), route);
        // Last, since who joins from here on waits for it.
        let Some(departure) = self.flights.depart(&errand.key) else { return false };
        let exchange = Exchange { departure, zone };
        self.settings.metrics.prefetches.inc();
        let road = Arc::clone(self);
        runtime.spawn(async move {
            if exchange.departure.is_unwatched() {
                road.watch();
            }
            let entry = follow::resolve_anew(&road, &errand).await;
            exchange.land(&entry);
            drop(place);
        });
        true
    }
}
