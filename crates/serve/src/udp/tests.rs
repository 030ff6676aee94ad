#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, SocketAddr};

use strait_datagram::{MAX_DATAGRAM, Sharing, SocketOptions};
use tokio::net::UdpSocket as Plain;
use tokio::task::JoinHandle;

use super::later::MAX_QUEUED;
use super::*;
use crate::metrics::UdpDrop;
use crate::testkit::*;

struct Served {
    script: Arc<Script>,
    metrics: Arc<ServeMetrics>,
    address: SocketAddr,
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

fn start(address: &str, workers: usize, max_in_work: usize) -> Served {
    let sockets =
        UdpSocket::open_group(address.parse().unwrap(), workers, Sharing::Alone, &SocketOptions::default()).unwrap();
    let address = sockets[0].local_addr();
    let (script, metrics, stop) = (Script::new(), metrics(), CancellationToken::new());
    let listener = UdpListener::new(sockets, Arc::<Script>::clone(&script), Arc::clone(&metrics));
    let ended = tokio::spawn(UdpListener { max_in_work, ..listener }.serve(stop.clone()));
    Served { script, metrics, address, stop, ended }
}

impl Served {
    async fn client(&self) -> Plain {
        let any = if self.address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let client = Plain::bind(any).await.unwrap();
        client.connect(self.address).await.unwrap();
        client
    }

    async fn answers(&self, n: u32) {
        let client = self.client().await;
        client.send(&message(NOW, n)).await.unwrap();
        assert_eq!(receive(&client).await, n);
    }
}

async fn receive(client: &Plain) -> u32 {
    let mut answer = [0; 512];
    let len = soon(client.recv(&mut answer)).await.unwrap();
    number(&answer[..len])
}

#[tokio::test]
async fn every_worker_answers_at_once_and_later() {
    let served = start("127.0.0.1:0", 3, 64);
    let mut clients = Vec::new();
    for n in 0..48 {
        let client = served.client().await;
        client.send(&message(if n % 2 == 0 { NOW } else { LATER }, n)).await.unwrap();
        clients.push(client);
    }
    for (n, client) in clients.iter().enumerate() {
        assert_eq!(receive(client).await, n as u32);
    }
}

#[tokio::test]
async fn what_is_answered_at_once_does_not_wait_for_the_runtime() {
    // This runtime has one thread, and here it does not run.
    let served = start("127.0.0.1:0", 1, 64);
    served.answers(1).await;
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    client.connect(served.address).unwrap();
    client.send(&message(HELD, 1)).unwrap();
    client.send(&message(NOW, 2)).unwrap();
    let mut answer = [0; 64];
    let len = client.recv(&mut answer).unwrap();
    assert_eq!(number(&answer[..len]), 2);
}

#[tokio::test]
async fn replies_leave_from_the_address_asked() {
    for (wildcard, asked) in [("0.0.0.0:0", ["127.0.0.1", "127.0.0.2", "127.0.0.3"].as_slice()), ("[::]:0", &["::1"])] {
        let served = start(wildcard, 2, 64);
        for asked in asked {
            let asked: IpAddr = asked.parse().unwrap();
            let client = served.client().await;
            // Connected: a reply from elsewhere would not reach it.
            client.connect(SocketAddr::new(asked, served.address.port())).await.unwrap();
            for (kind, n) in [(NOW, 1), (LATER, 2)] {
                client.send(&message(kind, n)).await.unwrap();
                assert_eq!(receive(&client).await, n, "{asked}");
            }
        }
    }
}

#[tokio::test]
async fn questions_over_the_bound_are_dropped_and_counted() {
    let served = start("127.0.0.1:0", 2, 2);
    let client = served.client().await;
    for n in 0..5 {
        client.send(&message(HELD, n)).await.unwrap();
    }
    eventually(|| served.metrics.udp_drop_count(UdpDrop::InWork) == 3).await;
    eventually(|| served.script.held() == 2).await;
    served.answers(9).await;
    // Answered, they give their places back.
    served.script.release();
    receive(&client).await;
    receive(&client).await;
    eventually(|| served.script.held() == 0).await;
    client.send(&message(LATER, 7)).await.unwrap();
    assert_eq!(receive(&client).await, 7);
}

#[tokio::test]
async fn one_client_does_not_take_the_places_of_the_others() {
    let served = start("127.0.0.1:0", 2, 16);
    let from = async |address: &str| {
        let client = Plain::bind(address).await.unwrap();
        client.connect(served.address).await.unwrap();
        client
    };
    let (greedy, modest) = (from("127.0.0.2:0").await, from("127.0.0.3:0").await);
    for n in 0..20 {
        greedy.send(&message(HELD, n)).await.unwrap();
    }
    // Alone on its node, a client has all places but a quarter.
    eventually(|| served.script.held() == 12).await;
    eventually(|| served.metrics.udp_drop_count(UdpDrop::ClientShare) == 8).await;
    modest.send(&message(LATER, 7)).await.unwrap();
    assert_eq!(receive(&modest).await, 7);
    // Answered, it gives its places back, and they are its own again.
    served.script.release();
    for _ in 0..12 {
        receive(&greedy).await;
    }
    eventually(|| served.script.held() == 0).await;
    for n in 0..12 {
        greedy.send(&message(HELD, n)).await.unwrap();
    }
    eventually(|| served.script.held() == 12).await;
    assert_eq!(served.metrics.udp_drop_count(UdpDrop::InWork), 0);
}

#[tokio::test]
async fn a_fault_on_the_way_costs_one_answer() {
    let served = start("127.0.0.1:0", 1, 64);
    let client = served.client().await;
    for kind in [LATE_FAULT, REPLY_FAULT] {
        client.send(&message(kind, 1)).await.unwrap();
        client.send(&message(LATER, 2)).await.unwrap();
        assert_eq!(receive(&client).await, 2);
    }
    eventually(|| served.metrics.udp_drop_count(UdpDrop::Fault) == 2).await;
}

#[tokio::test]
async fn questions_that_the_runtime_is_behind_with_are_dropped_and_counted() {
    // This runtime has one thread, and until the first `await` it does not run.
    let served = start("127.0.0.1:0", 1, 10 * MAX_QUEUED);
    served.answers(1).await;
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(served.address).unwrap();
    client.set_read_timeout(Some(std::time::Duration::from_millis(1))).unwrap();
    let (mut sent, mut octets) = (0, [0; 64]);
    while served.metrics.udp_drop_count(UdpDrop::Queue) == 0 && sent < 100 * MAX_QUEUED {
        client.send(&message(HELD, 7)).unwrap();
        sent += 1;
        // What is answered at once shows that the worker has come as far as this.
        client.send(&message(NOW, 8)).unwrap();
        while client.recv(&mut octets).is_err() {}
    }
    assert_eq!(sent, MAX_QUEUED + 1);
    // The others are taken into work when it runs, and there is room again.
    eventually(|| served.script.held() == MAX_QUEUED).await;
    served.answers(9).await;
    assert_eq!(served.metrics.udp_drop_count(UdpDrop::Queue), 1);
}

#[tokio::test]
async fn a_question_that_gets_no_reply_gives_its_place_back() {
    let served = start("127.0.0.1:0", 1, 1);
    let client = served.client().await;
    for n in 1..=3 {
        client.send(&message(GIVEN_UP, 0)).await.unwrap();
        eventually(|| served.script.given_up() == n).await;
    }
    client.send(&message(LATER, 7)).await.unwrap();
    assert_eq!(receive(&client).await, 7);
    assert_eq!(served.metrics.udp_drop_count(UdpDrop::InWork), 0);
}

#[tokio::test]
async fn a_datagram_longer_than_any_question_is_dropped_and_counted() {
    let served = start("127.0.0.1:0", 1, 2);
    let mut long = message(NOW, 1);
    long.resize(MAX_DATAGRAM + 1, 0);
    served.client().await.send(&long).await.unwrap();
    eventually(|| served.metrics.udp_drop_count(UdpDrop::Oversize) == 1).await;
    served.answers(2).await;
}

#[tokio::test]
async fn a_client_that_is_gone_does_not_end_the_worker() {
    let served = start("127.0.0.1:0", 1, 16);
    for kind in [HELD, NOW, HELD, NOW] {
        // The answer meets a closed port.
        let gone = Plain::bind("127.0.0.1:0").await.unwrap();
        gone.send_to(&message(kind, 1), served.address).await.unwrap();
        if kind == HELD {
            eventually(|| served.script.held() == 1).await;
        }
        drop(gone);
        served.script.release();
        eventually(|| served.script.held() == 0).await;
    }
    served.answers(2).await;
}

#[tokio::test]
async fn a_fault_costs_one_answer() {
    let served = start("127.0.0.1:0", 1, 16);
    served.client().await.send(&message(FAULT, 1)).await.unwrap();
    eventually(|| served.metrics.udp_drop_count(UdpDrop::Fault) == 1).await;
    served.answers(2).await;
}

#[tokio::test]
async fn a_reply_that_cannot_be_sent_is_counted() {
    let served = start("127.0.0.1:0", 1, 16);
    // UDP carries 65,507 octets at most.
    let client = served.client().await;
    client.send(&message(HUGE, 1)).await.unwrap();
    client.send(&message(NOW, 2)).await.unwrap();
    assert_eq!(receive(&client).await, 2);
    eventually(|| served.metrics.udp_drop_count(UdpDrop::Send) == 1).await;
}

#[tokio::test]
async fn empty_and_silent_datagrams_get_no_answer() {
    let served = start("127.0.0.1:0", 1, 2);
    let client = served.client().await;
    client.send(&[]).await.unwrap();
    client.send(&message(SILENT, 1)).await.unwrap();
    client.send(&message(NOW, 3)).await.unwrap();
    assert_eq!(receive(&client).await, 3);
}

#[tokio::test]
async fn stopping_ends_the_workers_and_what_is_in_work_is_still_answered() {
    let served = start("127.0.0.1:0", 3, 64);
    let client = served.client().await;
    client.send(&message(HELD, 1)).await.unwrap();
    eventually(|| served.script.held() == 1).await;
    served.stop.cancel();
    served.script.release();
    assert_eq!(receive(&client).await, 1);
    soon(served.ended).await.unwrap();
    // Every worker has closed its socket: the address is free, and not to be shared.
    UdpSocket::open(served.address, &SocketOptions::default()).unwrap();
}

#[tokio::test]
async fn dropping_the_listener_ends_the_workers() {
    let served = start("127.0.0.1:0", 3, 64);
    served.answers(1).await;
    served.ended.abort();
    eventually(|| UdpSocket::open(served.address, &SocketOptions::default()).is_ok()).await;
}
