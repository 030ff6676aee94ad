//! What is told in the resources: by one replica at a time, and of what has changed.

use std::sync::{Arc, Mutex};

use strait_catalog::{Asking, Herald, HeraldSettings, LeaseTimes, Links, Observation, Observe};
use strait_tests::{ApiWeather, Role};

use super::*;

over_each_api_server!(
    async
    conditions_and_events_say_what_has_become_of_a_peer,
    one_replica_writes_and_another_takes_over_when_it_gives_up,
    a_lease_is_taken_when_it_has_not_changed_for_its_time_whatever_its_clock_says,
    who_cannot_renew_writes_no_more,
    each_verb_that_it_needs_is_needed,
    an_api_server_that_goes_and_comes_leaves_the_status_right,
);

/// A peer that is seen as the test says.
#[derive(Default)]
struct Seen(Mutex<Observation>);

impl Observe for Seen {
    fn observe(&self, _: &PeerRecord) -> Observation {
        self.0.lock().unwrap().clone()
    }
}

impl Seen {
    fn set(&self, is_up: bool, connections: u64, words: &str) {
        let links = Some(Links { is_up, is_new: false, in_words: words.to_owned() });
        *self.0.lock().unwrap() = Observation { links, asking: Asking { connections, last_query_at: None } };
    }
}

const SHORT: LeaseTimes = LeaseTimes { duration: Duration::from_secs(1), renew: Duration::from_millis(200) };

fn herald(store: &KubernetesStore, identity: &str, seen: &Arc<Seen>) -> Herald {
    let settings = HeraldSettings { identity: identity.to_owned(), lease: SHORT };
    Herald::start(store, settings, Arc::clone(seen) as Arc<dyn Observe>)
}

impl Cluster {
    /// `Ready=True InForce` and so on.
    fn conditions(&self, name: &str) -> Vec<String> {
        let stored = self.stored(name).unwrap_or_default();
        let conditions = stored["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        conditions
            .iter()
            .map(|c| format!("{}={} {}", text(&c["type"]), text(&c["status"]), text(&c["reason"])))
            .collect()
    }

    async fn until_conditions(&self, name: &str, expected: [&str; 3]) {
        let what = format!("{name} to be {expected:?}; it is {:?}", self.conditions(name));
        until_async(&what, async || self.conditions(name) == expected).await;
    }

    fn holder(&self) -> String {
        let lease = self.api.get(&leases(), NAMESPACE, "strait-gateway").unwrap_or_default();
        lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
    }

    /// Reasons of the events about a peer.
    fn events(&self, name: &str) -> Vec<String> {
        let events = Collection::core("events");
        let of = self.api.names(&events).into_iter().filter_map(|event| self.api.get(&events, NAMESPACE, &event));
        let of = of.filter(|event| event["involvedObject"]["name"] == name);
        let mut reasons: Vec<String> = of
            .map(|event| format!("{} {}", event["type"].as_str().unwrap(), event["reason"].as_str().unwrap()))
            .collect();
        reasons.sort();
        reasons
    }
}

async fn conditions_and_events_say_what_has_become_of_a_peer(start: StartApi) {
    let cluster = Cluster::new(start);
    let (store, seen) = (cluster.replica("first").await, Arc::<Seen>::default());
    seen.set(true, 1, "2 of 2 endpoints answer");
    cluster.kubectl_apply("cluster-b", manifest(&record("cluster-b")));
    let herald = herald(&store, "first", &seen);
    cluster
        .until_conditions("cluster-b", ["Ready=True InForce", "Reachable=True LinksUp", "Agreed=True BothWays"])
        .await;
    let first = cluster.stored("cluster-b").unwrap();
    assert_eq!(first["status"]["observedGeneration"], first["metadata"]["generation"]);
    assert_eq!(first["status"]["conditions"][1]["message"], "2 of 2 endpoints answer");
    assert!(first["status"]["conditions"][0]["lastTransitionTime"].as_str().unwrap().ends_with('Z'));
    until_async("the events", async || cluster.events("cluster-b").len() == 3).await;
    assert_eq!(cluster.events("cluster-b"), ["Normal BothWays", "Normal InForce", "Normal LinksUp"]);

    seen.set(false, 0, "0 of 2 endpoints answer");
    cluster
        .until_conditions("cluster-b", ["Ready=True InForce", "Reachable=False LinksDown", "Agreed=False LinksDown"])
        .await;
    until_async("the warnings", async || cluster.events("cluster-b").len() == 5).await;
    assert_eq!(cluster.events("cluster-b")[3..], ["Warning LinksDown", "Warning LinksDown"]);
    let then = cluster.stored("cluster-b").unwrap();
    assert_eq!(
        then["status"]["conditions"][0]["lastTransitionTime"],
        first["status"]["conditions"][0]["lastTransitionTime"]
    );

    // A bad one says why; it is told nothing else of.
    let taken = PeerRecord { suffix: "x.cluster-b.example.com".parse().unwrap(), ..record("z") };
    cluster.kubectl_apply("z", manifest(&taken));
    cluster
        .until_conditions("z", ["Ready=False SuffixTaken", "Reachable=Unknown NotInForce", "Agreed=Unknown NotInForce"])
        .await;
    until_async("its event", async || cluster.events("z") == ["Warning SuffixTaken"]).await;
    let message = cluster.stored("z").unwrap()["status"]["conditions"][0]["message"].clone();
    assert!(message.as_str().unwrap().contains("overlaps cluster-b.example.com of peer cluster-b"), "{message}");

    // What stays as it is is not written again.
    let version = || cluster.stored("cluster-b").unwrap()["metadata"]["resourceVersion"].clone();
    let before = version();
    seen.set(false, 0, "0 of 2 endpoints answer; in other words");
    // Something else is written meanwhile.
    cluster.kubectl_apply("y", manifest(&record("y")));
    cluster.until_conditions("y", ["Ready=True InForce", "Reachable=False LinksDown", "Agreed=False LinksDown"]).await;
    assert_eq!(version(), before, "words are not worth a write every second");
    herald.stop().await;
}

async fn one_replica_writes_and_another_takes_over_when_it_gives_up(start: StartApi) {
    let cluster = Cluster::new(start);
    let seen = Arc::<Seen>::default();
    seen.set(true, 1, "");
    let stores = [cluster.replica("first").await, cluster.replica("second").await];
    let first = herald(&stores[0], "first", &seen);
    until_async("the first to hold the lease", async || cluster.holder() == "first").await;
    let second = herald(&stores[1], "second", &seen);
    cluster.kubectl_apply("cluster-b", manifest(&record("cluster-b")));
    cluster
        .until_conditions("cluster-b", ["Ready=True InForce", "Reachable=True LinksUp", "Agreed=True BothWays"])
        .await;
    assert_eq!(cluster.holder(), "first");
    until_async("the events", async || cluster.events("cluster-b").len() >= 3).await;
    first.stop().await;
    until_async("the second to hold the lease", async || cluster.holder() == "second").await;
    let lease = cluster.api.get(&leases(), NAMESPACE, "strait-gateway").unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 2, "{lease}");
    assert_eq!(cluster.events("cluster-b").len(), 3, "what has been told is not told again");
    second.stop().await;
    assert_eq!(cluster.holder(), "");
}

async fn a_lease_is_taken_when_it_has_not_changed_for_its_time_whatever_its_clock_says(start: StartApi) {
    let cluster = Cluster::new(start);
    // Of a replica that is gone, and whose clock was a year ahead.
    let held = |renewed: &str| json!({ "spec": { "holderIdentity": "gone", "leaseDurationSeconds": 1, "renewTime": renewed, "leaseTransitions": 4 } });
    cluster.api.apply(&leases(), NAMESPACE, "strait-gateway", held("2099-01-01T00:00:00.000000Z"));
    let (store, seen) = (cluster.replica("first").await, Arc::<Seen>::default());
    let asked = || cluster.api.seen().iter().filter(|seen| (seen.verb, &*seen.resource) == ("get", "leases")).count();
    let herald = herald(&store, "first", &seen);
    // As long as it is renewed, by whatever clock, it is the other's.
    for round in 0..4 {
        let before = asked();
        until_async("a look at the lease", async || asked() > before).await;
        assert_eq!(cluster.holder(), "gone");
        cluster.api.apply(&leases(), NAMESPACE, "strait-gateway", held(&format!("2001-01-01T00:00:0{round}.000000Z")));
    }
    until_async("the lease to be taken", async || cluster.holder() == "first").await;
    let lease = cluster.api.get(&leases(), NAMESPACE, "strait-gateway").unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 5);
    herald.stop().await;
}

async fn who_cannot_renew_writes_no_more(start: StartApi) {
    let cluster = Cluster::new(start);
    let (store, seen) = (cluster.replica("first").await, Arc::<Seen>::default());
    seen.set(true, 1, "");
    let herald = herald(&store, "first", &seen);
    cluster.kubectl_apply("cluster-b", manifest(&record("cluster-b")));
    cluster
        .until_conditions("cluster-b", ["Ready=True InForce", "Reachable=True LinksUp", "Agreed=True BothWays"])
        .await;
    // The lease becomes another's behind its back.
    let other = json!({ "spec": { "holderIdentity": "other", "leaseDurationSeconds": 3_600, "renewTime": "2001-01-01T00:00:00.000000Z" } });
    cluster.api.apply(&leases(), NAMESPACE, "strait-gateway", other);
    let refused = || cluster.api.seen().iter().filter(|seen| seen.resource == "leases").count();
    let before = refused();
    until_async("a few looks", async || refused() > before + 2).await;
    let version = cluster.stored("cluster-b").unwrap()["metadata"]["resourceVersion"].clone();
    seen.set(false, 0, "");
    let before = refused();
    until_async("a few looks more", async || refused() > before + 2).await;
    assert_eq!(cluster.stored("cluster-b").unwrap()["metadata"]["resourceVersion"], version);
    herald.stop().await;
    assert_eq!(cluster.holder(), "other");
}

async fn each_verb_that_it_needs_is_needed(start: StartApi) {
    let needed = [
        ("get", "leases"),
        ("create", "leases"),
        ("update", "leases"),
        ("patch", "peers/status"),
        ("create", "events"),
    ];
    let follow = [("list", "peers"), ("watch", "peers")];
    for missing in needed {
        let cluster = Cluster::new(start);
        let rights = needed.into_iter().filter(|right| *right != missing).chain(follow);
        cluster.api.allow_only(vec![("gateway", Role(rights.map(|(verb, what)| (verb, what.to_owned())).collect()))]);
        cluster.kubectl_apply("cluster-b", manifest(&record("cluster-b")));
        let (store, seen) = (cluster.replica("first").await, Arc::<Seen>::default());
        let herald = herald(&store, "first", &seen);
        let is_refused = || {
            let seen = cluster.api.seen();
            seen.iter().any(|seen| (seen.verb, &*seen.resource, seen.status) == (missing.0, missing.1, 403))
        };
        until_async(&format!("{missing:?} to be refused"), async || is_refused()).await;
        herald.stop().await;
    }
}

async fn an_api_server_that_goes_and_comes_leaves_the_status_right(start: StartApi) {
    let cluster = Cluster::new(start);
    let (store, seen) = (cluster.replica("first").await, Arc::<Seen>::default());
    seen.set(true, 1, "");
    cluster.kubectl_apply("cluster-b", manifest(&record("cluster-b")));
    let herald = herald(&store, "first", &seen);
    cluster
        .until_conditions("cluster-b", ["Ready=True InForce", "Reachable=True LinksUp", "Agreed=True BothWays"])
        .await;
    cluster.api.set(ApiWeather::Gone);
    until_async("the fault to be known", async || store.state().fault.is_some()).await;
    seen.set(false, 0, "");
    cluster.api.set(ApiWeather::Fair);
    cluster
        .until_conditions("cluster-b", ["Ready=True InForce", "Reachable=False LinksDown", "Agreed=False LinksDown"])
        .await;
    herald.stop().await;
}
