//! Where a set of peers outlives the process: one versioned, human-readable file.
//!
//! The file is replaced as a whole (`strait_durable`), so a crash leaves the old set or the new
//! one. A file that cannot be read (`store/document.rs`) is an error and stays untouched.

mod document;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use strait_durable::{TEMPORARY, beside, make_folder, private_file, replace};

pub use document::DocumentError;

use crate::peers::PeerSet;

/// Keeps a set of peers.
pub trait StateStore: Send {
    /// What was stored last; none when nothing has been stored yet.
    fn load(&self) -> Result<Option<PeerSet>, StoreError>;
    /// Stores a set. When this returns, it survives a power cut.
    fn save(&self, set: &PeerSet) -> Result<(), StoreError>;
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
    #[error("{} is in use by another process; two gateways must not share it: give each its own `state`", .path.display())]
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
}

/// One file, held by one process at a time.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    /// Locked as long as the store lives; the system lets go of it when the process ends.
    _lock: File,
}

impl FileStore {
    /// Takes hold of the file: locks it against other processes, and clears away what an
    /// interrupted write has left. The file need not exist yet; nor need its folder, but the
    /// folder's own must, so that a mistyped path is an error.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        let failed = |source| StoreError::Folder { path: path.clone(), source };
        make_folder(&path).map_err(failed)?;
        let lock = private_file().truncate(false).open(beside(&path, ".lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        match std::fs::remove_file(beside(&path, TEMPORARY)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failed(source)),
            _ => Ok(Self { path, _lock: lock }),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
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
    fn load(&self) -> Result<Option<PeerSet>, StoreError> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Read { path: self.path.clone(), source }),
        };
        let damaged = |source| StoreError::Damaged { path: self.path.clone(), source };
        document::parse(&bytes).map(Some).map_err(damaged)
    }

    fn save(&self, set: &PeerSet) -> Result<(), StoreError> {
        replace(&self.path, document::render(set).as_bytes()).map_err(|(step, source)| StoreError::Write {
            path: self.path.clone(),
            step: step.doing(),
            source,
        })
    }
}

#[cfg(test)]
mod tests;
