//! Clusters and traffic that leave no metric family out.

use strait_wire::Class;

use crate::client::{tls, udp};
use crate::{
    Cluster, ClusterPlan, Collection, Folder, Home, KubeApi, Leaf, OrdinaryServer, Reply, ScriptedServer, ask, ask_tcp,
    ask_udp, query,
};

/// Two peered clusters that have seen every kind of traffic.
#[track_caller]
pub fn busy_clusters() -> (Cluster, Cluster, (ScriptedServer, OrdinaryServer)) {
    // In lower case: over UDP the case is random.
    let upstream =
        ScriptedServer::start(|received| match received.question().name.to_lowercase().to_string().as_str() {
            "big.example." if !received.tcp => vec![Reply::truncated(received)],
            "forged.example." => {
                let good = Reply::address(received, "192.0.2.1");
                vec![good.clone().with_wrong_id(), good]
            }
            _ => vec![Reply::address(received, "192.0.2.1")],
        });
    let zone = "@ 30 IN SOA ns h 1 2 3 4 5\n@ 30 IN NS ns\nns 30 IN A 10.2.0.10\nweb.shop.svc 30 IN A 10.2.0.1\n";
    let cluster_dns = OrdinaryServer::start(&[("cluster.local.", zone)]);
    let a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"]))
        .agent(&format!("upstreams: {{ servers: [\"{}\"] }}", upstream.address()))
        .agent("zones: [{ name: static.example, records: [{ name: api, type: A, value: 192.0.2.1 }] }]")
        .start();
    let b = ClusterPlan::new("cluster-b", Home::ClusterDns(cluster_dns.address())).start();
    a.add_peer(&b, &b.endpoints("tls"));
    b.add_peer(&a, &a.endpoints("grpc"));
    (a, b, (upstream, cluster_dns))
}

/// Questions of every kind, good and bad.
#[track_caller]
pub fn make_traffic(a: &Cluster, b: &Cluster) {
    // Static, upstream twice (a miss and a hit), truncated, forged, a peer's, a name without a zone at b's agent.
    for name in ["api.static.example", "www.example", "www.example", "big.example", "forged.example"] {
        ask(a.dns, name, "A");
    }
    a.resolve("web.shop.svc.cluster-b.example.com");
    ask(b.dns, "nobody.knows.example", "A");
    ask(a.dns, "api.static.example", "TYPE65399");
    ask_tcp(a.dns, &query("api.static.example", "A")).unwrap();
    // Another class; a datagram that is no question.
    let mut chaos = query("version.bind", "TXT");
    chaos.questions[0].class = Class(3);
    ask_udp(a.dns, &chaos).unwrap();
    udp(a.dns).unwrap().send(b"hello").unwrap();
    // At the gateway: a stranger, and a peer that asks for what it may not have.
    assert!(tls(b.gateway().seat.tls, None, &["dot"]).and_then(|mut s| s.ask(&query("a.example", "A"))).is_err());
    let peer = a.authority().issue(&Leaf::of("spiffe://cluster-a.example.com/gateway"));
    tls(b.gateway().seat.tls, Some(&peer), &["dot"]).unwrap().ask(&query("a.example", "A")).unwrap();
}

/// A cluster whose gateway answers from a Kubernetes API, and keeps its peers there.
#[track_caller]
pub fn kubernetes_cluster() -> (Cluster, KubeApi, Folder) {
    let (api, folder) = (KubeApi::start(), Folder::new());
    let kubeconfig = folder.write("kubeconfig", api.kubeconfig("gateway"));
    let keys = format!("kubeconfig: {}, pods: verified", kubeconfig.display());
    let [peers, zones] = ["peers", "zones"].map(|plural| Collection::new("strait.dev", "v1alpha1", plural));
    api.serve(peers);
    api.serve(zones.clone());
    api.apply(
        &zones,
        "strait-system",
        "corp",
        serde_json::json!({ "kind": "Zone", "spec": { "name": "corp.example.com" } }),
    );
    (ClusterPlan::new("cluster-c", Home::Kubernetes(keys)).state_in(&api).start(), api, folder)
}
