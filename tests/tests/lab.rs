//! `gatewayctl lab`, the first thing a newcomer runs: it must work, show the truth, and leave nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use strait_tests::program::binary;
use strait_tests::{Folder, Program, ask_udp, gatewayctl, lines, query, until};

/// Labs want the same ports; one that begins while another does could take those it has just chosen.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the lab once and returns what it printed.
fn once(transport: &str) -> String {
    let folder = Folder::new();
    let dir = folder.path("lab");
    let output = gatewayctl(&["lab", "--once", "--transport", transport, "--dir", &dir.to_string_lossy()]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!dir.exists(), "the folder stays behind");
    shown
}

#[test]
fn both_directions_are_asked_and_shown_over_every_road() {
    let _alone = alone();
    for (transport, roads) in [
        ("both", ["cluster-a asks cluster-b over DNS over TLS", "cluster-b asks cluster-a over gRPC"]),
        ("dot", ["cluster-a asks cluster-b over DNS over TLS", "cluster-b asks cluster-a over DNS over TLS"]),
        ("grpc", ["cluster-a asks cluster-b over gRPC", "cluster-b asks cluster-a over gRPC"]),
    ] {
        let shown = once(transport);
        let peering = "peer add cluster-b --suffix cluster-b.example.com --endpoint ";
        for expected in roads.into_iter().chain([peering, "Every answer is right."]) {
            assert!(shown.contains(expected), "{transport}: {expected} is not in\n{shown}");
        }
        for (name, address) in [("cluster-b", "10.2.0.20"), ("cluster-a", "10.1.0.20")] {
            let (name, end) = (format!("  web.shop.svc.{name}.example.com. "), format!(" IN A {address}"));
            let answered = shown.lines().any(|line| line.starts_with(&name) && line.ends_with(&end));
            assert!(answered, "{transport}: {name} {end} is not in\n{shown}");
        }
        assert!(!shown.contains("cluster.local. "), "a name of home came through:\n{shown}");
    }
}

#[test]
fn it_stays_up_until_it_is_told_to_end_and_then_nothing_is_left() {
    let _alone = alone();
    let folder = Folder::new();
    let dir = folder.path("lab");
    let mut lab = Program::start("gatewayctl", &["lab", "--dir", &dir.to_string_lossy()]);
    lab.wait_log(&["Ctrl-C ends it"]);
    // The lines it says to try are the truth.
    let line = lab.wait_log(&["  dig +noall +answer -p ", " web.shop.svc.cluster-b.example.com"]);
    let port = line.split_whitespace().skip_while(|word| *word != "-p").nth(1).unwrap().parse().unwrap();
    let agent = SocketAddr::from(([127, 0, 0, 1], port));
    let answer = ask_udp(agent, &query("web.shop.svc.cluster-b.example.com", "A")).unwrap();
    assert!(lines(&answer).iter().any(|line| line.contains("10.2.0.20")), "{:?}", lines(&answer));

    lab.signal("TERM");
    assert!(lab.wait().success(), "{}", lab.log());
    assert!(!dir.exists(), "the folder stays behind");
    until("the node-agent to be gone", || std::net::TcpStream::connect(agent).is_err());
}

#[test]
fn a_program_that_is_missing_is_named_with_the_remedy() {
    let folder = Folder::new();
    let alone = folder.path("gatewayctl");
    std::fs::copy(binary("gatewayctl"), &alone).unwrap();
    let output = strait_tests::program::run(std::process::Command::new(&alone).arg("lab"));
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("gateway: not there, and the lab needs it; build it: cargo build --workspace"), "{error}");
}
