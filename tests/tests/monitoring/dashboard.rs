//! The dashboard as a file: its shape, its variables, and the names in its queries.

use std::collections::BTreeSet;

use serde_json::Value;
use strait_tests::program::repository;

use crate::{promql, rules, text};

const FILE: &str = "charts/gateway/files/dashboards/strait.json";

/// The dashboard.
pub(crate) fn dashboard() -> Value {
    serde_json::from_slice(&std::fs::read(repository().join(FILE)).unwrap()).unwrap()
}

/// Every panel that is no row.
pub(crate) fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").collect()
}

/// Title of the panel and expression of each query.
pub(crate) fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let of_panel = |panel: &Value| {
        let title = text(panel, "title").to_owned();
        let targets = panel["targets"].as_array().unwrap().clone();
        targets.into_iter().map(move |target| (title.clone(), text(&target, "expr").to_owned()))
    };
    panels(dashboard).into_iter().flat_map(of_panel).collect()
}

#[test]
fn the_panels_name_what_there_is() {
    let recorded = rules().iter().filter_map(|rule| Some(rule["record"].as_str()?.to_owned())).collect();
    for (title, expression) in queries(&dashboard()) {
        let faults: Vec<String> = promql::faults(&expression, &recorded)
            .into_iter()
            // The overview counts alerts by their prefix.
            .collect();
        assert_eq!(faults, [""; 0], "{title}: {expression}");
    }
}

#[test]
fn the_panels_lie_side_by_side_and_say_what_they_measure() {
    let dashboard = dashboard();
    let (mut ids, mut titles, mut cells) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = text(panel, "title");
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is another panel's");
        assert!(titles.insert(title), "{title} is there twice");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(w > 0 && h > 0 && x + w <= 24, "{title} is wider than the page");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{title} lies on another panel at {cell:?}");
        }
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            let legend = text(target, "legendFormat");
            assert!(panel["type"] == "table" || !legend.is_empty(), "{title} has a query without a legend");
            for label in legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap()) {
                let expression = text(target, "expr");
                assert!(expression.contains(label), "{title}: the legend names {label}, the query does not");
            }
        }
    }
}

/// Rows for everything that is watched, and variables that are used and given.
#[test]
fn the_rows_and_variables_are_there() {
    let dashboard = dashboard();
    let rows: Vec<&str> = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|panel| panel["type"] == "row")
        .map(|row| text(row, "title"))
        .collect();
    let expected = [
        "Overview",
        "Zones",
        "Latency",
        "Peers and endpoints",
        "Cache",
        "Upstreams",
        "Agents and generations",
        "Catalog",
        "Process",
    ];
    assert_eq!(rows, expected);
    let variables: BTreeSet<&str> =
        dashboard["templating"]["list"].as_array().unwrap().iter().map(|variable| text(variable, "name")).collect();
    assert_eq!(variables, BTreeSet::from(["datasource", "cluster", "job", "instance", "zone", "peer"]));
    let all: String = queries(&dashboard).into_iter().map(|(_, expression)| expression).collect();
    for used in all.split('$').skip(1) {
        let name: String = used.chars().take_while(|c| c.is_ascii_alphabetic() || *c == '_').collect();
        assert!(variables.contains(name.as_str()) || name == "__rate_interval", "${name} is no variable");
    }
    for variable in variables.iter().filter(|name| **name != "datasource") {
        assert!(all.contains(&format!("${variable}")), "{variable} chooses nothing");
    }
    assert!(panels(&dashboard).iter().any(|panel| panel["type"] == "heatmap"));
}
