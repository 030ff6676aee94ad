//! What a PromQL expression names: enough of its grammar to hold every name against `docs/metrics.md`.

use std::collections::BTreeSet;

use strait_tests::documented::{Families, documented};

/// Labels that come from scraping, not from the programs.
const TARGET: [&str; 3] = ["cluster", "job", "instance"];

/// The jobs by which the rules know the programs.
const JOBS: [&str; 2] = ["strait-gateway", "strait-node-agent"];

/// Words that are neither metrics, functions nor labels.
const KEYWORDS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];

/// Words before a list of labels.
const LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Metrics, each with its matchers: label and pattern.
    pub(crate) selectors: Vec<(String, Vec<(String, String)>)>,
    /// Labels that results are grouped or matched by.
    pub(crate) groupings: BTreeSet<String>,
}

/// Reads an expression.
pub(crate) fn names(expression: &str) -> Names {
    let mut names = Names::default();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        if first == '[' {
            // A range.
            rest = &rest[rest.find(']').expect("a range ends")..];
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            rest = after.trim_start();
            if LISTS.contains(&word) && rest.starts_with('(') {
                let (list, after) = rest[1..].split_once(')').expect("a list ends");
                names.groupings.extend(list.split(',').map(|label| label.trim().to_owned()).filter(|l| !l.is_empty()));
                rest = after;
            } else if first.is_ascii_digit() || KEYWORDS.contains(&word) || LISTS.contains(&word) {
            } else if rest.starts_with('{') {
                let end = end_of_matchers(rest);
                names.selectors.push((word.to_owned(), matchers(&rest[1..end])));
                rest = &rest[end + 1..];
            } else if !rest.starts_with('(') && !is_grouped(rest) {
                names.selectors.push((word.to_owned(), Vec::new()));
            }
            continue;
        }
        rest = &rest[first.len_utf8().min(rest.len())..];
    }
    names
}

/// Whether what stands before was an aggregation: `sum by (…) (…)`.
fn is_grouped(rest: &str) -> bool {
    let after = rest.strip_prefix("by").or_else(|| rest.strip_prefix("without"));
    after.is_some_and(|after| after.trim_start().starts_with('('))
}

/// Where the brace closes; one inside quotes does not count.
fn end_of_matchers(text: &str) -> usize {
    let mut quoted = false;
    let closes = |(_, c): &(usize, char)| {
        quoted ^= *c == '"';
        *c == '}' && !quoted
    };
    text.char_indices().find(closes).expect("matchers end").0
}

fn matchers(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    // label operator "pattern" , label operator "pattern"
    let pieces: Vec<&str> = text.split('"').collect();
    for pair in pieces.chunks_exact(2) {
        let label = pair[0].trim_matches(|c: char| ", \n=!~".contains(c));
        found.push((label.to_owned(), pair[1].to_owned()));
    }
    found
}

/// What is wrong with the names of an expression; nothing when all exist. `recorded` are the names that rules make.
pub(crate) fn faults(expression: &str, recorded: &BTreeSet<String>) -> Vec<String> {
    let (families, names) = (documented(), names(expression));
    let mut faults = Vec::new();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for (metric, matchers) in &names.selectors {
        let Some(labels) = labels_of(metric, &families, recorded) else {
            faults.push(format!("{metric} is neither in docs/metrics.md nor recorded"));
            continue;
        };
        for (label, pattern) in matchers {
            let Some((_, values)) = labels.iter().find(|(name, _)| name == label) else {
                faults.push(format!("{metric} has no label {label}"));
                continue;
            };
            let listed = |value: &str| values.is_empty() || value.contains('$') || values.iter().any(|v| v == value);
            faults
                .extend(pattern.split('|').filter(|value| !listed(value)).map(|v| format!("{metric}: no {label} {v}")));
        }
        known.extend(labels.into_iter().map(|(label, _)| label));
    }
    faults.extend(names.groupings.difference(&known).map(|label| format!("nothing here has a label {label}")));
    faults
}

/// The labels of a metric with the values they may have; no values means any.
fn labels_of(metric: &str, families: &Families, recorded: &BTreeSet<String>) -> Option<Vec<(String, Vec<String>)>> {
    let any = |labels: &[&str]| labels.iter().map(|label| ((*label).to_owned(), Vec::new())).collect::<Vec<_>>();
    let jobs = JOBS.map(str::to_owned).to_vec();
    if recorded.contains(metric) {
        // level:metric:operation, and the level lists the labels.
        let level = metric.split(':').next()?.split('_').collect::<Vec<_>>();
        return Some(any(&level));
    }
    match metric {
        "ALERTS" => return Some(any(&["alertname", "alertstate", "severity", "cluster", "job"])),
        "up" => return Some([any(&["cluster", "instance"]), vec![("job".to_owned(), jobs)]].concat()),
        _ => {}
    }
    let part = ["_bucket", "_count", "_sum"].iter().find_map(|end| metric.strip_suffix(end));
    let histogram = part.and_then(|name| families.get(name)).filter(|family| family.kind == "histogram");
    let family = histogram.or_else(|| families.get(metric).filter(|family| family.kind != "histogram"))?;
    let mut labels = any(&TARGET[..]);
    labels.retain(|(label, _)| label != "job");
    labels.push(("job".to_owned(), jobs));
    if metric.ends_with("_bucket") {
        labels.extend(any(&["le"]));
    }
    labels.extend(family.labels.iter().map(|(label, values)| (label.clone(), values.iter().cloned().collect())));
    Some(labels)
}

/// The reader itself: each kind of thing an expression may hold.
#[test]
fn names_are_read_out_of_expressions() {
    let read = |text: &str| {
        let names = names(text);
        let selectors: Vec<String> = names
            .selectors
            .iter()
            .map(|(metric, matchers)| {
                let matchers: Vec<String> = matchers.iter().map(|(label, value)| format!("{label}={value}")).collect();
                format!("{metric} {}", matchers.join(" ")).trim().to_owned()
            })
            .collect();
        (selectors.join(", "), names.groupings.into_iter().collect::<Vec<_>>().join(" "))
    };
    let cases = [
        ("up == 0", "up", ""),
        // Functions, ranges, numbers.
        ("sum(rate(a_total[5m])) > 1e3", "a_total", ""),
        // Matchers of each kind; a brace in quotes.
        (r#"a{b="c",d!="e", f=~"g|h",i!~"{}"} - time()"#, "a b=c d=e f=g|h i={}", ""),
        // Groupings before and after, and matching.
        ("sum by (x, y) (a) / on (x) group_left sum(b) by (z)", "a, b", "x y z"),
        // Recorded names, keywords.
        ("x_y:a:rate5m{x=\"1\"} and b unless c offset 1h", "x_y:a:rate5m x=1, b, c", ""),
        ("(a == bool 0) or vector(0)", "a", ""),
    ];
    for (text, selectors, groupings) in cases {
        assert_eq!(read(text), (selectors.to_owned(), groupings.to_owned()), "{text}");
    }
}

/// Each kind of mistake is found.
#[test]
fn mistakes_in_expressions_are_found() {
    let recorded = BTreeSet::from(["cluster_job:strait_x:rate5m".to_owned()]);
    let cases = [
        ("strait_nothing_total", "strait_nothing_total is neither in docs/metrics.md nor recorded"),
        ("strait_cache_bytes{zone=\"x\"}", "strait_cache_bytes has no label zone"),
        ("strait_responses_total{rcode=\"SERVFAULT\"}", "strait_responses_total: no rcode SERVFAULT"),
        ("strait_responses_total{rcode=~\"SERVFAIL|NO\"}", "strait_responses_total: no rcode NO"),
        ("up{job=\"gateway\"}", "up: no job gateway"),
        ("sum by (peer) (strait_cache_bytes)", "nothing here has a label peer"),
        ("cluster_job:strait_x:rate5m{zone=\"x\"}", "cluster_job:strait_x:rate5m has no label zone"),
        // A histogram has no series of its own name.
        (
            "strait_request_duration_seconds",
            "strait_request_duration_seconds is neither in docs/metrics.md nor recorded",
        ),
    ];
    for (text, fault) in cases {
        assert_eq!(faults(text, &recorded), [fault], "{text}");
    }
    assert_eq!(faults("sum by (le) (strait_request_duration_seconds_bucket{zone=\"$zone\"})", &recorded), [""; 0]);
}
