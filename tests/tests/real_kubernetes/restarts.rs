//! A server that is killed and started again, ten times, and resources that the schema cannot judge.

use std::time::Instant;

use serde_json::{Value, json};
use strait_tests::client::tls;
use strait_tests::{ApiServer as _, Collection, Leaf, TlsIdentity, lines, query, until};

use super::release::{Release, SUFFIX};
use super::{peer, peers, zone, zones};

/// What the gateway tells an agent of its cluster of a name: an address, or why there is none.
fn says(release: &Release, agent: &TlsIdentity, name: &str) -> String {
    let answer = tls(release.tls, Some(agent), &["dot"]).unwrap().ask(&query(name, "A")).unwrap();
    let lines = lines(&answer);
    lines.first().map_or_else(|| answer.rcode.to_string(), |line| line.rsplit(' ').next().unwrap().to_owned())
}

#[test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
fn after_the_tenth_restart_answers_are_current_as_after_the_first() {
    let release = Release::install("strait-system");
    let mut gateway = release.gateway();
    gateway.wait_ready();
    let agent = release.authority.issue(&Leaf::of(&format!("spiffe://{SUFFIX}/node-agent/node-1")));
    let services = Collection::core("services");
    let set = |name: &str, address: &str| {
        let spec = json!({ "clusterIP": address, "ports": [{ "port": 80 }] });
        release.api.apply(&services, "shop", name, json!({ "spec": spec }));
    };
    let (web, keep, old) = ("web.shop.svc.cluster.local", "keep.shop.svc.cluster.local", "old.shop.svc.cluster.local");
    set("keep", "10.0.5.9");
    set("web", "10.0.6.100");
    let mut before = "10.0.6.100".to_owned();
    for round in 0..10 {
        set("old", "10.0.5.8");
        until("all to be told", || {
            says(&release, &agent, old) == "10.0.5.8" && says(&release, &agent, keep) == "10.0.5.9"
        });
        until("the service as it was", || says(&release, &agent, web) == before);
        release.api.restart();
        let ready = Instant::now();
        assert_eq!(says(&release, &agent, keep), "10.0.5.9");
        // It is back: what changes now is told, and nothing else meanwhile.
        let after = format!("10.0.6.{round}");
        release.api.delete(&services, "shop", "old");
        set("web", &after);
        let changed = Instant::now();
        until("what has changed to be told", || {
            assert_eq!(says(&release, &agent, keep), "10.0.5.9");
            let web = says(&release, &agent, web);
            // The address of a service cannot be changed: it was another for a moment.
            assert!(web == before || web == after || web == "NXDOMAIN", "{web}");
            web == after && says(&release, &agent, old) == "NXDOMAIN"
        });
        println!(
            "restart {round}: current {:?} after the change, {:?} after the server was ready",
            changed.elapsed(),
            ready.elapsed()
        );
        before = after;
    }
    until("every kind to be current", || gateway.metric("strait_catalog_age_seconds") == 0.0);
}

/// Applies what is bad, and finds it told in a condition and in an event.
#[track_caller]
fn judged(release: &Release, bad: &Value, collection: &Collection, reason: &str, part: &str) {
    let (namespace, name) = ("--namespace=strait-system", bad["metadata"]["name"].as_str().unwrap());
    release.kubectl.apply(std::slice::from_ref(bad), &[namespace]).unwrap();
    until(&format!("{name} to be judged"), || release.condition(collection, name, "Ready").is_some());
    let (condition, message) = release.condition(collection, name, "Ready").unwrap();
    assert_eq!(condition, format!("False {reason}"), "{name}: {message}");
    assert!(message.contains(part), "{name}: {message}");
    // As whoever waits for it is told.
    let resource = format!("{}/{name}", collection.plural);
    release.kubectl.must(&["wait", "--for=condition=Ready=false", &resource, namespace, "--timeout=20s"]);
    let kind = bad["kind"].as_str().unwrap();
    let about = format!("--field-selector=involvedObject.name={name},involvedObject.kind={kind}");
    until("an event", || release.kubectl.must(&["get", "events", &about, namespace]).contains(reason));
}

#[test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
fn what_the_schema_cannot_see_becomes_a_condition() {
    let release = Release::install("strait-system");
    let mut gateway = release.gateway();
    gateway.wait_ready();
    let namespace = ["--namespace=strait-system"];
    release.kubectl.apply(&[peer("cluster-b")], &namespace).unwrap();
    let with = |name: &str, key: &str, value: &str| {
        let mut bad = peer(name);
        bad["spec"][key] = json!(value);
        bad
    };
    let damaged = "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n";
    // (what is applied, reason, part of the message)
    // Of two that were made in one second the first by name is in force.
    let cases: [(Value, &str, &str); 4] = [
        (with("damaged", "trustBundle", damaged), "BadTrustBundle", "certificate"),
        (with("x-below", "suffix", "x.cluster-b.example.com"), "SuffixTaken", "peer cluster-b"),
        (with("home", "suffix", SUFFIX), "SuffixNotAllowed", "this cluster's own suffix"),
        (with("stranger", "trustDomain", "other.example.com"), "BadTrustBundle", "other.example.com"),
    ];
    for (bad, reason, part) in cases {
        judged(&release, &bad, &peers(), reason, part);
    }
    let with = |name: &str, spec: Value| {
        let mut bad = zone(name);
        bad["spec"] = spec;
        bad
    };
    let record = |value: &str| json!([{ "name": "www", "type": "A", "value": value }]);
    let cases = [
        (
            with("address", json!({ "name": "a.example.net", "records": record("192.0.2.300") })),
            "BadRecord",
            "192.0.2.300",
        ),
        (with("peer", json!({ "name": "cluster-b.example.com" })), "NameTaken", "peer"),
        (with("home", json!({ "name": SUFFIX })), "NameNotAllowed", "this cluster's own suffix"),
        (with("text", json!({ "name": "t.example.net", "text": "www A x" })), "BadText", ""),
    ];
    for (bad, reason, part) in cases {
        judged(&release, &bad, &zones(), reason, part);
    }
    release.kubectl.must(&["wait", "--for=condition=Ready", "peer/cluster-b", namespace[0], "--timeout=20s"]);
}

#[test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
fn kubectl_gatewayctl_and_the_gateway_own_what_they_wrote() {
    let release = Release::install("strait-system");
    let mut gateway = release.gateway();
    gateway.wait_ready();
    let namespace = ["--namespace=strait-system"];
    let mut wanted = peer("cluster-b");
    release.kubectl.apply(&[wanted.clone()], &namespace).unwrap();
    let told = || release.condition(&peers(), "cluster-b", "Ready").is_some_and(|(told, _)| told == "True InForce");
    until("the status", told);
    // The status is the gateway's: to apply again, with a change, is no conflict with it.
    wanted["spec"]["namespaces"] = json!({ "deny": ["secret"] });
    release.kubectl.apply(&[wanted.clone()], &namespace).unwrap();
    assert!(told());
    let shown = || String::from_utf8(release.ctl(&["-o", "json", "peer", "show", "cluster-b"]).stdout).unwrap();
    until("the change", || shown().contains("secret"));

    // gatewayctl takes the whole peer over: kubectl is told so, and asked whether it means it.
    let mut add = release.peer_add("cluster-b");
    add.push("--replace".to_owned());
    let added = release.ctl(&add.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    assert!(!shown().contains("secret"));
    let refused = release.kubectl.apply(&[wanted.clone()], &namespace).unwrap_err();
    assert!(refused.contains("conflicts with \"gatewayctl\""), "{refused}");
    release.kubectl.apply(&[wanted.clone()], &[namespace[0], "--force-conflicts"]).unwrap();
    until("the change", || shown().contains("secret"));
    assert!(told());
    // By the same name there is nothing to ask.
    let added = release.ctl(&add.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    release.kubectl.apply(&[wanted], &[namespace[0], "--field-manager=gatewayctl"]).unwrap();
    until("the change", || shown().contains("secret"));

    let managers =
        release.api.get(&peers(), &release.namespace, "cluster-b").unwrap()["metadata"]["managedFields"].clone();
    let of_status: Vec<_> = managers.as_array().unwrap().iter().filter(|one| one["subresource"] == "status").collect();
    assert_eq!((of_status.len(), &of_status[0]["manager"]), (1, &json!("strait-gateway")));
}
