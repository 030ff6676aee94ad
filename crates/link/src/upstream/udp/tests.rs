use std::collections::HashSet;
use std::future::poll_fn;
use std::net::{Shutdown, UdpSocket};
use std::time::Duration;

use prometheus::Registry;
use socket2::SockRef;
use strait_wire::Message;

use super::*;
use crate::LinkMetrics;
use crate::metrics::Kind;
use crate::testing::{answer, ask, eventually, udp_server, wire};

fn road(server: SocketAddr) -> UdpRoad {
    let metrics = Arc::new(LinkMetrics::new(&Registry::new()).unwrap());
    UdpRoad::new(server, Arc::new(Ports::new([])), metrics.server(Kind::Upstream, ".", &"test"))
}

/// A server that says nothing, and the names it is asked for.
fn listener() -> UdpSocket {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    server
}

/// What has come so far: names, in lower case, and ports.
fn heard(server: &UdpSocket) -> Vec<(String, u16)> {
    let mut buffer = [0; 512];
    let mut heard = Vec::new();
    while let Ok((len, from)) = server.recv_from(&mut buffer) {
        let question = Message::parse(&buffer[..len]).unwrap().questions.remove(0);
        heard.push((question.name.to_string().to_lowercase(), from.port()));
    }
    heard
}

fn submit<'a>(road: &'a UdpRoad, name: &str) -> UdpQuestion<'a> {
    let now = Instant::now();
    road.submit(&ask(name), now + Duration::from_secs(60), now).unwrap()
}

fn batches(road: &UdpRoad) -> usize {
    road.shared().unwrap().lock().outbox.batches
}

/// Nothing stays behind: neither sockets nor the driver.
#[tokio::test]
async fn sockets_are_closed_after_a_while_and_the_driver_ends_with_its_road() {
    let server = listener();
    let road = road(server.local_addr().unwrap());
    let questions: Vec<_> = (0..100).map(|_| submit(&road, "www.example.com")).collect();
    let shared = Arc::clone(road.shared().unwrap());
    let sockets = || shared.lock().pool.sockets();
    // The first of them are fresh.
    assert!((pool::OPEN..100).contains(&sockets()), "{}", sockets());
    drop(questions);
    eventually("all sockets are closed", || async { sockets() == 0 }).await;
    drop(road);
    eventually("the driver has ended", || async { Arc::strong_count(&shared) == 1 }).await;
}

/// The test has the only thread: the driver has had no turn between a question and a look at what has come of it.
#[tokio::test]
async fn a_question_that_is_alone_leaves_at_once() {
    let server = listener();
    let road = road(server.local_addr().unwrap());
    for _ in 0..3 {
        let question = submit(&road, "www.example.com");
        assert_eq!(heard(&server).len(), 1);
        drop(question);
    }
    assert_eq!(batches(&road), 0);
}

#[tokio::test]
async fn questions_asked_together_leave_together() {
    let server = listener();
    let road = road(server.local_addr().unwrap());
    let _alone = submit(&road, "alone.example.com");
    assert_eq!(heard(&server).len(), 1);
    // As many as one batch takes: nothing leaves before everyone has had a chance to ask, then all at once.
    let ask = |n: usize| submit(&road, &format!("n{n}.example.com"));
    let mut questions: Vec<_> = (0..outbox::BATCH).map(ask).collect();
    let mut came = heard(&server);
    assert_eq!(came, []);
    eventually("the questions have come", || {
        came.extend(heard(&server));
        let all = came.len() == outbox::BATCH;
        async move { all }
    })
    .await;
    assert_eq!(batches(&road), 1);
    // In order, and each from a port of its own, since few are open.
    assert!(came.iter().enumerate().all(|(n, (name, _))| *name == format!("n{n}.example.com.")), "{came:?}");
    assert!(came.iter().map(|(_, port)| port).collect::<HashSet<_>>().len() >= pool::OPEN - 1);
    // One more than that: a second batch.
    questions.extend((0..=outbox::BATCH).map(ask));
    eventually("the batches are sent", || async { batches(&road) == 3 }).await;
    eventually("nothing is left", || async { !road.shared().unwrap().lock().outbox.is_waiting() }).await;
    assert_eq!(heard(&server).len(), outbox::BATCH + 1);
}

#[tokio::test]
async fn who_is_ready_to_run_may_queue_before_the_batch_leaves() {
    let server = listener();
    let road = Arc::new(road(server.local_addr().unwrap()));
    let _alone = submit(&road, "alone.example.com");
    eventually("the driver waits", || async { road.shared().unwrap().lock().driver.is_some() }).await;
    // The driver is woken by this one, and so has its turn before the task.
    let _first = submit(&road, "first.example.com");
    let other = Arc::clone(&road);
    let task = tokio::spawn(async move {
        let _second = submit(&other, "second.example.com");
        eventually("all have come", || async { !other.shared().unwrap().lock().outbox.is_waiting() }).await;
    });
    task.await.unwrap();
    assert_eq!((batches(&road), heard(&server).len()), (1, 3));
}

#[tokio::test]
async fn a_burst_leaves_in_few_batches_and_everyone_gets_their_own_answer() {
    const QUESTIONS: usize = 200;
    let server = udp_server(|query, _| vec![(Duration::ZERO, wire(&answer(query, [192, 0, 2, 1])))]).await;
    let road = Arc::new(road(server));
    let tasks: Vec<_> = (0..QUESTIONS)
        .map(|n| {
            let road = Arc::clone(&road);
            tokio::spawn(async move {
                let name = format!("n{n}.example.com.");
                let question = submit(&road, &name);
                let Event::Response(response) = poll_fn(|cx| question.poll(cx)).await else { panic!("{name}") };
                let answered = Message::parse(&response).unwrap().questions.remove(0);
                assert_eq!(answered.name.to_string().to_lowercase(), name);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!((1..=QUESTIONS / 10).contains(&batches(&road)), "{} batches", batches(&road));
}

/// As when it is refused at once: who asked is told why, and nobody else.
#[tokio::test]
async fn a_queued_question_that_cannot_be_sent_is_told_so() {
    let server = listener();
    let road = road(server.local_addr().unwrap());
    let first = submit(&road, "first.example.com");
    let questions = ["one.example.com", "other.example.com"].map(|name| submit(&road, name));
    let socket = road.shared().unwrap().lock().pool.socket(questions[0].place.slot).unwrap();
    SockRef::from(&socket.udp).shutdown(Shutdown::Write).unwrap();
    let event = poll_fn(|cx| questions[0].poll(cx)).await;
    assert!(matches!(&event, Event::Failed(error) if error.kind() == io::ErrorKind::BrokenPipe), "{event:?}");
    let names: Vec<String> = heard(&server).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["first.example.com.", "other.example.com."]);
    for untouched in [&first, &questions[1]] {
        assert!(poll_fn(|cx| Poll::Ready(untouched.poll(cx).is_pending())).await);
    }
}

#[tokio::test]
async fn a_queued_question_whose_asker_has_left_is_not_sent() {
    let server = listener();
    let road = road(server.local_addr().unwrap());
    let _alone = submit(&road, "alone.example.com");
    drop(submit(&road, "left.example.com"));
    let _last = submit(&road, "last.example.com");
    eventually("nothing is left", || async { !road.shared().unwrap().lock().outbox.is_waiting() }).await;
    let names: Vec<String> = heard(&server).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["alone.example.com.", "last.example.com."]);
}

/// As when a question that is alone is refused: who asked is told why.
#[tokio::test]
async fn a_full_buffer_is_told_apart_from_a_server_that_is_not_there() {
    let server = listener();
    let road = road(server.local_addr().unwrap());
    let now = Instant::now();
    BUFFERS_ARE_FULL.set(true);
    assert!(matches!(road.submit(&ask("alone.example.com"), now, now), Err(OpenError::NoRoom(_))));
    BUFFERS_ARE_FULL.set(false);
    let _alone = submit(&road, "alone.example.com");
    let queued = submit(&road, "queued.example.com");
    BUFFERS_ARE_FULL.set(true);
    let Event::Failed(error) = poll_fn(|cx| queued.poll(cx)).await else { panic!("it was sent") };
    assert!(matches!(OpenError::of_sending(error), OpenError::NoRoom(_)));
}

/// As a fault does.
fn break_driver(shared: &Shared) {
    let mut desk = shared.lock();
    desk.breaks = true;
    desk.driver.take().unwrap().wake();
}

/// A fault costs those who wait their answers, at once, and no one else.
#[tokio::test]
async fn after_a_fault_of_the_driver_the_next_question_is_answered() {
    let server = udp_server(|query, _| match Message::parse(query).unwrap().questions[0].name.to_string() {
        name if name.to_lowercase().starts_with("silent") => Vec::new(),
        _ => vec![(Duration::ZERO, wire(&answer(query, [192, 0, 2, 1])))],
    })
    .await;
    let road = road(server);
    for _ in 0..2 {
        let waiting = ["silent-1.example.com", "silent-2.example.com"].map(|name| submit(&road, name));
        let shared = road.shared().unwrap();
        eventually("the driver waits", || async { shared.lock().driver.is_some() }).await;
        break_driver(shared);
        for question in &waiting {
            let Event::Failed(error) = poll_fn(|cx| question.poll(cx)).await else { panic!("somebody heard") };
            // Not the server's fault.
            assert!(matches!(OpenError::of_sending(error), OpenError::NoRoom(_)));
        }
        assert_eq!(shared.lock().pool.sockets(), 0);
        let next = submit(&road, "www.example.com");
        // Those from before leave nobody else's places.
        drop(waiting);
        assert_eq!(shared.lock().pool.waiting(), 1);
        assert!(matches!(poll_fn(|cx| next.poll(cx)).await, Event::Response(_)));
        let now = Instant::now();
        let expiring = road.submit(&ask("silent-3.example.com"), now, now).unwrap();
        assert!(matches!(poll_fn(|cx| expiring.poll(cx)).await, Event::Expired));
    }
}
