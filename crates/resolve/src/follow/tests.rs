#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use strait_wire::{Ede, Rcode, RecordType};

use crate::SourceError;
use crate::resolver::kit::{Bench, Said, refused, table, told};
use crate::testing::{Scripted, a_record, address, alias, answer, cname_record, soa_record};

/// `web.example.org` and all others there are aliases to `target`.
fn aliases_to(target: &'static str) -> Arc<Scripted> {
    Scripted::local(move |ask| alias(ask, 300, target))
}

#[tokio::test]
async fn an_alias_leads_into_a_peers_zone_and_to_an_upstream_name() {
    for (kind, zone, target) in
        [("peer", "cluster-b.example.com", "Web.shop.svc.cluster-b.example.com"), ("upstream", ".", "www.example.net")]
    {
        let far = Scripted::new(|ask| address(ask, 60, 7));
        let bench = Bench::new([("example.org", "static", aliases_to(target)), (zone, kind, Arc::clone(&far))]);
        for _ in 0..2 {
            let reply = bench.ask("web.example.org", "A").await;
            let types: Vec<_> = reply.answers.iter().map(|record| record.rtype).collect();
            assert_eq!(types, [RecordType::CNAME, RecordType::A], "{kind}");
            assert_eq!(reply.answers[1].name, target.parse().unwrap());
        }
        // The second answer came from the cache, with the least of the TTLs for its life.
        assert_eq!(far.calls(), 1);
        assert!(bench.at(Duration::from_secs(59), "web.example.org", "A").is_some());
        assert!(bench.at(Duration::from_secs(60), "web.example.org", "A").is_none());
        // And the target has its own place.
        assert_eq!(bench.now(target, "A").0, Said::Reply);
    }
}

/// An upstream may say anything about the world, but the world ends where another route begins: its forged
/// address for a peer's or a static name does not get in behind an alias.
#[tokio::test]
async fn what_a_source_says_of_another_routes_names_is_not_believed() {
    for (kind, zone, target) in [
        ("peer", "cluster-b.example.com", "web.shop.svc.cluster-b.example.com"),
        ("static", "api.example", "api.example"),
        ("forward", "corp.example", "db.corp.example"),
    ] {
        let evil = Scripted::new(move |ask| {
            let (alias, forged) =
                (cname_record(&ask.question.name, 300, target), a_record(&target.parse().unwrap(), 300, 66));
            Ok(answer(ask, Rcode::NOERROR, vec![alias, forged], vec![]))
        });
        let owner = match kind {
            "static" => Scripted::local(|ask| address(ask, 60, 7)),
            _ => Scripted::new(|ask| address(ask, 60, 7)),
        };
        let bench = Bench::new([(".", "upstream", evil), (zone, kind, owner)]);
        for _ in 0..2 {
            let reply = bench.ask("to.evil.example", "A").await;
            let data: Vec<_> = reply.answers.iter().map(|record| record.rdata.as_bytes().to_vec()).collect();
            assert_eq!(data[1..], [vec![192, 0, 2, 7]], "{kind}");
        }
    }
}

/// Nor in the additional section.
#[tokio::test]
async fn an_address_beside_the_answer_that_is_another_routes_is_dropped() {
    let evil = Scripted::new(|ask| {
        let target = "web.cluster-b.example.com".parse().unwrap();
        let rdata = strait_wire::Rdata::srv(0, 0, 80, &target);
        let srv = strait_wire::Record {
            name: ask.question.name.clone(),
            rtype: RecordType::SRV,
            rdata,
            ..a_record(&target, 60, 1)
        };
        let mut message = answer(ask, Rcode::NOERROR, vec![srv], vec![]).to_message().unwrap();
        message.additionals.push(a_record(&target, 60, 66));
        Ok(strait_wire::Answer::new(&message).unwrap())
    });
    let peer = Scripted::new(|ask| address(ask, 60, 7));
    let bench = Bench::new([(".", "upstream", evil), ("cluster-b.example.com", "peer", peer)]);
    let reply = bench.ask("_http._tcp.evil.example", "SRV").await;
    assert_eq!((reply.answers.len(), reply.additionals.len()), (1, 0));
}

#[tokio::test]
async fn a_cached_target_counts_with_its_age() {
    let far = Scripted::new(|ask| address(ask, 60, 7));
    let bench =
        Bench::new([("example.org", "static", aliases_to("www.example.net")), (".", "upstream", Arc::clone(&far))]);
    bench.ask("www.example.net", "A").await;
    assert_eq!(bench.ask("web.example.org", "A").await.answers.len(), 2);
    assert_eq!(far.calls(), 1);
}

#[tokio::test]
async fn rfc2308_2_1_the_target_that_does_not_exist_decides() {
    let far = Scripted::new(|ask| Ok(answer(ask, Rcode::NXDOMAIN, vec![], vec![soa_record("net", 40, 40)])));
    let bench = Bench::new([("example.org", "static", aliases_to("no.example.net")), (".", "upstream", far)]);
    let reply = bench.ask("web.example.org", "A").await;
    assert_eq!((reply.rcode, reply.answers.len(), reply.authorities.len()), (Rcode::NXDOMAIN, 1, 1));
    assert!(bench.at(Duration::from_secs(39), "web.example.org", "A").is_some());
    assert!(bench.at(Duration::from_secs(40), "web.example.org", "A").is_none());
}

#[tokio::test]
async fn rfc2308_2_2_the_target_without_the_type_decides() {
    let far = Scripted::new(|ask| Ok(answer(ask, Rcode::NOERROR, vec![], vec![soa_record("net", 40, 40)])));
    let bench = Bench::new([("example.org", "static", aliases_to("www.example.net")), (".", "upstream", far)]);
    let reply = bench.ask("web.example.org", "AAAA").await;
    assert_eq!((reply.rcode, reply.answers.len(), reply.authorities.len()), (Rcode::NOERROR, 1, 1));
}

#[tokio::test]
async fn a_target_that_fails_fails_the_whole() {
    let far = Scripted::new(|_| Err(SourceError::Unreachable("nobody is there".to_owned())));
    let bench = Bench::new([("example.org", "static", aliases_to("www.example.net")), (".", "upstream", far)]);
    let reply = bench.ask("web.example.org", "A").await;
    assert_eq!((reply.rcode, reply.answers.len()), (Rcode::SERVFAIL, 0));
    assert_eq!(told(&reply), [(Ede::NO_REACHABLE_AUTHORITY, "nobody is there".to_owned())]);
}

#[tokio::test]
async fn an_alias_to_a_name_without_a_zone_stands_alone() {
    for kind in ["static", "forward"] {
        let near = match kind {
            "static" => aliases_to("www.example.net"),
            _ => Scripted::new(|ask| alias(ask, 300, "www.example.net")),
        };
        let bench = Bench::new([("example.org", kind, Arc::clone(&near))]);
        let reply = bench.ask("web.example.org", "A").await;
        assert_eq!((reply.rcode, reply.answers.len()), (Rcode::NOERROR, 1), "{kind}");
        // It is not kept, since the zone may come.
        let far = Scripted::new(|ask| address(ask, 60, 7));
        bench.resolver.replace_routes(table([("example.org", kind, near), (".", "upstream", far)]));
        assert_eq!(bench.ask("web.example.org", "A").await.answers.len(), 2, "{kind}");
    }
}

#[tokio::test]
async fn a_part_of_an_answer_is_not_told_as_the_whole() {
    // web.example.org -> www.example.net -> www.cluster-b.example.com; the middle is asked for by itself later.
    let middle = Scripted::new(|ask| alias(ask, 60, "www.cluster-b.example.com"));
    let bench = Bench::new([
        ("example.org", "static", aliases_to("www.example.net")),
        (".", "upstream", middle),
        ("cluster-b.example.com", "peer", Scripted::new(|ask| address(ask, 60, 7))),
    ]);
    assert_eq!(bench.ask("web.example.org", "A").await.answers.len(), 3);
    assert_eq!(bench.ask("www.example.net", "A").await.answers.len(), 2);
}

#[tokio::test]
async fn aliases_that_go_in_a_circle_end_in_servfail() {
    let bench = Bench::new([
        ("example.org", "static", aliases_to("web.example.net")),
        ("example.net", "static", aliases_to("web.example.org")),
        // An alias to itself, behind a network.
        ("example.info", "upstream", Scripted::new(|ask| alias(ask, 60, "self.example.info"))),
    ]);
    for name in ["web.example.org", "web.example.net", "self.example.info"] {
        let reply = bench.ask(name, "A").await;
        assert_eq!(refused(&reply), (Rcode::SERVFAIL, Ede::INVALID_DATA), "{name}");
        assert!(told(&reply)[0].1.contains("circle"), "{:?}", told(&reply));
    }
}

#[tokio::test]
async fn at_most_eleven_aliases_are_followed() {
    // n0 -> n1 -> ... -> n`last`, each from an exchange of its own.
    let chain_to = |last: usize| {
        Scripted::new(move |ask| {
            let label = ask.question.name.to_string();
            let at: usize = label.trim_start_matches('n').split('.').next().unwrap().parse().unwrap();
            if at == last { address(ask, 60, 7) } else { alias(ask, 60, &format!("n{}.example.com", at + 1)) }
        })
    };
    let bench = Bench::new([(".", "upstream", chain_to(11))]);
    let reply = bench.ask("n0.example.com", "A").await;
    assert_eq!((reply.rcode, reply.answers.len()), (Rcode::NOERROR, 12));
    let source = chain_to(12);
    let bench = Bench::new([(".", "upstream", Arc::clone(&source))]);
    let reply = bench.ask("n0.example.com", "A").await;
    assert_eq!(refused(&reply), (Rcode::SERVFAIL, Ede::INVALID_DATA));
    assert_eq!(told(&reply)[0].1, "more than 11 aliases from n0.example.com.");
    assert_eq!(source.calls(), 12);
}

#[tokio::test]
async fn an_answer_that_says_all_is_not_followed() {
    let far = Scripted::new(|ask| {
        let (owner, target) = (&ask.question.name, "www.example.net".parse().unwrap());
        let records = vec![cname_record(owner, 60, "www.example.net"), a_record(&target, 60, 7)];
        Ok(answer(ask, Rcode::NOERROR, records, vec![]))
    });
    let bench = Bench::new([(".", "upstream", Arc::clone(&far))]);
    assert_eq!(bench.ask("web.example.com", "A").await.answers.len(), 2);
    assert_eq!(far.calls(), 1);
    // A question for the alias itself has it.
    let near = Bench::new([("example.org", "static", aliases_to("www.example.net"))]);
    assert_eq!(near.now("web.example.org", "CNAME").0, Said::Reply);
}

#[tokio::test]
async fn a_gateway_leaves_aliases_to_the_asking_side() {
    let far = Scripted::new(|ask| address(ask, 60, 7));
    let routes = table([("example.org", "static", aliases_to("www.example.net")), (".", "upstream", Arc::clone(&far))]);
    let bench = Bench::with(routes, |settings| settings.follow_aliases = false);
    let (now, reply) = bench.now("web.example.org", "A");
    assert_eq!((now, reply.unwrap().answers.len(), far.calls()), (Said::Reply, 1, 0));
}
