//! The metric families that `docs/metrics.md` promises.

use std::collections::{BTreeMap, BTreeSet};

use crate::program::repository;

/// Label values by label; no values listed means that configuration gives them.
pub type Labels = BTreeMap<String, BTreeSet<String>>;

/// A family: its type, and its labels with the values seen or listed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Family {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// Its labels.
    pub labels: Labels,
}

/// Families by name.
pub type Families = BTreeMap<String, Family>;

/// The tables of `docs/metrics.md`.
pub fn documented() -> Families {
    let text = std::fs::read_to_string(repository().join("docs/metrics.md")).unwrap();
    let mut families = Families::new();
    for row in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, _meaning] = cells[..] else { panic!("a row of {} cells: {row}", cells.len()) };
        let family = Family { kind: kind.to_owned(), labels: listed(labels) };
        let before = families.insert(name.trim_matches('`').to_owned(), family);
        assert_eq!(before, None, "{name} is documented twice");
    }
    families
}

/// `` `zone`, `transport` (udp, tcp) ``
fn listed(cell: &str) -> Labels {
    let pieces: Vec<&str> = cell.split('`').collect();
    let values = |text: &str| -> BTreeSet<String> {
        let inside = text.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
        inside.map_or_else(BTreeSet::new, |(inside, _)| inside.split(", ").map(str::to_owned).collect())
    };
    pieces[1..].chunks(2).map(|pair| (pair[0].to_owned(), values(pair[1]))).collect()
}
