//! Keeps the picture: the one task that changes it, publishes catalogs, and saves what is known.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::FeedState;
use super::fault::WatchFault;
use super::saver::Saver;
use crate::metrics::CatalogMetrics;
use crate::{Catalog, Change, Kind, LeftOut, Picture, SyncState};

/// The shortest time between two catalogs: a burst of changes is few of them.
const BETWEEN_CATALOGS: Duration = Duration::from_millis(10);
/// Changes whose way into a catalog is timed; of more in one catalog the others are not.
const MAX_TIMED: usize = 65_536;
/// What is taken in without a look at the clock.
const MAX_AT_ONCE: usize = 256;

/// What the followers tell.
#[derive(Debug)]
pub(super) enum News {
    /// Something changed; what of that kind was left out so far, and when the change came.
    Changed(Change, LeftOut, Instant),
    /// Changes of a kind do not come any more, since that time.
    Lost(Kind, SystemTime, WatchFault),
    /// They come again, from where they ended.
    Resumed(Kind),
}

/// The task's own.
pub(super) struct Keeper {
    pub(super) picture: Picture,
    pub(super) catalog: Arc<ArcSwap<Catalog>>,
    pub(super) state: watch::Sender<FeedState>,
    pub(super) metrics: Arc<CatalogMetrics>,
    pub(super) saver: Option<Saver>,
    pub(super) faults: BTreeMap<Kind, WatchFault>,
    pub(super) left_out: BTreeMap<Kind, LeftOut>,
    /// When the changes came that are not in the catalog yet.
    pub(super) arrivals: Vec<Instant>,
    /// What has not been known to be current for so long is stale.
    pub(super) stale_after: Duration,
}

impl Keeper {
    /// Takes in what is told, until there is no more or it is to stop; saves a last time.
    pub(super) async fn run(mut self, mut news: mpsc::Receiver<News>, mut stop: oneshot::Receiver<()>) {
        let mut publish_at = Instant::now();
        loop {
            let save_at = self.saver.as_ref().map(|saver| saver.due);
            let stale_at = self.left_until_stale().map(|left| Instant::now() + left);
            tokio::select! {
                _ = &mut stop => break,
                received = news.recv() => {
                    let Some(first) = received else { break };
                    self.take(first);
                    for _ in 1..MAX_AT_ONCE {
                        let Ok(next) = news.try_recv() else { break };
                        self.take(next);
                    }
                }
                () = sleep_until(publish_at), if self.picture.is_dirty() => {}
                () = due(save_at) => self.save(),
                () = due(stale_at) => {}
            }
            if self.picture.is_dirty() && Instant::now() >= publish_at {
                self.publish();
                publish_at = Instant::now() + BETWEEN_CATALOGS;
            }
            self.tell_state();
        }
        drop(news);
        self.publish();
        self.tell_state();
        if let Some(saver) = self.saver.take() {
            saver.finish(&self.picture).await;
        }
    }

    fn take(&mut self, news: News) {
        match news {
            News::Changed(change, left_out, arrived) => {
                let kind = match &change {
                    Change::Apply(object) => object.kind(),
                    Change::Delete(kind, _) => *kind,
                    Change::Replace(kind, _) | Change::Absent(kind) => {
                        // A list says that changes come again.
                        self.faults.remove(kind);
                        *kind
                    }
                };
                let before = self.left_out.insert(kind, left_out).unwrap_or_default();
                self.metrics.count_left_out(before, left_out);
                self.metrics.count_change(kind);
                self.picture.apply(change);
                if self.picture.is_dirty() && self.arrivals.len() < MAX_TIMED {
                    self.arrivals.push(arrived);
                }
            }
            News::Lost(kind, since, fault) => {
                if fault.is_news(&self.faults) {
                    let told = if self.catalog.load().may_tell() {
                        "what is known is told on"
                    } else {
                        "nothing is told before everything is known"
                    };
                    let resource = kind.resource();
                    tracing::warn!(resource, %fault, "changes of the cluster do not come; {told}");
                }
                self.faults.insert(kind, fault);
                self.picture.lose(kind, since);
            }
            News::Resumed(kind) => {
                self.faults.remove(&kind);
                self.picture.resume(kind);
            }
        }
    }

    fn publish(&mut self) {
        if !self.picture.is_dirty() {
            return;
        }
        let (before, after) = (self.catalog.load().sync(), self.picture.sync());
        self.catalog.store(self.picture.publish());
        self.metrics.swaps.inc();
        self.arrivals.drain(..).for_each(|arrived| self.metrics.observe_propagation(arrived.elapsed()));
        let is_synced = |sync| matches!(sync, SyncState::Synced { .. });
        if let Some(saver) = &mut self.saver {
            saver.is_behind |= is_synced(before) || is_synced(after);
        }
        match (is_synced(before), is_synced(after)) {
            (false, true) => {
                let catalog = self.catalog.load();
                tracing::info!(
                    services = catalog.services(),
                    endpoints = catalog.endpoints(),
                    "the catalog is current"
                );
                // Whoever is killed from now on has something to start with.
                if self.saver.as_ref().is_some_and(Saver::has_nothing) {
                    self.save();
                }
            }
            // The last that was current.
            (true, false) => self.save(),
            _ => {}
        }
    }

    fn tell_state(&mut self) {
        let is_stale = self.age().is_some_and(|age| age >= self.stale_after);
        if self.catalog.load().is_stale() != is_stale {
            // Answers say it as well.
            self.picture.set_stale(is_stale);
            self.publish();
        }
        let sync = self.catalog.load().sync();
        self.metrics.set_stale(is_stale);
        self.metrics.set_missing(self.picture.missing().chain(self.picture.missing_of_set()));
        let became_stale = is_stale && !self.state.borrow().is_stale;
        self.state.send_if_modified(|state| {
            let is_new = state.sync != sync || state.is_stale != is_stale || state.faults != self.faults;
            if is_new {
                *state = FeedState { sync, is_stale, faults: self.faults.clone() };
            }
            is_new
        });
        if became_stale {
            tracing::warn!(after = ?self.stale_after, state = %*self.state.borrow(), "the catalog is stale");
        }
    }

    /// How long ago what is told was known to be current; none when it is, or when nothing is told.
    fn age(&self) -> Option<Duration> {
        match self.catalog.load().sync() {
            // A clock that was set back makes nothing older.
            SyncState::Stale { since } => Some(since.elapsed().unwrap_or_default()),
            SyncState::Waiting | SyncState::Synced { .. } => None,
        }
    }

    /// The time until what is told is stale; none when it is, or will not be.
    fn left_until_stale(&self) -> Option<Duration> {
        let age = self.age().filter(|_| !self.state.borrow().is_stale)?;
        Some(self.stale_after.saturating_sub(age))
    }

    fn save(&mut self) {
        if let Some(saver) = &mut self.saver {
            saver.save(&self.picture);
        }
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
