//! Zones that every node-agent of a cluster answers: from the resource to the answer, and to its condition.

use std::sync::Arc;

use strait_catalog::{Herald, HeraldSettings, LeaseTimes, Observation, Observe};
use strait_federation::{Federation, OnExisting};
use strait_tests::{ApiWeather, Cluster as Programs, ClusterPlan, Home, Role, ask_udp, lines, query, until};

use super::*;

over_each_api_server!(
    async
    replicas_agree_on_zones_and_a_change_makes_another_generation,
    a_replica_that_starts_without_the_api_server_has_the_zones_of_its_copy,
    without_the_definition_of_zones_peers_go_on_and_it_is_looked_for,
    each_verb_that_zones_need_is_needed,
);

/// Zones need nobody to look at them.
struct Nobody;

impl Observe for Nobody {
    fn observe(&self, _: &PeerRecord) -> Observation {
        Observation::default()
    }
}

fn herald(store: &KubernetesStore) -> Herald {
    let lease = LeaseTimes { duration: Duration::from_secs(1), renew: Duration::from_millis(200) };
    Herald::start(store, HeraldSettings { identity: "first".to_owned(), lease }, Arc::new(Nobody))
}

fn zone(spec: Value) -> Value {
    json!({ "kind": "Zone", "spec": spec })
}

/// A zone of that name with an address for `www`.
fn www(name: &str, address: &str) -> Value {
    zone(json!({ "name": name, "records": [{ "name": "www", "type": "A", "value": address }] }))
}

impl Cluster {
    fn with_zones(start: StartApi) -> Self {
        let cluster = Self::new(start);
        cluster.api.serve(zones());
        cluster
    }

    fn apply_zone(&self, name: &str, manifest: Value) {
        self.api.apply(&zones(), NAMESPACE, name, manifest);
    }

    fn stored_zone(&self, name: &str) -> Value {
        self.api.get(&zones(), NAMESPACE, name).unwrap_or_default()
    }

    /// `Ready=True InForce` and what is told beside it.
    fn zone_condition(&self, name: &str) -> (String, String) {
        let condition = self.stored_zone(name)["status"]["conditions"][0].clone();
        let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
        (format!("{}={} {}", text("type"), text("status"), text("reason")), text("message"))
    }

    async fn until_zone(&self, name: &str, expected: &str) {
        until_async(&format!("zone {name} to be {expected}"), async || self.zone_condition(name).0 == expected).await;
    }

    /// Reasons of the events about a zone.
    fn zone_events(&self, name: &str) -> Vec<String> {
        let events = Collection::core("events");
        let of = self.api.names(&events).into_iter().filter_map(|event| self.api.get(&events, NAMESPACE, &event));
        let of =
            of.filter(|event| event["involvedObject"]["kind"] == "Zone" && event["involvedObject"]["name"] == name);
        let mut reasons: Vec<String> = of
            .map(|event| format!("{} {}", event["type"].as_str().unwrap(), event["reason"].as_str().unwrap()))
            .collect();
        reasons.sort();
        reasons
    }
}

fn names(federation: &Federation) -> Vec<String> {
    federation.current().zones().iter().map(|zone| zone.document().name.clone()).collect()
}

async fn until_names(federation: &Federation, expected: &[&str]) {
    until_async(&format!("the zones {expected:?}"), async || names(federation) == expected).await;
}

#[tokio::test]
async fn conditions_and_events_say_what_has_become_of_a_zone() {
    let cluster = Cluster::with_zones(strait_tests::api_server::ours);
    let store = cluster.replica("first").await;
    let federation = Federation::open(store.clone(), home()).await.unwrap();
    let herald = herald(&store);
    cluster.kubectl_apply("cluster-b", manifest(&record("cluster-b")));
    cluster.apply_zone("corp", www("corp.example.com", "192.0.2.1"));
    cluster.until_zone("corp", "Ready=True InForce").await;
    let stored = cluster.stored_zone("corp");
    assert_eq!(stored["status"]["observedGeneration"], stored["metadata"]["generation"]);
    assert_eq!(stored["status"]["records"], 2, "the address and the SOA");
    until_async("the event", async || cluster.zone_events("corp") == ["Normal InForce"]).await;

    // (name, spec, reason, part of the message); they come later than corp and cluster-b.
    let bad = [
        (
            "again",
            json!({ "name": "corp.example.com" }),
            "NameTaken",
            "spec.name: corp.example.com is that of zone corp",
        ),
        (
            "peer",
            json!({ "name": "cluster-b.example.com" }),
            "NameTaken",
            "spec.name: cluster-b.example.com is the suffix of peer",
        ),
        ("own", json!({ "name": "cluster-a.example.com" }), "NameNotAllowed", "this cluster's own suffix"),
        ("home", json!({ "name": "cluster.local" }), "NameNotAllowed", "the zone of this cluster's own DNS"),
        ("set", json!({ "name": "a.clusterset.local" }), "NameNotAllowed", "clusterset.local"),
        (
            "record",
            json!({ "name": "r.example.com", "records": [{ "name": "@", "type": "A", "value": "192.0.2.300" }] }),
            "BadRecord",
            "spec.records[0] (@ A): \"192.0.2.300\" is not an IPv4 address",
        ),
        ("odd", json!({ "name": 7 }), "BadSpec", "spec: invalid type"),
    ];
    for (name, spec, ..) in &bad {
        cluster.apply_zone(name, zone(spec.clone()));
    }
    for (name, _, reason, part) in bad {
        cluster.until_zone(name, &format!("Ready=False {reason}")).await;
        let (_, message) = cluster.zone_condition(name);
        assert!(message.contains(part), "{message}");
        until_async("its event", async || cluster.zone_events(name) == [format!("Warning {reason}")]).await;
    }
    assert_eq!(names(&federation), ["corp"], "the others are not in force, and it is");

    // Repaired, it is in force; spoiled, it is not, and tells no records.
    cluster.apply_zone("record", www("r.example.com", "192.0.2.3"));
    cluster.until_zone("record", "Ready=True InForce").await;
    cluster.apply_zone("corp", zone(json!({ "name": "corp.example.com", "text": "www A x" })));
    cluster.until_zone("corp", "Ready=False BadText").await;
    assert_eq!(cluster.stored_zone("corp")["status"].get("records"), None);
    // What was second comes to its right.
    cluster.until_zone("again", "Ready=True InForce").await;
    herald.stop().await;
}

async fn replicas_agree_on_zones_and_a_change_makes_another_generation(start: StartApi) {
    let cluster = Cluster::with_zones(start);
    let one = async |name: &str| Federation::open(cluster.replica(name).await, home()).await.unwrap();
    let (first, second) = (one("first").await, one("second").await);
    first.add(record("cluster-b"), OnExisting::Refuse).await.unwrap();
    let before = first.current().generation();
    cluster.apply_zone("corp", www("corp.example.com", "192.0.2.1"));
    for federation in [&first, &second] {
        until_names(federation, &["corp"]).await;
    }
    let with = first.current().generation();
    assert_eq!(with, second.current().generation());
    assert_ne!(with, before);
    cluster.apply_zone("corp", www("corp.example.com", "192.0.2.2"));
    until_async("the change", async || first.current().generation() != with).await;
    // A change of peers leaves the zones, and the other way around.
    first.add(record("cluster-c"), OnExisting::Refuse).await.unwrap();
    until_async("the peer", async || second.current().len() == 2).await;
    assert_eq!(names(&second), ["corp"]);
    cluster.api.delete(&zones(), NAMESPACE, "corp");
    for federation in [&first, &second] {
        until_names(federation, &[]).await;
        assert_eq!(federation.current().len(), 2);
    }
}

async fn a_replica_that_starts_without_the_api_server_has_the_zones_of_its_copy(start: StartApi) {
    let cluster = Cluster::with_zones(start);
    cluster.apply_zone("corp", www("corp.example.com", "192.0.2.1"));
    let store = cluster.replica("first").await;
    let federation = Federation::open(store.clone(), home()).await.unwrap();
    let before = federation.current();
    assert_eq!(names(&federation), ["corp"], "peers never go out before the zones are known");
    until_async("the copy", async || {
        std::fs::read_to_string(cluster.copy("first")).is_ok_and(|text| text.contains("corp.example.com"))
    })
    .await;
    drop((federation, store));
    cluster.api.set(ApiWeather::Gone);
    until_async("the file to be free", async || FileStore::open(cluster.copy("first")).is_ok()).await;
    let federation = Federation::open(cluster.replica("first").await, home()).await.unwrap();
    assert_eq!(federation.current(), before);
    // What has gone meanwhile goes.
    cluster.api.delete(&zones(), NAMESPACE, "corp");
    cluster.api.set(ApiWeather::Fair);
    until_names(&federation, &[]).await;
}

async fn without_the_definition_of_zones_peers_go_on_and_it_is_looked_for(start: StartApi) {
    let cluster = Cluster::new(start);
    let times = ApiTimes { absent: Duration::from_millis(50), ..times() };
    let store = cluster.replica_with("first", times).await;
    let federation = Federation::open(store.clone(), home()).await.unwrap();
    federation.add(record("cluster-b"), OnExisting::Refuse).await.unwrap();
    assert_eq!(store.state().to_string(), "the peers are current", "that there is none is no fault");
    cluster.api.serve(zones());
    cluster.apply_zone("corp", www("corp.example.com", "192.0.2.1"));
    until_names(&federation, &["corp"]).await;
    // And goes again.
    cluster.api.withdraw(zones());
    cluster.api.cut_watches();
    until_names(&federation, &[]).await;
    assert_eq!((federation.current().len(), store.state().zones_fault), (1, None));
}

async fn each_verb_that_zones_need_is_needed(start: StartApi) {
    let all = [("list", "zones"), ("watch", "zones"), ("patch", "zones/status")];
    let others = [
        ("list", "peers"),
        ("watch", "peers"),
        ("get", "leases"),
        ("create", "leases"),
        ("update", "leases"),
        ("create", "events"),
        ("patch", "peers/status"),
    ];
    for missing in all {
        let cluster = Cluster::with_zones(start);
        let rights = all.into_iter().filter(|right| *right != missing).chain(others);
        cluster.api.allow_only(vec![("gateway", Role(rights.map(|(verb, what)| (verb, what.to_owned())).collect()))]);
        cluster.kubectl_apply("cluster-b", manifest(&record("cluster-b")));
        cluster.apply_zone("corp", www("corp.example.com", "192.0.2.1"));
        let store = cluster.replica("first").await;
        // Peers do not suffer for it.
        let federation = Federation::open(store.clone(), home()).await.unwrap();
        assert_eq!(federation.current().len(), 1);
        let herald = herald(&store);
        match missing.0 {
            "patch" => {
                let is_refused = || {
                    let seen = cluster.api.seen();
                    seen.iter().any(|seen| (seen.verb, &*seen.resource, seen.status) == ("patch", "zones/status", 403))
                };
                until_async("the status to be refused", async || is_refused()).await;
            }
            verb => {
                let told = format!("{verb:?} on the resource \"zones\"");
                until_async(&told, async || store.state().to_string().contains(&told)).await;
            }
        }
        herald.stop().await;
    }
}

/// What the agent says about a name: its records, or the code.
fn said(cluster: &Programs, name: &str) -> Vec<String> {
    match ask_udp(cluster.dns, &query(name, "A")) {
        Ok(message) if message.answers.is_empty() => vec![message.rcode.to_string()],
        Ok(message) => lines(&message),
        // An agent that is starting refuses for a moment.
        Err(_) => Vec::new(),
    }
}

#[track_caller]
fn until_said(cluster: &Programs, name: &str, expected: &[&str]) {
    until(&format!("{name} to be {expected:?}; it is {:?}", said(cluster, name)), || said(cluster, name) == expected);
}

/// The zones that a program says it has, by `/metrics`.
fn has_zone(page: Option<(u16, String)>, zone: &str, records: usize) -> bool {
    let line = format!("strait_shared_zone_records{{zone=\"{zone}\"}} {records}\n");
    page.is_some_and(|(_, page)| page.contains(&line))
}

pub(super) fn agents_answer_the_zones_of_their_cluster(start: StartApi) {
    let api = start();
    api.serve(peers());
    api.serve(zones());
    // The agent's own file has a zone as well.
    let own = "zones: [{ name: own.example.com, records: [{ name: www, type: A, value: 198.51.100.1 }] }]";
    let home = Home::Zones(&["web.shop.svc A 10.1.0.1"]);
    let mut a = ClusterPlan::new("cluster-a", home).state_in(&*api).agent(own).start();
    assert_eq!(said(&a, "www.corp.example.com"), ["REFUSED"], "nobody answers for it yet");

    api.apply(
        &zones(),
        NAMESPACE,
        "corp",
        zone(json!({
            "name": "corp.example.com",
            "ttl": 60,
            "records": [
                { "name": "www", "type": "A", "values": ["192.0.2.1", "192.0.2.2"] },
                { "name": "*.apps", "type": "A", "value": "192.0.2.3" },
            ],
            "templates": [{ "match": "node-(?<n>[0-9]+)", "type": "A", "answer": "10.0.0.{{ n }}" }],
            "text": "mail 30 IN A 192.0.2.4\n",
        })),
    );
    until_said(&a, "www.corp.example.com", &["www.corp.example.com. A 192.0.2.1", "www.corp.example.com. A 192.0.2.2"]);
    until_said(&a, "x.apps.corp.example.com", &["x.apps.corp.example.com. A 192.0.2.3"]);
    until_said(&a, "node-7.corp.example.com", &["node-7.corp.example.com. A 10.0.0.7"]);
    until_said(&a, "mail.corp.example.com", &["mail.corp.example.com. A 192.0.2.4"]);
    until_said(&a, "none.corp.example.com", &["NXDOMAIN"]);
    assert!(has_zone(a.agent().get("/metrics"), "corp.example.com.", 5));
    assert!(has_zone(a.gateway().program().get("/metrics"), "corp.example.com.", 5));
    let condition = || api.get(&zones(), NAMESPACE, "corp").unwrap()["status"]["conditions"][0]["status"].clone();
    until("the condition", || condition() == json!("True"));

    // Zones win over special names, and within others the longest; the file's own wins over the gateway's.
    api.apply(&zones(), NAMESPACE, "test", www("lab.test", "192.0.2.5"));
    api.apply(&zones(), NAMESPACE, "inner", www("eu.corp.example.com", "192.0.2.6"));
    api.apply(&zones(), NAMESPACE, "own", www("own.example.com", "192.0.2.7"));
    until_said(&a, "www.lab.test", &["www.lab.test. A 192.0.2.5"]);
    until_said(&a, "www.eu.corp.example.com", &["www.eu.corp.example.com. A 192.0.2.6"]);
    a.agent().wait_log(&["a shared zone is also one of the configuration file", "own.example.com"]);
    assert_eq!(said(&a, "www.own.example.com"), ["www.own.example.com. A 198.51.100.1"]);

    // Changed, and spoiled: not in force at all, as nobody knows what it is to be.
    api.apply(&zones(), NAMESPACE, "corp", www("corp.example.com", "192.0.2.9"));
    until_said(&a, "www.corp.example.com", &["www.corp.example.com. A 192.0.2.9"]);
    until_said(&a, "mail.corp.example.com", &["NXDOMAIN"]);
    api.apply(&zones(), NAMESPACE, "corp", www("corp.example.com", "nowhere"));
    until_said(&a, "www.corp.example.com", &["REFUSED"]);
    until_said(&a, "www.eu.corp.example.com", &["www.eu.corp.example.com. A 192.0.2.6"]);

    // An agent that starts alone has what it had.
    a.wait_kept("eu.corp.example.com");
    api.delete(&zones(), NAMESPACE, "test");
    until_said(&a, "www.lab.test", &["NXDOMAIN"]);
    until("the copy to be as it is", || !a.folder.read("agent-peers.json").contains("lab.test"));
    a.gateways[0].kill();
    a.restart_agent();
    until_said(&a, "www.eu.corp.example.com", &["www.eu.corp.example.com. A 192.0.2.6"]);
    assert_eq!(said(&a, "www.lab.test"), ["NXDOMAIN"]);
    assert_eq!(said(&a, "www.own.example.com"), ["www.own.example.com. A 198.51.100.1"]);
}
