use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::Registry;
use strait_wire::{AnswerKind, Ede, EdnsOption, Flags, Message, RecordType, option};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::testing::{
    a_record, address_in, answer, ask, eventually, failure, serve_tcp, serve_udp, truncated, udp_and_tcp, udp_server,
    wire,
};

const GOOD: [u8; 4] = [192, 0, 2, 1];
const FORGED: [u8; 4] = [203, 0, 113, 66];
const NOW: Duration = Duration::ZERO;

fn settings(servers: &[SocketAddr]) -> UpstreamSettings {
    crate::testing::upstream_settings(servers.iter().map(|address| UpstreamServer::Plain(*address)).collect())
}

fn start(settings: UpstreamSettings) -> (Arc<UpstreamGroup>, Registry) {
    let registry = Registry::new();
    let metrics = Arc::new(LinkMetrics::new(&registry).unwrap());
    (UpstreamGroup::start(settings, metrics).unwrap(), registry)
}

/// The sum of a counter over the series that have these label values.
fn count(registry: &Registry, name: &str, values: &[&str]) -> u64 {
    let families = registry.gather();
    let series = families.iter().filter(|family| family.name() == name).flat_map(|family| family.get_metric());
    series
        .filter(|metric| values.iter().all(|value| metric.get_label().iter().any(|label| label.value() == *value)))
        .map(|metric| metric.get_counter().get_value() as u64)
        .sum()
}

/// An address where nothing listens.
async fn nowhere() -> SocketAddr {
    let (udp, _tcp) = udp_and_tcp().await;
    udp.local_addr().unwrap()
}

/// An address that takes questions and says nothing.
async fn silent() -> SocketAddr {
    udp_server(|_, _| Vec::new()).await
}

/// The forgeries of TuDoor and its kin, one of each.
fn forgeries(query: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let forged = answer(query, FORGED);
    let mut other_id = forged.clone();
    other_id.id ^= 1;
    let mut not_a_response = forged.clone();
    not_a_response.flags = not_a_response.flags.with(Flags::QR, false);
    let mut other_question = forged.clone();
    other_question.questions[0].name = "other.example".parse().unwrap();
    let mut other_case = wire(&forged);
    let letter = other_case.iter().skip(12).position(u8::is_ascii_alphabetic).unwrap() + 12;
    other_case[letter] ^= 0x20;
    let whole = wire(&forged);
    vec![
        ("id", wire(&other_id)),
        ("not_a_response", wire(&not_a_response)),
        ("malformed", whole[..12].to_vec()),
        ("question", wire(&other_question)),
        ("case", other_case),
        // The last record's data is cut off.
        ("malformed", whole[..whole.len() - 2].to_vec()),
    ]
}

/// TuDoor (CVE-2023-28452): what is not the answer is passed over, and the answer is still taken.
#[tokio::test]
async fn forged_and_broken_datagrams_do_not_end_the_wait() {
    let address = udp_server(|query, _| {
        let mut replies: Vec<_> = forgeries(query).into_iter().map(|(_, bytes)| (NOW, bytes)).collect();
        replies.push((Duration::from_millis(50), wire(&answer(query, GOOD))));
        replies
    })
    .await;
    let (group, registry) = start(settings(&[address]));
    assert_eq!(address_in(&group.answer(&ask("www.example.com")).await.unwrap()), GOOD);
    for (reason, expected) in [("id", 1), ("not_a_response", 1), ("malformed", 2), ("question", 1), ("case", 1)] {
        assert_eq!(count(&registry, "strait_upstream_ignored_replies_total", &[reason]), expected, "{reason}");
    }
}

/// Each kind of forgery alone is never taken for the answer.
#[tokio::test]
async fn no_forgery_is_taken_for_the_answer() {
    for kind in 0..6 {
        let address = udp_server(move |query, _| {
            let (_, forgery) = forgeries(query).swap_remove(kind);
            vec![(NOW, forgery), (Duration::from_millis(20), wire(&answer(query, GOOD)))]
        })
        .await;
        let (group, _) = start(settings(&[address]));
        assert_eq!(address_in(&group.answer(&ask("www.example.com")).await.unwrap()), GOOD, "forgery {kind}");
    }
}

/// Responses to the very question that cannot be used, as the owner of a name can have them made.
fn bad_answers(query: &[u8]) -> [(&'static str, Vec<u8>); 2] {
    let mut referral = answer(query, GOOD);
    referral.answers.clear();
    let rdata = strait_wire::Rdata::name(&"ns.example.com".parse().unwrap());
    let owner = a_record("example.com".parse().unwrap(), GOOD);
    referral.authorities = vec![strait_wire::Record { rtype: RecordType::NS, rdata, ..owner.clone() }];
    let mut unordered = answer(query, GOOD);
    // RFC 9460 2.2: keys 3 and 1, without values.
    let rdata = strait_wire::Rdata::opaque(b"\0\x01\0\0\x03\0\0\0\x01\0\0".to_vec());
    unordered.answers.push(strait_wire::Record { rtype: RecordType::HTTPS, rdata, ..owner });
    [("neither answers nor denies", wire(&referral)), ("does not fit its type", wire(&unordered))]
}

/// Whoever owns a name decides what is said about it, and nothing about the server that passes it on.
#[tokio::test]
async fn a_bad_answer_is_no_verdict_on_its_server() {
    for kind in 0..2 {
        let bad = udp_server(move |query, _| match Message::parse(query).unwrap().questions[0].name.to_string() {
            name if name.to_lowercase().starts_with("evil") => vec![(NOW, bad_answers(query)[kind].1.clone())],
            _ => vec![(NOW, wire(&answer(query, GOOD)))],
        })
        .await;
        let (group, registry) = start(settings(&[bad]));
        for asked in 1..=u64::from(FALL_SEEN) + 1 {
            let error = group.answer(&ask("evil.example.com")).await.unwrap_err();
            assert_eq!(error.ede().code, Ede::INVALID_DATA);
            let text = error.to_string();
            assert!(text.starts_with(&format!("no upstream gave a usable answer: {bad} ")), "{text}");
            assert!(text.contains(["neither answers nor denies", "does not fit its type"][kind]), "{text}");
            // Once each, although a server that says nothing gets three tries.
            assert_eq!(count(&registry, "strait_upstream_requests_total", &[]), asked);
        }
        assert!(!group.list.current()[0].is_dead());
        assert_eq!(address_in(&group.answer(&ask("www.example.com")).await.unwrap()), GOOD);
    }
}

#[tokio::test]
async fn one_more_server_is_asked_after_a_bad_answer() {
    let bad = || udp_server(|query, _| vec![(NOW, bad_answers(query)[0].1.clone())]);
    let good = udp_server(|query, _| vec![(NOW, wire(&answer(query, GOOD)))]).await;
    let (group, _) = start(settings(&[bad().await, good]));
    assert_eq!(address_in(&group.answer(&ask("www.example.com")).await.unwrap()), GOOD);
    // The second is as bad: the third is not troubled.
    let (group, registry) = start(settings(&[bad().await, bad().await, good]));
    assert!(matches!(group.answer(&ask("www.example.com")).await, Err(SourceError::BadAnswer(_))));
    assert_eq!(count(&registry, "strait_upstream_requests_total", &[]), 2);
}

/// A server that is back is believed to be, whatever it says.
#[tokio::test]
async fn a_bad_answer_shows_that_a_server_is_alive() {
    let address = nowhere().await;
    let (group, _) = start(settings(&[address]));
    assert!(group.answer(&ask("www.example.com")).await.is_err());
    eventually("it is dead", || async {
        let _ = group.answer(&ask("www.example.com")).await;
        group.list.current()[0].is_dead()
    })
    .await;
    serve_udp(UdpSocket::bind(address).await.unwrap(), |query, _| vec![(NOW, bad_answers(query)[0].1.clone())]);
    eventually("it is alive", || async { !group.list.current()[0].is_dead() }).await;
}

/// After three forgeries the question goes over TCP, where forging does not work.
#[tokio::test]
async fn many_forgeries_lead_to_tcp() {
    let (udp, tcp) = udp_and_tcp().await;
    let address = serve_udp(udp, |query, _| {
        let (_, forgery) = forgeries(query).swap_remove(0);
        vec![(NOW, forgery); 3]
    });
    serve_tcp(tcp, |query| Some((NOW, wire(&answer(query, GOOD)))));
    let (group, registry) = start(settings(&[address]));
    assert_eq!(address_in(&group.answer(&ask("www.example.com")).await.unwrap()), GOOD);
    assert_eq!(count(&registry, "strait_upstream_tcp_retries_total", &[]), 1);
}

/// A server that answers in lower case is served over TCP, and counted.
#[tokio::test]
async fn a_server_that_folds_case_is_asked_over_tcp() {
    let (udp, tcp) = udp_and_tcp().await;
    let address = serve_udp(udp, |query, _| {
        let mut folded = answer(query, FORGED);
        folded.questions[0].name = folded.questions[0].name.to_lowercase();
        vec![(NOW, wire(&folded))]
    });
    serve_tcp(tcp, |query| Some((NOW, wire(&answer(query, GOOD)))));
    let (group, registry) = start(settings(&[address]));
    let name = format!("{}.example.com", "abcdefghijklmnopqrstuvwxyz".repeat(2));
    assert_eq!(address_in(&group.answer(&ask(&name)).await.unwrap()), GOOD);
    assert_eq!(count(&registry, "strait_upstream_ignored_replies_total", &["case"]), 1);
}

/// RFC 1035 4.2.1, RFC 7766 5: a truncated answer is fetched over TCP, and the connection is used again.
#[tokio::test]
async fn rfc7766_5_truncation_leads_to_tcp() {
    let (udp, tcp) = udp_and_tcp().await;
    let address = serve_udp(udp, |query, _| vec![(NOW, truncated(query))]);
    serve_tcp(tcp, |query| Some((NOW, wire(&answer(query, GOOD)))));
    let (group, registry) = start(settings(&[address]));
    for _ in 0..3 {
        assert_eq!(address_in(&group.answer(&ask("big.example.com")).await.unwrap()), GOOD);
    }
    assert_eq!(count(&registry, "strait_upstream_tcp_retries_total", &[]), 3);
    assert_eq!(count(&registry, "strait_upstream_reconnects_total", &[]), 0);
}

/// RFC 7766 6.2.4: a server may close a connection at any time; the question is asked again on a new one.
#[tokio::test]
async fn rfc7766_6_2_4_a_closed_connection_is_made_again() {
    let (udp, tcp) = udp_and_tcp().await;
    let address = serve_udp(udp, |query, _| vec![(NOW, truncated(query))]);
    tokio::spawn(async move {
        // Each connection is worth one answer.
        while let Ok((mut stream, _)) = tcp.accept().await {
            tokio::spawn(async move {
                let len = stream.read_u16().await.unwrap();
                let mut query = vec![0; usize::from(len)];
                stream.read_exact(&mut query).await.unwrap();
                let reply = wire(&answer(&query, GOOD));
                stream.write_u16(reply.len() as u16).await.unwrap();
                stream.write_all(&reply).await.unwrap();
            });
        }
    });
    let (group, registry) = start(settings(&[address]));
    for _ in 0..5 {
        assert_eq!(address_in(&group.answer(&ask("big.example.com")).await.unwrap()), GOOD);
    }
    assert_eq!(count(&registry, "strait_upstream_reconnects_total", &[]), 4);
}

/// A connection that died without saying so does not swallow question after question.
#[tokio::test]
async fn a_silent_connection_is_made_again() {
    let (udp, tcp) = udp_and_tcp().await;
    let address = serve_udp(udp, |query, _| vec![(NOW, truncated(query))]);
    tokio::spawn(async move {
        let _silent = tcp.accept().await.unwrap();
        serve_tcp(tcp, |query| Some((NOW, wire(&answer(query, GOOD))))).await
    });
    let mut settings = settings(&[address]);
    settings.try_budget = Duration::from_millis(200);
    let (group, _) = start(settings);
    assert_eq!(address_in(&group.answer(&ask("big.example.com")).await.unwrap()), GOOD);
}

/// TC has no meaning on a stream; such an answer is not whole, and not taken.
#[tokio::test]
async fn a_truncated_answer_over_tcp_is_no_answer() {
    let (udp, tcp) = udp_and_tcp().await;
    let address = serve_udp(udp, |query, _| vec![(NOW, truncated(query))]);
    serve_tcp(tcp, |query| Some((NOW, truncated(query))));
    let (group, _) = start(settings(&[address]));
    let error = group.answer(&ask("big.example.com")).await.unwrap_err();
    assert!(matches!(error, SourceError::BadAnswer(_)));
    assert_eq!(
        error.to_string(),
        format!("no upstream gave a usable answer: {address} truncated although not over UDP")
    );
}

/// A question whose own time ran out says nothing about the server.
#[tokio::test]
async fn a_try_cut_short_is_not_held_against_the_server() {
    let mut settings = settings(&[silent().await]);
    settings.deadline = Duration::from_millis(20);
    let (group, _) = start(settings);
    for _ in 0..=FALL_SEEN {
        assert!(group.answer(&ask("www.example.com")).await.is_err());
    }
    assert!(!group.list.current()[0].is_dead());
}

/// RFC 5452 9.2: ports and ids cannot be guessed from those before; neither can the case.
#[tokio::test]
async fn rfc5452_9_2_ports_and_ids_are_random() {
    /// Port, id, question.
    type Seen = (u16, u16, Vec<u8>);
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let log = Arc::clone(&seen);
    let address = udp_server(move |query, from| {
        let id = u16::from_be_bytes([query[0], query[1]]);
        log.lock().unwrap().push((from.port(), id, query[12..].to_vec()));
        vec![(NOW, wire(&answer(query, GOOD)))]
    })
    .await;
    let (group, _) = start(settings(&[address]));
    for _ in 0..1000 {
        group.answer(&ask("www.example.com")).await.unwrap();
    }
    let seen = seen.lock().unwrap();
    let distinct = |values: &mut dyn Iterator<Item = u64>| values.collect::<HashSet<_>>().len();
    // Of 28,000 ephemeral ports 1,000 draws leave about 980 distinct ones; of 65,536 ids about 990.
    assert!(distinct(&mut seen.iter().map(|(port, ..)| u64::from(*port))) > 900);
    assert!(distinct(&mut seen.iter().map(|(_, id, _)| u64::from(*id))) > 950);
    // No step from one to the next comes up more often than chance has it.
    for field in [|s: &Seen| s.0, |s: &Seen| s.1] {
        let steps: HashSet<u16> = seen.windows(2).map(|pair| field(&pair[1]).wrapping_sub(field(&pair[0]))).collect();
        assert!(steps.len() > 800, "{} different steps", steps.len());
    }
    // Thirteen letters: 8,192 ways to write them.
    assert!(seen.iter().map(|(_, _, question)| question[..17].to_vec()).collect::<HashSet<_>>().len() > 800);
    let letters: f64 =
        seen.iter().map(|(_, _, q)| q[..17].iter().filter(|b| b.is_ascii_uppercase()).count() as f64).sum();
    assert!((6.0..7.0).contains(&(letters / seen.len() as f64)));
}

#[tokio::test]
async fn questions_carry_dnssec_flags_and_the_path_and_no_client_subnet() {
    let seen: Arc<Mutex<Vec<Message>>> = Arc::default();
    let log = Arc::clone(&seen);
    let address = udp_server(move |query, _| {
        log.lock().unwrap().push(Message::parse(query).unwrap());
        vec![(NOW, wire(&answer(query, GOOD)))]
    })
    .await;
    let (group, _) = start(settings(&[address]));
    let plain = ask("www.example.com");
    let path = ClusterPath::default().passing("a.example").unwrap();
    let full = Ask { dnssec_ok: true, checking_disabled: true, path, ..plain.clone() };
    group.answer(&plain).await.unwrap();
    group.answer(&full).await.unwrap();
    let seen = seen.lock().unwrap();
    let edns: Vec<_> = seen.iter().map(|m| m.edns.clone().unwrap()).collect();
    assert!(seen.iter().all(|m| m.flags.has(Flags::RD)));
    assert_eq!(edns.iter().map(|e| (e.udp_payload, e.dnssec_ok)).collect::<Vec<_>>(), [(1232, false), (1232, true)]);
    assert_eq!(seen.iter().map(|m| m.flags.has(Flags::CD)).collect::<Vec<_>>(), [false, true]);
    assert_eq!(edns[0].options, []);
    assert_eq!(edns[1].options, [EdnsOption { code: option::CLUSTER_PATH, data: b"a.example".to_vec() }]);
}

#[tokio::test]
async fn the_next_server_answers_for_a_dead_one() {
    let good = udp_server(|query, _| vec![(NOW, wire(&answer(query, GOOD)))]).await;
    for dead in [nowhere().await, silent().await] {
        let mut settings = settings(&[dead, good]);
        settings.try_budget = Duration::from_millis(50);
        let (group, registry) = start(settings);
        for _ in 0..10 {
            assert_eq!(address_in(&group.answer(&ask("www.example.com")).await.unwrap()), GOOD);
        }
        // After three failures the dead one is no longer asked first.
        assert_eq!(count(&registry, "strait_upstream_requests_total", &[&dead.to_string()]), u64::from(FALL_SEEN));
        assert_eq!(count(&registry, "strait_upstream_requests_total", &[&good.to_string()]), 10);
    }
}

/// As `server::FALL`.
const FALL_SEEN: u32 = 3;

#[tokio::test]
async fn a_server_that_answers_again_is_asked_first_again() {
    let first = nowhere().await;
    let second = udp_server(|query, _| vec![(NOW, wire(&answer(query, [192, 0, 2, 2])))]).await;
    let (group, _) = start(settings(&[first, second]));
    for _ in 0..FALL_SEEN {
        group.answer(&ask("www.example.com")).await.unwrap();
    }
    assert!(group.list.current()[0].is_dead());
    // Any well-formed answer revives, SERVFAIL to the probe as well.
    serve_udp(UdpSocket::bind(first).await.unwrap(), |query, _| {
        let probe = Message::parse(query).unwrap().questions[0].rtype == RecordType::NS;
        vec![(NOW, wire(&if probe { failure(query, Rcode::SERVFAIL) } else { answer(query, GOOD) }))]
    });
    eventually("the first server is believed again", || async { !group.list.current()[0].is_dead() }).await;
    assert_eq!(address_in(&group.answer(&ask("www.example.com")).await.unwrap()), GOOD);
}

#[tokio::test]
async fn with_everyone_dead_the_error_says_who_and_why() {
    let (refusing, silent) = (nowhere().await, silent().await);
    let mut settings = settings(&[refusing, silent]);
    settings.try_budget = Duration::from_millis(50);
    settings.deadline = Duration::from_millis(400);
    let (group, _) = start(settings);
    for _ in 0..5 {
        let error = group.answer(&ask("www.example.com")).await.unwrap_err();
        assert!(matches!(error, SourceError::Unreachable(_)));
        assert_eq!(
            error.to_string(),
            format!("no upstream answered: {refusing} connection refused; {silent} timed out")
        );
    }
    // Known dead: one try each.
    assert_eq!(plan(&group.list.current()).len(), 2);
}

#[tokio::test]
async fn a_server_is_tried_three_times_at_most() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let address = udp_server(move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
        Vec::new()
    })
    .await;
    let mut settings = settings(&[address]);
    settings.try_budget = Duration::from_millis(20);
    let (group, _) = start(settings);
    assert!(group.answer(&ask("www.example.com")).await.is_err());
    assert_eq!(asked.load(Ordering::Relaxed), TRIES_PER_SERVER);
}

#[tokio::test]
async fn another_server_may_know_better_than_servfail() {
    // What the first two say, and what comes of it.
    for rcode in [Rcode::SERVFAIL, Rcode::REFUSED] {
        let bad = udp_server(move |query, _| vec![(NOW, wire(&failure(query, rcode)))]).await;
        let good = udp_server(|query, _| vec![(NOW, wire(&answer(query, GOOD)))]).await;
        let (group, _) = start(settings(&[bad, good]));
        assert_eq!(address_in(&group.answer(&ask("www.example.com")).await.unwrap()), GOOD);
        // All say so: it is passed on, and each was asked once.
        let (group, registry) = start(settings(&[bad, bad]));
        assert_eq!(group.answer(&ask("www.example.com")).await.unwrap().rcode(), rcode);
        assert_eq!(count(&registry, "strait_upstream_requests_total", &[]), 1);
    }
}

#[tokio::test]
async fn outstanding_questions_are_bounded() {
    let address = silent().await;
    let mut settings = settings(&[address]);
    settings.max_outstanding = 2;
    let (group, registry) = start(settings);
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let group = Arc::clone(&group);
            tokio::spawn(async move { group.answer(&ask("www.example.com")).await })
        })
        .collect();
    eventually("both are outstanding", || async { group.outstanding.in_use() == 2 }).await;
    let error = group.answer(&ask("www.example.com")).await.unwrap_err();
    assert!(matches!(&error, SourceError::Overloaded(text) if text.starts_with("2 questions")), "{error}");
    assert_eq!(count(&registry, "strait_upstream_overloaded_total", &["."]), 1);
    waiting.into_iter().for_each(|task| task.abort());
    eventually("their room is free again", || async { group.outstanding.in_use() == 0 }).await;
}

/// MaginotDNS: a forward zone's server fills that zone only.
#[tokio::test]
async fn records_outside_the_zone_are_dropped_and_counted() {
    let address = udp_server(|query, _| {
        let mut message = answer(query, GOOD);
        message.additionals = vec![a_record("www.bank.example".parse().unwrap(), FORGED)];
        message.answers.push(a_record("www.bank.example".parse().unwrap(), FORGED));
        vec![(NOW, wire(&message))]
    })
    .await;
    let mut settings = settings(&[address]);
    settings.zone = "cluster.local".parse().unwrap();
    let (group, registry) = start(settings);
    let answer = group.answer(&ask("web.cluster.local")).await.unwrap();
    assert_eq!(answer.kind(), AnswerKind::Positive);
    assert_eq!(answer.to_message().unwrap().records().count(), 1);
    assert_eq!(count(&registry, "strait_upstream_dropped_records_total", &[]), 2);
}

#[tokio::test]
async fn a_resolv_conf_is_awaited_and_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resolv.conf");
    let mut settings = settings(&[]);
    settings.servers = UpstreamServers::ResolvConf(path.clone());
    let (group, _) = start(settings);
    let error = group.answer(&ask("www.example.com")).await.unwrap_err();
    assert!(matches!(error, SourceError::NotReady(_)), "{error}");
    for server in ["192.0.2.1", "192.0.2.2"] {
        std::fs::write(&path, format!("nameserver {server}\n")).unwrap();
        eventually("the new list is in force", || async {
            group.list.current().iter().map(|s| s.address.to_string()).eq([format!("{server}:53")])
        })
        .await;
    }
}

#[tokio::test]
async fn dropping_a_group_ends_its_work_and_its_series() {
    let address = nowhere().await;
    let (group, registry) = start(settings(&[address]));
    let _ = group.answer(&ask("www.example.com")).await;
    assert!(!registry.gather().is_empty());
    let list = Arc::downgrade(&group.list);
    drop(group);
    eventually("the tasks are gone", || async { list.strong_count() == 0 }).await;
    assert_eq!(registry.gather().len(), 0);
}

/// RFC 8310 5: strict; the name in the certificate decides, and nothing is asked in the clear.
#[tokio::test]
async fn rfc8310_5_dns_over_tls_is_strict() {
    let issued = rcgen::generate_simple_self_signed(vec!["dns.example.net".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![issued.cert.der().clone()],
            rustls_pki_types::PrivateKeyDer::Pkcs8(issued.signing_key.serialize_der().into()),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let padded = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&padded);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, counter) = (acceptor.clone(), Arc::clone(&counter));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                crate::testing::serve_stream(stream, move |query| {
                    counter.fetch_add(usize::from(query.len() % 128 == 0), Ordering::Relaxed);
                    Some((NOW, wire(&answer(query, GOOD))))
                })
                .await;
            });
        }
    });
    let with_name = |name: &str| {
        let mut settings = settings(&[]);
        settings.servers = UpstreamServers::List(vec![UpstreamServer::Tls { address, server_name: name.to_owned() }]);
        settings.ca = Some(issued.cert.pem());
        start(settings)
    };
    let (group, registry) = with_name("dns.example.net");
    for _ in 0..3 {
        assert_eq!(address_in(&group.answer(&ask("www.example.com")).await.unwrap()), GOOD);
    }
    assert_eq!(padded.load(Ordering::Relaxed), 3);
    assert_eq!(count(&registry, "strait_upstream_reconnects_total", &[]), 0);
    let (group, _) = with_name("other.example.net");
    let error = group.answer(&ask("www.example.com")).await.unwrap_err().to_string();
    let cause = "TLS handshake failed: its certificate is for dns.example.net, not for other.example.net";
    assert_eq!(error, format!("no upstream answered: tls://{address}#other.example.net {cause}"));
    // Without `ca` only public roots are believed.
    let mut settings = settings(&[]);
    let server_name = "dns.example.net".to_owned();
    settings.servers = UpstreamServers::List(vec![UpstreamServer::Tls { address, server_name }]);
    let error = start(settings).0.answer(&ask("www.example.com")).await.unwrap_err().to_string();
    assert!(error.ends_with("is signed by no CA of `ca` (default: public roots)"), "{error}");
    assert_eq!(padded.load(Ordering::Relaxed), 3);
}
