//! The definitions of our resources: what the server says of them, and what it refuses because of them.

use serde_json::{Value, json};
use strait_tests::{ApiServer as _, Collection, RealApi};

use super::{Kubectl, peer, zone};

#[test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
fn the_server_takes_the_definitions_and_shows_their_columns() {
    let api = RealApi::start();
    let kubectl = Kubectl::of(&api);
    kubectl.install_definitions();
    let definitions = Collection::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
    let names = api.names(&definitions);
    assert!(["peers", "zones"].iter().all(|plural| names.contains(&format!("{plural}.strait.dev"))), "{names:?}");
    for name in names {
        let conditions = api.get(&definitions, "", &name).unwrap()["status"]["conditions"].clone();
        for condition in conditions.as_array().unwrap() {
            let expected = matches!(condition["type"].as_str(), Some("Established" | "NamesAccepted"));
            assert_eq!(condition["status"] == "True", expected, "{name}: {condition}");
        }
    }
    api.ensure_namespace("strait-system");
    kubectl.apply(&[peer("cluster-b")], &["--namespace=strait-system"]).unwrap();
    let shown = kubectl.must(&["get", "strait", "--namespace=strait-system"]);
    for word in ["SUFFIX", "READY", "REACHABLE", "AGREED", "cluster-b.example.com"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    // Fields have words of explanation.
    let explained = kubectl.must(&["explain", "peer.spec.namespaces.allow"]);
    assert!(explained.contains("kube-system"), "{explained}");
}

/// Puts a value at a path such as `/spec/suffix`; null takes it away.
fn with(mut object: Value, path: &str, value: Value) -> Value {
    let (parent, key) = path.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Value::Null => drop(parent.remove(key)),
        value => drop(parent.insert(key.to_owned(), value)),
    }
    object
}

#[test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
fn bad_peers_and_zones_are_refused_with_words() {
    let api = RealApi::start();
    let kubectl = Kubectl::of(&api);
    kubectl.install_definitions();
    api.ensure_namespace("strait-system");
    let create = |object: Value, more: &str| {
        let plural = if object["kind"] == "Zone" { "zones" } else { "peers" };
        let path = format!("/apis/strait.dev/v1alpha1/namespaces/strait-system/{plural}?fieldValidation=Strict{more}");
        let (status, reply) = api.send("POST", &path, &object);
        if status == 201 { Ok(reply) } else { Err(format!("{status} {}", reply["message"])) }
    };
    // (path, value, part of what is said)
    let cases = [
        // Names and suffixes.
        ("/metadata/name", json!("b.c"), "a peer's name is one DNS label"),
        ("/metadata/name", json!("b".repeat(64)), "a peer's name is one DNS label"),
        ("/spec/suffix", Value::Null, "spec.suffix: Required value"),
        ("/spec/suffix", json!("com"), "spec.suffix: Invalid value"),
        ("/spec/suffix", json!("b..example.com"), "spec.suffix: Invalid value"),
        ("/spec/suffix", json!("cluster.local"), "this zone is never another cluster's"),
        ("/spec/suffix", json!("b.ClusterSet.Local."), "this zone is never another cluster's"),
        ("/spec/suffix", json!("10.in-addr.arpa"), "this zone is never another cluster's"),
        ("/spec/suffix", json!(7), "must be of type string"),
        ("/spec/suffix", json!(format!("{}.example.com", "a".repeat(260))), "may not be more than 253"),
        // Endpoints.
        ("/spec/endpoints", Value::Null, "a peer that is asked needs an endpoint"),
        ("/spec/endpoints", json!([]), "a peer that is asked needs an endpoint"),
        ("/spec/endpoints", json!(["tls://a:853", "tls://a:853"]), "an endpoint is there twice"),
        ("/spec/endpoints", json!(["https://a"]), "spec.endpoints[0]"),
        ("/spec/endpoints", json!(vec!["tls://a:853"; 17]), "must have at most 16 items"),
        // Whom to believe.
        ("/spec/trustBundle", Value::Null, "spec.trustBundle: Required value"),
        ("/spec/trustBundle", json!("PEM"), "spec.trustBundle: Invalid value"),
        ("/spec/trustDomain", json!("Upper"), "spec.trustDomain: Invalid value"),
        // What it may see, and what is its.
        ("/spec/directions", json!("Sideways"), "spec.directions: Unsupported value"),
        ("/spec/namespaces", json!({ "allow": ["Shop"] }), "spec.namespaces.allow[0]"),
        ("/spec/namespaces", json!({ "deny": ["*"] }), "spec.namespaces.deny[0]"),
        ("/spec/addresses", json!(["ten"]), "spec.addresses[0]"),
        // Words nobody knows.
        ("/spec/sufix", json!("b.example.com"), "unknown field \\\"spec.sufix\\\""),
    ];
    for (path, value, words) in cases {
        let error = create(with(peer("cluster-b"), path, value.clone()), "").expect_err(path);
        assert!(error.contains(words), "{path} {value}: {error}");
        assert!(error.starts_with("422") || error.starts_with("400"), "{error}");
    }
    // And what is good at the edge of that.
    for (path, value) in [
        ("/metadata/name", json!("b".repeat(63))),
        ("/spec/suffix", json!("B_1.example.com.")),
        ("/spec/namespaces", json!({ "allow": ["*"], "deny": ["secret"] })),
        ("/spec/addresses", json!(["10.96.0.0/12", "fd00::/48", "10.0.0.1"])),
    ] {
        let good = with(peer("cluster-b"), path, value.clone());
        create(good, "&dryRun=All").unwrap_or_else(|error| panic!("{path} {value}: {error}"));
    }
    let one_way = with(with(peer("one-way"), "/spec/endpoints", Value::Null), "/spec/directions", json!("InboundOnly"));
    create(one_way, "").unwrap();
    // What is left out has its default.
    assert_eq!(create(peer("cluster-b"), "").unwrap()["spec"]["directions"], "Both");

    let record = |record: Value| json!([record]);
    let cases = [
        ("/spec/name", Value::Null, "spec.name: Required value"),
        ("/spec/name", json!(7), "must be of type string"),
        ("/spec/name", json!("a..example.com"), "spec.name: Invalid value"),
        ("/spec/name", json!("a.ClusterSet.Local."), "what clusters share lies in clusterset.local"),
        ("/spec/ttl", json!(-1), "spec.ttl: Invalid value"),
        ("/spec/records", record(json!({ "name": "www", "type": "A" })), "a record has value or values"),
        (
            "/spec/records",
            record(json!({ "name": "www", "type": "A", "value": "192.0.2.1", "values": ["192.0.2.2"] })),
            "a record has value or values",
        ),
        ("/spec/records", record(json!({ "name": "www", "type": "?", "value": "x" })), "spec.records[0].type"),
        (
            "/spec/templates",
            record(json!({ "match": "x", "type": "SOA", "answer": "x" })),
            "spec.templates[0].type: Unsupported value",
        ),
        ("/spec/record", json!([]), "unknown field \\\"spec.record\\\""),
    ];
    for (path, value, words) in cases {
        let error = create(with(zone("corp"), path, value.clone()), "").expect_err(path);
        assert!(error.contains(words), "{path} {value}: {error}");
        assert!(error.starts_with("422") || error.starts_with("400"), "{error}");
    }
    assert_eq!(create(zone("corp"), "").unwrap()["spec"]["ttl"], 300);
}
