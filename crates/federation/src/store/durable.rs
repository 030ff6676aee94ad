//! Replaces a file so that a crash or a power cut leaves the old content or the new, never a mix:
//! write beside it, sync, rename over it, sync the folder.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::beside;

/// What the new content is called until it takes its place.
pub(super) const TEMPORARY: &str = ".new";

/// The steps of a replacement, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    Write,
    SyncFile,
    Rename,
    SyncFolder,
}

impl Step {
    /// What is being done, for people.
    pub(super) const fn doing(self) -> &'static str {
        match self {
            Self::Create => "creating the new file beside it",
            Self::Write => "writing the new file",
            Self::SyncFile => "bringing the new file to disk",
            Self::Rename => "putting the new file in place",
            Self::SyncFolder => "bringing the folder to disk",
        }
    }
}

/// Options for a file that only its owner reads: peers and their CAs are nobody else's business.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

/// Replaces the content of `path`; an error names the step.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), (Step, io::Error)> {
    replace_with(path, content, |_| Ok(()))
}

/// Replaces the content of `path`; `before` is asked before each step and may fail it.
pub(super) fn replace_with(
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

/// Brings the folder's entry for `path` to disk: without this a power cut may undo the rename.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
