//! The way down: SIGTERM, lameduck, what is in work; a second SIGTERM; SIGHUP.

use std::time::Duration;

use strait_tests::client::{Stream, receive, tcp, udp};
use strait_tests::{Folder, Reply, ScriptedServer, lines, query, until};

use super::Node;

#[test]
fn after_sigterm_it_is_not_ready_at_once_answers_through_the_lameduck_time_and_ends_with_0() {
    let mut node = Node::start_in(Folder::new(), "lameduck: 5s");
    node.program.signal("TERM");
    node.program.wait_log(&["shutting down: not ready any more, still answering"]);
    let (status, body) = node.program.get("/readyz").unwrap();
    assert_eq!(status, 503);
    assert!(body.contains(r#""running":"shutting down""#), "{body}");
    assert_eq!(node.program.get("/livez").unwrap().0, 200);
    node.knows_its_own_names();
    assert_eq!(node.program.wait().code(), Some(0));
    assert!(node.program.log().contains("shutting down: finishing what is in work"));
}

#[test]
fn what_is_in_work_at_the_end_is_answered() {
    let slow =
        ScriptedServer::start(|received| vec![Reply::address(received, "192.0.2.9").after(Duration::from_millis(400))]);
    let mut node = Node::start(&format!("upstreams: {{ servers: [\"{}\"] }}", slow.address()));
    let datagrams = udp(node.dns).unwrap();
    let mut stream: Stream<_> = tcp(node.dns).unwrap();
    datagrams.send(&query("udp.slow.example", "A").to_wire().unwrap()).unwrap();
    stream.send(&[&query("tcp.slow.example", "A")]).unwrap();
    until("both questions to be in work", || slow.count("udp.slow.example") + slow.count("tcp.slow.example") >= 2);
    node.program.signal("TERM");
    assert_eq!(lines(&receive(&datagrams).unwrap()), ["udp.slow.example. A 192.0.2.9"]);
    assert_eq!(lines(&stream.receive().unwrap()), ["tcp.slow.example. A 192.0.2.9"]);
    assert_eq!(node.program.wait().code(), Some(0));
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    let mut node = Node::start_in(Folder::new(), "lameduck: 5m");
    node.program.signal("TERM");
    node.program.wait_log(&["shutting down: not ready any more"]);
    node.program.signal("TERM");
    assert_eq!(node.program.wait().code(), Some(1));
    assert!(node.program.log().contains("a second signal: ending at once"));
}

#[test]
fn sighup_ends_nothing_and_says_what_to_do() {
    let node = Node::start("");
    node.program.signal("HUP");
    node.program.wait_log(&["SIGHUP", "restart to change it"]);
    node.knows_its_own_names();
}
