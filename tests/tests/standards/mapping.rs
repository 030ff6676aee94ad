//! A gateway before an ordinary cluster DNS: every name of every section is under the suffix.

use strait_tests::client::{line, tls};
use strait_tests::{Cluster, ClusterPlan, Home, Leaf, OrdinaryServer, lines, query};
use strait_wire::{Message, Name, Rcode, RecordType};

const CLUSTER_LOCAL: &str = "\
@ 30 IN SOA ns.dns hostmaster 1 3600 600 86400 5
@ 30 IN NS ns.dns
ns.dns 30 IN A 10.2.0.10
web.shop.svc 30 IN A 10.2.0.1
_http._tcp.web.shop.svc 30 IN SRV 0 100 80 web.shop.svc
mail.shop.svc 30 IN MX 10 web.shop.svc
pointer.shop.svc 30 IN PTR web.shop.svc
alias.shop.svc 30 IN CNAME web.shop.svc
outside.shop.svc 30 IN CNAME www.example.net.
looks.shop.svc 30 IN CNAME web.xcluster.local.
text.shop.svc 30 IN TXT \"web.shop.svc.cluster.local\"
*.any.svc 30 IN CNAME web.shop.svc
";

struct Mapped {
    a: Cluster,
    b: Cluster,
    _dns: OrdinaryServer,
}

impl Mapped {
    fn start() -> Self {
        let dns = OrdinaryServer::start(&[("cluster.local.", CLUSTER_LOCAL)]);
        let a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).start();
        let b = ClusterPlan::new("cluster-b", Home::ClusterDns(dns.address())).start();
        a.add_peer(&b, &b.endpoints("tls"));
        b.add_peer(&a, &a.endpoints("tls"));
        a.resolve("web.shop.svc.cluster-b.example.com");
        Self { a, b, _dns: dns }
    }

    /// What the gateway says, and then what cluster-a's agent says of it: neither tells a name of the home zone.
    #[track_caller]
    fn ask(&self, name: &str, rtype: &str) -> Message {
        let name = format!("{name}.cluster-b.example.com").trim_start_matches("@.").to_owned();
        let identity = self.a.authority().issue(&Leaf::of("spiffe://cluster-a.example.com/node-agent/node-1"));
        let mut link = tls(self.b.gateway().seat.tls, Some(&identity), &["dot"]).unwrap();
        let from_gateway = link.ask(&query(&name, rtype)).unwrap();
        let home: Name = "cluster.local".parse().unwrap();
        for message in [&from_gateway, &self.a.ask(&name, rtype)] {
            for record in message.records() {
                for name in std::iter::once(record.name.clone()).chain(record.rdata.names()) {
                    assert!(!name.is_within(&home), "{name} leaves in {}", line(record));
                }
            }
        }
        from_gateway
    }
}

#[test]
fn every_name_of_every_section_is_under_the_suffix() {
    let mapped = Mapped::start();
    let suffix = "cluster-b.example.com.";
    let web = format!("web.shop.svc.{suffix}");
    for (name, rtype, expected) in [
        ("web.shop.svc", "A", format!("{web} A 10.2.0.1")),
        ("_http._tcp.web.shop.svc", "SRV", format!("_http._tcp.{web} SRV 0 100 80 {web}")),
        ("mail.shop.svc", "MX", format!("mail.shop.svc.{suffix} MX {web}")),
        ("pointer.shop.svc", "PTR", format!("pointer.shop.svc.{suffix} PTR {web}")),
        ("alias.shop.svc", "CNAME", format!("alias.shop.svc.{suffix} CNAME {web}")),
        ("alias.shop.svc", "A", format!("alias.shop.svc.{suffix} CNAME {web}, {web} A 10.2.0.1")),
        ("a.b.any.svc", "A", format!("a.b.any.svc.{suffix} CNAME {web}, {web} A 10.2.0.1")),
        // A name outside the home zone stays what it is, also one that only looks like one inside.
        ("outside.shop.svc", "CNAME", format!("outside.shop.svc.{suffix} CNAME www.example.net.")),
        ("looks.shop.svc", "CNAME", format!("looks.shop.svc.{suffix} CNAME web.xcluster.local.")),
        // A text is no name.
        ("text.shop.svc", "TXT", format!("text.shop.svc.{suffix} TXT \\x1aweb.shop.svc.cluster.local")),
        ("@", "NS", format!("{suffix} NS ns.dns.{suffix}")),
    ] {
        assert_eq!(lines(&mapped.ask(name, rtype)).join(", "), expected, "{name} {rtype}");
    }
    let soa = mapped.ask("@", "SOA");
    let names: Vec<String> = soa.answers[0].rdata.names().map(|name| name.to_string()).collect();
    assert_eq!(names, [format!("ns.dns.{suffix}"), format!("hostmaster.{suffix}")]);
    // RFC 2782: the target's address comes along, under the suffix as well.
    let additional: Vec<String> = mapped.ask("_http._tcp.web.shop.svc", "SRV").additionals.iter().map(line).collect();
    assert!(additional.iter().all(|text| *text == format!("{web} A 10.2.0.1")), "{additional:?}");
}

#[test]
fn rfc2308_2_the_soa_of_a_denial_is_that_of_the_suffix() {
    let mapped = Mapped::start();
    for (name, rtype, rcode) in [
        ("none.shop.svc", "A", Rcode::NXDOMAIN),
        ("web.shop.svc", "AAAA", Rcode::NOERROR),
        ("shop.svc", "A", Rcode::NOERROR),
    ] {
        let reply = mapped.ask(name, rtype);
        assert_eq!((reply.rcode, reply.answers.len()), (rcode, 0), "{name} {rtype}");
        let [soa] = &reply.authorities[..] else { panic!("{name} {rtype}: {:?}", reply.authorities) };
        assert_eq!((soa.rtype, soa.name.to_string()), (RecordType::SOA, "cluster-b.example.com.".to_owned()));
        assert_eq!(soa.rdata.names().next().unwrap().to_string(), "ns.dns.cluster-b.example.com.");
        assert!(soa.ttl <= 5, "no more than the minimum");
    }
}

#[test]
fn only_the_suffix_is_mapped() {
    let mapped = Mapped::start();
    let identity = mapped.a.authority().issue(&Leaf::of("spiffe://cluster-a.example.com/gateway"));
    let mut link = tls(mapped.b.gateway().seat.tls, Some(&identity), &["dot"]).unwrap();
    for name in ["web.shop.svc.cluster.local", "web.shop.svc.xcluster-b.example.com", "web.shop.svc.xcluster.local"] {
        assert_eq!(link.ask(&query(name, "A")).unwrap().rcode, Rcode::REFUSED, "{name}");
    }
    // A service whose name holds the home zone is a name like any other.
    let odd = link.ask(&query("cluster.local.cluster-b.example.com", "A")).unwrap();
    assert_eq!(odd.rcode, Rcode::NXDOMAIN);
}
