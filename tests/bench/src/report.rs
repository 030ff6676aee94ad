//! What is printed, and written into the documentation between two markers.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;

use crate::figures::Figures;

/// Where the tables begin and end in the documentation.
const BEGIN: &str = "<!-- bench: begin -->";
const END: &str = "<!-- bench: end -->";

/// One part's tables, and how its figures stand against what must be reached.
#[derive(Debug, Default)]
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) tables: Vec<Table>,
    pub(crate) verdicts: Vec<Verdict>,
    /// What must be known to read the tables.
    pub(crate) notes: Vec<String>,
}

/// Rows under headings; the first column is a name, the others are figures.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) headings: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// A figure, and what it is to be.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    /// The work done.
    pub(crate) work: String,
    /// The figure measured, with its unit.
    pub(crate) measured: String,
    /// What is compared with the bound, and the bound itself.
    pub(crate) compared: Figures,
    pub(crate) bound: Bound,
    /// Decimals to show.
    pub(crate) decimals: usize,
}

/// What a figure is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    /// At most so much of this.
    AtMost(f64, &'static str),
    /// At least so much of this.
    AtLeast(f64, &'static str),
}

impl Verdict {
    fn reached(&self) -> bool {
        match self.bound {
            Bound::AtMost(limit, _) => self.compared.median() <= limit,
            Bound::AtLeast(limit, _) => self.compared.median() >= limit,
        }
    }

    fn row(&self) -> Vec<String> {
        let (sign, limit, of) = match self.bound {
            Bound::AtMost(limit, of) => ("≤", limit, of),
            Bound::AtLeast(limit, of) => ("≥", limit, of),
        };
        let reached = if self.reached() { "yes" } else { "no" };
        let compared = format!("{} {of}", self.compared.shown(self.decimals));
        [self.work.clone(), self.measured.clone(), compared, format!("{sign} {limit} {of}"), reached.into()].into()
    }
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { headings: headings.iter().map(|text| (*text).to_owned()).collect(), rows: Vec::new() }
    }

    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut text = line(&self.headings);
        let rules: Vec<String> =
            (0..self.headings.len()).map(|column| if column == 0 { "---" } else { "---:" }.to_owned()).collect();
        text.push_str(&line(&rules));
        text.extend(self.rows.iter().map(|row| line(row)));
        text
    }
}

/// Everything measured, as Markdown.
pub(crate) fn markdown(machine: &[String], sections: &[Section]) -> String {
    let mut text = String::new();
    let verdicts: Vec<_> = sections.iter().flat_map(|section| &section.verdicts).collect();
    if !verdicts.is_empty() {
        let mut table = Table::new(&["work", "measured", "compared", "to reach", "reached"]);
        table.rows = verdicts.iter().map(|verdict| verdict.row()).collect();
        let _ = write!(text, "## Summary\n\n{}\n", table.markdown());
    }
    let _ = write!(text, "## Machine and versions\n\n");
    text.extend(machine.iter().map(|line| format!("- {line}\n")));
    for section in sections {
        let _ = write!(text, "\n## {}\n", section.title);
        section.tables.iter().for_each(|table| text.push_str(&format!("\n{}", table.markdown())));
        section.notes.iter().for_each(|note| text.push_str(&format!("\n{note}\n")));
    }
    text
}

/// Puts text between the markers of a document, in place of what is there.
pub(crate) fn write_between_markers(file: &Path, text: &str) -> anyhow::Result<()> {
    let shown = file.display();
    let old = std::fs::read_to_string(file).with_context(|| format!("{shown}: cannot be read"))?;
    let new = between_markers(&old, text).with_context(|| format!("{shown}: has no {BEGIN} before an {END}"))?;
    std::fs::write(file, new).with_context(|| format!("{shown}: cannot be written"))
}

fn between_markers(document: &str, text: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{text}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let document = format!("prose\n{BEGIN}\nold\n{END}\nmore prose\n");
        let once = between_markers(&document, "new\n");
        assert_eq!(once.as_deref(), Some("prose\n<!-- bench: begin -->\n\nnew\n\n<!-- bench: end -->\nmore prose\n"));
        let twice = once.as_deref().and_then(|once| between_markers(once, "new\n"));
        assert_eq!(once, twice);
        assert_eq!(between_markers("no markers", "new"), None);
        assert_eq!(between_markers(&format!("{END} {BEGIN}"), "new"), None, "the wrong way round");
    }

    #[test]
    fn a_verdict_is_about_the_median() {
        let verdict = |bound, rounds: [f64; 3]| Verdict {
            work: "work".into(),
            measured: "1 µs".into(),
            compared: Figures::new(rounds),
            bound,
            decimals: 1,
        };
        assert!(verdict(Bound::AtMost(1.0, "of it"), [0.9, 1.0, 9.0]).reached());
        assert!(!verdict(Bound::AtMost(1.0, "of it"), [0.9, 1.1, 9.0]).reached());
        assert!(verdict(Bound::AtLeast(1.0, "of it"), [0.1, 1.0, 1.0]).reached());
        assert!(!verdict(Bound::AtLeast(1.0, "of it"), [0.1, 0.9, 9.0]).reached());
    }
}
