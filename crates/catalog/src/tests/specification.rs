//! The Kubernetes DNS specification 1.1.0, a table for each of its sections; each case says why.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use strait_resolve::Source;
use strait_wire::{Flags, Name, RecordType};

use crate::testing::*;
use crate::{CatalogSettings, CatalogZone, Object, PodMode, ServiceKind};

fn cluster(objects: Vec<Object>) -> CatalogZone {
    cluster_with(CatalogSettings::default(), objects)
}

fn cluster_with(settings: CatalogSettings, objects: Vec<Object>) -> CatalogZone {
    zone(shared(&mut synced(settings, objects)), "cluster.local")
}

#[test]
fn section_2_1_comparisons_ignore_case() {
    let zone = cluster(vec![
        cluster_ip("Web.Shop", &["10.0.0.1"], &["HTTP/tcp/80"]),
        headless("db.shop"),
        slice("db.shop", "db-1", &["Pod-0=10.1.0.1"], &[]),
    ]);
    check(
        &zone,
        &[
            ("WEB.shop.SVC.Cluster.Local", "A", "A 10.0.0.1"),
            // The objects' own case does not matter either.
            ("web.shop.svc.cluster.local", "A", "A 10.0.0.1"),
            (
                "_http._TCP.web.shop.svc.cluster.local",
                "SRV",
                "SRV web.shop.svc.cluster.local.:80 + web.shop.svc.cluster.local. A 10.0.0.1",
            ),
            ("POD-0.db.shop.svc.cluster.local", "A", "A 10.1.0.1"),
        ],
    );
}

#[test]
fn section_2_2_schema_version() {
    let zone = cluster(vec![]);
    check(
        &zone,
        &[
            ("dns-version.cluster.local", "TXT", "TXT 1.1.0"),
            // The name has nothing else, and nothing below it.
            ("dns-version.cluster.local", "A", "NODATA"),
            ("x.dns-version.cluster.local", "TXT", "NXDOMAIN"),
        ],
    );
}

#[test]
fn section_2_3_1_addresses_of_a_service_with_cluster_ip() {
    let zone = cluster(vec![
        cluster_ip("web.shop", &["10.0.0.1"], &[]),
        cluster_ip("six.shop", &["fd00::1"], &[]),
        cluster_ip("both.shop", &["10.0.0.2", "fd00::2"], &[]),
        // None of its endpoints is ready.
        slice("web.shop", "web-1", &["!10.1.0.1"], &[]),
    ]);
    check(
        &zone,
        &[
            // The ClusterIP, whatever its endpoints.
            ("web.shop.svc.cluster.local", "A", "A 10.0.0.1"),
            // The other family: the name exists (RFC 4074 4.2 has what becomes of those who say otherwise).
            ("web.shop.svc.cluster.local", "AAAA", "NODATA"),
            ("six.shop.svc.cluster.local", "AAAA", "AAAA fd00::1"),
            ("six.shop.svc.cluster.local", "A", "NODATA"),
            ("both.shop.svc.cluster.local", "A", "A 10.0.0.2"),
            ("both.shop.svc.cluster.local", "AAAA", "AAAA fd00::2"),
            // Other types are not there.
            ("both.shop.svc.cluster.local", "MX", "NODATA"),
            ("both.shop.svc.cluster.local", "TXT", "NODATA"),
            ("both.shop.svc.cluster.local", "CNAME", "NODATA"),
            // ANY: some of what there is (RFC 8482 4.1).
            ("both.shop.svc.cluster.local", "ANY", "A 10.0.0.2"),
            // No such service; no such namespace.
            ("no.shop.svc.cluster.local", "A", "NXDOMAIN"),
            ("web.no.svc.cluster.local", "A", "NXDOMAIN"),
            // No wildcards.
            ("*.shop.svc.cluster.local", "A", "NXDOMAIN"),
            ("web.*.svc.cluster.local", "A", "NXDOMAIN"),
        ],
    );
}

#[test]
fn section_2_3_2_srv_of_a_service_with_cluster_ip() {
    let zone = cluster(vec![
        cluster_ip("web.shop", &["10.0.0.1", "fd00::1"], &["http/tcp/80", "dns/udp/53", "/tcp/9000"]),
        cluster_ip("plain.shop", &["10.0.0.2"], &["/tcp/80"]),
    ]);
    let web = "web.shop.svc.cluster.local.";
    let beside = format!("{web} A 10.0.0.1, {web} AAAA fd00::1");
    check(
        &zone,
        &[
            // The service is the target, with its addresses beside.
            ("_http._tcp.web.shop.svc.cluster.local", "SRV", &format!("SRV {web}:80 + {beside}")),
            ("_dns._udp.web.shop.svc.cluster.local", "SRV", &format!("SRV {web}:53 + {beside}")),
            // The name exists, with SRV alone.
            ("_http._tcp.web.shop.svc.cluster.local", "A", "NODATA"),
            // A port of another protocol, or of no such name.
            ("_http._udp.web.shop.svc.cluster.local", "SRV", "NXDOMAIN"),
            ("_no._tcp.web.shop.svc.cluster.local", "SRV", "NXDOMAIN"),
            // Without the underscore it is no port.
            ("http._tcp.web.shop.svc.cluster.local", "SRV", "NXDOMAIN"),
            ("_http.tcp.web.shop.svc.cluster.local", "SRV", "NXDOMAIN"),
            // Above names that exist: empty non-terminals (RFC 4592 2.2.2).
            ("_tcp.web.shop.svc.cluster.local", "SRV", "NODATA"),
            ("_udp.web.shop.svc.cluster.local", "A", "NODATA"),
            ("_sctp.web.shop.svc.cluster.local", "SRV", "NXDOMAIN"),
            // Unnamed ports have no SRV record, and so no name above one.
            ("_tcp.plain.shop.svc.cluster.local", "SRV", "NXDOMAIN"),
            ("plain.shop.svc.cluster.local", "SRV", "NODATA"),
            // Beyond the specification, as the known server does: the service's own name has all named ports.
            ("web.shop.svc.cluster.local", "SRV", &format!("SRV {web}:80, SRV {web}:53 + A 10.0.0.1, AAAA fd00::1")),
            // Nothing lies deeper.
            ("x._http._tcp.web.shop.svc.cluster.local", "SRV", "NXDOMAIN"),
        ],
    );
}

#[test]
fn section_2_4_1_addresses_of_a_headless_service() {
    let mut tolerant = service("early.shop", ServiceKind::Headless, &[]);
    tolerant.publish_not_ready = true;
    let zone = cluster(vec![
        headless("db.shop"),
        slice("db.shop", "db-1", &["pod-0=10.1.0.2", "10.1.0.1", "!10.1.0.3", "!pod-3=10.1.0.4"], &[]),
        // The same endpoint while it moves from one slice to another.
        slice("db.shop", "db-2", &["10.1.0.1"], &[]),
        slice("db.shop", "db-3", &["fd00::1", "pod-0=fd00::2"], &[]),
        headless("none.shop"),
        slice("none.shop", "none-1", &["!10.1.0.9"], &["http/tcp/80"]),
        headless("nothing.shop"),
        Object::Service(tolerant),
        slice("early.shop", "early-1", &["!10.1.0.5"], &[]),
        cluster_ip("web.shop", &["10.0.0.1"], &[]),
        slice("web.shop", "web-1", &["10.1.0.6"], &[]),
    ]);
    check(
        &zone,
        &[
            // Each ready endpoint once, of one family each.
            ("db.shop.svc.cluster.local", "A", "A 10.1.0.1, A 10.1.0.2"),
            ("db.shop.svc.cluster.local", "AAAA", "AAAA fd00::1, AAAA fd00::2"),
            ("db.shop.svc.cluster.local", "MX", "NODATA"),
            // Endpoints by the host name they ask for, in both families.
            ("pod-0.db.shop.svc.cluster.local", "A", "A 10.1.0.2"),
            ("pod-0.db.shop.svc.cluster.local", "AAAA", "AAAA fd00::2"),
            ("pod-0.db.shop.svc.cluster.local", "TXT", "NODATA"),
            // The others by their address; IPv6 fully written or short.
            ("10-1-0-1.db.shop.svc.cluster.local", "A", "A 10.1.0.1"),
            ("10-1-0-1.db.shop.svc.cluster.local", "AAAA", "NODATA"),
            ("fd00-0-0-0-0-0-0-1.db.shop.svc.cluster.local", "AAAA", "AAAA fd00::1"),
            ("fd00--1.db.shop.svc.cluster.local", "AAAA", "AAAA fd00::1"),
            // Who asks for a host name has no other.
            ("10-1-0-2.db.shop.svc.cluster.local", "A", "NXDOMAIN"),
            // Who is not ready has none.
            ("10-1-0-3.db.shop.svc.cluster.local", "A", "NXDOMAIN"),
            ("pod-3.db.shop.svc.cluster.local", "A", "NXDOMAIN"),
            // Nobody ready: NXDOMAIN, for the names below as well.
            ("none.shop.svc.cluster.local", "A", "NXDOMAIN"),
            ("none.shop.svc.cluster.local", "SRV", "NXDOMAIN"),
            ("_tcp.none.shop.svc.cluster.local", "A", "NXDOMAIN"),
            ("10-1-0-9.none.shop.svc.cluster.local", "A", "NXDOMAIN"),
            ("nothing.shop.svc.cluster.local", "AAAA", "NXDOMAIN"),
            // publishNotReadyAddresses: all count as ready.
            ("early.shop.svc.cluster.local", "A", "A 10.1.0.5"),
            ("10-1-0-5.early.shop.svc.cluster.local", "A", "A 10.1.0.5"),
            // Endpoints of a service with a ClusterIP, as the known server has them.
            ("10-1-0-6.web.shop.svc.cluster.local", "A", "A 10.1.0.6"),
            // Nothing lies below an endpoint.
            ("x.pod-0.db.shop.svc.cluster.local", "A", "NXDOMAIN"),
        ],
    );
}

#[test]
fn section_2_4_2_srv_of_a_headless_service() {
    let zone = cluster(vec![
        headless("db.shop"),
        slice("db.shop", "db-1", &["pod-0=10.1.0.1", "10.1.0.2", "!10.1.0.3"], &["sql/tcp/5432", "/tcp/9000"]),
        slice("db.shop", "db-2", &["pod-0=fd00::1"], &["sql/tcp/5432"]),
        // Nobody is ready here, so that its port is nobody's.
        slice("db.shop", "db-3", &["!10.1.0.4"], &["admin/tcp/1"]),
    ]);
    let [pod, other] = ["pod-0.db.shop.svc.cluster.local.", "10-1-0-2.db.shop.svc.cluster.local."];
    let all = format!("SRV {pod}:5432, SRV {other}:5432 + {pod} A 10.1.0.1, {other} A 10.1.0.2, {pod} AAAA fd00::1");
    check(
        &zone,
        &[
            // A record for each endpoint that is ready, with its addresses; one of two families has one record.
            ("_sql._tcp.db.shop.svc.cluster.local", "SRV", &all),
            ("_tcp.db.shop.svc.cluster.local", "SRV", "NODATA"),
            ("_sql._udp.db.shop.svc.cluster.local", "SRV", "NXDOMAIN"),
            ("_admin._tcp.db.shop.svc.cluster.local", "SRV", "NXDOMAIN"),
            // Beyond the specification, as for services with a ClusterIP.
            ("db.shop.svc.cluster.local", "SRV", &all),
        ],
    );
}

#[test]
fn section_2_5_external_names() {
    let zone = cluster(vec![
        external("out.shop", "www.example.com"),
        external("near.shop", "web.shop.svc.cluster.local"),
        external("far.shop", "near.shop.svc.cluster.local"),
        external("dead.shop", "no.shop.svc.cluster.local"),
        external("round.shop", "about.shop.svc.cluster.local"),
        external("about.shop", "round.shop.svc.cluster.local"),
        cluster_ip("web.shop", &["10.0.0.1"], &[]),
        // Endpoints do not matter to an alias.
        slice("out.shop", "out-1", &["pod-0=10.1.0.1"], &["http/tcp/80"]),
    ]);
    let web = "web.shop.svc.cluster.local.";
    check(
        &zone,
        &[
            // Out of the zone: the alias, and who asked goes on.
            ("out.shop.svc.cluster.local", "A", "CNAME www.example.com."),
            ("out.shop.svc.cluster.local", "AAAA", "CNAME www.example.com."),
            ("out.shop.svc.cluster.local", "SRV", "CNAME www.example.com."),
            ("out.shop.svc.cluster.local", "CNAME", "CNAME www.example.com."),
            // Within the zone it is followed (RFC 1034 4.3.2).
            ("near.shop.svc.cluster.local", "A", &format!("CNAME {web}, {web} A 10.0.0.1")),
            ("near.shop.svc.cluster.local", "CNAME", &format!("CNAME {web}")),
            ("near.shop.svc.cluster.local", "ANY", &format!("CNAME {web}")),
            (
                "far.shop.svc.cluster.local",
                "A",
                &format!(
                    "CNAME near.shop.svc.cluster.local., near.shop.svc.cluster.local. CNAME {web}, {web} A 10.0.0.1"
                ),
            ),
            // The rcode is that of the last name (RFC 6604 3).
            ("dead.shop.svc.cluster.local", "A", "NXDOMAIN after CNAME no.shop.svc.cluster.local."),
            // In a circle there is nothing to be found.
            ("round.shop.svc.cluster.local", "A", "SERVFAIL"),
            // Nothing lies below an alias.
            ("_http._tcp.out.shop.svc.cluster.local", "SRV", "NXDOMAIN"),
            ("pod-0.out.shop.svc.cluster.local", "A", "NXDOMAIN"),
        ],
    );
    let dangling = zone.answer_now(&ask("out.shop.svc.cluster.local", "A")).unwrap();
    assert_eq!(dangling.dangling_alias(), Some(&name("www.example.com")), "the road goes on from there");
}

#[test]
fn at_most_eleven_aliases_are_followed_within_the_zone() {
    let chain = (0..13).map(|n| external(&format!("a-{n}.shop"), &format!("a-{}.shop.svc.cluster.local", n + 1)));
    let zone = cluster(chain.chain([cluster_ip("a-13.shop", &["10.0.0.1"], &[])]).collect());
    assert_eq!(reply(&zone, "a-2.shop.svc.cluster.local", "A").answers.len(), 12, "eleven aliases, one address");
    check(&zone, &[("a-1.shop.svc.cluster.local", "A", "SERVFAIL"), ("a-0.shop.svc.cluster.local", "A", "SERVFAIL")]);
}

#[test]
fn section_2_6_pods() {
    let objects = || {
        vec![
            Object::Namespace(label("shop")),
            pod("web-0.shop", &["10.1.0.1", "fd00::1"]),
            pod("other.elsewhere", &["10.1.0.2"]),
        ]
    };
    let with = |pods| cluster_with(CatalogSettings { pods, ..CatalogSettings::default() }, objects());
    // (name, type, off, insecure, verified)
    let cases = [
        ("10-1-0-1.shop.pod.cluster.local", "A", "NXDOMAIN", "A 10.1.0.1", "A 10.1.0.1"),
        ("10-1-0-1.shop.pod.cluster.local", "AAAA", "NXDOMAIN", "NODATA", "NODATA"),
        ("fd00--1.shop.pod.cluster.local", "AAAA", "NXDOMAIN", "AAAA fd00::1", "AAAA fd00::1"),
        // No pod has it, or one of another namespace.
        ("10-9-9-9.shop.pod.cluster.local", "A", "NXDOMAIN", "A 10.9.9.9", "NXDOMAIN"),
        ("10-1-0-2.shop.pod.cluster.local", "A", "NXDOMAIN", "A 10.1.0.2", "NXDOMAIN"),
        // No such namespace.
        ("10-1-0-1.no.pod.cluster.local", "A", "NXDOMAIN", "NXDOMAIN", "NXDOMAIN"),
        // No address.
        ("web-0.shop.pod.cluster.local", "A", "NXDOMAIN", "NXDOMAIN", "NXDOMAIN"),
        ("10-1-0-256.shop.pod.cluster.local", "A", "NXDOMAIN", "NXDOMAIN", "NXDOMAIN"),
        // Above the names of pods.
        ("shop.pod.cluster.local", "A", "NXDOMAIN", "NODATA", "NODATA"),
        ("pod.cluster.local", "A", "NXDOMAIN", "NODATA", "NODATA"),
        // Below them.
        ("x.10-1-0-1.shop.pod.cluster.local", "A", "NXDOMAIN", "NXDOMAIN", "NXDOMAIN"),
    ];
    let (off, insecure, verified) = (with(PodMode::Off), with(PodMode::Insecure), with(PodMode::Verified));
    for (asked, rtype, when_off, when_insecure, when_verified) in cases {
        check(&off, &[(asked, rtype, when_off)]);
        check(&insecure, &[(asked, rtype, when_insecure)]);
        check(&verified, &[(asked, rtype, when_verified)]);
    }
}

#[test]
fn the_zone_itself_and_names_above_others() {
    let zone = cluster(vec![Object::Namespace(label("empty")), cluster_ip("web.shop", &["10.0.0.1"], &[])]);
    let ns = "ns.dns.cluster.local.";
    check(
        &zone,
        &[
            ("cluster.local", "SOA", &format!("SOA {ns}")),
            ("cluster.local", "NS", &format!("NS {ns} + {ns} A 192.0.2.53, {ns} AAAA 2001:db8::53")),
            ("cluster.local", "A", "NODATA"),
            (ns, "A", "A 192.0.2.53"),
            (ns, "AAAA", "AAAA 2001:db8::53"),
            (ns, "SRV", "NODATA"),
            // RFC 4592 2.2.2: they exist, without records.
            ("dns.cluster.local", "A", "NODATA"),
            ("svc.cluster.local", "A", "NODATA"),
            ("empty.svc.cluster.local", "A", "NODATA"),
            // A namespace that has not been told of, but has a service.
            ("shop.svc.cluster.local", "A", "NODATA"),
            // No such namespace, and nothing else in the zone.
            ("no.svc.cluster.local", "A", "NXDOMAIN"),
            ("web.cluster.local", "A", "NXDOMAIN"),
            ("shop.cluster.local", "A", "NXDOMAIN"),
            ("x.dns.cluster.local", "A", "NXDOMAIN"),
            ("a.b.c.d.e.f.svc.cluster.local", "A", "NXDOMAIN"),
        ],
    );
    assert!(zone.answer_now(&ask("web.shop.svc.cluster.example", "A")).is_none(), "not within the zone");
    assert!(zone.ready(name("web.shop.svc.xcluster.local").as_wire(), RecordType::A).is_none(), "not within the zone");
    assert!(zone.ready(name("local").as_wire(), RecordType::A).is_none(), "above the zone");
}

#[test]
fn rfc2308_3_denials_carry_the_soa_and_every_record_the_ttl() {
    let settings = CatalogSettings { ttl: 17, ..CatalogSettings::default() };
    let zone = cluster_with(settings, vec![cluster_ip("web.shop", &["10.0.0.1"], &["http/tcp/80"])]);
    for (asked, rtype) in [
        ("web.shop.svc.cluster.local", "A"),
        ("web.shop.svc.cluster.local", "AAAA"),
        ("_http._tcp.web.shop.svc.cluster.local", "SRV"),
        ("no.shop.svc.cluster.local", "A"),
        ("cluster.local", "SOA"),
    ] {
        let message = reply(&zone, asked, rtype);
        assert!(message.records().all(|record| record.ttl == 17), "{message:?}");
        assert!(message.flags.has(Flags::AA), "{asked}");
        let soa = message.authorities.iter().any(|record| record.rtype == RecordType::SOA);
        assert_eq!(soa, message.answers.is_empty(), "{asked} {rtype}");
    }
}

#[test]
fn under_a_suffix_no_name_of_the_home_zone_is_told() {
    let mut picture = synced(
        CatalogSettings::default(),
        [
            cluster_ip("web.shop", &["10.0.0.1"], &["http/tcp/80"]),
            external("near.shop", "web.shop.svc.cluster.local"),
            external("out.shop", "www.example.com"),
        ],
    );
    let zone = zone(shared(&mut picture), "cluster-b.example.com");
    let web = "web.shop.svc.cluster-b.example.com.";
    check(
        &zone,
        &[
            (web, "A", "A 10.0.0.1"),
            (&format!("_http._tcp.{web}"), "SRV", &format!("SRV {web}:80 + {web} A 10.0.0.1")),
            ("near.shop.svc.cluster-b.example.com", "A", &format!("CNAME {web}, {web} A 10.0.0.1")),
            ("out.shop.svc.cluster-b.example.com", "A", "CNAME www.example.com."),
            ("cluster-b.example.com", "SOA", "SOA ns.dns.cluster-b.example.com."),
        ],
    );
}

#[test]
fn what_is_asked_for_most_lies_ready() {
    let zone = cluster(vec![
        cluster_ip("web.shop", &["10.0.0.1"], &["http/tcp/80"]),
        headless("db.shop"),
        slice("db.shop", "db-1", &["10.1.0.1"], &[]),
        external("out.shop", "www.example.com"),
    ]);
    // (name, type, whether it lies ready)
    let cases = [
        ("web.shop.svc.cluster.local", "A", true),
        ("web.shop.svc.cluster.local", "AAAA", true),
        ("db.shop.svc.cluster.local", "A", true),
        // Search lists make these.
        ("web.shop.svc.cluster.local.svc.cluster.local", "A", true),
        ("www.example.com.cluster.local", "A", true),
        ("svc.cluster.local", "A", true),
        // It leads elsewhere.
        ("out.shop.svc.cluster.local", "A", false),
        // That there is none of a type, also where what there is is made.
        ("10-1-0-1.db.shop.svc.cluster.local", "AAAA", true),
        ("_http._tcp.web.shop.svc.cluster.local", "A", true),
        ("dns-version.cluster.local", "A", true),
        // Made when it is asked for.
        ("10-1-0-1.db.shop.svc.cluster.local", "A", false),
        ("_http._tcp.web.shop.svc.cluster.local", "SRV", false),
        // The road answers it by rules of its own (RFC 8482).
        ("web.shop.svc.cluster.local", "ANY", false),
    ];
    for (asked, rtype, is_ready) in cases {
        let ready = zone.ready(name(asked).as_wire(), rtype.parse().unwrap()).is_some();
        assert_eq!(ready, is_ready, "{asked} {rtype}");
    }
}

proptest! {
    /// Whatever is asked, nothing panics, and what lies ready is what is made.
    #[test]
    fn ready_answers_agree_with_made_ones(
        labels in prop::collection::vec(
            prop_oneof![
                8 => prop::sample::select(vec![
                    "web", "db", "out", "shop", "svc", "pod", "dns", "ns", "dns-version", "_tcp", "_http", "_sql",
                    "pod-0", "10-1-0-1", "fd00--1", "svc",
                ]).prop_map(|label| label.as_bytes().to_vec()),
                1 => prop::collection::vec(any::<u8>(), 1..20),
            ],
            0..7,
        ),
        rtype in prop::sample::select(vec!["A", "AAAA", "SRV", "TXT", "CNAME", "PTR", "ANY", "SOA", "NS", "TYPE65280"]),
    ) {
        let settings = CatalogSettings { pods: PodMode::Insecure, ..CatalogSettings::default() };
        let zone = cluster_with(settings, vec![
            cluster_ip("web.shop", &["10.0.0.1"], &["http/tcp/80"]),
            headless("db.shop"),
            slice("db.shop", "db-1", &["pod-0=10.1.0.2", "10.1.0.1", "fd00::1"], &["sql/tcp/1"]),
            external("out.shop", "web.shop.svc.cluster.local"),
        ]);
        let labels = labels.iter().map(Vec::as_slice).chain([b"cluster".as_slice(), b"local"]);
        let asked = Name::from_labels(labels).unwrap().to_string();
        reply(&zone, &asked, rtype);
    }
}

#[test]
fn names_that_are_too_long_are_not_told() {
    let long = "a".repeat(63);
    let at = format!("{long}.{long}");
    let zone = zone(
        shared(&mut synced(
            CatalogSettings::default(),
            [
                cluster_ip(&at, &["10.0.0.1"], &["http/tcp/80"]),
                headless("db.shop"),
                slice("db.shop", "db-1", &[&format!("{long}=10.1.0.1"), "10.1.0.2"], &["sql/tcp/1"]),
                external("near.shop", &format!("{long}.{long}.{long}.svc.cluster.local")),
            ],
        )),
        &["b".repeat(63), "c".repeat(63), "d".repeat(50)].join("."),
    );
    let apex = zone.apex().to_string();
    let (asked, other) = (format!("_sql._tcp.db.shop.svc.{apex}"), format!("10-1-0-2.db.shop.svc.{apex}"));
    check(
        &zone,
        &[
            // An endpoint whose name has no room is no target.
            (&asked, "SRV", &format!("SRV {other}:1 + {other} A 10.1.0.2")),
            // Where the alias leads cannot be told.
            (&format!("near.shop.svc.{apex}"), "A", "SERVFAIL"),
        ],
    );
}

#[test]
fn thousands_of_endpoints_fit_a_message() {
    let texts: Vec<String> = (0..6_000u32).map(|n| format!("10.1.{}.{}", n >> 8, n & 255)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let zone = cluster(vec![headless("db.shop"), slice("db.shop", "db-1", &texts, &["sql/tcp/5432"])]);
    assert_eq!(reply(&zone, "db.shop.svc.cluster.local", "A").answers.len(), 2_000);
    let srv = reply(&zone, "_sql._tcp.db.shop.svc.cluster.local", "SRV");
    assert!(srv.answers.len() > 500, "{}", srv.answers.len());
    assert!(srv.records().all(|record| record.ttl == 5));
}
