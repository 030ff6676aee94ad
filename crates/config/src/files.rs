//! Files that a configuration points to.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::document::Span;
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

/// A path that the program writes to. Nothing is made or opened for writing here.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) key: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) at: Span,
    pub(crate) kind: OutputKind,
}

/// What the path names, and what the program makes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputKind {
    /// A file in a folder that must exist.
    File,
    /// A file whose folder is made, when the folder's own exists.
    FileAndFolder,
    /// A folder that is made, when its own exists.
    Folder,
}

impl Output {
    /// Notes what will keep the program from writing there.
    pub(crate) fn check(&self, cx: &Context) {
        if let Err((what, help)) = self.obstacle() {
            cx.error(&self.at, format!("`{}`: {what}", self.key), help);
        }
    }

    fn obstacle(&self) -> Result<(), (String, &'static str)> {
        const MAKE: &str = "make the folder, or correct the path";
        let above = |path: &Path| path.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
        if self.kind != OutputKind::Folder && self.path.is_dir() {
            return Err((format!("{} is a folder", self.path.display()), "name a file in it"));
        }
        let folder = match self.kind {
            OutputKind::Folder => self.path.clone(),
            OutputKind::File | OutputKind::FileAndFolder => above(&self.path),
        };
        let is_made = self.kind != OutputKind::File;
        match std::fs::metadata(&folder) {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => Err((format!("{} is not a folder", folder.display()), "name a folder, or move the file away")),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err((format!("cannot look at the folder {}: {error}", folder.display()), MAKE))
            }
            // One folder is made; a path that misses more is mistyped.
            Err(_) if is_made && above(&folder).is_dir() => Ok(()),
            Err(_) if is_made => Err((format!("the folder {} does not exist", above(&folder).display()), MAKE)),
            Err(_) => Err((format!("the folder {} does not exist", folder.display()), MAKE)),
        }
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
