use super::*;

/// The ids and questions queued.
#[derive(Default)]
struct Log(Vec<(u16, usize)>);

impl Queue for Log {
    fn push(&mut self, id: u16, question: &[u8]) {
        self.0.push((id, question.len()));
    }

    fn octets(&self) -> usize {
        self.0.iter().map(|(_, len)| len).sum()
    }
}

fn exchange() -> (Arc<Exchange<Log>>, IntCounter) {
    let unmatched = IntCounter::new("unmatched", "help").unwrap();
    (Exchange::new(None, unmatched.clone()), unmatched)
}

async fn queued(exchange: &Exchange<Log>) -> Vec<(u16, usize)> {
    let mut batch = Log::default();
    poll_fn(|cx| exchange.poll_queued(cx, &mut batch)).await.unwrap();
    batch.0
}

fn spawn_asker(exchange: &Arc<Exchange<Log>>) -> tokio::task::JoinHandle<Result<Bytes, LinkError>> {
    let exchange = Arc::clone(exchange);
    tokio::spawn(async move { exchange.ask(b"x")?.answer().await.map(|(answer, _)| answer) })
}

#[tokio::test]
async fn each_answer_goes_to_who_asked() {
    let (exchange, unmatched) = exchange();
    let askers: Vec<_> = (0..100).map(|_| spawn_asker(&exchange)).collect();
    let mut ids = Vec::new();
    while ids.len() < 100 {
        ids.extend(queued(&exchange).await.into_iter().map(|(id, _)| id));
    }
    // Askers ran in the order they were spawned; the answers come the other way round.
    let answer = |id: &u16| (u64::from(*id), Bytes::copy_from_slice(&id.to_be_bytes()));
    exchange.deliver(ids.iter().rev().map(answer));
    for (asker, id) in askers.into_iter().zip(ids) {
        assert_eq!(asker.await.unwrap().unwrap(), id.to_be_bytes().as_slice());
    }
    // Nobody has asked, or not any more.
    exchange.deliver([(u64::MAX, Bytes::new()), (7, Bytes::new())]);
    assert_eq!(unmatched.get(), 2);
}

#[tokio::test]
async fn all_that_are_ready_to_ask_are_in_one_batch() {
    let (exchange, _) = exchange();
    // Something is in flight already.
    let slow = exchange.ask(b"slow").unwrap();
    assert_eq!(queued(&exchange).await.len(), 1);
    let askers: Vec<_> = (0..50).map(|_| spawn_asker(&exchange)).collect();
    assert_eq!(queued(&exchange).await.len(), 50);
    askers.iter().for_each(|asker| asker.abort());
    drop(slow);
}

#[tokio::test]
async fn a_question_that_is_alone_goes_out_at_once() {
    let (exchange, _) = exchange();
    let asked = exchange.ask(b"x").unwrap();
    let mut batch = Log::default();
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(exchange.poll_queued(&mut cx, &mut batch), Poll::Ready(Some(())));
    drop(asked);
}

#[tokio::test]
async fn losing_the_connection_tells_everyone_at_once() {
    let (exchange, _) = exchange();
    let waiting: Vec<_> = (0..3).map(|_| spawn_asker(&exchange)).collect();
    let _ = queued(&exchange).await;
    exchange.fail("cut");
    for task in waiting {
        assert_eq!(task.await.unwrap(), Err(LinkError::Lost("cut".into())));
    }
    assert_eq!(exchange.ask(b"x").err(), Some(LinkError::Lost("cut".into())));
    exchange.lost().await;
}

#[test]
fn octets_that_nobody_writes_are_bounded() {
    let (exchange, _) = exchange();
    let large = exchange.ask(&vec![0; MAX_QUEUED]);
    assert!(large.is_ok());
    assert_eq!(exchange.ask(b"x").err(), Some(LinkError::Full));
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_may_be_waited_for_on() {
    let unmatched = IntCounter::new("unmatched", "help").unwrap();
    let exchange: Arc<Exchange<Log>> = Exchange::new(Some(Duration::from_millis(150)), unmatched);
    let watched = Arc::clone(&exchange);
    let mut watch = LateWatch::new();
    let watching = tokio::spawn(poll_fn(move |cx| {
        watch.poll(cx, &watched);
        Poll::<()>::Pending
    }));
    tokio::task::yield_now().await;
    let began = Instant::now();
    let mut first = exchange.ask(b"x").unwrap();
    let id = u64::from(exchange.lock().queue.0[0].0);
    tokio::time::advance(Duration::from_millis(100)).await;
    let mut second = exchange.ask(b"x").unwrap();
    assert!(first.in_time().await.is_none());
    assert_eq!(began.elapsed().as_millis(), 150);
    assert!(second.in_time().await.is_none());
    assert_eq!(began.elapsed().as_millis(), 250);
    exchange.deliver([(id, Bytes::from_static(b"late"))]);
    let (answer, took) = first.answer().await.unwrap();
    assert_eq!((answer.as_ref(), took.as_millis()), (b"late".as_slice(), 250));
    watching.abort();
}
