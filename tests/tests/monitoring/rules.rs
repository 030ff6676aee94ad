//! The rules by themselves: names, completeness, and `promtool` with a unit test for each alert.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use strait_tests::program::repository;
use strait_tests::tool;

use crate::{RULES, alerts, promql, rules, text, yaml};

/// Alerts whose value is 0, or 1 since there is something: it says nothing.
const SAY_NOTHING: [&str; 9] = [
    "StraitDown",
    "StraitVanished",
    "StraitPeerDown",
    "StraitPeerEndpointDown",
    "StraitUpstreamDown",
    "StraitCatalogStale",
    "StraitCatalogUnsynced",
    "StraitClusterIdClash",
    "StraitLeaseNotHeld",
];

/// The names that rules record.
pub(crate) fn recorded() -> BTreeSet<String> {
    rules().iter().filter_map(|rule| Some(rule["record"].as_str()?.to_owned())).collect()
}

/// The files with unit tests, from the root of the repository.
fn unit_tests() -> Vec<PathBuf> {
    let files = std::fs::read_dir(repository().join("tests/monitoring")).unwrap();
    files.map(|file| file.unwrap().path()).filter(|path| path.to_string_lossy().ends_with(".test.yaml")).collect()
}

#[test]
fn the_rules_name_what_there_is() {
    let recorded = recorded();
    for rule in rules() {
        let faults = promql::faults(text(&rule, "expr"), &recorded);
        assert_eq!(faults, [""; 0], "in {rule}");
    }
}

#[test]
fn every_alert_says_how_bad_what_and_where_to_read_on() {
    let severities = ["critical", "warning", "info"];
    for alert in alerts() {
        let name = text(&alert, "alert");
        assert!(name.starts_with("Strait"), "{name}");
        assert!(severities.contains(&text(&alert["labels"], "severity")), "{name}: {}", alert["labels"]);
        let annotations = &alert["annotations"];
        assert_eq!(text(annotations, "runbook_url"), format!("docs/runbooks/{name}.md"), "{name}");
        let (summary, description) = (text(annotations, "summary"), text(annotations, "description"));
        assert!(!summary.contains("$value"), "{name}: a summary does not change with every evaluation");
        assert!(summary.len() < 120 && !description.is_empty(), "{name}");
        assert!(description.contains("$value") || SAY_NOTHING.contains(&name), "{name}: no value in: {description}");
    }
}

#[test]
fn promtool_accepts_the_rules() {
    let Some(promtool) = tool("promtool") else { return };
    let output = Command::new(promtool).args(["check", "rules"]).arg(repository().join(RULES)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(&format!("SUCCESS: {} rules found", rules().len())), "{said}");
}

#[test]
fn the_unit_tests_of_the_rules_pass() {
    let Some(promtool) = tool("promtool") else { return };
    for file in unit_tests() {
        let output = Command::new(&promtool).args(["test", "rules"]).arg(&file).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}:\n{}", file.display(), String::from_utf8_lossy(&said));
    }
}

/// Of each rule that alerts, told apart by name and labels: a case in which it fires, and one in which nothing of its
/// name does.
#[test]
fn every_alert_is_seen_to_fire_and_not_to_fire() {
    let mut fires: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut quiet: BTreeSet<String> = BTreeSet::new();
    for file in unit_tests() {
        let file = yaml(&file.to_string_lossy());
        let cases =
            file["tests"].as_array().unwrap().iter().flat_map(|test| test["alert_rule_test"].as_array().unwrap());
        for case in cases {
            let name = text(case, "alertname").to_owned();
            match case["exp_alerts"].as_array().unwrap().as_slice() {
                [] => drop(quiet.insert(name)),
                expected => fires.entry(name).or_default().extend(expected.iter().map(|e| e["exp_labels"].clone())),
            }
        }
    }
    for alert in alerts() {
        let (name, labels) = (text(&alert, "alert"), alert["labels"].as_object().unwrap());
        let has_all = |seen: &Value| labels.iter().all(|(label, value)| seen[label] == *value);
        assert!(
            fires.get(name).is_some_and(|seen| seen.iter().any(has_all)),
            "{name} {labels:?} is never seen to fire"
        );
        assert!(quiet.contains(name), "{name} is never seen not to fire");
    }
}
