//! Peers that several replicas, and whoever uses kubectl, keep together.

use strait_catalog::WatchFault;
use strait_federation::{ChangeError, Conflict, Federation, OnExisting, StateStore, StoreError};
use strait_tests::{ApiWeather, Role};

use super::*;

over_each_api_server!(
    async
    what_one_replica_adds_is_in_force_at_the_others_and_they_agree_on_its_generation,
    kubectl_apply_and_peer_add_are_the_same_thing,
    peers_of_other_namespaces_are_nobodys,
    of_two_that_add_the_same_at_once_one_is_told,
    a_write_that_meets_a_change_of_the_status_is_made_all_the_same,
    without_the_api_server_the_last_peers_stay_and_nothing_is_changed,
    a_change_right_after_the_start_waits_for_the_api_server_to_tell,
    a_replica_that_starts_without_the_api_server_has_its_copy,
    a_damaged_copy_is_set_aside,
    without_the_api_server_and_without_a_copy_nothing_is_said,
    without_the_resource_definition_it_is_said_how_to_install_it,
    a_verb_that_is_missing_in_the_role_is_named,
);

async fn replicas(cluster: &Cluster) -> [(KubernetesStore, Federation); 2] {
    let one = async |name: &str| {
        let store = cluster.replica(name).await;
        (store.clone(), Federation::open(store, home()).await.unwrap())
    };
    [one("first").await, one("second").await]
}

fn names(federation: &Federation) -> Vec<String> {
    federation.current().iter().map(|peer| peer.name.to_string()).collect()
}

async fn until_names(federation: &Federation, expected: &[&str]) {
    until_async(&format!("the peers {expected:?}"), async || names(federation) == expected).await;
}

async fn what_one_replica_adds_is_in_force_at_the_others_and_they_agree_on_its_generation(start: StartApi) {
    let cluster = Cluster::new(start);
    let [(_, first), (_, second)] = replicas(&cluster).await;
    let generation = first.add(record("cluster-b"), OnExisting::Refuse).await.unwrap();
    until_names(&second, &["cluster-b"]).await;
    assert_eq!((second.current().generation(), first.current().generation()), (generation, generation));
    assert!(!generation.is_counted());
    second.remove("cluster-b").await.unwrap();
    until_names(&first, &[]).await;
    assert_eq!(first.current().generation(), second.current().generation());
}

async fn kubectl_apply_and_peer_add_are_the_same_thing(start: StartApi) {
    let cluster = Cluster::new(start);
    let [(_, first), (_, second)] = replicas(&cluster).await;
    let (b, c) = (record("cluster-b"), record("cluster-c"));
    cluster.kubectl_apply("cluster-b", manifest(&b));
    first.add(c.clone(), OnExisting::Refuse).await.unwrap();
    for federation in [&first, &second] {
        until_names(federation, &["cluster-b", "cluster-c"]).await;
    }
    // What kubectl has made, gatewayctl changes whole: nothing of what is not said stays.
    let mut shown = manifest(&b);
    shown["spec"]["namespaces"] = json!({ "allow": ["secret"] });
    cluster.kubectl_apply("cluster-b", shown);
    until_async("the policy", async || first.current().get("cluster-b").unwrap().namespaces.allow().len() == 1).await;
    first.add(b, OnExisting::Replace).await.unwrap();
    let stored = cluster.stored("cluster-b").unwrap();
    assert_eq!(stored["spec"]["namespaces"], json!({ "allow": ["*"], "deny": [] }));
    assert_eq!(first.current().get("cluster-b").unwrap().namespaces, NamespacePolicy::default());
    let managers: Vec<_> =
        stored["metadata"]["managedFields"].as_array().unwrap().iter().map(|m| &m["manager"]).collect();
    assert!(managers.contains(&&json!("gatewayctl")), "{managers:?}");
    cluster.api.delete(&peers(), NAMESPACE, "cluster-c");
    for federation in [&first, &second] {
        until_names(federation, &["cluster-b"]).await;
    }
}

async fn peers_of_other_namespaces_are_nobodys(start: StartApi) {
    let cluster = Cluster::new(start);
    cluster.api.apply(&peers(), "elsewhere", "cluster-c", manifest(&record("cluster-c")));
    let [(_, first), _] = replicas(&cluster).await;
    first.add(record("cluster-b"), OnExisting::Refuse).await.unwrap();
    assert_eq!(names(&first), ["cluster-b"]);
}

#[tokio::test]
async fn a_bad_peer_is_refused_by_every_replica_alike_and_the_others_stay_in_force() {
    let cluster = Cluster::new(strait_tests::api_server::ours);
    let [first, second] = replicas(&cluster).await;
    first.1.add(record("cluster-b"), OnExisting::Refuse).await.unwrap();
    let taken = PeerRecord { suffix: "x.cluster-b.example.com".parse().unwrap(), ..record("a-taken") };
    cluster.kubectl_apply("a-taken", manifest(&taken));
    cluster.kubectl_apply("odd", json!({ "spec": { "suffix": 7 } }));
    cluster.kubectl_apply("cluster-c", manifest(&record("cluster-c")));
    for (store, federation) in [&first, &second] {
        until_names(federation, &["cluster-b", "cluster-c"]).await;
        let refused = store.state().refused;
        let reasons: Vec<_> = refused.iter().map(|(name, why)| (name.as_str(), why.reason)).collect();
        assert_eq!(reasons, [("a-taken", "SuffixTaken"), ("odd", "BadSpec")]);
    }
    // It is there, so gatewayctl does not write over it in silence; and says why it is not in force.
    let error = first.1.add(record("odd"), OnExisting::Refuse).await.unwrap_err().to_string();
    assert!(error.contains("peer odd is stored, but not in force: spec: ") && error.contains("kubectl"), "{error}");
    // With what it clashed with gone, it is in force.
    second.1.remove("cluster-b").await.unwrap();
    until_names(&first.1, &["a-taken", "cluster-c"]).await;
}

async fn of_two_that_add_the_same_at_once_one_is_told(start: StartApi) {
    let cluster = Cluster::new(start);
    let [(_, first), (_, second)] = replicas(&cluster).await;
    for round in 0..5 {
        let name = format!("cluster-{round}");
        let (one, other) =
            tokio::join!(first.add(record(&name), OnExisting::Refuse), second.add(record(&name), OnExisting::Refuse));
        let errors: Vec<ChangeError> = [one, other].into_iter().filter_map(Result::err).collect();
        assert!(matches!(errors[..], [ChangeError::Conflict(Conflict::Exists(_))]), "{errors:?}");
    }
}

async fn a_write_that_meets_a_change_of_the_status_is_made_all_the_same(start: StartApi) {
    let cluster = Cluster::new(start);
    let [(_, federation), _] = replicas(&cluster).await;
    let b = record("cluster-b");
    federation.add(b.clone(), OnExisting::Refuse).await.unwrap();
    for round in 0..20 {
        // The version that the replica knows of is old for a moment.
        let mut stored = cluster.stored("cluster-b").unwrap();
        stored["status"] = json!({ "observedGeneration": round });
        cluster.kubectl_apply("cluster-b", stored);
        let directions = if round % 2 == 0 { Directions::OutboundOnly } else { Directions::Both };
        federation.add(PeerRecord { directions, ..b.clone() }, OnExisting::Replace).await.unwrap();
        assert_eq!(federation.current().get("cluster-b").unwrap().directions, directions);
    }
    assert!(cluster.api.seen().iter().any(|seen| seen.verb == "patch" && seen.status == 409), "they have met");
}

async fn without_the_api_server_the_last_peers_stay_and_nothing_is_changed(start: StartApi) {
    let cluster = Cluster::new(start);
    let [(store, first), (_, second)] = replicas(&cluster).await;
    first.add(record("cluster-b"), OnExisting::Refuse).await.unwrap();
    until_names(&second, &["cluster-b"]).await;
    cluster.api.set(ApiWeather::Gone);
    until_async("the fault to be known", async || store.state().fault.is_some()).await;
    assert!(store.state().to_string().starts_with("the peers are in force as they were; "), "{}", store.state());
    let error = first.add(record("cluster-c"), OnExisting::Refuse).await.unwrap_err();
    assert!(matches!(&error, ChangeError::Store(StoreError::Unavailable(_))), "{error}");
    assert_eq!(names(&first), ["cluster-b"]);
    // Back again: what happened meanwhile is known, what was deleted is gone.
    cluster.api.set(ApiWeather::Fair);
    first.add(record("cluster-c"), OnExisting::Refuse).await.unwrap();
    cluster.api.delete(&peers(), NAMESPACE, "cluster-b");
    cluster.api.forget_history();
    for federation in [&first, &second] {
        until_names(federation, &["cluster-c"]).await;
    }
    until_async("all to be well", async || store.state().fault.is_none()).await;
    assert_eq!(store.state().to_string(), "the peers are current");
}

/// With a copy it knows peers at once, and the API server's a moment later: who changes them then need not try again.
async fn a_change_right_after_the_start_waits_for_the_api_server_to_tell(start: StartApi) {
    let cluster = Cluster::new(start);
    let store = cluster.replica("first").await;
    Federation::open(store.clone(), home()).await.unwrap().add(record("cluster-b"), OnExisting::Refuse).await.unwrap();
    until_async("the copy", async || {
        std::fs::read_to_string(cluster.copy("first")).is_ok_and(|t| t.contains("cluster-b"))
    })
    .await;
    drop(store);
    until_async("the file to be free", async || FileStore::open(cluster.copy("first")).is_ok()).await;
    cluster.api.set(ApiWeather::Slow(Duration::from_millis(300)));
    let federation = Federation::open(cluster.replica("first").await, home()).await.unwrap();
    federation.add(record("cluster-c"), OnExisting::Refuse).await.unwrap();
    assert_eq!(names(&federation), ["cluster-b", "cluster-c"]);
}

async fn a_replica_that_starts_without_the_api_server_has_its_copy(start: StartApi) {
    let cluster = Cluster::new(start);
    let store = cluster.replica("first").await;
    let federation = Federation::open(store.clone(), home()).await.unwrap();
    federation.add(record("cluster-b"), OnExisting::Refuse).await.unwrap();
    let before = federation.current();
    until_async("the copy", async || {
        std::fs::read_to_string(cluster.copy("first")).is_ok_and(|t| t.contains("cluster-b"))
    })
    .await;
    drop((federation, store));
    cluster.api.set(ApiWeather::Gone);
    until_async("the file to be free", async || FileStore::open(cluster.copy("first")).is_ok()).await;
    let store = cluster.replica("first").await;
    let federation = Federation::open(store.clone(), home()).await.unwrap();
    assert_eq!(federation.current(), before);
    let error = federation.remove("cluster-b").await.unwrap_err();
    assert!(matches!(&error, ChangeError::Store(StoreError::Unavailable(_))), "{error}");
    // What has gone meanwhile goes.
    cluster.api.delete(&peers(), NAMESPACE, "cluster-b");
    cluster.api.set(ApiWeather::Fair);
    until_names(&federation, &[]).await;
}

async fn a_damaged_copy_is_set_aside(start: StartApi) {
    let cluster = Cluster::new(start);
    std::fs::write(cluster.copy("first"), "{").unwrap();
    cluster.kubectl_apply("cluster-b", manifest(&record("cluster-b")));
    let store = cluster.replica("first").await;
    assert_eq!(store.load().await.unwrap().len(), 1);
    assert_eq!(std::fs::read_to_string(cluster.folder.path("first.json.damaged")).unwrap(), "{");
}

/// Unknown is not absent: no set at all is better than an empty one, which would cut every peer and clear every agent.
async fn without_the_api_server_and_without_a_copy_nothing_is_said(start: StartApi) {
    let cluster = Cluster::new(start);
    cluster.kubectl_apply("cluster-b", manifest(&record("cluster-b")));
    cluster.api.set(ApiWeather::Gone);
    let store = cluster.replica("first").await;
    let opening = tokio::spawn(Federation::open(store.clone(), home()));
    until_async("the fault to be known", async || store.state().fault.is_some()).await;
    assert!(!store.state().is_known && !opening.is_finished());
    assert!(store.state().to_string().starts_with("the peers are not known yet; "), "{}", store.state());
    cluster.api.set(ApiWeather::Fair);
    let federation = opening.await.unwrap().unwrap();
    assert_eq!(names(&federation), ["cluster-b"]);
}

async fn without_the_resource_definition_it_is_said_how_to_install_it(start: StartApi) {
    let cluster = Cluster::new(start);
    cluster.api.withdraw(peers());
    let store = cluster.replica("first").await;
    until_async("the fault to be known", async || store.state().fault.is_some()).await;
    let told = store.state().to_string();
    assert!(told.contains("gatewayctl crds | kubectl apply -f -"), "{told}");
    // It is watched for.
    cluster.api.serve(peers());
    assert!(store.load().await.unwrap().is_empty());
    until_async("all to be well", async || store.state().fault.is_none()).await;
}

async fn a_verb_that_is_missing_in_the_role_is_named(start: StartApi) {
    let cluster = Cluster::new(start);
    let all = ["list", "watch", "create", "patch", "delete"];
    let role = |without: &str| {
        Role(all.into_iter().filter(|verb| *verb != without).map(|verb| (verb, "peers".to_owned())).collect())
    };
    let b = record("cluster-b");
    for missing in ["create", "patch", "delete"] {
        cluster.api.allow_only(vec![("gateway", role(missing))]);
        let store = cluster.replica(missing).await;
        let federation = Federation::open(store, home()).await.unwrap();
        let error = match missing {
            "create" => federation.add(b.clone(), OnExisting::Refuse).await,
            "patch" => {
                federation.add(b.clone(), OnExisting::Refuse).await.unwrap();
                federation
                    .add(PeerRecord { directions: Directions::OutboundOnly, ..b.clone() }, OnExisting::Replace)
                    .await
            }
            _ => federation.remove("cluster-b").await,
        };
        let error = error.unwrap_err().to_string();
        assert!(error.contains(&format!("{missing:?} on the resource \"peers\"")), "{error}");
    }
    for missing in ["list", "watch"] {
        cluster.api.allow_only(vec![("gateway", role(missing))]);
        let store = cluster.replica(missing).await;
        let is_named =
            |fault: WatchFault| fault.to_string().contains(&format!("{missing:?} on the resource \"peers\""));
        until_async(missing, async || store.state().fault.is_some_and(is_named)).await;
    }
}
