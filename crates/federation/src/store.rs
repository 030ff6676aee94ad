//! Where peers outlive the process: what that place must do, and one versioned, human-readable file.
//!
//! The file is replaced as a whole (`strait_durable`), so a crash leaves the old set or the new
//! one. A file that cannot be read (`store/document.rs`) is an error and stays untouched.

mod document;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use strait_durable::{TEMPORARY, beside, make_folder, private_file, replace};
use strait_resolve::BoxFuture;

pub use document::DocumentError;

use crate::peers::{Generation, PeerName, PeerRecord, PeerSet};

/// Keeps the peers of a gateway, perhaps for others as well.
pub trait StateStore: Send + Sync + 'static {
    /// The peers as they are now. Waits until that is known; it never says too few for not knowing better.
    fn load(&self) -> BoxFuture<'_, Result<PeerSet, StoreError>>;

    /// Makes a change last that was found good for the set of generation `base`, and says the set with it. When this
    /// returns, it survives the end of whatever keeps it. [`StoreError::Conflict`] when others were faster.
    fn commit(&self, base: Generation, change: StoreChange) -> BoxFuture<'_, Result<PeerSet, StoreError>>;

    /// Waits until [`StateStore::load`] says something else than the set of that generation. For ever, where nobody else
    /// changes anything.
    fn changed(&self, known: Generation) -> BoxFuture<'_, ()>;
}

/// A change of peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreChange {
    /// This one, in place of the one of its name if there is one.
    Put(PeerRecord),
    /// None of this name.
    Remove(PeerName),
}

impl StoreChange {
    /// The next set, where sets are counted.
    pub(crate) fn apply(self, set: &PeerSet) -> PeerSet {
        match self {
            Self::Put(record) => set.with(record),
            Self::Remove(name) => set.without(name.as_str()),
        }
    }
}

/// Why a set of peers cannot be kept or had.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or the lock file cannot be used.
    #[error("cannot use {}: {source}; its folder must be one that this user can write to, or can make", .path.display())]
    Folder {
        /// The file meant.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has the file.
    #[error("{} is in use by another process; two programs must not share it: give each its own `state`", .path.display())]
    InUse {
        /// The file meant.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file holds something else than a set of peers.
    #[error("{}{source}\nThe file is left as it is. Restore it from a copy, or move it away to begin without peers.", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: DocumentError,
    },
    /// The file cannot be replaced.
    #[error("cannot write {}: {step}: {source}; is the disk full or the folder read-only?", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What was being done.
        step: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// Others have changed the peers meanwhile.
    #[error("the peers have been changed by somebody else meanwhile; look at them, and try again")]
    Conflict,
    /// What keeps the peers cannot be reached, or refuses.
    #[error("{0}")]
    Unavailable(String),
    /// The change is stored, or may be, and is not in force so far.
    #[error("{0}")]
    Unsettled(String),
    /// What is stored by that name is not in force, so that nothing is made of it.
    #[error("peer {name} is stored, but not in force: {why}")]
    NotInForce {
        /// The peer.
        name: PeerName,
        /// Why not.
        why: String,
    },
    /// The program is going down.
    #[error("the gateway is shutting down")]
    Stopping,
}

/// One file, held by one process at a time.
#[derive(Debug, Clone)]
pub struct FileStore {
    path: PathBuf,
    /// Locked as long as the store lives; the system lets go of it when the process ends. None: locked for each write.
    lock: Option<Arc<File>>,
}

/// How long a write waits for that of another process.
const TURN_WITHIN: Duration = Duration::from_secs(2);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

impl FileStore {
    /// Takes hold of the file: locks it against other processes, and clears away what an
    /// interrupted write has left. The file need not exist yet; nor need its folder, but the
    /// folder's own must, so that a mistyped path is an error.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let mut store = Self { path: path.into(), lock: None };
        make_folder(&store.path).map_err(|source| store.unusable(source))?;
        let lock = store.take_lock()?;
        store.clear_away()?;
        store.lock = Some(Arc::new(lock));
        Ok(store)
    }

    /// The same for a file that another process may write as well, of the same: while one takes over from another. Each
    /// write has the lock for itself.
    pub fn open_in_turns(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = Self { path: path.into(), lock: None };
        make_folder(&store.path).map_err(|source| store.unusable(source))?;
        match store.take_lock() {
            Ok(_lock) => store.clear_away()?,
            // Whoever has it writes, or began alone.
            Err(StoreError::InUse { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(store)
    }

    fn unusable(&self, source: io::Error) -> StoreError {
        StoreError::Folder { path: self.path.clone(), source }
    }

    fn take_lock(&self) -> Result<File, StoreError> {
        let lock = private_file().truncate(false).open(beside(&self.path, ".lock"));
        let lock = lock.map_err(|source| self.unusable(source))?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: self.path.clone() }),
            Err(TryLockError::Error(source)) => Err(self.unusable(source)),
        }
    }

    /// Removes what an interrupted write has left.
    fn clear_away(&self) -> Result<(), StoreError> {
        match std::fs::remove_file(beside(&self.path, TEMPORARY)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(self.unusable(source)),
            _ => Ok(()),
        }
    }

    /// The lock for a write, unless it is held already. Waits a little for another's write.
    fn turn(&self) -> Result<Option<File>, StoreError> {
        if self.lock.is_some() {
            return Ok(None);
        }
        let patience = Instant::now() + TURN_WITHIN;
        loop {
            match self.take_lock() {
                Err(StoreError::InUse { .. }) if Instant::now() < patience => std::thread::sleep(LOOK_EVERY),
                outcome => return outcome.map(Some),
            }
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The set in the file; none when nothing has been stored yet.
    pub fn read(&self) -> Result<Option<PeerSet>, StoreError> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Read { path: self.path.clone(), source }),
        };
        let damaged = |source| StoreError::Damaged { path: self.path.clone(), source };
        document::parse(&bytes).map(Some).map_err(damaged)
    }

    /// Stores a set in place of what is there. When this returns, it survives a power cut.
    pub fn save(&self, set: &PeerSet) -> Result<(), StoreError> {
        let _turn = self.turn()?;
        replace(&self.path, document::render(set).as_bytes()).map_err(|(step, source)| StoreError::Write {
            path: self.path.clone(),
            step: step.doing(),
            source,
        })
    }

    /// Renames the file to its name with `.damaged` at the end, and says that name.
    pub fn set_aside(&self) -> Result<PathBuf, StoreError> {
        let aside = beside(&self.path, ".damaged");
        let failed = |source| StoreError::Write { path: aside.clone(), step: "setting the damaged file aside", source };
        std::fs::rename(&self.path, &aside).map_err(failed)?;
        Ok(aside)
    }
}

impl StateStore for FileStore {
    fn load(&self) -> BoxFuture<'_, Result<PeerSet, StoreError>> {
        let store = self.clone();
        Box::pin(off_the_runtime(move || Ok(store.read()?.unwrap_or_default())))
    }

    fn commit(&self, base: Generation, change: StoreChange) -> BoxFuture<'_, Result<PeerSet, StoreError>> {
        let store = self.clone();
        Box::pin(off_the_runtime(move || {
            let before = store.read()?.unwrap_or_default();
            if before.generation() != base {
                return Err(StoreError::Conflict);
            }
            let set = change.apply(&before);
            store.save(&set)?;
            Ok(set)
        }))
    }

    fn changed(&self, _: Generation) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(StoreError::Stopping))
}

#[cfg(test)]
mod tests;
