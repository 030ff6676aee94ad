use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::question::{Padding, encode};
use crate::testing::{answer, ask, eventually, serve_tcp, wire};

async fn link_to<S>(script: S) -> (Arc<StreamLink>, IntCounter, tokio::task::JoinHandle<()>)
where
    S: Fn(&[u8]) -> Option<(Duration, Vec<u8>)> + Send + Sync + Clone + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = serve_tcp(listener, script);
    let unmatched = IntCounter::new("unmatched", "help").unwrap();
    let link = StreamLink::start(TcpStream::connect(address).await.unwrap(), None, unmatched.clone());
    (Arc::new(link), unmatched, server)
}

fn question(name: &str) -> Vec<u8> {
    let ask = ask(name);
    encode(0, &ask, &ask.question.name, &ask.path, Padding::Off)
}

fn reply(query: &[u8]) -> Vec<u8> {
    wire(&answer(query, [192, 0, 2, 1]))
}

/// RFC 7766 6.2.1.1: a slow answer delays no other.
#[tokio::test]
async fn rfc7766_6_2_1_1_answers_come_out_of_order() {
    let (link, ..) = link_to(|query| {
        let slow = query.windows(4).any(|w| w == b"slow");
        Some((if slow { Duration::from_secs(3600) } else { Duration::ZERO }, reply(query)))
    })
    .await;
    let slow = tokio::spawn({
        let link = Arc::clone(&link);
        async move { link.ask(&question("slow.example")).await }
    });
    eventually("the slow question is in flight", || async { !link.exchange.is_idle() }).await;
    for i in 0..10 {
        let name = format!("n{i}.example");
        let answer = link.ask(&question(&name)).await.unwrap();
        assert!(strait_wire::Answer::check(&answer, &ask(&name).question, &strait_wire::Name::root()).is_ok());
    }
    assert!(!slow.is_finished());
    slow.abort();
}

#[tokio::test]
async fn ten_thousand_in_flight_on_one_connection() {
    let (link, unmatched, _server) = link_to(|query| Some((Duration::from_millis(200), reply(query)))).await;
    let asking: Vec<_> = (0..10_000)
        .map(|i| {
            let link = Arc::clone(&link);
            tokio::spawn(async move {
                let name = format!("n{i}.example");
                let response = link.ask(&question(&name)).await.unwrap();
                strait_wire::Answer::check(&response, &ask(&name).question, &strait_wire::Name::root()).unwrap();
            })
        })
        .collect();
    for task in asking {
        task.await.unwrap();
    }
    assert_eq!(unmatched.get(), 0);
}

#[tokio::test]
async fn a_cut_connection_fails_everything_at_once() {
    let (link, _, server) = link_to(|_| None).await;
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let link = Arc::clone(&link);
            tokio::spawn(async move { link.ask(&question("a.example")).await })
        })
        .collect();
    eventually("questions are in flight", || async { !link.exchange.is_idle() }).await;
    server.abort();
    for task in asking {
        assert!(matches!(task.await.unwrap(), Err(LinkError::Lost(_))));
    }
    link.exchange.lost().await;
}

#[tokio::test]
async fn what_nobody_asked_is_counted_and_dropped() {
    let (link, unmatched, _server) = link_to(|query| {
        let mut other = reply(query);
        other[0] ^= 0xff;
        Some((Duration::ZERO, other))
    })
    .await;
    let mut buffer = BytesMut::new();
    buffer.extend_from_slice(&[0, 3, 1, 2, 3, 0, 12, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    assert_eq!(next_answer(&mut buffer).map(|(id, _)| id), Some(NO_ID));
    assert_eq!(next_answer(&mut buffer).map(|(id, _)| id), Some(7));
    // One octet of a length is no message yet.
    assert_eq!(next_answer(&mut buffer), None);
    let waiting = tokio::spawn({
        let link = Arc::clone(&link);
        async move { link.ask(&question("a.example")).await }
    });
    eventually("the answer with another id is counted", || async { unmatched.get() == 1 }).await;
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[tokio::test]
async fn an_idle_connection_is_closed_when_that_is_wanted() {
    let (client, _server) = tokio::io::duplex(1024);
    let unmatched = IntCounter::new("unmatched", "help").unwrap();
    let link = StreamLink::start(client, Some(Duration::from_millis(20)), unmatched);
    link.exchange.lost().await;
    assert_eq!(link.exchange.cause(), Some(LinkError::Lost("the connection was idle".into())));
}

/// Counts the writes that pass through it.
struct CountingWrites<T>(T, Arc<std::sync::atomic::AtomicUsize>);

impl<T: AsyncRead + Unpin> AsyncRead for CountingWrites<T> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for CountingWrites<T> {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        std::pin::Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// RFC 7766 6.2.1.1 wants few small writes; with TLS each would be a record of its own.
#[tokio::test]
async fn what_is_queued_at_a_moment_is_one_write() {
    let (client, mut server) = tokio::io::duplex(1 << 20);
    let writes = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let unmatched = IntCounter::new("unmatched", "help").unwrap();
    let link = Arc::new(StreamLink::start(CountingWrites(client, Arc::clone(&writes)), None, unmatched));
    let asking: Vec<_> = (0..100)
        .map(|i| {
            let link = Arc::clone(&link);
            tokio::spawn(async move { link.ask(&question(&format!("n{i}.example"))).await })
        })
        .collect();
    for _ in 0..100 {
        let len = server.read_u16().await.unwrap();
        server.read_exact(&mut vec![0; usize::from(len)]).await.unwrap();
    }
    assert!(writes.load(std::sync::atomic::Ordering::Relaxed) <= 2);
    asking.into_iter().for_each(|task| task.abort());
}
