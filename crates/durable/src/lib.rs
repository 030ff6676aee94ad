//! Replaces a file so that a crash or a power cut leaves the old content or the new, never a mix:
//! write beside it, sync, rename over it, sync the folder.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What the new content is called until it takes its place.
pub const TEMPORARY: &str = ".new";

/// The steps of a replacement, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The new file is created beside the old one.
    Create,
    /// The new file is written.
    Write,
    /// The new file is brought to disk.
    SyncFile,
    /// The new file takes the name of the old one.
    Rename,
    /// The folder is brought to disk.
    SyncFolder,
}

impl Step {
    /// What is being done, for people.
    pub const fn doing(self) -> &'static str {
        match self {
            Self::Create => "creating the new file beside it",
            Self::Write => "writing the new file",
            Self::SyncFile => "bringing the new file to disk",
            Self::Rename => "putting the new file in place",
            Self::SyncFolder => "bringing the folder to disk",
        }
    }
}

/// Options for a file that only its owner reads: a cluster's names, peers and CAs are nobody else's business.
pub fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

/// Replaces the content of `path`; an error names the step.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), (Step, io::Error)> {
    replace_with(path, content, |_| Ok(()))
}

/// Replaces the content of `path`; `before` is asked before each step and may fail it.
pub fn replace_with(
    path: &Path,
    content: &[u8],
    mut before: impl FnMut(Step) -> io::Result<()>,
) -> Result<(), (Step, io::Error)> {
    let mut step = |step: Step| before(step).map_err(|error| (step, error));
    let at = |step: Step| move |error: io::Error| (step, error);
    let temporary = beside(path, TEMPORARY);

    step(Step::Create)?;
    let mut file = private_file().truncate(true).open(&temporary).map_err(at(Step::Create))?;
    step(Step::Write)?;
    file.write_all(content).map_err(at(Step::Write))?;
    step(Step::SyncFile)?;
    file.sync_all().map_err(at(Step::SyncFile))?;
    step(Step::Rename)?;
    std::fs::rename(&temporary, path).map_err(at(Step::Rename))?;
    step(Step::SyncFolder)?;
    sync_folder(path).map_err(at(Step::SyncFolder))
}

/// Makes the folder that `path` lies in, for this user alone, when it is missing; never a folder above it.
pub fn make_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder_of(path)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// The folder that `path` lies in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Brings the folder's entry for `path` to disk: without this a power cut may undo the rename.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// The name of a file with something added at its end.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
