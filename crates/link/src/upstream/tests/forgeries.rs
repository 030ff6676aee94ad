//! What is not the answer is never taken for it, and does not end the wait.

use super::*;

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

/// The longer wait for a late answer is no gap: what is forged after the budget of the try is passed over as well.
#[tokio::test]
async fn no_forgery_is_taken_for_a_late_answer() {
    for kind in 0..6 {
        let address = udp_server(move |query, _| {
            let (_, forgery) = forgeries(query).swap_remove(kind);
            let later = Duration::from_millis(150);
            vec![(later, forgery), (later, wire(&answer(query, GOOD)))]
        })
        .await;
        let mut settings = settings(&[address]);
        settings.max_try_budget = Duration::from_millis(50);
        let (group, registry) = start(settings);
        assert_eq!(address_in(&group.answer(&ask("www.example.com")).await.unwrap()), GOOD, "forgery {kind}");
        assert!(count(&registry, "strait_upstream_ignored_replies_total", &[]) > 0, "forgery {kind}");
    }
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
