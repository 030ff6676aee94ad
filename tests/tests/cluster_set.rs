//! Services that clusters share, under `clusterset.local` (KEP-1645): the definitions come and go, and clusters with real
//! programs tell each other what they export.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use serde_json::{Value, json};
use strait_catalog::{ApiAccess, ApiTimes, CatalogFeed, FeedSettings, SetState, SyncState};
use strait_tests::client::tls;
use strait_tests::{
    ApiServer, Cluster, ClusterPlan, Collection, Folder, Home, Leaf, StartApi, lines, over_each_api_server, query,
    until,
};
use strait_wire::{Ede, Message, Rcode};

const WEB: &str = "web.shop.svc.clusterset.local";
const DB: &str = "db.shop.svc.clusterset.local";

fn multicluster(version: &str, plural: &str) -> Collection {
    Collection::new("multicluster.x-k8s.io", version, plural)
}

fn exports() -> Collection {
    multicluster("v1beta1", "serviceexports")
}

fn imports() -> Collection {
    multicluster("v1beta1", "serviceimports")
}

over_each_api_server!(
    definitions_that_come_later_and_go_are_noticed,
    clusters_share_what_they_export_and_what_is_near_comes_first,
    imports_are_told_as_they_are_and_nobody_who_could_know_is_denied,
    only_peers_that_may_fill_the_zone,
    clusters_that_are_called_the_same_are_told,
);

/// The Kubernetes API of a cluster with something in the namespace `shop`.
struct Kubernetes {
    api: Box<dyn ApiServer>,
    folder: Folder,
}

impl Kubernetes {
    /// With the definitions of exports and imports.
    fn start(start: StartApi) -> Self {
        let api = start();
        api.serve(exports());
        api.serve(imports());
        api.apply(&Collection::core("namespaces"), "", "shop", json!({}));
        Self { api, folder: Folder::new() }
    }

    /// A service with one endpoint, ready or not.
    fn service(&self, name: &str, address: &str, endpoint: &str, ready: bool) {
        let ports = json!([{ "name": "http", "protocol": "TCP", "port": 80 }]);
        let spec = json!({ "clusterIP": address, "ports": ports });
        self.api.apply(&Collection::core("services"), "shop", name, json!({ "spec": spec }));
        let slice = json!({ "metadata": { "labels": { "kubernetes.io/service-name": name } }, "addressType": "IPv4",
            "ports": ports, "endpoints": [{ "addresses": [endpoint], "conditions": { "ready": ready } }] });
        self.api.apply(
            &Collection::new("discovery.k8s.io", "v1", "endpointslices"),
            "shop",
            &format!("{name}-1"),
            slice,
        );
    }

    fn export(&self, name: &str) {
        self.api.apply(&exports(), "shop", name, json!({}));
    }

    fn import(&self, name: &str, spec: Value) {
        self.api.apply(&imports(), "shop", name, json!({ "spec": spec }));
    }

    /// The cluster of that name, whose agent asks its gateway for what clusters share.
    fn cluster(&self, name: &str) -> Cluster {
        let path = self.folder.write("kubeconfig", self.api.kubeconfig("gateway"));
        let home = Home::Kubernetes(format!("kubeconfig: {}, ttl: 1", path.display()));
        ClusterPlan::new(name, home).agent_asks_gateway_for("cluster.local, clusterset.local").start()
    }
}

fn ede(message: &Message) -> Option<(u16, String)> {
    message.edns.as_ref().and_then(|edns| edns.ede()).map(|ede| (ede.code, ede.text.into_owned()))
}

#[track_caller]
fn wait_for(cluster: &Cluster, name: &str, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|address| format!("{name}. A {address}")).collect();
    until(&format!("{} to know {name} as {expected:?}", cluster.name), || {
        let mut told = lines(&cluster.ask(name, "A"));
        told.sort();
        told == expected
    });
}

#[track_caller]
fn wait_for_rcode(cluster: &Cluster, name: &str, rcode: Rcode) -> Message {
    until(&format!("{} to say {rcode} to {name}", cluster.name), || cluster.ask(name, "A").rcode == rcode);
    cluster.ask(name, "A")
}

fn definitions_that_come_later_and_go_are_noticed(start: StartApi) {
    let kubernetes = Kubernetes::start(start);
    for collection in [exports(), imports()] {
        kubernetes.api.withdraw(collection);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let path = kubernetes.folder.write("kubeconfig", kubernetes.api.kubeconfig("gateway"));
    let short = Duration::from_millis(200);
    let settings = FeedSettings {
        cluster_set: true,
        times: ApiTimes { request: Duration::from_secs(5), absent: short, watch: Duration::from_secs(1) },
        ..FeedSettings::new(ApiAccess::Kubeconfig { path, context: None })
    };
    let feed = runtime.block_on(CatalogFeed::start(settings)).unwrap();
    let state = || feed.catalog().load().set_state();
    let shared = || feed.catalog().load().shared_services();
    // What is missing keeps nothing else from being known, and is no fault.
    until("the catalog is current", || matches!(feed.state().borrow().sync, SyncState::Synced { .. }));
    until("nothing is shared", || state() == SetState::Off);
    assert!(feed.state().borrow().faults.is_empty());

    // They come, in the older version: each object counts.
    for plural in ["serviceexports", "serviceimports"] {
        kubernetes.api.serve(multicluster("v1alpha1", plural));
    }
    until("what is shared is known", || state() == SetState::On);
    let import = json!({ "spec": { "type": "ClusterSetIP", "ips": ["10.42.0.1"], "ports": [] } });
    kubernetes.api.apply(&multicluster("v1alpha1", "serviceimports"), "shop", "web", import);
    until("the import is there", || shared() == 1);

    // They go, and all of them with what was shared; nothing is lost by it.
    for plural in ["serviceexports", "serviceimports"] {
        kubernetes.api.withdraw(multicluster("v1alpha1", plural));
    }
    until("nothing is shared any more", || state() == SetState::Off && shared() == 0);
    assert!(feed.state().borrow().faults.is_empty(), "{}", *feed.state().borrow());
    assert!(matches!(feed.state().borrow().sync, SyncState::Synced { .. }));

    // And come again, in the newer version.
    for collection in [exports(), imports()] {
        kubernetes.api.serve(collection);
    }
    until("what is shared is known again", || state() == SetState::On);
    runtime.block_on(feed.stop());
}

fn clusters_share_what_they_export_and_what_is_near_comes_first(start: StartApi) {
    let [ka, kb, kc] = [(); 3].map(|()| Kubernetes::start(start));
    for (kubernetes, number) in [(&ka, 1), (&kb, 2), (&kc, 3)] {
        kubernetes.service("web", &format!("10.9{number}.0.1"), &format!("10.{number}.0.5"), true);
        kubernetes.service("db", "None", &format!("10.{number}.0.6"), true);
        kubernetes.service("own", &format!("10.9{number}.0.9"), &format!("10.{number}.0.9"), true);
        kubernetes.export("web");
        kubernetes.export("db");
    }
    let a = ka.cluster("cluster-a");
    let mut b = kb.cluster("cluster-b");
    let c = kc.cluster("cluster-c");
    // a asks b and c; c knows b as well, and is not b's road to a.
    for (one, other) in [(&a, &b), (&a, &c), (&c, &b)] {
        one.add_peer(other, &other.endpoints("tls"));
        other.add_peer(one, &one.endpoints("tls"));
    }
    a.wait_outbound("cluster-b", "up");
    a.wait_outbound("cluster-c", "up");

    // What is here comes first.
    wait_for(&a, WEB, &["10.91.0.1"]);
    assert_eq!(lines(&a.ask(&format!("_http._tcp.{WEB}"), "SRV")), [format!("_http._tcp.{WEB}. SRV 0 100 80 {WEB}.")]);
    assert_eq!(a.ask(WEB, "AAAA").rcode, Rcode::NOERROR);
    assert_eq!(a.ask(&format!("cluster-a.{WEB}"), "A").rcode, Rcode::NXDOMAIN);
    // The endpoints of a headless service are those of every cluster, each under its cluster's name.
    wait_for(&a, DB, &["10.1.0.6", "10.2.0.6", "10.3.0.6"]);
    wait_for(&a, &format!("10-2-0-6.cluster-b.{DB}"), &["10.2.0.6"]);
    assert_eq!(a.ask(&format!("_http._tcp.{DB}"), "SRV").answers.len(), 3);
    // What is exported nowhere is not there, though every cluster has it.
    wait_for_rcode(&a, "own.shop.svc.clusterset.local", Rcode::NXDOMAIN);

    // Whoever is a peer is told what we export, under our suffix; never what a third exports.
    let peer = a.authority().issue(&Leaf::of("spiffe://cluster-a.example.com/gateway"));
    let asked = |at: &Cluster, name: &str| {
        tls(at.gateway().seat.tls, Some(&peer), &["dot"]).unwrap().ask(&query(name, "A")).unwrap()
    };
    assert_eq!(lines(&asked(&b, "web.shop.svc.clusterset.cluster-b.example.com")).len(), 1);
    kb.api.delete(&exports(), "shop", "web");
    until("b exports it no more", || {
        asked(&b, "web.shop.svc.clusterset.cluster-b.example.com").rcode == Rcode::NXDOMAIN
    });
    // b itself takes it from others now.
    until("b to ask others", || !lines(&b.ask(WEB, "A")).is_empty());
    assert_eq!(asked(&b, "web.shop.svc.clusterset.cluster-b.example.com").rcode, Rcode::NXDOMAIN);
    for name in [WEB, "clusterset.local"] {
        let refused = asked(&b, name);
        assert_eq!(
            (refused.rcode, ede(&refused).map(|(code, _)| code)),
            (Rcode::REFUSED, Some(Ede::PROHIBITED)),
            "{name}"
        );
    }
    kb.export("web");

    // No endpoint is ready here: one of the others, and when that is gone the other.
    ka.service("web", "10.91.0.1", "10.1.0.5", false);
    until("a to ask others", || lines(&a.ask(WEB, "A")).iter().any(|line| !line.contains("10.91.0.1")));
    b.gateways[0].kill();
    a.wait_outbound("cluster-b", "down");
    wait_for(&a, WEB, &["10.93.0.1"]);
    wait_for(&a, DB, &["10.1.0.6", "10.3.0.6"]);
    // Nobody has better: what is here.
    kc.api.delete(&exports(), "shop", "web");
    wait_for(&a, WEB, &["10.91.0.1"]);
    // Endpoints are ready again.
    ka.service("web", "10.91.0.2", "10.1.0.5", true);
    wait_for(&a, WEB, &["10.91.0.2"]);
}

fn imports_are_told_as_they_are_and_nobody_who_could_know_is_denied(start: StartApi) {
    let (ka, kb) = (Kubernetes::start(start), Kubernetes::start(start));
    kb.service("far", "10.92.0.2", "10.2.0.2", true);
    kb.export("far");
    ka.import(
        "web",
        json!({ "type": "ClusterSetIP", "ips": ["10.42.0.1"], "ports": [{ "name": "http", "port": 80 }] }),
    );
    let a = ka.cluster("cluster-a");
    let mut b = kb.cluster("cluster-b");
    wait_for(&a, WEB, &["10.42.0.1"]);
    assert_eq!(lines(&a.ask(&format!("_http._tcp.{WEB}"), "SRV")), [format!("_http._tcp.{WEB}. SRV 0 100 80 {WEB}.")]);
    // With nobody to ask what is not here does not exist.
    let far = "far.shop.svc.clusterset.local";
    wait_for_rcode(&a, far, Rcode::NXDOMAIN);

    a.add_peer(&b, &b.endpoints("grpc"));
    b.add_peer(&a, &a.endpoints("grpc"));
    a.wait_outbound("cluster-b", "up");
    wait_for(&a, far, &["10.92.0.2"]);
    wait_for_rcode(&a, "other.shop.svc.clusterset.local", Rcode::NXDOMAIN);

    b.gateways[0].kill();
    a.wait_outbound("cluster-b", "down");
    // What has been told before may be told on for a while; what has not is not denied.
    let failed = wait_for_rcode(&a, "another.shop.svc.clusterset.local", Rcode::SERVFAIL);
    assert!(ede(&failed).is_some(), "a reason");
    wait_for(&a, WEB, &["10.42.0.1"]);
}

fn only_peers_that_may_fill_the_zone(start: StartApi) {
    let (ka, kb, kc) = (Kubernetes::start(start), Kubernetes::start(start), Kubernetes::start(start));
    kb.service("from-b", "10.92.0.2", "10.2.0.2", true);
    kb.export("from-b");
    kc.service("from-c", "10.93.0.2", "10.3.0.2", true);
    kc.export("from-c");
    let path = ka.folder.write("kubeconfig", ka.api.kubeconfig("gateway"));
    let home = Home::Kubernetes(format!("kubeconfig: {}, clusterSet: {{ from: [cluster-b] }}", path.display()));
    let a = ClusterPlan::new("cluster-a", home).agent_asks_gateway_for("cluster.local, clusterset.local").start();
    let (b, c) = (kb.cluster("cluster-b"), kc.cluster("cluster-c"));
    for other in [&b, &c] {
        a.add_peer(other, &other.endpoints("tls"));
        other.add_peer(&a, &a.endpoints("tls"));
        a.wait_outbound(&other.name, "up");
    }
    wait_for(&a, "from-b.shop.svc.clusterset.local", &["10.92.0.2"]);
    wait_for_rcode(&a, "from-c.shop.svc.clusterset.local", Rcode::NXDOMAIN);
    // It is a peer all the same.
    assert_eq!(a.resolve("from-c.shop.svc.cluster-c.example.com").len(), 1);
}

fn clusters_that_are_called_the_same_are_told(start: StartApi) {
    let (ka, kb) = (Kubernetes::start(start), Kubernetes::start(start));
    let called = |kubernetes: &Kubernetes, name: &str, id: &str| {
        let path = kubernetes.folder.write("kubeconfig", kubernetes.api.kubeconfig("gateway"));
        ClusterPlan::new(
            name,
            Home::Kubernetes(format!("kubeconfig: {}, clusterSet: {{ clusterId: {id} }}", path.display())),
        )
        .start()
    };
    let (a, mut b) = (called(&ka, "cluster-a", "prod"), called(&kb, "cluster-b", "prod"));
    b.add_peer(&a, &a.endpoints("tls"));
    a.add_peer(&b, &b.endpoints("grpc"));
    let clash = "strait_peer_cluster_id_clash{peer=\"cluster-b\"}";
    until("the clash to be told", || (a.gateway().program().metric(clash) - 1.0).abs() < 0.5);
    a.gateway().program().wait_log(&["peer=cluster-b", "cluster_id=\"prod\"", "this cluster", "clusterSet.clusterId"]);

    let config = b.gateway().seat.config.clone();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("clusterId: prod", "clusterId: prod-b")).unwrap();
    b.gateways[0].kill();
    b.gateways[0].start_again();
    until("the clash to be over", || a.gateway().program().metric(clash) < 0.5);
    let page = a.gateway().program().get("/metrics").unwrap().1;
    assert!(page.contains(&format!("{clash} 0")), "a peer that is not mistaken has a series too");
}
