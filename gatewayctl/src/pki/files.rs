//! Certificates and keys as files: whole or not at all, and keys never readable by others, not even for a moment.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use tempfile::{Builder, NamedTempFile};

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// Mode 0600.
    Owner,
    /// Mode 0644.
    Everyone,
}

/// Writes a file that must not exist yet.
pub(super) fn write_new(file: &Path, text: &str, secrecy: Secrecy) -> anyhow::Result<()> {
    let temporary = prepared(file, text, secrecy)?;
    temporary.persist_noclobber(file).map_err(|failed| failed.error).with_context(|| unwritable(file))?;
    Ok(())
}

/// Writes a file, in place of one that exists.
pub(super) fn replace(file: &Path, text: &str, secrecy: Secrecy) -> anyhow::Result<()> {
    let temporary = prepared(file, text, secrecy)?;
    temporary.persist(file).map_err(|failed| failed.error).with_context(|| unwritable(file))?;
    Ok(())
}

/// The text on disk beside its place, under another name.
fn prepared(file: &Path, text: &str, secrecy: Secrecy) -> anyhow::Result<NamedTempFile> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let write = || {
        std::fs::create_dir_all(folder)?;
        let mode = match secrecy {
            Secrecy::Owner => 0o600,
            Secrecy::Everyone => 0o644,
        };
        let mut temporary = Builder::new().permissions(std::fs::Permissions::from_mode(0o600)).tempfile_in(folder)?;
        temporary.write_all(text.as_bytes())?;
        temporary.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
        temporary.as_file().sync_all()?;
        Ok::<_, std::io::Error>(temporary)
    };
    write().with_context(|| unwritable(file))
}

fn unwritable(file: &Path) -> String {
    format!("{}: cannot be written; choose a folder that this user may write to", file.display())
}
