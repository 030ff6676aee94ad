use std::sync::atomic::AtomicUsize;

use prometheus::Registry;
use tokio::net::TcpListener;

use super::*;
use crate::LinkMetrics;
use crate::metrics::Kind;
use crate::question::{Padding, encode};
use crate::testing::{CUT, ask, eventually, serve_stream};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(50);

/// When a question is overdue: not in these tests.
fn later() -> std::time::Instant {
    std::time::Instant::now() + LONG
}

/// A server that echoes; while `cut` is not zero it cuts the connection instead. Counts its connections.
async fn server() -> (SocketAddr, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connections, cut) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counter, cutting) = (Arc::clone(&connections), Arc::clone(&cut));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            let cutting = Arc::clone(&cutting);
            tokio::spawn(serve_stream(stream, move |query| {
                let cut =
                    cutting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
                Some((if cut { CUT } else { Duration::ZERO }, query.to_vec()))
            }));
        }
    });
    (address, connections, cut)
}

fn link(address: SocketAddr, limits: Limits) -> Arc<WarmLink> {
    let metrics = Arc::new(LinkMetrics::new(&Registry::new()).unwrap());
    WarmLink::new(address, Transport::Tcp, limits, metrics.server(Kind::Upstream, ".", &address))
}

fn kept(used_within: Duration, lifetime: Duration) -> Limits {
    Limits { idle: LONG, kept: Some(Kept { used_within, lifetime }) }
}

fn question() -> Vec<u8> {
    let ask = ask("www.example.com");
    encode(0, &ask, &ask.question.name, &ask.path, Padding::Off)
}

#[tokio::test]
async fn a_kept_connection_stands_before_anybody_asks() {
    let (address, connections, _) = server().await;
    let kept = link(address, kept(LONG, LONG));
    eventually("it is connected", || async { connections.load(Ordering::Relaxed) == 1 }).await;
    eventually("it is in place", || async { kept.alive().is_some() }).await;
    kept.ask(&question(), later()).await.unwrap();
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_connection_lost_while_in_use_is_made_again_before_the_next_question() {
    let (address, connections, _) = server().await;
    let kept = link(address, kept(LONG, LONG));
    kept.ask(&question(), later()).await.unwrap();
    kept.current.load().as_ref().unwrap().exchange.fail("cut");
    eventually("it is made again", || async { connections.load(Ordering::Relaxed) == 2 && kept.alive().is_some() })
        .await;
}

/// RFC 7766 6.2.3: what nobody uses is not held open.
#[tokio::test]
async fn rfc7766_6_2_3_a_connection_lost_while_idle_waits_for_the_next_question() {
    let (address, connections, _) = server().await;
    let limits = Limits { idle: SHORT, kept: Some(Kept { used_within: Duration::ZERO, lifetime: LONG }) };
    let kept = link(address, limits);
    kept.ask(&question(), later()).await.unwrap();
    eventually("it is closed", || async { kept.alive().is_none() }).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let before = connections.load(Ordering::Relaxed);
    assert!(kept.alive().is_none());
    kept.ask(&question(), later()).await.unwrap();
    assert_eq!(connections.load(Ordering::Relaxed), before + 1);
}

#[tokio::test]
async fn an_old_connection_is_replaced_and_what_is_in_flight_is_answered() {
    let (address, connections, _) = server().await;
    let kept = link(address, kept(LONG, SHORT));
    kept.ask(&question(), later()).await.unwrap();
    let first = kept.alive().unwrap();
    eventually("it is replaced", || async { kept.alive().is_some_and(|now| !Arc::ptr_eq(&now, &first)) }).await;
    assert!(connections.load(Ordering::Relaxed) >= 2);
    first.ask(&question()).await.unwrap();
}

/// RFC 7766 6.2.4.
#[tokio::test]
async fn a_connection_that_is_cut_under_a_question_is_made_again_once() {
    let (address, connections, cut) = server().await;
    let warm = link(address, Limits::TCP);
    cut.store(1, Ordering::Relaxed);
    warm.ask(&question(), later()).await.unwrap();
    assert_eq!(connections.load(Ordering::Relaxed), 2);
    cut.store(2, Ordering::Relaxed);
    assert!(matches!(warm.ask(&question(), later()).await, Err(LinkError::Lost(_))));
}

#[tokio::test]
async fn the_keeper_ends_with_its_link() {
    let (address, connections, _) = server().await;
    let warm = link(address, kept(LONG, LONG));
    eventually("it is connected", || async { warm.alive().is_some() }).await;
    let (weak, exchange) = (Arc::downgrade(&warm), Arc::clone(&warm.alive().unwrap().exchange));
    drop(warm);
    eventually("it is closed", || async { exchange.cause().is_some() }).await;
    assert!(weak.upgrade().is_none());
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}
