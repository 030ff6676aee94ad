//! Addresses back to names over clusters: each cluster advertises its own, PTR questions go to the owner, and what is
//! claimed by several, or by nobody who may, is asked of nobody.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;

use serde_json::{Value, json};
use strait_tests::{
    ApiServer, Cluster, ClusterPlan, Collection, Folder, Home, Reply, ScriptedServer, StartApi, ask, ask_udp, lines,
    over_each_api_server, query, until,
};
use strait_wire::{Class, Message, Rcode, Rdata, Record, RecordType};

const B: &str = "cluster-b.example.com";
const WEB: &str = "1.0.96.10.in-addr.arpa";

/// A Kubernetes API with services of these addresses: (namespace, name, address).
fn kubernetes(start: StartApi, services: &[(&str, &str, &str)]) -> (Box<dyn ApiServer>, Folder, Home) {
    let (api, folder) = (start(), Folder::new());
    for (namespace, name, address) in services {
        api.apply(&Collection::core("namespaces"), "", namespace, json!({}));
        let spec = json!({ "spec": { "clusterIP": address, "clusterIPs": [address], "ports": [{ "port": 80 }] } });
        api.apply(&Collection::core("services"), namespace, name, spec);
    }
    let path = folder.write("kubeconfig", api.kubeconfig("gateway"));
    let home = Home::Kubernetes(format!("kubeconfig: {}", path.display()));
    (api, folder, home)
}

over_each_api_server!(addresses_of_a_peer_are_asked_of_it_as_long_as_it_advertises_them,);

/// The DNS of a cluster in which every address is that of one service.
fn cluster_dns(service: &'static str) -> (ScriptedServer, Home) {
    let server = ScriptedServer::start(move |received| {
        let question = received.question();
        if question.rtype != RecordType::PTR {
            return vec![Reply::negative(received, Rcode::NOERROR, "cluster.local", 5)];
        }
        let rdata = Rdata::name(&format!("{service}.svc.cluster.local").parse().unwrap());
        let record = Record { name: question.name.clone(), rtype: RecordType::PTR, class: Class::IN, ttl: 1, rdata };
        vec![Reply::answer(received, vec![record])]
    });
    let address: SocketAddr = server.address();
    (server, Home::ClusterDns(address))
}

/// `a` asks `b`, which lets it.
fn ask_each_other(a: &Cluster, b: &Cluster) {
    b.add_peer(a, &a.endpoints("tls"));
    a.add_peer(b, &b.endpoints("tls"));
}

fn names_of(at: &Cluster, address: &str) -> Vec<String> {
    // An agent that is starting refuses for a moment.
    ask_udp(at.dns, &query(address, "PTR")).map(|answer| lines(&answer)).unwrap_or_default()
}

fn rcode_of(at: &Cluster, address: &str) -> Option<Rcode> {
    ask_udp(at.dns, &query(address, "PTR")).ok().map(|answer| answer.rcode)
}

#[track_caller]
fn wait_name(at: &Cluster, address: &str, name: &str) {
    let expected = format!("{address}. PTR {name}.");
    until(&format!("{} to know {address} as {name}", at.name), || names_of(at, address) == [expected.as_str()]);
}

/// Whether anything in the message names the zone at home.
fn tells_of_home(message: &Message) -> bool {
    let home = "cluster.local".parse().unwrap();
    message
        .records()
        .any(|record| record.name.is_within(&home) || record.rdata.names().any(|name| name.is_within(&home)))
}

fn shown(at: &Cluster, peer: &str) -> Value {
    serde_json::from_str(&at.ctl_ok(&["-o", "json", "peer", "show", peer])).unwrap()
}

/// Starts the gateway of a cluster again with other addresses.
fn advertise_instead(cluster: &mut Cluster, before: &str, after: &str) {
    let path = cluster.gateway().seat.config.clone();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(before), "{text}");
    cluster.gateways[0].kill();
    std::fs::write(&path, text.replace(before, after)).unwrap();
    cluster.gateways[0].revive();
}

fn addresses_of_a_peer_are_asked_of_it_as_long_as_it_advertises_them(start: StartApi) {
    let services =
        [("shop", "web", "10.96.0.1"), ("kube-system", "secret", "10.96.0.2"), ("shop", "other", "10.200.0.1")];
    let (_api, _folder, home) = kubernetes(start, &services);
    let mut b = ClusterPlan::new("cluster-b", home).gateway("reverse: [10.96.0.0/12]").start();
    let mut a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).start();
    ask_each_other(&a, &b);

    wait_name(&a, WEB, &format!("web.shop.svc.{B}"));
    // Nobody has it; and nothing of the home zone comes with that.
    let absent = a.ask("9.0.96.10.in-addr.arpa", "PTR");
    assert_eq!((absent.rcode, tells_of_home(&absent)), (Rcode::NXDOMAIN, false));
    assert_eq!(absent.authorities[0].name.to_string(), "96.10.in-addr.arpa.");
    // It has a name that cluster-a may not see.
    assert_eq!(rcode_of(&a, "2.0.96.10.in-addr.arpa"), Some(Rcode::REFUSED));
    // No range holds it: not asked of anybody.
    let outside = a.ask("1.0.200.10.in-addr.arpa", "PTR");
    assert_eq!((outside.rcode, lines(&outside)), (Rcode::NXDOMAIN, Vec::<String>::new()));
    assert_eq!(shown(&a, "cluster-b")["addresses"]["accepted"], json!(["10.96.0.0/12"]));

    // Other addresses with a restart; those before are given up.
    advertise_instead(&mut b, "[10.96.0.0/12]", "[10.200.0.0/16]");
    wait_name(&a, "1.0.200.10.in-addr.arpa", &format!("other.shop.svc.{B}"));
    until("the addresses of before are nobody's", || names_of(&a, WEB).is_empty());

    // While cluster-b is away a gateway that starts anew tells an agent that knows nothing whose they are.
    until("cluster-a to have kept them", || {
        a.folder.path("gateway-0-peers.json.addresses").exists()
            && a.folder.read("gateway-0-peers.json.addresses").contains("10.200.0.0/16")
    });
    b.gateways[0].kill();
    a.gateways[0].kill();
    std::fs::remove_file(a.folder.path("agent-peers.json")).unwrap();
    a.gateways[0].revive();
    a.restart_agent();
    until("the question to fail for want of cluster-b", || {
        rcode_of(&a, "1.1.200.10.in-addr.arpa") == Some(Rcode::SERVFAIL)
    });
    b.gateways[0].revive();
    wait_name(&a, "1.0.200.10.in-addr.arpa", &format!("other.shop.svc.{B}"));

    a.ctl_ok(&["peer", "remove", "cluster-b"]);
    until("the addresses to go with the peer", || rcode_of(&a, "1.0.200.10.in-addr.arpa") == Some(Rcode::NXDOMAIN));
    until("the file to forget them", || !a.folder.read("gateway-0-peers.json.addresses").contains("10.200.0.0/16"));
}

#[test]
fn what_several_clusters_claim_is_asked_of_nobody_and_told() {
    let (_dns_a, home_a) = cluster_dns("web.own");
    let (_dns_b, home_b) = cluster_dns("web.shop");
    let (_dns_c, home_c) = cluster_dns("web.store");
    let a = ClusterPlan::new("cluster-a", home_a).gateway("reverse: [10.10.0.0/16]").start();
    let b = ClusterPlan::new("cluster-b", home_b).gateway("reverse: [10.96.0.0/16, 10.10.7.0/24]").start();
    let c = ClusterPlan::new("cluster-c", home_c).gateway("reverse: [10.96.0.0/12]").start();
    ask_each_other(&a, &b);
    ask_each_other(&a, &c);

    // Of the larger range the rest is its owner's.
    wait_name(&a, "1.0.97.10.in-addr.arpa", "web.store.svc.cluster-c.example.com");
    until("what both claim to be refused", || {
        let answer = ask(a.dns, WEB, "PTR");
        let ede = answer.edns.as_ref().and_then(|edns| edns.ede());
        let says = ede.is_some_and(|ede| ede.text.contains("10.96.0.0/16 is claimed by peers cluster-b and cluster-c"));
        answer.rcode == Rcode::REFUSED && says
    });
    // Our own stay ours, whatever others say.
    assert!(names_of(&a, "1.7.10.10.in-addr.arpa").is_empty());
    let overlaps = json!([
        { "range": "10.10.7.0/24", "with": ["this cluster"] },
        { "range": "10.96.0.0/16", "with": ["peer cluster-c"] },
    ]);
    assert_eq!(shown(&a, "cluster-b")["addresses"]["overlaps"], overlaps);
    assert!(a.ctl_ok(&["peer", "list"]).contains("2 (2 overlap)"), "{}", a.ctl_ok(&["peer", "list"]));
    let gateway = a.gateway().program();
    gateway.wait_log(&["cluster-b", "10.96.0.0/16", "cluster-c", "claimed by several"]);
    let metric =
        |state: &str| gateway.metric(&format!("strait_peer_address_ranges{{peer=\"cluster-b\",state=\"{state}\"}}"));
    assert_eq!((metric("accepted"), metric("overlapping")), (2.0, 2.0));

    // The operator decides.
    let (ca, endpoint) = (b.ca(), b.endpoints("tls").remove(0));
    let add = ["peer", "add", "cluster-b", "--suffix", B, "--ca", &ca, "--endpoint", &endpoint, "--replace"];
    a.ctl_ok(&[&add[..], &["--addresses", "10.96.0.0/16"]].concat());
    wait_name(&a, WEB, &format!("web.shop.svc.{B}"));
}

#[test]
fn a_peer_that_advertises_the_world_is_not_asked_of_it() {
    let (_dns, home) = cluster_dns("web.shop");
    let b = ClusterPlan::new("cluster-b", home).gateway("reverse: [8.8.8.0/24, 10.96.0.0/16]").start();
    let a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).start();
    ask_each_other(&a, &b);
    wait_name(&a, WEB, &format!("web.shop.svc.{B}"));
    // Refused for want of an upstream, as without any peer.
    assert_eq!(
        (rcode_of(&a, "8.8.8.8.in-addr.arpa"), names_of(&a, "8.8.8.8.in-addr.arpa")),
        (Some(Rcode::REFUSED), vec![])
    );
    let refused = &shown(&a, "cluster-b")["addresses"]["refused"][0];
    assert_eq!(refused["range"], "8.8.8.0/24");
    assert!(refused["reason"].as_str().unwrap().contains("not private addresses"), "{refused}");

    // Unless the operator says that they are its.
    let (ca, endpoint) = (b.ca(), b.endpoints("tls").remove(0));
    let add = ["peer", "add", "cluster-b", "--suffix", B, "--ca", &ca, "--endpoint", &endpoint, "--replace"];
    a.ctl_ok(&[&add[..], &["--addresses", "8.8.8.0/24"]].concat());
    wait_name(&a, "8.8.8.8.in-addr.arpa", &format!("web.shop.svc.{B}"));
    // And then what it advertises elsewhere is refused.
    until("the other range to be nobody's", || names_of(&a, WEB).is_empty());
}
