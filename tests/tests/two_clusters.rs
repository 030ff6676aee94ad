//! Two clusters answer for each other, and a change of peers reaches the agents.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

use strait_tests::program::{binary, run};
use strait_tests::{Cluster, ClusterPlan, Home, Leaf, ask, lines, peered, tool, until};
use strait_wire::Rcode;

fn both_directions(scheme: &str) {
    let (mut a, mut b) = peered(scheme);
    assert_eq!(a.resolve("web.shop.svc.cluster-b.example.com"), ["web.shop.svc.cluster-b.example.com. A 10.2.0.1"]);
    assert_eq!(b.resolve("web.shop.svc.cluster-a.example.com"), ["web.shop.svc.cluster-a.example.com. A 10.1.0.1"]);
    // What does not exist there does not exist here, with the SOA of the suffix.
    let absent = a.ask("nothing.shop.svc.cluster-b.example.com", "A");
    assert_eq!(absent.rcode, Rcode::NXDOMAIN);
    assert_eq!(absent.authorities[0].name, b.suffix.parse().unwrap());
    // The road taken is the one configured.
    let used = format!("strait_peer_endpoint_requests_total{{endpoint=\"{scheme}://");
    assert!(a.agent().metric(&used) > 0.0, "cluster-a's agent used another road than {scheme}");
    assert!(b.agent().metric(&used) > 0.0, "cluster-b's agent used another road than {scheme}");
}

#[test]
fn over_dns_over_tls() {
    both_directions("tls");
}

#[test]
fn over_grpc() {
    both_directions("grpc");
}

#[test]
fn dig_prints_the_other_clusters_address() {
    let Some(dig) = tool("dig") else { return };
    let (a, _b) = peered("tls");
    a.resolve("web.shop.svc.cluster-b.example.com");
    let port = a.dns.port().to_string();
    let name = "web.shop.svc.cluster-b.example.com";
    let output = run(Command::new(dig).args(["+noall", "+answer", "-p", &port, "@127.0.0.1", name]));
    let text = String::from_utf8(output.stdout).unwrap();
    let fields: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(
        [fields[0], fields[2], fields[3], fields[4]],
        ["web.shop.svc.cluster-b.example.com.", "IN", "A", "10.2.0.1"]
    );
}

#[test]
fn the_lab_asks_across_and_exits() {
    let output = run(Command::new(binary("gatewayctl")).args(["lab", "--once"]));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for name in ["web.shop.svc.cluster-a.example.com.", "web.shop.svc.cluster-b.example.com."] {
        assert!(text.contains(name), "{name} is not shown:\n{text}");
    }
}

#[test]
fn the_agent_knows_a_change_of_peers_without_a_restart_and_keeps_it_without_a_gateway() {
    let mut a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).start();
    let b = ClusterPlan::new("cluster-b", Home::Zones(&["web.shop.svc A 10.2.0.1"])).start();
    b.add_peer(&a, &a.endpoints("tls"));
    let name = "web.shop.svc.cluster-b.example.com";
    // Nobody here has heard of cluster-b.
    assert_eq!(a.ask(name, "A").rcode, Rcode::REFUSED);

    a.add_peer(&b, &b.endpoints("tls"));
    a.resolve(name);
    assert!(a.ctl_ok(&["status"]).contains("node-1"), "the gateway does not list its agent");

    // With its gateway dead, a fresh agent starts from what is on disk.
    a.gateways[0].kill();
    a.wait_kept("cluster-b");
    a.restart_agent();
    a.resolve(name);

    a.gateways[0].revive();
    a.ctl_ok(&["peer", "remove", "cluster-b"]);
    until("the agent to forget cluster-b", || ask(a.dns, name, "A").rcode == Rcode::REFUSED);
}

#[test]
fn one_direction_alone_is_no_peering() {
    let a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).start();
    let b = ClusterPlan::new("cluster-b", Home::Zones(&["web.shop.svc A 10.2.0.1"])).start();
    a.add_peer(&b, &b.endpoints("tls"));
    // cluster-b does not know cluster-a: no answer, and both sides can tell why.
    a.wait_outbound("cluster-b", "down");
    let failed = a.ask("web.shop.svc.cluster-b.example.com", "A");
    assert_eq!(failed.rcode, Rcode::SERVFAIL);
    assert!(lines(&failed).is_empty());
    let why = failed.edns.and_then(|edns| edns.ede()).expect("an extended error");
    assert!(why.text.contains("cluster-b"), "{why:?}");
    b.gateway().program().wait_log(&["cluster-a.example.com", "gatewayctl peer add"]);
}

#[test]
fn removing_a_peer_cuts_its_live_connections() {
    let (a, b) = peered("tls");
    let name = "web.shop.svc.cluster-b.example.com";
    a.resolve(name);
    a.wait_outbound("cluster-b", "up");
    b.ctl_ok(&["peer", "remove", "cluster-a"]);
    until("cluster-b to have no connection of cluster-a", || {
        b.gateway().program().metric("strait_peer_inbound_connections{peer=\"cluster-a\"") == 0.0
    });
    a.wait_outbound("cluster-b", "down");
}

#[test]
fn an_agent_whose_certificate_has_ended_answers_what_needs_none_and_heals() {
    let zone = "zones: [{ name: static.example, records: [{ name: api, type: A, value: 192.0.2.1 }] }]";
    let mut a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).agent(zone).start();
    let b = ClusterPlan::new("cluster-b", Home::Zones(&["web.shop.svc A 10.2.0.1"])).start();
    b.add_peer(&a, &a.endpoints("tls"));
    a.add_peer(&b, &b.endpoints("tls"));
    let name = "web.shop.svc.cluster-b.example.com";
    a.resolve(name);

    let leaf = Leaf::of("spiffe://cluster-a.example.com/node-agent/node-1");
    let put = |a: &Cluster, leaf: &Leaf| {
        let issued = a.authority().issue(leaf);
        a.folder.write("agent/tls.key", issued.key);
        a.folder.write("agent/tls.crt", issued.certificate);
    };
    put(&a, &leaf.clone().expired());
    a.wait_kept("cluster-b");
    a.restart_agent();
    assert_eq!(a.resolve("api.static.example"), ["api.static.example. A 192.0.2.1"]);
    a.agent().wait_log(&["expired at"]);
    assert_eq!(a.ask(name, "A").rcode, Rcode::SERVFAIL);

    put(&a, &leaf);
    a.resolve(name);
}
