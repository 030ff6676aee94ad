//! Alert rules, runbooks and the dashboard: what they name exists, fires when it should, and has data in a real Prometheus.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod dashboard;
mod live;
mod promql;
mod rules;
mod runbooks;

use serde_json::Value;
use strait_tests::program::repository;

/// The one source of the rules, in the repository.
const RULES: &str = "charts/gateway/files/strait.rules.yaml";

/// Every rule of [`RULES`] in its order.
fn rules() -> Vec<Value> {
    let groups = yaml(RULES)["groups"].as_array().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// The rules that alert.
fn alerts() -> Vec<Value> {
    rules().into_iter().filter(|rule| rule["alert"].is_string()).collect()
}

/// A YAML file of the repository.
fn yaml(path: &str) -> Value {
    let text = std::fs::read_to_string(repository().join(path)).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The text of a member.
#[track_caller]
fn text<'a>(of: &'a Value, member: &str) -> &'a str {
    of[member].as_str().unwrap_or_else(|| panic!("{member} is no text in {of}"))
}
