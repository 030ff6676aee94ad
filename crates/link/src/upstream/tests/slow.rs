//! Servers that need longer than the budget of a try, and those that say nothing.

use super::*;

const BUDGET: Duration = Duration::from_millis(50);
const SLOW: Duration = Duration::from_millis(600);

fn impatient(servers: &[SocketAddr]) -> UpstreamSettings {
    let mut settings = settings(servers);
    (settings.min_try_budget, settings.max_try_budget) = (BUDGET, BUDGET);
    settings
}

async fn slow(pause: Duration) -> SocketAddr {
    udp_server(move |query, _| vec![(pause, wire(&answer(query, GOOD)))]).await
}

fn timeouts(registry: &Registry, server: SocketAddr) -> u64 {
    count(registry, "strait_upstream_failures_total", &[&server.to_string(), "timeout"])
}

/// With the times as they are by default.
#[tokio::test]
async fn a_server_that_is_twice_as_slow_as_its_budget_is_heard() {
    let pause = Duration::from_millis(1500);
    let address = slow(pause).await;
    let (group, registry) = start(settings(&[address]));
    let ask = ask("www.example.com");
    for _ in 0..2 {
        let answers = futures_util::future::join_all((0..4).map(|_| group.answer(&ask))).await;
        assert!(answers.iter().all(|answer| address_in(answer.as_ref().unwrap()) == GOOD));
    }
    // It was asked again meanwhile, and what came of that is not held against it.
    let asked = count(&registry, "strait_upstream_requests_total", &[]);
    assert!((2 * 4 * 2..=2 * 4 * choice::TRIES_PER_SERVER as u64).contains(&asked), "{asked}");
    assert_eq!(count(&registry, "strait_upstream_failures_total", &[]), 0);
    let server = &group.list.current()[0];
    assert!(!server.is_dead() && !server.is_in_doubt());
    assert!(server.latency.smoothed().unwrap() >= pause);
}

#[tokio::test]
async fn the_slow_one_is_heard_while_others_are_asked_and_the_silent_one_is_marked_down() {
    let (slow, silent) = (slow(SLOW).await, silent().await);
    let mut settings = impatient(&[slow, silent]);
    settings.deadline = 3 * SLOW;
    let (group, registry) = start(settings);
    eventually("the silent one is dead", || async {
        assert_eq!(address_in(&group.answer(&ask("www.example.com")).await.unwrap()), GOOD);
        assert!(!group.list.current()[0].is_dead());
        group.list.current()[1].is_dead()
    })
    .await;
    assert_eq!(timeouts(&registry, slow), 0);
    assert!(timeouts(&registry, silent) > 0);
}

/// What comes when another server has answered does no harm; that it comes late does not make the server a dead one.
#[tokio::test]
async fn a_late_answer_after_another_is_ignored_and_harmless() {
    let quick = udp_server(|query, _| vec![(NOW, wire(&answer(query, [192, 0, 2, 2])))]).await;
    let (group, registry) = start(impatient(&[slow(SLOW).await, quick]));
    let ask = ask("www.example.com");
    // More than it takes to be dead, all at once.
    let answers = futures_util::future::join_all((0..10).map(|_| group.answer(&ask))).await;
    assert!(answers.iter().all(|answer| address_in(answer.as_ref().unwrap()) == [192, 0, 2, 2]));
    let server = Arc::clone(&group.list.current()[0]);
    assert!(server.is_in_doubt() && !server.is_dead());
    let ignored = |reason| count(&registry, "strait_upstream_ignored_replies_total", &[reason]);
    eventually("late answers have come", || async { ignored("late") > 0 }).await;
    assert_eq!((ignored("id"), ignored("question")), (0, 0));
    // A probe is listened to for long enough.
    eventually("it is believed in again", || async {
        assert!(!server.is_dead());
        !server.is_in_doubt()
    })
    .await;
    assert_eq!(address_in(&group.answer(&ask).await.unwrap()), [192, 0, 2, 2]);
}

#[tokio::test]
async fn a_late_answer_over_tcp_is_heard() {
    let (udp, tcp) = udp_and_tcp().await;
    let address = serve_udp(udp, |query, _| vec![(NOW, truncated(query))]);
    serve_tcp(tcp, |query| Some((SLOW, wire(&answer(query, GOOD)))));
    let (group, registry) = start(impatient(&[address]));
    assert_eq!(address_in(&group.answer(&ask("big.example.com")).await.unwrap()), GOOD);
    assert_eq!(timeouts(&registry, address), 0);
}

#[tokio::test]
async fn a_silent_server_is_marked_down_by_one_question() {
    let address = silent().await;
    let mut settings = impatient(&[address]);
    settings.deadline = 2 * SLOW;
    let (group, registry) = start(settings);
    let error = group.answer(&ask("www.example.com")).await.unwrap_err();
    assert_eq!(error.to_string(), format!("no upstream answered: {address} timed out"));
    assert_eq!(timeouts(&registry, address), u64::from(FALL_SEEN));
    assert!(group.list.current()[0].is_dead());
}

/// Our own limit is counted as such.
#[tokio::test]
async fn a_full_send_buffer_is_not_held_against_the_server() {
    let (group, registry) = start(settings(&[slow(NOW).await]));
    udp::BUFFERS_ARE_FULL.set(true);
    for _ in 0..=FALL_SEEN {
        let error = group.answer(&ask("www.example.com")).await.unwrap_err().to_string();
        assert!(error.contains("cannot be asked from here now"), "{error}");
    }
    let server = &group.list.current()[0];
    assert!(!server.is_dead() && !server.is_in_doubt() && server.latency.smoothed().is_none());
    assert!(count(&registry, "strait_upstream_failures_total", &["full"]) > u64::from(FALL_SEEN));
    assert_eq!(count(&registry, "strait_upstream_failures_total", &["connection"]), 0);
    udp::BUFFERS_ARE_FULL.set(false);
    assert_eq!(address_in(&group.answer(&ask("www.example.com")).await.unwrap()), GOOD);
}
