//! Files that a configuration points to.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::section::Located;
use crate::{ConfigErrors, Diagnostic};

/// Octets of a configuration file, certificate file or zone file that is read whole, at most.
pub(crate) const MAX_FILE_LEN: u64 = 64 << 20;

/// A file named under a key.
#[derive(Debug, Clone)]
pub(crate) struct NamedFile {
    pub(crate) key: &'static str,
    pub(crate) path: Located<PathBuf>,
}

impl NamedFile {
    /// Whether the file can be opened; notes an error when not.
    pub(crate) fn can_be_read(&self, cx: &Context) -> bool {
        self.open(cx).is_some()
    }

    /// The file's text; notes an error when there is none to be had.
    pub(crate) fn read(&self, cx: &Context) -> Option<String> {
        self.open(cx)?;
        match read_bounded(&self.path.value) {
            Ok(text) => Some(text),
            Err(error) => {
                self.note(cx, &error);
                None
            }
        }
    }

    fn open(&self, cx: &Context) -> Option<File> {
        let opened = File::open(&self.path.value).and_then(|file| match file.metadata()?.is_dir() {
            true => Err(io::ErrorKind::IsADirectory.into()),
            false => Ok(file),
        });
        opened.map_err(|error| self.note(cx, &error)).ok()
    }

    fn note(&self, cx: &Context, error: &io::Error) {
        let path = self.path.value.display();
        let (what, help) = explain(error);
        cx.error(&self.path.at, format!("`{}`: cannot read {path}: {what}", self.key), help);
    }
}

/// What the system says about a file, and what to do.
pub(crate) fn explain(error: &io::Error) -> (String, &'static str) {
    match error.kind() {
        io::ErrorKind::NotFound => (
            "it does not exist".to_owned(),
            "put the file there, or correct the path (relative paths start at the configuration file's folder)",
        ),
        io::ErrorKind::PermissionDenied => {
            ("permission denied".to_owned(), "let the user this program runs as read the file and enter its folders")
        }
        io::ErrorKind::IsADirectory => ("it is a folder".to_owned(), "name a file in it"),
        io::ErrorKind::InvalidData => ("it is not UTF-8 text".to_owned(), "is it the right file?"),
        _ => (error.to_string(), "make the file readable"),
    }
}

/// The text of a file of at most [`MAX_FILE_LEN`] octets.
pub(crate) fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    file.take(MAX_FILE_LEN + 1).read_to_string(&mut text)?;
    match text.len() as u64 > MAX_FILE_LEN {
        true => Err(io::Error::other(format!("it is longer than {MAX_FILE_LEN} octets"))),
        false => Ok(text),
    }
}

/// The text of a configuration file.
pub(crate) fn load(path: &Path) -> Result<String, ConfigErrors> {
    read_bounded(path).map_err(|error| {
        let (what, help) = explain(&error);
        let message = format!("cannot read the configuration file: {what}");
        ConfigErrors::new(vec![Diagnostic::whole(path, message, help.to_owned())])
    })
}
