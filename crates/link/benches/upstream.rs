//! What a question to an ordinary upstream costs over UDP: `cargo bench -p strait-link --bench upstream`.
//!
//! One thread runs an [`UpstreamGroup`]; its CPU time is what counts. A server in another thread answers on loopback, one
//! datagram at a time, as the plainest of servers do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::Registry;
use rustix::time::{ClockId, clock_gettime};
use strait_link::{LinkMetrics, UpstreamGroup, UpstreamServer, UpstreamServers, UpstreamSettings};
use strait_resolve::{Ask, Source};
use strait_wire::{Class, ClusterPath, Name, Question, RecordType};

/// From one burst to the next: the server has gone to sleep in between.
const PAUSE: Duration = Duration::from_millis(1);

fn main() {
    // `cargo bench` hands flags over; a number is how many questions are asked in each round.
    let questions = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(200_000);
    let server = serve();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let group = start(server);
        for in_flight in [1, 10, 100] {
            let each = questions.min(in_flight * 20_000) / in_flight;
            measure(&format!("{in_flight} in flight"), in_flight * each, together(&group, in_flight, each)).await;
        }
        for burst in [1, 10, 100] {
            let bursts = questions.min(burst * 1_000) / burst;
            let all = async {
                for _ in 0..bursts {
                    together(&group, burst, 1).await;
                    tokio::time::sleep(PAUSE).await;
                }
            };
            measure(&format!("in bursts of {burst}"), burst * bursts, all).await;
        }
    });
}

/// Prints what a question of a round takes.
async fn measure(what: &str, questions: usize, round: impl Future<Output = ()>) {
    let (began, cpu) = (Instant::now(), cpu_time());
    round.await;
    let per_question = |time: Duration| time.as_nanos() as f64 / 1000.0 / questions as f64;
    let (took, cpu) = (per_question(began.elapsed()), per_question(cpu_time() - cpu));
    println!("{what:>16}: {took:>8.2} µs a question, of CPU {cpu:>6.2} µs");
}

/// So many ask at a time, one question after the other.
async fn together(group: &Arc<UpstreamGroup>, askers: usize, each: usize) {
    let asking: Vec<_> = (0..askers)
        .map(|asker| {
            let group = Arc::clone(group);
            tokio::spawn(async move {
                for n in 0..each {
                    let name: Name = format!("n{n}.a{asker}.example.com").parse().unwrap();
                    let question = Question { name, rtype: RecordType::A, class: Class::IN };
                    let path = ClusterPath::default();
                    let ask = Ask { question, dnssec_ok: false, checking_disabled: false, path };
                    group.answer(&ask).await.unwrap();
                }
            })
        })
        .collect();
    for task in asking {
        task.await.unwrap();
    }
}

/// What this thread has used so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn start(server: SocketAddr) -> Arc<UpstreamGroup> {
    let settings = UpstreamSettings {
        name: ".".to_owned(),
        zone: Name::root(),
        servers: UpstreamServers::List(vec![UpstreamServer::Plain(server)]),
        exclude: vec![],
        ca: None,
        min_try_budget: Duration::from_secs(10),
        max_try_budget: Duration::from_secs(10),
        deadline: Duration::from_secs(10),
        max_outstanding: 10_000,
    };
    UpstreamGroup::start(settings, Arc::new(LinkMetrics::new(&Registry::new()).unwrap())).unwrap()
}

/// A server that has one address for every name.
fn serve() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            // Behind the question stands an OPT record without options.
            let end = len - 11;
            // QR, RD, RA; one question, one answer.
            buffer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
            let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 192, 0, 2, 1];
            buffer[end..end + record.len()].copy_from_slice(&record);
            let _ = socket.send_to(&buffer[..end + record.len()], from);
        }
    });
    address
}
