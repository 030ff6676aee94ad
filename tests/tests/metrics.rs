//! `docs/metrics.md` and the programs say the same: families, types, labels, values.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use strait_tests::busy::{busy_clusters, kubernetes_cluster, make_traffic};
use strait_tests::documented::{Families, Labels, documented};
use strait_tests::program::repository;
use strait_tests::{eventually, until};

/// A page of `/metrics`, added to `families`.
fn read(page: &str, families: &mut Families) {
    let mut current = String::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            name.clone_into(&mut current);
            kind.clone_into(&mut families.entry(current.clone()).or_default().kind);
        } else if !line.starts_with('#') {
            let labels =
                line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(inside, _)| inside);
            let family = families.get_mut(&current).unwrap();
            for pair in labels.split("\",").filter(|pair| !pair.is_empty()) {
                let (label, value) = pair.split_once("=\"").unwrap();
                if label != "le" {
                    let value = value.trim_end_matches('"').to_owned();
                    family.labels.entry(label.to_owned()).or_default().insert(value);
                }
            }
        }
    }
}

#[test]
fn the_documented_families_are_those_exposed() {
    let (mut a, mut b, _servers) = busy_clusters();
    let (c, _api, _folder) = kubernetes_cluster();
    make_traffic(&a, &b);
    let documented = documented();
    // The last counts come a moment after their answers.
    let missing = |exposed: &Families| {
        documented.keys().filter(|name| !exposed.contains_key(*name)).cloned().collect::<Vec<String>>()
    };
    let mut exposed = Families::new();
    let mut scrape = || {
        let pages = [a.agent().get("/metrics"), a.gateway().program().get("/metrics")];
        let [agent, gateway] = [b.agent().get("/metrics"), b.gateway().program().get("/metrics")];
        let others = [agent, gateway, c.gateway().program().get("/metrics")];
        for (status, page) in pages.into_iter().chain(others).map(Option::unwrap) {
            assert_eq!(status, 200);
            read(&page, &mut exposed);
        }
        exposed.clone()
    };
    let first = scrape();
    until(&format!("the documented families that are not exposed: {:?}", missing(&first)), || {
        missing(&scrape()).is_empty()
    });
    for (name, family) in scrape() {
        let Some(promised) = documented.get(&name) else { panic!("{name} is exposed but not documented") };
        assert_eq!(family.kind, promised.kind, "{name}");
        let names = |labels: &Labels| labels.keys().cloned().collect::<Vec<String>>();
        assert_eq!(names(&family.labels), names(&promised.labels), "labels of {name}");
        for (label, values) in &family.labels {
            let listed = &promised.labels[label];
            let unlisted: Vec<&String> = values.difference(listed).collect();
            assert!(
                listed.is_empty() || unlisted.is_empty(),
                "{name}: {label} is {unlisted:?}, not in docs/metrics.md"
            );
        }
    }
}

/// Where every value has its series from the start, the list in the document is complete and nothing more.
#[test]
fn the_listed_values_are_those_there_are() {
    let (mut a, b, _servers) = busy_clusters();
    let page = eventually("a scrape", || {
        let (_, page) = a.agent().get("/metrics")?;
        page.contains("strait_peer_endpoint_state").then_some(page)
    });
    let mut exposed = Families::new();
    read(&page, &mut exposed);
    drop(b);
    let (c, _api, _folder) = kubernetes_cluster();
    read(&c.gateway().program().get("/metrics").unwrap().1, &mut exposed);
    let documented = documented();
    for name in [
        "strait_connections",
        "strait_connections_total",
        "strait_connections_refused_total",
        "strait_connections_closed_total",
        "strait_udp_dropped_total",
        "strait_upstream_failures_total",
        "strait_upstream_state",
        "strait_peer_endpoint_failures_total",
        "strait_peer_endpoint_state",
        "strait_certificate_reloads_total",
        "strait_catalog_objects",
        "strait_catalog_synced",
        "strait_catalog_changes_total",
        "strait_catalog_watch_restarts_total",
        "strait_catalog_left_out_total",
        "strait_resources_synced",
        "strait_resources_age_seconds",
        "strait_resources_not_in_force",
    ] {
        for (label, listed) in documented[name].labels.iter().filter(|(_, listed)| !listed.is_empty()) {
            assert_eq!(&exposed[name].labels[label], listed, "{name}: {label}");
        }
    }
}

#[test]
fn names_follow_the_conventions() {
    for (name, family) in documented() {
        let counter = family.kind == "counter";
        assert_eq!(name.ends_with("_total"), counter, "{name} is a {}", family.kind);
        if family.kind == "histogram" {
            assert!(name.ends_with("_seconds"), "{name} has no unit");
        }
        assert!(name.starts_with("strait_") || name.starts_with("process_"), "{name}");
    }
}

/// Each query of the document names families that exist.
#[test]
fn the_queries_of_the_document_name_what_there_is() {
    let documented = documented();
    let text = std::fs::read_to_string(repository().join("docs/metrics.md")).unwrap();
    let mut named = 0;
    for line in text.lines().filter(|line| line.starts_with("    ")) {
        for word in line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
            if word.starts_with("strait_") {
                named += 1;
                let family = word.trim_end_matches("_bucket");
                assert!(documented.contains_key(family), "{word} in: {line}");
            }
        }
    }
    assert!(named >= 10, "only {named} names found");
}
