//! The choice among servers that answer.

use super::*;

const SLOW: [u8; 4] = [192, 0, 2, 2];

/// A server that takes `pause`, which may change.
async fn server(pause: &Arc<Mutex<Duration>>, address: [u8; 4]) -> SocketAddr {
    let pause = Arc::clone(pause);
    udp_server(move |query, _| vec![(*pause.lock().unwrap(), wire(&answer(query, address)))]).await
}

fn pause(millis: u64) -> Arc<Mutex<Duration>> {
    Arc::new(Mutex::new(Duration::from_millis(millis)))
}

#[tokio::test]
async fn a_faster_server_wins_the_traffic_and_a_slow_one_is_still_explored() {
    const QUESTIONS: usize = 600;
    let (slow, fast) = (server(&pause(30), SLOW).await, server(&pause(0), GOOD).await);
    let (group, registry) = start(settings(&[slow, fast]));
    for _ in 0..QUESTIONS {
        group.answer(&ask("www.example.com")).await.unwrap();
    }
    let asked = |server: SocketAddr| count(&registry, "strait_upstream_requests_total", &[&server.to_string()]);
    // One of 32 is 19 of 600.
    assert!((2..150).contains(&asked(slow)), "{}", asked(slow));
    assert!(asked(fast) > 450, "{}", asked(fast));
}

#[tokio::test]
async fn a_server_that_becomes_fast_is_found_again() {
    let changing = pause(50);
    let (first, second) = (server(&changing, SLOW).await, server(&pause(5), GOOD).await);
    let (group, _) = start(settings(&[first, second]));
    for _ in 0..10 {
        group.answer(&ask("www.example.com")).await.unwrap();
    }
    let is_first = || choice::plan(&group.list.current(), &group.list.current()[1])[0].address.address() == first;
    assert!(is_first());
    *changing.lock().unwrap() = Duration::ZERO;
    let latency = |at: usize| group.list.current()[at].latency.smoothed();
    eventually("the first is known to be the faster one", || async {
        group.answer(&ask("www.example.com")).await.unwrap();
        latency(0) < latency(1)
    })
    .await;
}

/// Whoever is late is not given up while the next is asked: the answer may need no more than time.
#[tokio::test]
async fn a_late_answer_is_still_taken() {
    let late = pause(0);
    let address = server(&late, GOOD).await;
    let mut settings = settings(&[address, silent().await]);
    settings.min_try_budget = Duration::from_millis(20);
    let (group, registry) = start(settings);
    // The first is known to be fast, the second to be dead.
    for _ in 0..5 {
        group.answer(&ask("www.example.com")).await.unwrap();
    }
    *late.lock().unwrap() = Duration::from_millis(300);
    let before = count(&registry, "strait_upstream_requests_total", &[]);
    assert_eq!(address_in(&group.answer(&ask("www.example.com")).await.unwrap()), GOOD);
    assert!(count(&registry, "strait_upstream_requests_total", &[]) > before + 1, "another server was asked as well");
    assert_eq!(count(&registry, "strait_upstream_ignored_replies_total", &["late"]), 0);
}

/// An answer that comes when nobody waits any more is not taken for a forgery.
#[tokio::test]
async fn an_answer_after_the_end_is_late_and_no_forgery() {
    let address = server(&pause(100), GOOD).await;
    let mut settings = settings(&[address]);
    settings.deadline = Duration::from_millis(30);
    let (group, registry) = start(settings);
    for _ in 0..5 {
        assert!(group.answer(&ask("www.example.com")).await.is_err());
    }
    let ignored = |reason| count(&registry, "strait_upstream_ignored_replies_total", &[reason]);
    eventually("all have come", || async { ignored("late") == 5 }).await;
    assert_eq!(ignored("id"), 0);
}

/// A refusal is quick and of no use: whoever gives it is not the fastest for that.
#[tokio::test]
async fn a_server_that_refuses_is_not_asked_first() {
    let refusing = udp_server(|query, _| vec![(NOW, wire(&failure(query, Rcode::REFUSED)))]).await;
    let good = server(&pause(5), GOOD).await;
    let (group, registry) = start(settings(&[refusing, good]));
    for _ in 0..50 {
        assert_eq!(address_in(&group.answer(&ask("www.example.com")).await.unwrap()), GOOD);
    }
    let asked = count(&registry, "strait_upstream_requests_total", &[&refusing.to_string()]);
    assert!(asked < 20, "{asked}");
}
