#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use strait_resolve::Transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinHandle;

use super::*;
use crate::metrics::{Closed, Refused};
use crate::testkit::*;

const WORKERS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

struct Served {
    address: SocketAddr,
    script: Arc<Script>,
    metrics: Arc<ServeMetrics>,
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

async fn start(limits: StreamLimits) -> Served {
    let listeners = DnsListeners::bind(&["127.0.0.1:0".parse().unwrap()], WORKERS, Sharing::Alone).await.unwrap();
    let address = listeners.addresses()[0];
    let (script, metrics, stop) = (Script::new(), metrics(), CancellationToken::new());
    let ended =
        tokio::spawn(listeners.serve(Arc::<Script>::clone(&script), limits, Arc::clone(&metrics), stop.clone()));
    Served { address, script, metrics, stop, ended }
}

async fn udp_client(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    socket
}

async fn receive(socket: &UdpSocket) -> u32 {
    let mut answer = [0; 512];
    let len = soon(socket.recv(&mut answer)).await.unwrap();
    number(&answer[..len])
}

#[tokio::test]
async fn udp_and_tcp_answer_on_the_same_port() {
    let served = start(patient()).await;
    let udp = udp_client(served.address).await;
    udp.send(&message(NOW, 1)).await.unwrap();
    assert_eq!(receive(&udp).await, 1);
    let mut tcp = TcpStream::connect(served.address).await.unwrap();
    tcp.write_all(&frames([&message(LATER, 2)])).await.unwrap();
    assert_eq!(number(&soon(read_frame(&mut tcp)).await.unwrap()), 2);

    let origins = served.script.origins.lock().unwrap();
    assert_eq!(origins[0].transport, Transport::Udp);
    assert_eq!(origins[0].client, udp.local_addr().unwrap());
    assert_eq!(origins[0].keepalive, None, "RFC 7828 3.2.1: never over UDP");
    assert_eq!(origins[1].transport, Transport::Tcp);
    assert_eq!(origins[1].client, tcp.local_addr().unwrap());
    assert_eq!(origins[1].keepalive, Some(600), "60 s in units of 100 ms");
    assert!(origins.iter().all(|origin| origin.identity.is_none()));
}

#[tokio::test]
async fn a_slow_datagram_does_not_hold_back_a_fast_one() {
    let served = start(patient()).await;
    let udp = udp_client(served.address).await;
    udp.send(&message(HELD, 1)).await.unwrap();
    eventually(|| served.script.held() == 1).await;
    udp.send(&message(NOW, 2)).await.unwrap();
    assert_eq!(receive(&udp).await, 2);
    served.script.release();
    assert_eq!(receive(&udp).await, 1);
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_and_counted() {
    let served = start(StreamLimits { max_connections: 8, ..patient() }).await;
    // One client address may hold a quarter: two of eight.
    let mut held = Vec::new();
    for n in 0..2 {
        let mut tcp = TcpStream::connect(served.address).await.unwrap();
        tcp.write_all(&frames([&message(NOW, n)])).await.unwrap();
        assert_eq!(number(&soon(read_frame(&mut tcp)).await.unwrap()), n);
        held.push(tcp);
    }
    let mut third = TcpStream::connect(served.address).await.unwrap();
    assert!(matches!(soon(third.read(&mut [0; 8])).await, Ok(0) | Err(_)));
    assert_eq!(served.metrics.refused_count(Transport::Tcp, Refused::Client), 1);
    assert_eq!(served.metrics.transport(Transport::Tcp).open.get(), 2);

    held.pop();
    eventually(|| served.metrics.transport(Transport::Tcp).open.get() == 1).await;
    let mut fourth = TcpStream::connect(served.address).await.unwrap();
    fourth.write_all(&frames([&message(NOW, 4)])).await.unwrap();
    assert_eq!(number(&soon(read_frame(&mut fourth)).await.unwrap()), 4);
}

#[tokio::test]
async fn the_reason_of_a_closed_connection_is_counted() {
    let served = start(StreamLimits { idle_timeout: Duration::from_millis(50), ..patient() }).await;
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    assert_eq!(soon(idle.read(&mut [0; 8])).await.unwrap(), 0);
    drop(idle);
    eventually(|| served.metrics.closed_count(Transport::Tcp, Closed::Idle) == 1).await;
    assert_eq!(served.metrics.transport(Transport::Tcp).open.get(), 0);
}

#[tokio::test]
async fn stopping_finishes_questions_in_work_and_returns() {
    let served = start(patient()).await;
    let udp = udp_client(served.address).await;
    udp.send(&message(HELD, 1)).await.unwrap();
    let mut tcp = TcpStream::connect(served.address).await.unwrap();
    tcp.write_all(&frames([&message(HELD, 2)])).await.unwrap();
    eventually(|| served.script.held() == 2).await;

    served.stop.cancel();
    served.script.release();
    assert_eq!(receive(&udp).await, 1);
    assert_eq!(number(&soon(read_frame(&mut tcp)).await.unwrap()), 2);
    assert!(soon(read_frame(&mut tcp)).await.is_none());
    soon(served.ended).await.unwrap();
    // The address is free again.
    DnsListeners::bind(&[served.address], WORKERS, Sharing::Alone).await.unwrap();
}

#[tokio::test]
async fn dropping_the_server_stops_it() {
    let served = start(patient()).await;
    let mut tcp = TcpStream::connect(served.address).await.unwrap();
    tcp.write_all(&frames([&message(NOW, 1)])).await.unwrap();
    soon(read_frame(&mut tcp)).await.unwrap();
    served.ended.abort();
    assert!(soon(read_frame(&mut tcp)).await.is_none());
}
