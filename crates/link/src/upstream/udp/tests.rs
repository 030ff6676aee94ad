use prometheus::Registry;

use super::*;
use crate::LinkMetrics;
use crate::metrics::Kind;
use crate::testing::{ask, eventually};

/// Nothing stays behind: neither sockets nor the driver.
#[tokio::test]
async fn sockets_are_closed_after_a_while_and_the_driver_ends_with_its_road() {
    let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let metrics = Arc::new(LinkMetrics::new(&Registry::new()).unwrap());
    let metrics = metrics.server(Kind::Upstream, ".", &"test");
    let road = UdpRoad::new(server.local_addr().unwrap(), Arc::new(Ports::new([])), metrics);
    let until = Instant::now() + std::time::Duration::from_secs(60);
    let questions: Vec<_> = (0..100).map(|_| road.submit(&ask("www.example.com"), until).unwrap()).collect();
    let shared = Arc::clone(road.shared().unwrap());
    let sockets = || shared.lock().sockets();
    // The first of them are fresh.
    assert!((pool::OPEN..100).contains(&sockets()), "{}", sockets());
    drop(questions);
    eventually("all sockets are closed", || async { sockets() == 0 }).await;
    drop(road);
    eventually("the driver has ended", || async { Arc::strong_count(&shared) == 1 }).await;
}
