//! A gateway's peers: the one place they change.
//!
//! A change is checked, made durable, and only then acknowledged and published (invariant 7). Changes come one after
//! another; readers hold immutable sets and never wait. What others change in a store that is shared is published as it
//! comes.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use strait_identity::TrustBundle;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use crate::peers::{Generation, PeerName, PeerRecord, PeerSet};
use crate::rules::{self, Conflict, Home, OnExisting};
use crate::store::{StateStore, StoreChange, StoreError};

/// Why a change was not made. Nothing is half-stored: the peers are as before.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// A rule forbids it.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// There is no such peer.
    #[error("there is no peer {name:?}; {}", list(.known))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<PeerName>,
    },
    /// It could not be made durable, or nobody knows whether it is.
    #[error("{prefix}{0}", prefix = not_stored(.0))]
    Store(#[from] StoreError),
    /// The program is going down.
    #[error("the gateway is shutting down; the change is not stored")]
    Stopping,
}

impl ChangeError {
    /// There is no peer of that name among these.
    pub(crate) fn unknown(name: String, set: &PeerSet) -> Self {
        Self::Unknown { name, known: set.iter().map(|peer| peer.name.clone()).collect() }
    }
}

/// What is to be said before that error.
fn not_stored(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unsettled(_) => "",
        _ => "the change is not stored, and not in force: ",
    }
}

fn list(names: &[PeerName]) -> String {
    match names {
        [] => "no peer has been added yet".to_owned(),
        names => format!("known peers: {}", names.iter().map(PeerName::as_str).collect::<Vec<_>>().join(", ")),
    }
}

/// How often a change is tried anew when others are faster.
const MAX_TRIES: u32 = 4;

/// How long what others have done may take to come here.
const NEWS_WITHIN: Duration = Duration::from_secs(2);

/// The state of a gateway's federation.
#[derive(Clone)]
pub struct Federation {
    inner: Arc<Inner>,
}

struct Inner {
    home: Home,
    store: Arc<dyn StateStore>,
    /// Held while a set is published, and through a change; never by a reader.
    changing: tokio::sync::Mutex<()>,
    peers: watch::Sender<Arc<PeerSet>>,
    _stop: DropGuard,
}

impl Federation {
    /// Starts from what is stored, which it waits for, and follows what others change. A store that cannot be read is an
    /// error, and stays as it is.
    pub async fn open(store: impl StateStore, home: Home) -> Result<Self, StoreError> {
        let set = store.load().await?;
        info!(generation = %set.generation(), peers = set.len(), zones = set.zones().len(), "peers loaded");
        let stop = CancellationToken::new();
        let inner = Arc::new(Inner {
            home,
            store: Arc::new(store),
            changing: tokio::sync::Mutex::default(),
            peers: watch::Sender::new(Arc::new(set)),
            _stop: stop.clone().drop_guard(),
        });
        let follow = follow(Arc::clone(&inner.store), Arc::downgrade(&inner), inner.current().generation());
        tokio::spawn(stop.run_until_cancelled_owned(follow));
        Ok(Self { inner })
    }

    /// What this cluster is.
    pub fn home(&self) -> &Home {
        &self.inner.home
    }

    /// The peers now.
    pub fn current(&self) -> Arc<PeerSet> {
        self.inner.current()
    }

    /// The peers now and after every change.
    pub fn subscribe(&self) -> watch::Receiver<Arc<PeerSet>> {
        self.inner.peers.subscribe()
    }

    /// What the gateway believes of those who connect to it.
    pub fn inbound_trust(&self, own: &TrustBundle) -> strait_identity::TrustStore {
        self.current().inbound_trust(own)
    }

    /// Adds a peer, or changes the one of its name. When this returns, it is stored and published.
    pub async fn add(&self, mut record: PeerRecord, existing: OnExisting) -> Result<Generation, ChangeError> {
        record.changed_at = now();
        let cause = format!("peer {} added or changed", record.name);
        self.change(cause, move |set, home| {
            rules::check(&record, set, home, existing)?;
            Ok(StoreChange::Put(record.clone()))
        })
        .await
    }

    /// Removes a peer. When this returns, the removal is stored and published.
    pub async fn remove(&self, name: &str) -> Result<Generation, ChangeError> {
        let name = name.to_owned();
        self.change(format!("peer {name} removed"), move |set, _| match set.get(&name) {
            Some(peer) => Ok(StoreChange::Remove(peer.name.clone())),
            None => Err(ChangeError::unknown(name.clone(), set)),
        })
        .await
    }

    /// Makes, stores and publishes the next set. It runs to its end even when the caller has gone: a change that is
    /// stored is always published.
    async fn change(
        &self,
        cause: String,
        next: impl Fn(&PeerSet, &Home) -> Result<StoreChange, ChangeError> + Send + Sync + 'static,
    ) -> Result<Generation, ChangeError> {
        let inner = Arc::clone(&self.inner);
        let change = tokio::spawn(async move { inner.change(&cause, next).await });
        change.await.unwrap_or(Err(ChangeError::Stopping))
    }
}

impl Inner {
    fn current(&self) -> Arc<PeerSet> {
        Arc::clone(&self.peers.borrow())
    }

    async fn change(
        &self,
        cause: &str,
        next: impl Fn(&PeerSet, &Home) -> Result<StoreChange, ChangeError>,
    ) -> Result<Generation, ChangeError> {
        let _changing = self.changing.lock().await;
        let mut tries = 0;
        loop {
            tries += 1;
            let current = self.current();
            let change = next(&current, &self.home)?;
            match self.store.commit(current.generation(), change).await {
                // Whether the change is still good is seen once it is known what the others did.
                Err(StoreError::Conflict) if tries < MAX_TRIES => {
                    let _ = timeout(NEWS_WITHIN, self.store.changed(current.generation())).await;
                    self.publish(self.store.load().await?, "changed by others");
                }
                outcome => return Ok(self.publish(outcome?, cause)),
            }
        }
    }

    fn publish(&self, set: PeerSet, cause: &str) -> Generation {
        let generation = set.generation();
        let is_new = *self.current() != set;
        if is_new {
            info!(%generation, peers = set.len(), zones = set.zones().len(), cause, "peers changed");
            self.peers.send_replace(Arc::new(set));
        }
        generation
    }
}

/// Publishes what others change, until the federation is gone.
async fn follow(store: Arc<dyn StateStore>, inner: Weak<Inner>, mut known: Generation) {
    loop {
        store.changed(known).await;
        let Some(inner) = inner.upgrade() else { return };
        let _changing = inner.changing.lock().await;
        match store.load().await {
            Ok(set) => known = inner.publish(set, "changed by others"),
            Err(error) => {
                warn!(%error, "what others have changed cannot be read; the peers stay as they are");
                return;
            }
        }
    }
}

/// Seconds since 1970-01-01 UTC.
pub(crate) fn now() -> i64 {
    seconds(SystemTime::now())
}

/// That time in seconds since 1970-01-01 UTC.
pub(crate) fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
