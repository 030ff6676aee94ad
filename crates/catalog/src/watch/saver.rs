//! Saves the picture where waiting for a disk harms nobody.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::{CatalogFile, DiskError, Picture, Saved, SyncState};

/// Saves the picture now and then; while nothing changes, that it is still current.
pub(super) struct Saver {
    file: Arc<CatalogFile>,
    every: Duration,
    /// When it is to be saved next.
    pub(super) due: Instant,
    /// Whether something has been published since that belongs on disk. What is not known whole never does.
    pub(super) is_behind: bool,
    saving: Option<JoinHandle<()>>,
    outcome: Arc<Mutex<Outcome>>,
}

/// What became of it so far.
#[derive(Default)]
struct Outcome {
    /// What is on disk; none when nothing is, or when it is not known.
    saved: Option<Saved>,
    /// Why it could not be saved last; told once.
    error: String,
}

impl Saver {
    pub(super) fn new(file: CatalogFile, every: Duration) -> Self {
        let (file, due) = (Arc::new(file), Instant::now() + every);
        Self { file, every, due, is_behind: false, saving: None, outcome: Arc::default() }
    }

    /// Whether nothing has been saved yet.
    pub(super) fn has_nothing(&self) -> bool {
        lock(&self.outcome).saved.is_none()
    }

    /// Begins to save what must be.
    pub(super) fn save(&mut self, picture: &Picture) {
        self.due = Instant::now() + self.every;
        if self.saving.as_ref().is_some_and(|saving| !saving.is_finished()) {
            return;
        }
        let (is_current, current) = match picture.sync() {
            SyncState::Synced { .. } => (true, SystemTime::now()),
            SyncState::Stale { since } => (false, since),
            SyncState::Waiting => return,
        };
        let (file, outcome) = (Arc::clone(&self.file), Arc::clone(&self.outcome));
        // Until it is known what is on disk, nothing is said of it.
        let saved = lock(&outcome).saved.take();
        match saved.filter(|_| !self.is_behind) {
            Some(saved) if is_current => {
                self.saving = Some(tokio::task::spawn_blocking(move || {
                    note(&outcome, file.note_current(saved, current).map(|()| saved));
                }));
            }
            // Nothing is new, and it is no longer current.
            Some(saved) => lock(&outcome).saved = Some(saved),
            None if !self.is_behind && !is_current => {}
            None => {
                self.is_behind = false;
                let snapshot = picture.snapshot();
                self.saving = Some(tokio::task::spawn_blocking(move || {
                    note(&outcome, file.save(&snapshot, current));
                }));
            }
        }
    }

    /// Saves a last time, and waits until that is done: what is current now is known to have been current now.
    pub(super) async fn finish(mut self, picture: &Picture) {
        self.wait().await;
        self.save(picture);
        self.wait().await;
    }

    async fn wait(&mut self) {
        if let Some(saving) = self.saving.take() {
            let _ = saving.await;
        }
    }
}

fn lock(outcome: &Mutex<Outcome>) -> MutexGuard<'_, Outcome> {
    outcome.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(outcome: &Mutex<Outcome>, saved: Result<Saved, DiskError>) {
    let mut outcome = lock(outcome);
    let error = saved.as_ref().err().map(ToString::to_string).unwrap_or_default();
    if !error.is_empty() && error != outcome.error {
        tracing::warn!(error, "the catalog is not saved; a restart without the API server would tell older names");
    }
    *outcome = Outcome { saved: saved.ok(), error };
}
