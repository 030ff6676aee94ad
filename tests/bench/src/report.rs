//! What is printed, and written into the documentation between two markers.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;

use crate::figures::Figures;

/// Where the tables begin and end in the documentation.
const BEGIN: &str = "<!-- bench: begin -->";
const END: &str = "<!-- bench: end -->";
/// Where a part begins.
const PART: &str = "<!-- part: ";

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

/// What one run has measured.
pub(crate) struct Report {
    /// The machine, and what was measured on it.
    pub(crate) machine: Vec<String>,
    /// When, what and how often.
    pub(crate) stamp: String,
    /// Each part's name, and its section.
    pub(crate) sections: Vec<(&'static str, Section)>,
}

impl Report {
    /// As Markdown.
    pub(crate) fn markdown(&self) -> String {
        self.merged(&Document::default()).markdown()
    }

    /// Puts it between the markers of a document: parts measured now take the place of what is there, others stay.
    pub(crate) fn write(&self, file: &Path, order: &[&str]) -> anyhow::Result<()> {
        let shown = file.display();
        let old = std::fs::read_to_string(file).with_context(|| format!("{shown}: cannot be read"))?;
        let (before, text, after) =
            at_markers(&old).with_context(|| format!("{shown}: has no {BEGIN} before an {END}"))?;
        let mut document = self.merged(&Document::parse(text));
        document.sections.sort_by_key(|(part, _)| order.iter().position(|known| known == part));
        let rank = |row: &String| order.iter().position(|part| row.ends_with(&row_mark(part)));
        document.verdicts.sort_by_key(rank);
        let new = format!("{before}{BEGIN}\n\n{}\n{END}{after}", document.markdown());
        std::fs::write(file, new).with_context(|| format!("{shown}: cannot be written"))
    }

    fn merged(&self, old: &Document) -> Document {
        let is_old = |part: &str| self.sections.iter().all(|(name, _)| *name != part);
        let mut document = Document {
            machine: self.machine.iter().map(|line| format!("- {line}\n")).collect(),
            ..Document::default()
        };
        let others = old.sections.iter().filter(|(part, _)| is_old(part));
        document.sections.extend(others.clone().cloned());
        for (part, _) in others {
            document.verdicts.extend(old.verdicts.iter().filter(|row| row.ends_with(&row_mark(part))).cloned());
        }
        for (part, section) in &self.sections {
            document.sections.push(((*part).to_owned(), section.markdown(&self.stamp)));
            let row = |verdict: &Verdict| format!("| {}{}", verdict.row().join(" | "), row_mark(part));
            document.verdicts.extend(section.verdicts.iter().map(row));
        }
        document
    }
}

/// The end of a row of the summary; it names the part, and is not shown.
fn row_mark(part: &str) -> String {
    format!(" <!-- {part} --> |")
}

impl Section {
    fn markdown(&self, stamp: &str) -> String {
        let mut text = format!("## {}\n\n{stamp}\n", self.title);
        self.tables.iter().for_each(|table| text.push_str(&format!("\n{}", table.markdown())));
        self.notes.iter().for_each(|note| text.push_str(&format!("\n{note}\n")));
        text
    }
}

/// What stands between the markers.
#[derive(Debug, Default, PartialEq)]
struct Document {
    /// Rows of the summary.
    verdicts: Vec<String>,
    machine: String,
    /// Each part's name, and its text.
    sections: Vec<(String, String)>,
}

impl Document {
    fn parse(text: &str) -> Self {
        let mut pieces = text.split(PART);
        let head = pieces.next().unwrap_or_default();
        let section = |piece: &str| {
            let (part, text) = piece.split_once(" -->\n")?;
            Some((part.to_owned(), format!("{}\n", text.trim())))
        };
        let verdicts = head.lines().filter(|line| line.ends_with("--> |")).map(str::to_owned).collect();
        let machine = head.lines().filter(|line| line.starts_with("- ")).map(|line| format!("{line}\n")).collect();
        Self { verdicts, machine, sections: pieces.filter_map(section).collect() }
    }

    fn markdown(&self) -> String {
        let mut text = String::new();
        if !self.verdicts.is_empty() {
            let heading = Table::new(&["work", "measured", "compared", "to reach", "reached"]).markdown();
            let _ = write!(text, "## Summary\n\n{heading}{}\n\n", self.verdicts.join("\n"));
        }
        let _ = write!(text, "## Machine and versions\n\n{}", self.machine);
        for (part, section) in &self.sections {
            let _ = write!(text, "\n{PART}{part} -->\n{section}");
        }
        text
    }
}

/// What stands before, between and after the markers.
fn at_markers(document: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (text, after) = rest.split_once(END)?;
    Some((before, text, after))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn report(stamp: &str, parts: &[(&'static str, f64)]) -> Report {
        let section = |figure: f64| {
            let mut table = Table::new(&["server", "figure"]);
            table.rows.push(vec!["strait".into(), figure.to_string()]);
            let verdict = Verdict {
                work: "work".into(),
                measured: format!("{figure} µs"),
                compared: Figures::new([figure]),
                bound: Bound::AtMost(1.0, "of it"),
                decimals: 1,
            };
            Section {
                title: "Title".into(),
                tables: vec![table],
                verdicts: vec![verdict],
                notes: vec!["A note.".into()],
            }
        };
        let sections = parts.iter().map(|(part, figure)| (*part, section(*figure))).collect();
        Report { machine: vec![format!("machine of {stamp}")], stamp: stamp.into(), sections }
    }

    #[test]
    fn parts_measured_now_take_the_place_of_what_is_there_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("performance.md");
        std::fs::write(&file, format!("prose\n{BEGIN}\nold\n{END}\nmore prose\n")).unwrap();
        let write = |report: Report| {
            report.write(&file, &["one", "two", "three"]).unwrap();
            std::fs::read_to_string(&file).unwrap()
        };
        write(report("first", &[("three", 3.0), ("one", 1.0)]));
        let text = write(report("second", &[("two", 2.0), ("three", 0.3)]));
        assert!(text.starts_with("prose\n") && text.ends_with("\nmore prose\n"), "{text}");
        assert!(!text.contains("\nold\n"));
        let places = [
            "| 1 µs |",
            "| 2 µs |",
            "| 0.3 µs |",
            "part: one",
            "first",
            "part: two",
            "second",
            "part: three",
            "second",
        ];
        let mut rest = text.as_str();
        for place in places {
            rest = rest.split_once(place).unwrap_or_else(|| panic!("{place} in {rest}")).1;
        }
        assert!(!text.contains("| 3 µs |"), "{text}");
        // Nothing changes when the same is written again.
        assert_eq!(write(report("second", &[("two", 2.0), ("three", 0.3)])), text);
    }

    #[test]
    fn a_document_without_markers_is_an_error_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("performance.md");
        for text in ["no markers".to_owned(), format!("{END} {BEGIN}")] {
            std::fs::write(&file, &text).unwrap();
            assert!(report("now", &[]).write(&file, &[]).is_err());
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
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
