//! One of two gateways of a peer dies under a steady stream of questions, and comes back.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::print_stdout, reason = "figures for whoever reads the output of the tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use strait_tests::client::{query, udp};
use strait_tests::{Cluster, ClusterPlan, Home, until};
use strait_wire::{Message, Rcode};

/// Clients that ask one after another, each question for a name of its own so that no cache helps.
struct Stream {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Stream {
    fn start(agent: SocketAddr, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let client = |number: usize| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            std::thread::spawn(move || ask_on(agent, number, &stop, &answered))
        };
        Self { clients: (0..clients).map(client).collect(), stop, answered }
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until so many more have been answered.
    fn wait_for(&self, more: usize) {
        let from = self.answered();
        until(&format!("{more} more answers"), || self.answered() >= from + more);
    }

    /// What was lost, in words.
    fn finish(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    }
}

fn ask_on(agent: SocketAddr, client: usize, stop: &AtomicBool, answered: &AtomicUsize) -> Vec<String> {
    let socket = udp(agent).unwrap();
    let mut lost = Vec::new();
    let mut buffer = [0; 1232];
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let question =
            Message { id: number as u16, ..query(&format!("q{client}-{number}.any.svc.cluster-b.example.com"), "A") };
        socket.send(&question.to_wire().unwrap()).unwrap();
        let answer = socket.recv(&mut buffer).map(|len| Message::parse(&buffer[..len]).unwrap());
        match answer {
            Ok(answer) if answer.rcode == Rcode::NOERROR && answer.answers.len() == 1 => {
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(answer) => {
                lost.push(format!("q{client}-{number}: {} {:?}", answer.rcode, answer.edns.and_then(|e| e.ede())))
            }
            Err(error) => lost.push(format!("q{client}-{number}: {error}")),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    lost
}

fn endpoint_up(a: &mut Cluster, url: &str) -> f64 {
    a.agent().metric(&format!("strait_peer_endpoint_up{{endpoint=\"{url}\""))
}

fn one_of_two_gateways_dies(scheme: &str) {
    let mut a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).start();
    let mut b = ClusterPlan::new("cluster-b", Home::Zones(&["*.any.svc A 10.2.0.9"])).gateways(2).start();
    let endpoints = b.endpoints(scheme);
    a.add_peer(&b, &endpoints);
    b.add_peer(&a, &a.endpoints(scheme));
    a.resolve("first.any.svc.cluster-b.example.com");
    until("both endpoints to be up", || endpoints.iter().all(|url| endpoint_up(&mut a, url) == 1.0));

    let stream = Stream::start(a.dns, 4);
    stream.wait_for(500);
    b.gateways[0].kill();
    stream.wait_for(500);
    until("the dead endpoint to be seen down", || endpoint_up(&mut a, &endpoints[0]) == 0.0);
    assert_eq!(endpoint_up(&mut a, &endpoints[1]), 1.0);
    // The operator's view tells the same story.
    until("peer list to say degraded", || a.ctl_ok(&["peer", "list"]).contains("degraded"));
    let shown = a.ctl_ok(&["peer", "show", "cluster-b"]);
    assert!(shown.contains("down") && shown.contains(&endpoints[0]), "{shown}");

    b.gateways[0].revive();
    let back = std::time::Instant::now();
    until("the endpoint to be back", || endpoint_up(&mut a, &endpoints[0]) == 1.0);
    println!("{scheme}: back after {:?}", back.elapsed());
    stream.wait_for(500);
    let served = format!("strait_peer_endpoint_requests_total{{endpoint=\"{}\"", endpoints[0]);
    let before = a.agent().metric(&served);
    until("the endpoint to be asked again", || a.agent().metric(&served) > before);
    let lost = stream.finish();
    assert!(lost.is_empty(), "{} questions were lost:\n{}", lost.len(), lost.join("\n"));
}

#[test]
fn over_dns_over_tls_no_question_is_lost() {
    one_of_two_gateways_dies("tls");
}

#[test]
fn over_grpc_no_question_is_lost() {
    one_of_two_gateways_dies("grpc");
}
