//! The text being read, and what has been found wrong with it so far.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use crate::document::Span;
use crate::files::Output;
use crate::section::Problem;
use crate::{ConfigErrors, Diagnostic, Loaded, Severity};

/// A configuration file while it is read.
pub(crate) struct Context {
    file: PathBuf,
    folder: PathBuf,
    text: String,
    findings: RefCell<Vec<Diagnostic>>,
    outputs: RefCell<Vec<Output>>,
}

impl Context {
    pub(crate) fn new(text: &str, file: &Path) -> Self {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self {
            file: file.to_owned(),
            folder: std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()),
            text: text.to_owned(),
            findings: RefCell::default(),
            outputs: RefCell::default(),
        }
    }

    /// A path in the file, made absolute: relative paths start at the file's folder.
    pub(crate) fn absolute(&self, path: &str) -> Result<PathBuf, Problem> {
        match path {
            "" => Err(Problem::new("a path is needed", "give one, or leave the key out")),
            path if path.contains('\0') => Err(Problem::new("a path cannot contain NUL", "correct the path")),
            path => Ok(self.folder.join(path)),
        }
    }

    /// The line of a place, from 1.
    pub(crate) fn line(&self, at: &Span) -> usize {
        self.text[..at.start].matches('\n').count() + 1
    }

    /// The text at a place, as it is written.
    pub(crate) fn written(&self, at: &Span) -> &str {
        self.text.get(at.clone()).unwrap_or_default()
    }

    /// Notes an error at a place.
    pub(crate) fn error(&self, at: &Span, message: impl Into<String>, help: impl Into<String>) {
        self.add(Diagnostic::at(&self.file, &self.text, at.clone(), message.into(), help.into()));
    }

    /// Notes something allowed but probably not meant.
    pub(crate) fn warning(&self, at: &Span, message: impl Into<String>, help: impl Into<String>) {
        self.add(Diagnostic::at(&self.file, &self.text, at.clone(), message.into(), help.into()).into_warning());
    }

    /// Notes a finding, in this file or another.
    pub(crate) fn add(&self, diagnostic: Diagnostic) {
        self.findings.borrow_mut().push(diagnostic);
    }

    /// Notes a path that the program will write to; looked at with the files it reads.
    pub(crate) fn writes(&self, output: Output) {
        self.outputs.borrow_mut().push(output);
    }

    /// Whether an error has been noted.
    pub(crate) fn failed(&self) -> bool {
        self.findings.borrow().iter().any(|finding| finding.severity() == Severity::Error)
    }

    /// What has been found, as an error.
    pub(crate) fn into_errors(self) -> ConfigErrors {
        let mut findings = self.into_findings();
        // A warning may be the shadow of what is refused.
        findings.retain(|finding| finding.severity() == Severity::Error);
        ConfigErrors::new(findings)
    }

    fn into_findings(self) -> Vec<Diagnostic> {
        let mut findings = self.findings.into_inner();
        // Findings in other files (zone files) come after those in this one.
        findings.sort_by_key(|finding| (finding.file() != self.file, finding.position()));
        findings.dedup();
        findings
    }

    /// The outcome: `config`, unless an error has been noted.
    pub(crate) fn finish<C>(self, config: Option<C>, effective: String) -> Result<Loaded<C>, ConfigErrors> {
        for output in self.outputs.take() {
            output.check(&self);
        }
        match config {
            Some(config) if !self.failed() => Ok(Loaded { config, warnings: self.into_findings(), effective }),
            _ => Err(self.into_errors()),
        }
    }
}
