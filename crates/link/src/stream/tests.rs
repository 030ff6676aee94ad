use std::sync::Mutex;

use strait_identity::{Alpn, PeerExpectation, Role, TrustStore};
use tokio::io::{AsyncReadExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::question::{Padding, encode};
use crate::testing::cluster::Cluster;
use crate::testing::{answer, ask, eventually, serve_stream, serve_tcp, wire};

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

/// Keeps what each write that passes through it wrote.
struct Tap<T>(T, Arc<Mutex<Vec<Vec<u8>>>>);

impl<T: AsyncRead + Unpin> AsyncRead for Tap<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Tap<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.0).poll_write(cx, buf))?;
        self.1.lock().unwrap().push(buf[..count].to_vec());
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// RFC 7766 6.2.1.1 wants few small writes; with TLS each would be a record of its own.
#[tokio::test]
async fn what_is_queued_at_a_moment_is_one_tls_record_and_one_write() {
    let (ours, theirs) = (Cluster::new("cluster-a.example.com"), Cluster::new("cluster-b.example.com"));
    let (client, server) = tokio::io::duplex(1 << 20);
    let script = |query: &[u8]| {
        let slow = query.windows(4).any(|w| w == b"slow");
        (!slow).then(|| (Duration::ZERO, reply(query)))
    };
    let acceptor = theirs.acceptor(Role::Gateway, &ours);
    tokio::spawn(async move { serve_stream(acceptor.accept(server).await.unwrap(), script).await });
    let expected = PeerExpectation { trust_domain: "cluster-b.example.com".parse().unwrap(), role: Role::Gateway };
    let trust = Arc::new(TrustStore::new([theirs.bundle()]));
    let credentials = ours.credentials(Role::NodeAgent("w1".into()));
    let config = strait_identity::client_config(&credentials, trust, expected, Alpn::Dot);
    let writes = Arc::<Mutex<Vec<Vec<u8>>>>::default();
    let name = "localhost".try_into().unwrap();
    let tap = Tap(client, Arc::clone(&writes));
    let tls = tokio_rustls::TlsConnector::from(config).connect(name, tap).await.unwrap();
    let link = Arc::new(StreamLink::start(tls, None, IntCounter::new("unmatched", "help").unwrap()));

    // One is in flight, and stays so.
    let slow = question("slow.example");
    let slow = link.send(&slow).unwrap();
    link.ask(&question("first.example")).await.unwrap();
    writes.lock().unwrap().clear();
    let asking: Vec<_> = (0..100)
        .map(|i| {
            let link = Arc::clone(&link);
            tokio::spawn(async move { link.ask(&question(&format!("n{i}.example"))).await.unwrap() })
        })
        .collect();
    for task in asking {
        task.await.unwrap();
    }
    let writes = writes.lock().unwrap();
    assert_eq!(writes.len(), 1, "one write for 100 questions");
    // Type 23 (application data), version, length, and no other record behind it.
    let (head, rest) = writes[0].split_at(5);
    assert_eq!((head[0], usize::from(u16::from_be_bytes([head[3], head[4]]))), (23, rest.len()));
    drop(slow);
}

/// Whoever drops a link has it closed, even while the other end does not read.
#[tokio::test]
async fn a_link_that_is_dropped_closes() {
    let (client, mut server) = tokio::io::duplex(64);
    let link = StreamLink::start(client, None, IntCounter::new("unmatched", "help").unwrap());
    let (exchange, long) = (Arc::clone(&link.exchange), question("a.example").repeat(10));
    let asked = link.send(&long).unwrap();
    tokio::task::yield_now().await;
    drop(asked);
    drop(link);
    exchange.lost().await;
    let mut rest = Vec::new();
    server.read_to_end(&mut rest).await.unwrap();
    assert!(rest.len() < long.len());
}
