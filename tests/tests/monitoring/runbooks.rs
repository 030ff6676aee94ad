//! A page for each alert, an alert for each page, and commands that exist.

use std::collections::BTreeSet;

use strait_tests::gatewayctl;
use strait_tests::program::repository;

use crate::{alerts, promql, rules, text};

/// What each page answers, in this order.
const HEADINGS: [&str; 5] = ["## Meaning", "## Impact", "## Diagnosis", "## Remedy", "## Over when"];

/// Name and text of each page.
fn pages() -> Vec<(String, String)> {
    let files = std::fs::read_dir(repository().join("docs/runbooks")).unwrap().map(|file| file.unwrap().path());
    files
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn every_alert_has_a_page_and_every_page_an_alert() {
    let alerts: BTreeSet<String> = alerts().iter().map(|alert| text(alert, "alert").to_owned()).collect();
    let pages: BTreeSet<String> = pages().into_iter().map(|(name, _)| name).collect();
    assert_eq!(alerts, pages);
    let overview = std::fs::read_to_string(repository().join("docs/monitoring.md")).unwrap();
    let missing: Vec<&String> = alerts.iter().filter(|a| !overview.contains(&format!("(runbooks/{a}.md)"))).collect();
    assert!(missing.is_empty(), "docs/monitoring.md does not lead to {missing:?}");
}

#[test]
fn every_page_answers_the_same_questions() {
    for (name, page) in pages() {
        let headings: Vec<&str> = page.lines().filter(|line| line.starts_with('#')).collect();
        let title = format!("# {name}");
        assert_eq!(headings, [&[title.as_str()], &HEADINGS[..]].concat(), "{name}");
        let sections = page.split("\n## ").skip(1);
        assert!(sections.clone().all(|section| section.lines().count() > 2), "{name} has an empty section");
    }
}

/// Lines of code, and code within the text.
fn code(page: &str) -> impl Iterator<Item = &str> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("    "));
    lines.chain(page.split('`').skip(1).step_by(2)).map(str::trim)
}

/// `gatewayctl` knows each command and option, and the metrics of each query exist.
#[test]
fn the_commands_and_queries_of_the_pages_exist() {
    let recorded = rules().iter().filter_map(|rule| Some(rule["record"].as_str()?.to_owned())).collect();
    let mut checked = BTreeSet::new();
    for (name, page) in pages() {
        for line in code(&page) {
            if let Some(arguments) = line.strip_prefix("gatewayctl ") {
                let arguments = arguments.strip_prefix("--socket /run/strait/node-agent.sock ").unwrap_or(arguments);
                let is_command =
                    |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && !word.starts_with('-');
                let command: Vec<&str> = arguments.split(' ').take_while(is_command).collect();
                let help = gatewayctl(&[&["help"], &command[..]].concat());
                let help = String::from_utf8_lossy(&help.stdout).into_owned();
                assert!(help.contains("Usage:"), "{name}: gatewayctl has no {command:?}");
                for option in arguments.split(' ').filter(|word| word.starts_with("--")) {
                    assert!(help.contains(option), "{name}: gatewayctl {command:?} has no {option}");
                }
                checked.insert(command.join(" "));
            } else if ["strait_", "process_"].iter().any(|prefix| line.contains(prefix)) && !line.starts_with("curl ") {
                let faults: Vec<String> = promql::faults(line, &recorded)
                    .into_iter()
                    // Placeholders for what an installation has.
                    .filter(|fault| !fault.rsplit(' ').next().unwrap().chars().all(|c| c.is_ascii_uppercase()))
                    .collect();
                assert_eq!(faults, [""; 0], "{name}: {line}");
            }
        }
    }
    for command in ["peer list", "peer show", "peer add", "query", "status", "cache flush", "config check", "pki issue"]
    {
        assert!(checked.iter().any(|seen| seen.starts_with(command)), "no page uses gatewayctl {command}: {checked:?}");
    }
}
