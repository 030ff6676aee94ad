//! Keeps the picture: the one task that changes it, publishes catalogs, and saves what is known.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::FeedState;
use super::fault::WatchFault;
use crate::{Catalog, CatalogFile, Change, DiskError, Kind, Picture, SyncState};

/// The shortest time between two catalogs: a burst of changes is few of them.
const BETWEEN_CATALOGS: Duration = Duration::from_millis(10);
/// What is taken in without a look at the clock.
const MAX_AT_ONCE: usize = 256;

/// What the followers tell.
#[derive(Debug)]
pub(super) enum News {
    /// Something changed; and how many names of that kind were no labels so far.
    Changed(Change, u64),
    /// Changes of a kind do not come any more, since that time.
    Lost(Kind, SystemTime, WatchFault),
    /// They come again, from where they ended.
    Resumed(Kind),
}

/// What has been done so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) changes: AtomicU64,
    pub(super) published: AtomicU64,
    pub(super) left_out: AtomicU64,
}

/// The task's own.
pub(super) struct Keeper {
    pub(super) picture: Picture,
    pub(super) catalog: Arc<ArcSwap<Catalog>>,
    pub(super) state: watch::Sender<FeedState>,
    pub(super) counts: Arc<Counts>,
    pub(super) saver: Option<Saver>,
    pub(super) faults: BTreeMap<Kind, WatchFault>,
    pub(super) left_out: BTreeMap<Kind, u64>,
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
            News::Changed(change, left_out) => {
                let kind = match &change {
                    Change::Apply(object) => object.kind(),
                    Change::Delete(kind, _) => *kind,
                    Change::Replace(kind, _) => {
                        // A list says that changes come again.
                        self.faults.remove(kind);
                        *kind
                    }
                };
                self.left_out.insert(kind, left_out);
                self.counts.left_out.store(self.left_out.values().sum(), Ordering::Relaxed);
                self.counts.changes.fetch_add(1, Ordering::Relaxed);
                self.picture.apply(change);
            }
            News::Lost(kind, since, fault) => {
                if fault.is_news(&self.faults) {
                    let told = if self.catalog.load().may_tell() {
                        "what is known is told on"
                    } else {
                        "nothing is told before everything is known"
                    };
                    tracing::warn!(?kind, %fault, "changes of the cluster do not come; {told}");
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
        self.counts.published.fetch_add(1, Ordering::Relaxed);
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
            }
            // The last that was current.
            (true, false) => self.save(),
            _ => {}
        }
    }

    fn tell_state(&self) {
        let sync = self.catalog.load().sync();
        let is_stale = self.age().is_some_and(|age| age >= self.stale_after);
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

/// Saves the picture where waiting for a disk harms nobody.
pub(super) struct Saver {
    file: Arc<CatalogFile>,
    every: Duration,
    due: Instant,
    /// Whether something has been published since that belongs on disk. What is not known whole never does.
    is_behind: bool,
    saving: Option<JoinHandle<()>>,
}

impl Saver {
    pub(super) fn new(file: CatalogFile, every: Duration) -> Self {
        Self { file: Arc::new(file), every, due: Instant::now() + every, is_behind: false, saving: None }
    }

    fn save(&mut self, picture: &Picture) {
        self.due = Instant::now() + self.every;
        let is_busy = self.saving.as_ref().is_some_and(|saving| !saving.is_finished());
        if self.is_behind && !is_busy {
            self.is_behind = false;
            let (file, snapshot) = (Arc::clone(&self.file), picture.snapshot());
            self.saving = Some(tokio::task::spawn_blocking(move || tell_failure(file.save(&snapshot))));
        }
    }

    /// Saves a last time: what is current now is known to have been current now.
    async fn finish(mut self, picture: &Picture) {
        if let Some(saving) = self.saving.take() {
            let _ = saving.await;
        }
        self.is_behind |= matches!(picture.sync(), SyncState::Synced { .. });
        self.save(picture);
        if let Some(saving) = self.saving.take() {
            let _ = saving.await;
        }
    }
}

fn tell_failure(saved: Result<(), DiskError>) {
    if let Err(error) = saved {
        tracing::warn!(%error, "the catalog is not saved; a restart without the API server would tell older names");
    }
}
