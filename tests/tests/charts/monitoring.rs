//! Monitors, alert rules and the dashboard: what the charts make of the files that are tested by themselves.

use serde_json::Value;
use strait_tests::program::repository;

use super::{Chart, list, the};

fn file(name: &str) -> String {
    std::fs::read_to_string(repository().join("charts/gateway/files").join(name)).unwrap()
}

fn rules(spec: &Value) -> impl Iterator<Item = &Value> {
    list(spec, "groups").iter().flat_map(|group| list(group, "rules"))
}

#[test]
fn the_rules_are_those_of_the_file_with_what_values_add() {
    for chart in Chart::all().into_iter().filter(|chart| chart.name == "gateway") {
        let values = chart.folder().join("ci/monitoring.yaml");
        let dashboard = "monitoring.dashboard.enabled=true";
        let objects = chart.render(&["--values", &values.to_string_lossy(), "--set", dashboard]).unwrap();
        let rule = the(&objects, "PrometheusRule");
        assert_eq!(rule["metadata"]["labels"]["release"], "prometheus");
        let source: Value = serde_saphyr::from_str(&file("strait.rules.yaml")).unwrap();
        let expected: Vec<Value> = rules(&source)
            .filter(|rule| rule["alert"] != "StraitNxdomain")
            .cloned()
            .map(|mut rule| {
                if let Some(page) = rule["annotations"]["runbook_url"].as_str() {
                    let page = format!("https://git.example.com/strait/blob/main/{page}");
                    rule["annotations"]["runbook_url"] = page.into();
                    rule["labels"]["team"] = "platform".into();
                }
                rule
            })
            .collect();
        assert_eq!(rules(&rule["spec"]).cloned().collect::<Vec<_>>(), expected);

        let dashboard = objects.iter().find(|object| object["data"]["strait.json"].is_string()).unwrap();
        assert_eq!(dashboard["metadata"]["labels"]["grafana_dashboard"], "1");
        assert_eq!(dashboard["data"]["strait.json"].as_str().unwrap().trim(), file("dashboards/strait.json").trim());
    }
}

/// Each program's monitor of either kind gives it the job name that the rules expect; none is made unasked, nor both.
#[test]
fn monitors_name_the_jobs_of_the_rules() {
    for chart in Chart::all() {
        let values = chart.folder().join("ci/minimal.yaml");
        let values = values.to_string_lossy();
        let rendered = |set: &str| chart.render(&["--values", &values, "--set", set]);
        for (kind, key, endpoints) in
            [("PodMonitor", "podMonitor", "podMetricsEndpoints"), ("ServiceMonitor", "serviceMonitor", "endpoints")]
        {
            let off = rendered("nameOverride=").unwrap();
            assert!(off.iter().all(|object| object["kind"] != kind), "{}: a {kind} unasked", chart.name);
            let objects = rendered(&format!("monitoring.{key}.enabled=true")).unwrap();
            let monitor = the(&objects, kind);
            let relabelings = list(&list(&monitor["spec"], endpoints)[0], "relabelings");
            let job = relabelings.iter().find(|relabeling| relabeling["targetLabel"] == "job").unwrap();
            assert_eq!(job["replacement"], format!("strait-{}", chart.name), "{kind}");
            // It selects the pods, or the Service that is made for it.
            let selected = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
            let is_selected = |labels: &Value| selected.iter().all(|(label, value)| labels[label] == *value);
            let found = objects.iter().filter(|object| match kind {
                "PodMonitor" => is_selected(&object["spec"]["template"]["metadata"]["labels"]),
                _ => object["kind"] == "Service" && is_selected(&object["metadata"]["labels"]),
            });
            assert_eq!(found.count(), 1, "{}: what the {kind} selects", chart.name);
        }
        let both = rendered("monitoring.podMonitor.enabled=true,monitoring.serviceMonitor.enabled=true").unwrap_err();
        assert!(both.contains("enable one of them"), "{both}");
    }
}
