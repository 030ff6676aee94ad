//! Answers that cannot be used, and what they say about their server: nothing.

use super::*;

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
