//! Who gets an answer from a gateway, and what the gateway says of those who do not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

use strait_tests::client::{TlsIdentity, lines, query, tls};
use strait_tests::program::run;
use strait_tests::{Authority, Cluster, ClusterPlan, Folder, Home, Leaf, peered, tool};
use strait_wire::Rcode;
use time::Duration;

const NAME: &str = "web.shop.svc.cluster-b.example.com";
const GATEWAY_OF_A: &str = "spiffe://cluster-a.example.com/gateway";

/// What is presented, and what the gateway must say of it.
fn strangers(a: &Cluster, b: &Cluster) -> Vec<(&'static str, Option<TlsIdentity>, &'static str)> {
    let stranger = Authority::new("stranger.example.com");
    let of_a = a.authority();
    let with_name = |uri: &str| Some(of_a.issue(&Leaf::of(uri)));
    let not_yet = Leaf { from: Duration::hours(1), until: Duration::hours(2), ..Leaf::of(GATEWAY_OF_A) };
    vec![
        ("no certificate", None, "no client certificate was presented"),
        (
            "a stranger's CA, a stranger's name",
            Some(stranger.issue(&Leaf::of("spiffe://stranger.example.com/gateway"))),
            "the trust domain stranger.example.com is not known here",
        ),
        (
            "a stranger's CA that claims to be cluster-a",
            Some(stranger.issue(&Leaf::of(GATEWAY_OF_A))),
            "but no CA in the bundle of cluster-a.example.com signed it",
        ),
        (
            "cluster-a's CA that claims cluster-b's trust domain",
            with_name("spiffe://cluster-b.example.com/gateway"),
            "but the CA of cluster-a.example.com signed it; only the CA of cluster-b.example.com can",
        ),
        ("expired", Some(of_a.issue(&Leaf::of(GATEWAY_OF_A).expired())), "expired at "),
        ("not yet valid", Some(of_a.issue(&not_yet)), "is not valid before "),
        (
            "for another name",
            with_name("spiffe://cluster-a.example.com/some-workload"),
            "is for spiffe://cluster-a.example.com/some-workload; spiffe://<trust domain>/gateway or",
        ),
        (
            "for two names",
            Some(of_a.issue(&Leaf {
                uris: vec![GATEWAY_OF_A.to_owned(), "spiffe://cluster-b.example.com/gateway".to_owned()],
                ..Leaf::of(GATEWAY_OF_A)
            })),
            "has 2 URI SANs",
        ),
        (
            "cluster-b's own CA that claims cluster-a's trust domain",
            Some(b.authority().issue(&Leaf::of(GATEWAY_OF_A))),
            "but the CA of cluster-b.example.com signed it",
        ),
    ]
}

#[test]
fn only_a_known_peers_certificate_gets_an_answer_and_the_log_says_why_not() {
    let (a, b) = peered("tls");
    let gateway = b.gateway();
    for (scheme, address) in [("dot", gateway.seat.tls), ("dot", gateway.seat.grpc)] {
        let good = a.authority().issue(&Leaf::of(GATEWAY_OF_A));
        let answer = tls(address, Some(&good), &[scheme]).unwrap().ask(&query(NAME, "A")).unwrap();
        assert_eq!(lines(&answer), [format!("{NAME}. A 10.2.0.1")]);
    }
    for (what, identity, logged) in strangers(&a, &b) {
        for alpn in [&["dot"][..], &["h2"], &[]] {
            let asked = tls(gateway.seat.tls, identity.as_ref(), alpn).and_then(|mut s| s.ask(&query(NAME, "A")));
            assert!(asked.is_err(), "{what} with ALPN {alpn:?} got a DNS answer: {asked:?}");
        }
        gateway.program().wait_log(&[logged]);
    }
}

#[test]
fn a_peer_may_ask_only_names_under_the_suffix() {
    let (a, b) = peered("tls");
    let agent = a.authority().issue(&Leaf::of("spiffe://cluster-a.example.com/node-agent/node-1"));
    let mut link = tls(b.gateway().seat.tls, Some(&agent), &["dot"]).unwrap();
    for name in [
        // The same service under the name it has at home.
        "web.shop.svc.cluster.local",
        // Names next to the suffix.
        "example.com",
        "web.shop.svc.xcluster-b.example.com",
        "web.shop.svc.cluster-b.example.com.evil.example",
        // The asking cluster's own names.
        "web.shop.svc.cluster-a.example.com",
        "1.0.2.10.in-addr.arpa",
        ".",
    ] {
        let refused = link.ask(&query(name, "A")).unwrap();
        assert_eq!(refused.rcode, Rcode::REFUSED, "{name}");
        let ede = refused.edns.and_then(|edns| edns.ede()).unwrap_or_else(|| panic!("{name}: no extended error"));
        assert!(ede.text.contains("cluster-b.example.com"), "{name}: {ede:?} does not say what may be asked");
    }
    assert_eq!(lines(&link.ask(&query(NAME, "A")).unwrap()), [format!("{NAME}. A 10.2.0.1")]);
    let shown: serde_json::Value =
        serde_json::from_str(&b.ctl_ok(&["-o", "json", "peer", "show", "cluster-a"])).unwrap();
    assert!(shown["inbound"]["refused"].as_u64().unwrap() >= 7, "{shown}");
}

/// kdig as a person would use it, with files.
#[test]
fn kdig_with_a_certificate_of_cluster_a_gets_an_answer_and_without_one_gets_none() {
    let Some(kdig) = tool("kdig") else { return };
    let (a, b) = peered("tls");
    let folder = Folder::new();
    let good = a.authority().issue(&Leaf::of(GATEWAY_OF_A));
    let (certificate, key) = (folder.write("tls.crt", &good.certificate), folder.write("tls.key", &good.key));
    let port = b.gateway().seat.tls.port().to_string();
    let ca = format!("+tls-ca={}", b.ca());
    let base = ["+short", "+timeout=2", "+retry=0", "-p", &port, &ca, "@127.0.0.1", NAME];
    let with = [
        format!("+tls-certfile={}", certificate.display()),
        format!("+tls-keyfile={}", key.display()),
        // Our certificate names the address; kdig checks that.
        "+tls-hostname=127.0.0.1".to_owned(),
    ];
    let answered = run(Command::new(&kdig).args(base).args(with));
    assert_eq!(String::from_utf8_lossy(&answered.stdout).trim(), "10.2.0.1", "{answered:?}");
    let refused = run(Command::new(&kdig).args(base).arg("+tls-hostname=127.0.0.1"));
    assert!(!String::from_utf8_lossy(&refused.stdout).contains("10.2.0.1"), "{refused:?}");
    b.gateway().program().wait_log(&["no client certificate was presented"]);
}

#[test]
fn a_gateway_of_another_identity_is_not_believed() {
    // cluster-a is told that cluster-b is where cluster-c really is.
    let a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).start();
    let b = ClusterPlan::new("cluster-b", Home::Zones(&["web.shop.svc A 10.2.0.1"])).start();
    let c = ClusterPlan::new("cluster-c", Home::Zones(&["web.shop.svc A 10.3.0.1"])).start();
    c.add_peer(&a, &a.endpoints("tls"));
    a.add_peer(&b, &c.endpoints("tls"));
    a.wait_outbound("cluster-b", "down");
    let answer = a.ask(NAME, "A");
    assert_eq!((answer.rcode, lines(&answer).len()), (Rcode::SERVFAIL, 0));
    let shown = a.ctl_ok(&["peer", "show", "cluster-b"]);
    assert!(shown.contains("cluster-c.example.com"), "the cause is not named:\n{shown}");
}
