//! A gateway's peers: the one place they change.
//!
//! A change is checked, made durable, and only then acknowledged and published (design invariant 7).
//! Changes come one after another; readers hold immutable sets and never wait.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use strait_identity::TrustBundle;
use tokio::sync::watch;
use tracing::info;

use crate::peers::{Generation, PeerName, PeerRecord, PeerSet};
use crate::rules::{self, Conflict, Home, OnExisting};
use crate::store::{StateStore, StoreError};

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
    /// It could not be made durable.
    #[error("the change is not stored, and not in force: {0}")]
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

fn list(names: &[PeerName]) -> String {
    match names {
        [] => "no peer has been added yet".to_owned(),
        names => format!("known peers: {}", names.iter().map(PeerName::as_str).collect::<Vec<_>>().join(", ")),
    }
}

/// The state of a gateway's federation.
#[derive(Clone)]
pub struct Federation {
    inner: Arc<Inner>,
}

struct Inner {
    home: Home,
    /// Held through a change, on a thread that may block; never by a reader.
    store: Mutex<Box<dyn StateStore>>,
    peers: watch::Sender<Arc<PeerSet>>,
}

impl Federation {
    /// Starts from what is stored. A store that cannot be read is an error, and stays as it is.
    pub fn open(store: impl StateStore + 'static, home: Home) -> Result<Self, StoreError> {
        let set = store.load()?.unwrap_or_default();
        info!(generation = %set.generation(), peers = set.len(), "peers loaded");
        let inner = Inner { home, store: Mutex::new(Box::new(store)), peers: watch::Sender::new(Arc::new(set)) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What this cluster is.
    pub fn home(&self) -> &Home {
        &self.inner.home
    }

    /// The peers now.
    pub fn current(&self) -> Arc<PeerSet> {
        Arc::clone(&self.inner.peers.borrow())
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
            Ok(set.with(record))
        })
        .await
    }

    /// Removes a peer. When this returns, the removal is stored and published.
    pub async fn remove(&self, name: &str) -> Result<Generation, ChangeError> {
        let name = name.to_owned();
        self.change(format!("peer {name} removed"), move |set, _| match set.get(&name) {
            Some(_) => Ok(set.without(&name)),
            None => Err(ChangeError::unknown(name, set)),
        })
        .await
    }

    /// Makes, stores and publishes the next set. It runs to its end on a thread of its own even
    /// when the caller has gone: a change that is stored is always published.
    async fn change(
        &self,
        cause: String,
        next: impl FnOnce(&PeerSet, &Home) -> Result<PeerSet, ChangeError> + Send + 'static,
    ) -> Result<Generation, ChangeError> {
        let inner = Arc::clone(&self.inner);
        let change = move || {
            let store = inner.store.lock().unwrap_or_else(PoisonError::into_inner);
            let current = Arc::clone(&inner.peers.borrow());
            let set = next(&current, &inner.home)?;
            store.save(&set)?;
            let generation = set.generation();
            inner.peers.send_replace(Arc::new(set));
            info!(%generation, cause, "peers changed");
            Ok(generation)
        };
        tokio::task::spawn_blocking(change).await.unwrap_or(Err(ChangeError::Stopping))
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
