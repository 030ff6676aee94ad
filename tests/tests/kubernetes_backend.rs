//! A gateway that answers from a Kubernetes API: for peers under the suffix, for its own agents under the home zone.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};
use strait_tests::client::tls;
use strait_tests::{Cluster, ClusterPlan, Collection, Folder, Home, KubeApi, Leaf, TlsIdentity, lines, query, until};
use strait_wire::{Ede, Message, Name, Rcode, RecordType};

const B: &str = "cluster-b.example.com";

/// A Kubernetes API with something of everything in the namespace `shop`.
struct Kubernetes {
    api: KubeApi,
    folder: Folder,
}

fn services() -> Collection {
    Collection::core("services")
}

fn slices() -> Collection {
    Collection::new("discovery.k8s.io", "v1", "endpointslices")
}

impl Kubernetes {
    fn start() -> Self {
        let kubernetes = Self { api: KubeApi::start(), folder: Folder::new() };
        let api = &kubernetes.api;
        api.apply(&Collection::core("namespaces"), "", "shop", json!({}));
        let ports = json!([{ "name": "http", "protocol": "TCP", "port": 80 }]);
        kubernetes.service("web", json!({ "clusterIPs": ["10.96.0.1", "fd00:96::1"], "ports": ports }));
        kubernetes.service("db", json!({ "clusterIP": "None", "ports": ports }));
        kubernetes.service("out", json!({ "type": "ExternalName", "externalName": "www.example.org" }));
        kubernetes.service("alias", json!({ "type": "ExternalName", "externalName": "web.shop.svc.cluster.local" }));
        let endpoints = json!([
            { "addresses": ["10.244.0.5"], "conditions": { "ready": true }, "hostname": "db-0" },
            { "addresses": ["10.244.0.6"], "conditions": { "ready": true } },
            { "addresses": ["10.244.0.7"], "conditions": { "ready": false } },
        ]);
        let labels = json!({ "kubernetes.io/service-name": "db" });
        let slice = json!({ "metadata": { "labels": labels }, "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{ "name": "http", "protocol": "TCP", "port": 8080 }] });
        api.apply(&slices(), "shop", "db-1", slice);
        kubernetes
    }

    fn service(&self, name: &str, spec: Value) {
        self.api.apply(&services(), "shop", name, json!({ "spec": spec }));
    }

    /// The keys of a backend that asks it.
    fn home(&self, more: &str) -> Home {
        let path = self.folder.write("kubeconfig", self.api.kubeconfig("gateway"));
        Home::Kubernetes(format!("kubeconfig: {}, {more}", path.display()))
    }

    /// cluster-b, whose services it has, with these lines in its agent's configuration.
    fn cluster(&self, more: &str, agent: &str) -> Cluster {
        ClusterPlan::new("cluster-b", self.home(more)).agent(agent).start()
    }
}

/// A certificate of a gateway of `cluster`.
fn gateway_of(cluster: &Cluster) -> TlsIdentity {
    cluster.authority().issue(&Leaf::of(&format!("spiffe://{}/gateway", cluster.suffix)))
}

/// What the gateway of `at` says to whoever bears that certificate.
fn asked_by(at: &Cluster, who: &TlsIdentity, name: &str, rtype: &str) -> Message {
    tls(at.gateway().seat.tls, Some(who), &["dot"]).unwrap().ask(&query(name, rtype)).unwrap()
}

fn ede(message: &Message) -> Option<(u16, String)> {
    message.edns.as_ref().and_then(|edns| edns.ede()).map(|ede| (ede.code, ede.text.into_owned()))
}

fn names(records: &[strait_wire::Record]) -> Vec<String> {
    let mut names: Vec<String> = records.iter().map(|r| r.name.to_string()).collect();
    names.sort();
    names
}

#[test]
fn a_peer_is_told_every_kind_of_service_under_the_suffix() {
    let kubernetes = Kubernetes::start();
    let b = kubernetes.cluster("ttl: 7", "");
    let a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).start();
    b.add_peer(&a, &a.endpoints("tls"));
    a.add_peer(&b, &b.endpoints("tls"));
    a.resolve(&format!("web.shop.svc.{B}"));

    // (name, type, what is answered)
    let cases: [(&str, &str, &[&str]); 9] = [
        ("web.shop.svc", "A", &["web.shop.svc.{B}. A 10.96.0.1"]),
        ("web.shop.svc", "AAAA", &["web.shop.svc.{B}. AAAA fd00:96::1"]),
        ("_http._tcp.web.shop.svc", "SRV", &["_http._tcp.web.shop.svc.{B}. SRV 0 100 80 web.shop.svc.{B}."]),
        ("db.shop.svc", "A", &["db.shop.svc.{B}. A 10.244.0.5", "db.shop.svc.{B}. A 10.244.0.6"]),
        ("db-0.db.shop.svc", "A", &["db-0.db.shop.svc.{B}. A 10.244.0.5"]),
        ("10-244-0-6.db.shop.svc", "A", &["10-244-0-6.db.shop.svc.{B}. A 10.244.0.6"]),
        ("dns-version", "TXT", &["dns-version.{B}. TXT \\x051.1.0"]),
        // Names outside are told as they are; those at home under the suffix, with what they lead to.
        ("out.shop.svc", "CNAME", &["out.shop.svc.{B}. CNAME www.example.org."]),
        ("alias.shop.svc", "A", &["alias.shop.svc.{B}. CNAME web.shop.svc.{B}.", "web.shop.svc.{B}. A 10.96.0.1"]),
    ];
    for (name, rtype, expected) in cases {
        let answer = a.ask(&format!("{name}.{B}"), rtype);
        let mut told = lines(&answer);
        told.sort();
        let expected: Vec<String> = expected.iter().map(|line| line.replace("{B}", B)).collect();
        assert_eq!(told, expected, "{name} {rtype}");
        assert!(answer.answers.iter().all(|record| record.ttl <= 7), "{name}: {:?}", answer.answers);
    }
    // SRV has the addresses of its targets beside it.
    let srv = a.ask(&format!("_http._tcp.db.shop.svc.{B}"), "SRV");
    assert_eq!(srv.answers.len(), 2);
    assert_eq!(names(&srv.additionals), [format!("10-244-0-6.db.shop.svc.{B}."), format!("db-0.db.shop.svc.{B}.")]);

    // What is not there, and what is there without that type, with the SOA of the suffix.
    let suffix: Name = B.parse().unwrap();
    for (name, rtype, rcode) in [
        ("nothing.shop.svc", "A", Rcode::NXDOMAIN),
        ("web.nowhere.svc", "A", Rcode::NXDOMAIN),
        ("10-244-0-7.db.shop.svc", "A", Rcode::NXDOMAIN),
        ("web.shop.svc", "TXT", Rcode::NOERROR),
        ("shop.svc", "A", Rcode::NOERROR),
    ] {
        let answer = a.ask(&format!("{name}.{B}"), rtype);
        assert_eq!((answer.rcode, answer.answers.len()), (rcode, 0), "{name} {rtype}");
        let soa = &answer.authorities[0];
        assert_eq!((&soa.name, soa.rtype), (&suffix, RecordType::SOA), "{name} {rtype}");
    }

    // What changes is told within the TTL; what goes is gone.
    kubernetes.service("new", json!({ "clusterIP": "10.96.0.2" }));
    until("a new service", || !lines(&a.ask(&format!("new.shop.svc.{B}"), "A")).is_empty());
    kubernetes.api.delete(&services(), "shop", "new");
    until("a service that went", || a.ask(&format!("new.shop.svc.{B}"), "A").rcode == Rcode::NXDOMAIN);
}

#[test]
fn names_at_home_are_for_agents_of_this_cluster_alone() {
    let kubernetes = Kubernetes::start();
    let b = kubernetes.cluster("reverse: [10.96.0.0/12]", "");
    let a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).start();
    b.add_peer(&a, &a.endpoints("tls"));
    let agent = b.authority().issue(&Leaf::of(&format!("spiffe://{B}/node-agent/node-1")));
    let (web, address) = ("web.shop.svc.cluster.local", "1.0.96.10.in-addr.arpa");
    assert_eq!(lines(&asked_by(&b, &agent, web, "A")), [format!("{web}. A 10.96.0.1")]);
    assert_eq!(lines(&asked_by(&b, &agent, address, "PTR")), [format!("{address}. PTR {web}.")]);
    // The range holds it; nobody has it.
    assert_eq!(asked_by(&b, &agent, "9.0.96.10.in-addr.arpa", "PTR").rcode, Rcode::NXDOMAIN);
    // Another range is another's.
    assert_eq!(asked_by(&b, &agent, "1.0.80.10.in-addr.arpa", "PTR").rcode, Rcode::REFUSED);

    let peer = gateway_of(&a);
    until("the peer may ask", || asked_by(&b, &peer, &format!("web.shop.svc.{B}"), "A").rcode == Rcode::NOERROR);
    // Though each of them has just been asked for by somebody who may.
    for (name, rtype) in [(web, "A"), ("cluster.local", "SOA"), (address, "PTR")] {
        let refused = asked_by(&b, &peer, name, rtype);
        assert_eq!((refused.rcode, lines(&refused).len()), (Rcode::REFUSED, 0), "{name}");
        let (code, text) = ede(&refused).expect("a reason");
        assert!(code == Ede::PROHIBITED && text.contains("may ask only names under"), "{code} {text}");
    }
}
