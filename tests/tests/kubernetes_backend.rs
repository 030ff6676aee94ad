//! A gateway that answers from a Kubernetes API: for peers under the suffix, for its own agents under the home zone.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

use serde_json::{Value, json};
use strait_tests::client::tls;
use strait_tests::cluster::Gateway;
use strait_tests::program::{binary, run};
use strait_tests::{
    ApiServer, ApiWeather, Cluster, ClusterPlan, Collection, Folder, Home, Leaf, Program, ScriptedServer, StartApi,
    TlsIdentity, lines, over_each_api_server, query, until,
};
use strait_wire::{Ede, Message, Name, Rcode, RecordType};

const B: &str = "cluster-b.example.com";

/// A Kubernetes API with something of everything in the namespace `shop`.
struct Kubernetes {
    api: Box<dyn ApiServer>,
    folder: Folder,
}

fn services() -> Collection {
    Collection::core("services")
}

fn slices() -> Collection {
    Collection::new("discovery.k8s.io", "v1", "endpointslices")
}

over_each_api_server!(
    a_peer_is_told_every_kind_of_service_under_the_suffix,
    names_at_home_are_for_agents_of_this_cluster_alone,
    an_agent_takes_the_home_zone_from_its_gateway,
    what_is_not_known_yet_is_not_denied,
    without_the_api_server_answers_go_on_and_are_said_to_be_stale,
    killed_at_any_moment_it_starts_again_with_what_it_knew,
);

impl Kubernetes {
    fn start(start: StartApi) -> Self {
        let kubernetes = Self { api: start(), folder: Folder::new() };
        let api = &kubernetes.api;
        api.apply(&Collection::core("namespaces"), "", "shop", json!({}));
        let ports = json!([{ "name": "http", "protocol": "TCP", "port": 80 }]);
        let both = json!({ "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00:96::1"],
            "ipFamilyPolicy": "RequireDualStack", "ports": ports });
        kubernetes.service("web", both);
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

    fn service(&self, name: &str, mut spec: Value) {
        if spec["ports"].is_null() && spec["type"] != "ExternalName" {
            spec["ports"] = json!([{ "port": 80 }]);
        }
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

fn a_peer_is_told_every_kind_of_service_under_the_suffix(start: StartApi) {
    let kubernetes = Kubernetes::start(start);
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

fn names_at_home_are_for_agents_of_this_cluster_alone(start: StartApi) {
    let kubernetes = Kubernetes::start(start);
    let b = ClusterPlan::new("cluster-b", kubernetes.home("")).gateway("reverse: [10.96.0.0/12]").start();
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
    for (name, rtype) in [(web, "A"), ("cluster.local", "SOA")] {
        let refused = asked_by(&b, &peer, name, rtype);
        assert_eq!((refused.rcode, lines(&refused).len()), (Rcode::REFUSED, 0), "{name}");
        let (code, text) = ede(&refused).expect("a reason");
        assert!(code == Ede::PROHIBITED && text.contains("may ask only names under"), "{code} {text}");
    }
    // What has just been told an agent of ours, a peer is told under the suffix.
    let told = asked_by(&b, &peer, address, "PTR");
    assert_eq!(lines(&told), [format!("{address}. PTR web.shop.svc.{B}.")]);
}

fn an_agent_takes_the_home_zone_from_its_gateway(start: StartApi) {
    let kubernetes = Kubernetes::start(start);
    let upstream = ScriptedServer::with_address("192.0.2.80");
    let plan = ClusterPlan::new("cluster-b", kubernetes.home(""));
    let mut b = plan
        .gateway("reverse: [10.96.0.0/12, 10.244.0.0/16]")
        .agent_asks_gateway_for("cluster.local, 10.96.0.0/12, 10.244.0.0/16")
        .agent(&format!("upstreams: {{ servers: [\"{}\"] }}", upstream.address()))
        .start();
    let web = "web.shop.svc.cluster.local";
    assert_eq!(b.resolve(web), [format!("{web}. A 10.96.0.1")]);
    let cases: [(&str, &str, &[&str]); 5] = [
        ("db-0.db.shop.svc.cluster.local", "A", &["db-0.db.shop.svc.cluster.local. A 10.244.0.5"]),
        // An alias out of the cluster is followed as the agent follows any.
        (
            "out.shop.svc.cluster.local",
            "A",
            &["out.shop.svc.cluster.local. CNAME www.example.org.", "www.example.org. A 192.0.2.80"],
        ),
        ("1.0.96.10.in-addr.arpa", "PTR", &["1.0.96.10.in-addr.arpa. PTR web.shop.svc.cluster.local."]),
        ("5.0.244.10.in-addr.arpa", "PTR", &["5.0.244.10.in-addr.arpa. PTR db-0.db.shop.svc.cluster.local."]),
        ("www.example.org", "A", &["www.example.org. A 192.0.2.80"]),
    ];
    for (name, rtype, expected) in cases {
        assert_eq!(lines(&b.ask(name, rtype)), expected, "{name} {rtype}");
    }
    let absent = b.ask("nothing.shop.svc.cluster.local", "A");
    assert_eq!((absent.rcode, absent.authorities[0].rtype), (Rcode::NXDOMAIN, RecordType::SOA));
    assert_eq!(absent.authorities[0].name, "cluster.local".parse::<Name>().unwrap());
    let absent = b.ask("9.0.96.10.in-addr.arpa", "PTR");
    assert_eq!((absent.rcode, absent.authorities.len()), (Rcode::NXDOMAIN, 1));
    // One link for all of them, whose health is known.
    let up = "strait_peer_endpoint_up{endpoint=\"grpc://";
    assert_eq!(b.agent().metric(up), 1.0);

    // Without its gateway the agent tells what it knows, as any peer's names, and fails what it does not.
    b.gateways[0].kill();
    until("the agent has lost its gateway", || b.agent().metric(up) == 0.0);
    assert_eq!(b.ask("new.shop.svc.cluster.local", "A").rcode, Rcode::SERVFAIL);
    assert_eq!(lines(&b.ask(web, "A")), [format!("{web}. A 10.96.0.1")]);
    b.gateways[0].revive();
    kubernetes.service("new", json!({ "clusterIP": "10.96.0.3" }));
    assert_eq!(b.resolve("new.shop.svc.cluster.local"), ["new.shop.svc.cluster.local. A 10.96.0.3"]);
}

/// The word of `/readyz` for the catalog, and the status.
fn readiness(gateway: &Gateway) -> Option<(u16, String)> {
    let (status, body) = gateway.program().get("/readyz")?;
    let body: Value = serde_json::from_str(&body).ok()?;
    Some((status, body["conditions"]["catalog"].as_str()?.to_owned()))
}

#[track_caller]
fn wait_readiness(gateway: &Gateway, status: u16, words: &[&str]) {
    until(&format!("/readyz to be {status} with {words:?}"), || {
        readiness(gateway).is_some_and(|(is, text)| is == status && words.iter().all(|word| text.contains(word)))
    });
}

fn what_is_not_known_yet_is_not_denied(start: StartApi) {
    let kubernetes = Kubernetes::start(start);
    let mut b = kubernetes.cluster("", "");
    let a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).start();
    b.add_peer(&a, &a.endpoints("tls"));
    a.add_peer(&b, &b.endpoints("tls"));
    a.wait_outbound("cluster-b", "up");

    kubernetes.api.set(ApiWeather::Gone);
    b.gateways[0].kill();
    for file in ["catalog", "catalog.current"] {
        // The second is there only after a while.
        let _ = std::fs::remove_file(b.folder.path(file));
    }
    b.gateways[0].start_again();
    wait_readiness(b.gateway(), 503, &["not known yet", "; services: ", "cannot be reached"]);
    // One line, of whichever was asked for first, called as the API and the metrics call it.
    let line = b.gateway().program().wait_log(&["changes of the cluster do not come"]);
    assert!(
        ["namespaces", "services", "endpointslices", "serviceexports", "serviceimports"]
            .iter()
            .any(|is| line.contains(&format!("resource=\"{is}\""))),
        "{line}"
    );
    let agent = b.authority().issue(&Leaf::of(&format!("spiffe://{B}/node-agent/node-1")));
    let (suffix, home) = (format!("web.shop.svc.{B}"), "web.shop.svc.cluster.local");
    for (name, rtype) in [(suffix.as_str(), "A"), ("nothing.cluster-b.example.com", "A"), (B, "SOA"), (home, "A")] {
        let answer = asked_by(&b, &agent, name, rtype);
        assert_eq!(answer.rcode, Rcode::SERVFAIL, "{name}");
        let (code, text) = ede(&answer).expect("a reason");
        assert!(code == Ede::NOT_READY && text.contains("not known yet"), "{name}: {code} {text}");
    }
    // Health questions say so: peers do not count on it.
    a.wait_outbound("cluster-b", "down");
    assert_eq!(b.gateway().program().metric("strait_catalog_synced{kind=\"services\"}"), 0.0);
    assert!(b.gateway().program().metric("strait_catalog_age_seconds") > 0.0);

    kubernetes.api.set(ApiWeather::Fair);
    wait_readiness(b.gateway(), 200, &["ready"]);
    a.wait_outbound("cluster-b", "up");
    // Its failures are not kept.
    assert_eq!(lines(&asked_by(&b, &agent, &suffix, "A")), [format!("{suffix}. A 10.96.0.1")]);
    // With the two kinds that this server does not have.
    assert_eq!(b.gateway().program().metric("strait_catalog_synced{"), 5.0);
    assert_eq!(b.gateway().program().metric("strait_catalog_age_seconds"), 0.0);
}

fn without_the_api_server_answers_go_on_and_are_said_to_be_stale(start: StartApi) {
    let kubernetes = Kubernetes::start(start);
    kubernetes.service("old", json!({ "clusterIP": "10.96.0.9" }));
    let mut b = kubernetes.cluster("staleAfter: 1s", "");
    let agent = b.authority().issue(&Leaf::of(&format!("spiffe://{B}/node-agent/node-1")));
    let says = |b: &Cluster, name: &str| {
        let answer = asked_by(b, &agent, &format!("{name}.shop.svc.{B}"), "A");
        (answer.rcode, answer.answers.len())
    };
    let known = (Rcode::NOERROR, 1);
    assert_eq!((says(&b, "web"), says(&b, "old")), (known, known));
    assert_eq!(readiness(b.gateway()), Some((200, "ready".to_owned())));
    until("the catalog is on disk", || b.folder.path("catalog").exists());

    kubernetes.api.set(ApiWeather::Gone);
    kubernetes.api.delete(&services(), "shop", "old");
    let stale = ["ready, but", "as they were at", "cannot be reached"];
    wait_readiness(b.gateway(), 200, &stale);
    assert_eq!((says(&b, "web"), says(&b, "old")), (known, known));
    let gateway = b.gateway().program();
    gateway.wait_log(&["the catalog is stale", "cannot be reached"]);
    assert_eq!(gateway.metric("strait_catalog_stale"), 1.0);
    assert!(gateway.metric("strait_catalog_age_seconds") >= 1.0);
    until("every kind is lost", || gateway.metric("strait_catalog_synced{") == 0.0);
    assert_eq!(gateway.log().matches("the catalog is stale").count(), 1);

    // Killed, it starts from disk: ready, and stale from the first.
    b.gateways[0].kill();
    b.gateways[0].revive();
    wait_readiness(b.gateway(), 200, &stale);
    assert_eq!((says(&b, "web"), says(&b, "old"), says(&b, "no")), (known, known, (Rcode::NXDOMAIN, 0)));

    // The API server is back: what was deleted meanwhile is gone.
    kubernetes.api.set(ApiWeather::Fair);
    until("what was deleted is gone", || says(&b, "old") == (Rcode::NXDOMAIN, 0));
    wait_readiness(b.gateway(), 200, &["ready"]);
    until("it is stale no more", || readiness(b.gateway()) == Some((200, "ready".to_owned())));
    assert_eq!(says(&b, "web"), known);
    assert_eq!(b.gateway().program().metric("strait_catalog_stale"), 0.0);
}

fn killed_at_any_moment_it_starts_again_with_what_it_knew(start: StartApi) {
    let kubernetes = Kubernetes::start(start);
    let mut b = kubernetes.cluster("", "");
    let agent = b.authority().issue(&Leaf::of(&format!("spiffe://{B}/node-agent/node-1")));
    let (web, file) = (format!("web.shop.svc.{B}"), b.folder.path("catalog"));
    until("the catalog is on disk", || file.exists());
    for round in 0..5 {
        // Something to write, and the end while it is written or soon after.
        kubernetes.service("more", json!({ "clusterIP": format!("10.96.1.{round}") }));
        b.gateways[0].kill();
        kubernetes.api.set(ApiWeather::Gone);
        b.gateways[0].revive();
        assert_eq!(lines(&asked_by(&b, &agent, &web, "A")), [format!("{web}. A 10.96.0.1")], "round {round}");
        kubernetes.api.set(ApiWeather::Fair);
        let more = || lines(&asked_by(&b, &agent, &format!("more.shop.svc.{B}"), "A"));
        until("it is current again", || more() == [format!("more.shop.svc.{B}. A 10.96.1.{round}")]);
    }
    assert!(!b.folder.path("catalog.damaged").exists());
}

#[test]
fn a_way_to_the_api_server_that_cannot_be_known_ends_the_gateway_at_its_start() {
    let kubernetes = Kubernetes::start(strait_tests::api_server::ours);
    let b = kubernetes.cluster("", "");
    // It has a context, as the check wants it, and leads nowhere.
    kubernetes
        .folder
        .write("kubeconfig", "current-context: fake\ncontexts: [{ name: fake }]\nclusters: []\nusers: []\n");
    let config = b.gateway().seat.config.to_string_lossy().into_owned();
    let checked = run(Command::new(binary("gateway")).args(["--config", &config, "--check-config"]));
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    drop(b.gateways);
    let mut gateway = Program::start("gateway", &["--config", &config]);
    assert!(!gateway.wait().success());
    gateway.wait_log(&["no way to the API server", "kubeconfig"]);
}
