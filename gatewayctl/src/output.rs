//! Results on standard output: tables for people; JSON and YAML, which carry everything, for programs.

use std::io::Write;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
    /// For programs and people
    Yaml,
}

/// Where results go, and how.
pub(crate) struct Output<W> {
    format: Format,
    to: W,
}

impl<W: Write> Output<W> {
    pub(crate) fn new(format: Format, to: W) -> Self {
        Self { format, to }
    }

    /// Writes a result: `text` makes what people read of it.
    pub(crate) fn write<T: Serialize>(&mut self, result: &T, text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        let written = match self.format {
            Format::Table => text(result),
            Format::Json => serde_json::to_string_pretty(result)?,
            Format::Yaml => serde_saphyr::to_string(result)?,
        };
        writeln!(self.to, "{}", written.trim_end())?;
        Ok(self.to.flush()?)
    }

    /// Writes bytes as they are.
    pub(crate) fn write_raw(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.to.write_all(bytes)?;
        Ok(self.to.flush()?)
    }
}

/// Whether an error is that nobody reads our output any more.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// An error with its causes in one line; a cause that is part of what stands there already is not repeated.
pub(crate) fn with_causes(error: &anyhow::Error) -> String {
    error
        .chain()
        .skip(1)
        .map(ToString::to_string)
        .fold(error.to_string(), |text, cause| if text.contains(&cause) { text } else { format!("{text}: {cause}") })
}

/// A table without lines: columns two spaces apart, nothing at line ends.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(head);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The same lines, two spaces further in.
pub(crate) fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// Text from elsewhere, safe for a terminal: control characters, and those that turn the direction of writing, are
/// shown as escapes.
pub(crate) fn printable(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        match c.is_control() || turns(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
        shown
    })
}

/// At most `len` characters, the last an ellipsis when there were more.
pub(crate) fn shortened(text: &str, len: usize) -> String {
    match text.chars().count() <= len {
        true => text.to_owned(),
        false => text.chars().take(len.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_table_is_aligned_and_has_no_trailing_space() {
        let rows = [["a".to_owned(), "long enough".to_owned()], ["longer".to_owned(), String::new()]];
        assert_eq!(table(["NAME", "TEXT"], rows), "NAME    TEXT\na       long enough\nlonger\n");
    }

    #[test]
    fn foreign_text_cannot_drive_a_terminal() {
        assert_eq!(printable("up\u{1b}[2Jdown\r\n\u{202e}x\u{7}é"), "up\\u{1b}[2Jdown\\r\\n\\u{202e}x\\u{7}é");
    }

    #[test]
    fn a_cause_is_told_once() {
        let gone = std::io::Error::from(std::io::ErrorKind::NotFound);
        let embeds = format!("ca.crt: cannot be read: {gone}; copy it again");
        let error = anyhow::Error::new(gone).context(embeds.clone()).context("peer b");
        assert_eq!(with_causes(&error), format!("peer b: {embeds}"));
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äö…");
    }

    #[test]
    fn json_and_yaml_carry_the_whole() {
        let written = |format| {
            let mut bytes = Vec::new();
            Output::new(format, &mut bytes).write(&[("name", 1)], |_| "text".to_owned()).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(written(Format::Table), "text\n");
        assert_eq!(written(Format::Json), "[\n  [\n    \"name\",\n    1\n  ]\n]\n");
        assert!(written(Format::Yaml).contains("name"));
    }
}
