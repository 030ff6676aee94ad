//! The lab's folder: made at the start, removed at the end.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::say::say;

/// A folder that goes away with the lab, also when the lab fails.
pub(super) struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// Makes `wanted`, which must be new or empty, or a new temporary folder.
    pub(super) fn create(wanted: Option<&Path>, keep: bool) -> anyhow::Result<Self> {
        let path = match wanted {
            None => tempfile::Builder::new().prefix("strait-lab-").tempdir().context("no temporary folder")?.keep(),
            Some(wanted) => {
                let unusable = || format!("{}: cannot be used; choose another --dir", wanted.display());
                std::fs::create_dir_all(wanted).with_context(unusable)?;
                if std::fs::read_dir(wanted).with_context(unusable)?.next().is_some() {
                    bail!("{}: not empty; choose a new --dir, or empty it first", wanted.display());
                }
                std::path::absolute(wanted).with_context(unusable)?
            }
        };
        Ok(Self { path, keep })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, or says where it stays.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        if std::mem::replace(&mut self.keep, true) {
            return say(format_args!("Kept: {}", self.path.display()));
        }
        std::fs::remove_dir_all(&self.path).with_context(|| format!("{}: cannot be removed", self.path.display()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            // Reached on panic and on early return only; there is nobody left to tell.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
