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
    /// Starts an exchange for the answer just told, if it is time and there is room.
    pub(super) fn refresh_if_due(
        self: &Arc<Self>,
        entry: &Entry,
        now: Moment,
        asked: &Asked<'_>,
        active: &Arc<ActiveTable>,
    ) {
        if self.cache.claim_refresh(entry, now) {
            self.refresh(asked, active);
        }
    }

    fn refresh(self: &Arc<Self>, asked: &Asked<'_>, active: &Arc<ActiveTable>) {
        let Some(runtime) = &self.runtime else { return };
        let Some(route) = active.find(CacheKey::of_query(&asked.query).name()).map(Arc::clone) else { return };
        let errand = Errand::new(asked.ask(), Arc::clone(active), route);
        let place = Waiting::enter(&self.refreshing, MAX_REFRESHES).ok();
        let Some((place, departure)) = place.zip(self.flights.depart(&errand.key)) else { return };
        self.settings.metrics.prefetches.inc();
        let road = Arc::clone(self);
        runtime.spawn(async move {
            if departure.is_unwatched() {
                road.watch();
            }
            let exchange = Exchange { departure, zone: Arc::clone(&errand.route.zone) };
            let entry = follow::resolve_anew(&road, &errand).await;
            exchange.land(&entry);
            drop(place);
        });
    }
}
