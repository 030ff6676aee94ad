//! What is wrong, where, and what to do.
//!
//! ```text
//! agent.yaml:4:13: error: `interval`: 10ms is out of range
//!   |
//! 4 |   interval: 10ms
//!   |             ^^^^
//!   = help: from 100ms to 5m
//! ```

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Characters of a source line shown at most; of a longer one the part around the place.
const MAX_SHOWN: usize = 120;
/// Findings shown at most; the rest is counted.
const MAX_FINDINGS: usize = 50;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is believed, but probably not as meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    severity: Severity,
    file: PathBuf,
    place: Option<Place>,
    message: String,
    help: String,
}

/// A place in a text, with the line as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
    shown: String,
    caret_at: usize,
    caret_len: usize,
}

impl Diagnostic {
    /// About the octets `at` of `text`, which is the content of `file`.
    pub(crate) fn at(file: &Path, text: &str, at: Range<usize>, message: String, help: String) -> Self {
        Self { severity: Severity::Error, file: file.to_owned(), place: Some(Place::find(text, at)), message, help }
    }

    /// About a file as a whole.
    pub(crate) fn whole(file: &Path, message: String, help: String) -> Self {
        Self { severity: Severity::Error, file: file.to_owned(), place: None, message, help }
    }

    /// The same, as a warning.
    pub(crate) fn into_warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The file it is about.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Line and column, both from 1, the column in characters; none when it is about the file as a whole.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.place.as_ref().map(|place| (place.line, place.column))
    }

    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do, when there is more to say than the message says.
    pub fn help(&self) -> Option<&str> {
        (!self.help.is_empty()).then_some(self.help.as_str())
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, severity, message) = (self.file.display(), self.severity, &self.message);
        let mut margin = 0;
        match &self.place {
            None => write!(f, "{file}: {severity}: {message}")?,
            Some(Place { line, column, shown, caret_at, caret_len }) => {
                margin = line.to_string().len();
                writeln!(f, "{file}:{line}:{column}: {severity}: {message}")?;
                writeln!(f, "{:margin$} |", "")?;
                writeln!(f, "{line} | {shown}")?;
                write!(f, "{:margin$} | {:caret_at$}{:^<caret_len$}", "", "", "")?;
            }
        }
        for (index, line) in self.help.lines().enumerate() {
            let lead = if index == 0 { "= help:" } else { "       " };
            write!(f, "\n{:margin$} {lead} {line}", "")?;
        }
        Ok(())
    }
}

impl Place {
    fn find(text: &str, at: Range<usize>) -> Self {
        let start = floor_boundary(text, at.start);
        let end = floor_boundary(text, at.end.max(start));
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let before = text[line_start..start].chars().count();
        let marked = text[start..end.min(line_end)].chars().count().max(1);
        let characters = || text[line_start..line_end].trim_end_matches('\r').chars().map(printable);
        let total = characters().count();
        // Of a long line, a window that begins a little before the place.
        let skipped = if total > MAX_SHOWN { before.saturating_sub(MAX_SHOWN / 3) } else { 0 };
        let mut shown: String = characters().skip(skipped).take(MAX_SHOWN).collect();
        let mut caret_at = before - skipped;
        if skipped > 0 {
            shown.insert_str(0, "... ");
            caret_at += 4;
        }
        if total - skipped.min(total) > MAX_SHOWN {
            shown.push_str(" ...");
        }
        let caret_len = marked.min(shown.chars().count().saturating_sub(caret_at)).max(1);
        Self {
            line: text[..line_start].matches('\n').count() + 1,
            column: before + 1,
            shown: shown.trim_end().to_owned(),
            caret_at,
            caret_len,
        }
    }
}

/// What a terminal shows in one column: a tab would move the caret, a control character the cursor.
fn printable(character: char) -> char {
    match character {
        '\t' => ' ',
        character if character.is_control() => char::REPLACEMENT_CHARACTER,
        character => character,
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&index| text.is_char_boundary(index)).unwrap_or(0)
}

/// The octet at which line `line`, column `column` (from 1, in characters) of `text` begins.
pub(crate) fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start = match line.saturating_sub(1) {
        0 => 0,
        newlines => text.match_indices('\n').nth(newlines - 1).map_or(text.len(), |(at, _)| at + 1),
    };
    let end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
    text[start..end].char_indices().nth(column.saturating_sub(1)).map_or(end, |(at, _)| start + at)
}

/// Everything wrong with a configuration; at least one error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    diagnostics: Vec<Diagnostic>,
}

impl ConfigErrors {
    pub(crate) fn new(diagnostics: Vec<Diagnostic>) -> Self {
        Self { diagnostics }
    }

    /// Each finding, in the order of the text.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().take(MAX_FINDINGS).enumerate() {
            write!(f, "{}{diagnostic}", if index == 0 { "" } else { "\n\n" })?;
        }
        match self.diagnostics.len().checked_sub(MAX_FINDINGS) {
            Some(more @ 1..) => write!(f, "\n\n... and {more} more"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ConfigErrors {}
