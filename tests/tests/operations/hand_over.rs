//! One node-agent takes over from another on the same addresses: `handOver`.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use strait_tests::client::{ask_tcp, ask_udp, lines, query};
use strait_tests::program::{binary, run};
use strait_tests::{ClusterPlan, Folder, Home, Program, free_address, until};

use super::configuration;

/// The old agent and the new one: same addresses, same admin address, a socket each.
struct Pair {
    folder: Folder,
    dns: SocketAddr,
    admin: SocketAddr,
}

impl Pair {
    fn new() -> Self {
        Self { folder: Folder::new(), dns: free_address(), admin: free_address() }
    }

    fn start(&self, name: &str, more: &str) -> Program {
        let more = format!("lameduck: 500ms\nsocket: {name}.sock\n{more}");
        let config = self.folder.write(&format!("{name}.yaml"), configuration(self.dns, self.admin, &more));
        Program::start("node-agent", &["--config", &config.to_string_lossy()])
    }

    /// What `gatewayctl ready` says of one of them.
    fn ready(&self, name: &str) -> bool {
        let socket = self.folder.path(format!("{name}.sock"));
        run(Command::new(binary("gatewayctl")).arg("--socket").arg(socket).arg("ready")).status.success()
    }
}

#[test]
fn the_next_agent_takes_over_and_no_question_is_lost() {
    let pair = Pair::new();
    let mut old = pair.start("old", "handOver: true");
    until("the old agent to be ready", || pair.ready("old"));

    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let dns = pair.dns;
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            thread::spawn(move || {
                let question = query("api.static.example", "A");
                let mut lost = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    // A socket each time, so that both agents get some.
                    match ask_udp(dns, &question) {
                        Ok(answer) => assert_eq!(lines(&answer), ["api.static.example. A 192.0.2.1"]),
                        Err(error) => lost.push(error.to_string()),
                    }
                    asked.fetch_add(1, Ordering::Relaxed);
                }
                lost
            })
        })
        .collect();
    let more_asked = || {
        let before = asked.load(Ordering::Relaxed);
        until("more questions to be asked", || asked.load(Ordering::Relaxed) > before + 500);
    };

    more_asked();
    let new = pair.start("new", "handOver: true");
    until("the new agent to be ready", || pair.ready("new"));
    more_asked();
    old.signal("TERM");
    until("the old agent not to be ready", || !pair.ready("old"));
    assert!(pair.ready("new"), "each says it of itself");
    assert!(old.wait().success());
    more_asked();
    stop.store(true, Ordering::Relaxed);
    let lost: Vec<_> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    assert!(lost.is_empty(), "{} of {} questions lost: {lost:?}", lost.len(), asked.load(Ordering::Relaxed));

    // And over TCP; its connections end with the agent that has them, and new ones are the new one's.
    let answer = ask_tcp(pair.dns, &query("api.static.example", "A")).unwrap();
    assert_eq!(lines(&answer), ["api.static.example. A 192.0.2.1"]);
    assert_eq!(new.with_admin(pair.admin).get("/readyz").map(|(status, _)| status), Some(200));
}

#[test]
fn the_next_agent_takes_over_the_peers_of_the_node() {
    let home = || Home::Zones(&["web.shop.svc A 10.2.0.1"]);
    let mut a = ClusterPlan::new("cluster-a", home()).agent("handOver: true").start();
    let b = ClusterPlan::new("cluster-b", home()).start();
    a.add_peer(&b, &b.endpoints("tls"));
    b.add_peer(&a, &a.endpoints("tls"));
    let web = "web.shop.svc.cluster-b.example.com";
    let expected = a.resolve(web);
    for _ in 0..2 {
        a.wait_kept("cluster-b");
        let mut old = a.next_agent();
        // Both have the folder now; the next begins with what lies there.
        a.agent().wait_log(&["peers loaded from disk"]);
        a.agent().wait_log(&["peers in force"]);
        old.signal("TERM");
        assert!(old.wait().success());
        assert_eq!(a.resolve(web), expected);
    }
    // What comes now is kept by the one that is left.
    a.ctl_ok(&["peer", "remove", "cluster-b"]);
    a.wait_kept("\"peers\": []");
}

#[test]
fn without_it_an_address_is_one_agents() {
    for (first, second) in [("", ""), ("handOver: true", ""), ("", "handOver: true")] {
        let pair = Pair::new();
        let _old = pair.start("old", first);
        until("the first agent to be ready", || pair.ready("old"));
        let mut new = pair.start("new", second);
        assert_eq!(new.wait().code(), Some(1), "{first:?}, {second:?}");
        new.wait_log(&["cannot listen on", "another program listens there"]);
    }
}

#[test]
fn readiness_is_told_on_the_socket() {
    let pair = Pair::new();
    let _agent = pair.start("agent", "");
    until("the agent to be ready", || pair.ready("agent"));
    let socket = pair.folder.path("agent.sock");
    let output = run(Command::new(binary("gatewayctl")).arg("--socket").arg(socket).args(["ready", "-o", "json"]));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["ready"], true);
    assert_eq!(told["conditions"][0]["name"], "listening");
    // Nobody there: no probe waits.
    assert!(!pair.ready("nobody"));
}

#[test]
fn the_environment_names_the_node_where_the_file_does_not() {
    let folder = Folder::new();
    let named = folder.write("named.yaml", "node: of-the-file\nlisten: [\"127.0.0.1:0\"]\n");
    let open = folder.write("open.yaml", "listen: [\"127.0.0.1:0\"]\n");
    let printed = |config: &std::path::Path, node: &str| {
        let mut command = Command::new(binary("node-agent"));
        let output = run(command.env("STRAIT_NODE", node).arg("--print-config").arg("--config").arg(config));
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, text) = printed(&open, "ip-10-0-0-7.eu-central-1.compute.internal");
    assert!(code == Some(0) && text.starts_with("node: ip-10-0-0-7.eu-central-1.compute.internal\n"), "{text}");
    let (code, text) = printed(&named, "of-the-environment");
    assert!(code == Some(0) && text.starts_with("node: of-the-file\n"), "{text}");
    let (code, text) = printed(&open, "no/name");
    assert!(code == Some(2) && text.contains("STRAIT_NODE: \"no/name\" cannot be used as a name"), "{text}");
}
