//! The admin pages: what they say, readiness and its causes, scrapers that misbehave, the admin socket.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::process::Command;

use strait_tests::program::{binary, run};
use strait_tests::{ClusterPlan, Home, ask, eventually, free_address, lines};

use super::Node;

#[test]
fn the_pages_are_there_and_nothing_else_is() {
    let node = Node::start("");
    assert_eq!(node.program.get("/livez"), Some((200, "ok\n".to_owned())));
    let (status, ready) = node.program.get("/readyz").unwrap();
    let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
    assert_eq!((status, ready), (200, serde_json::json!({ "ready": true, "conditions": { "listening": "ready" } })));
    let (status, page) = node.program.get("/metrics").unwrap();
    assert!(status == 200 && page.contains("# TYPE strait_build_info gauge\n"), "{page}");
    for path in ["/", "/config", "/metrics/", "/debug/pprof"] {
        assert_eq!(node.program.get(path).unwrap().0, 404, "{path}");
    }
}

#[test]
fn an_agent_whose_gateway_cannot_be_reached_is_not_ready_says_why_and_answers_static_names() {
    let mut cluster = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"]))
        .agent("zones: [{ name: static.example, records: [{ name: api, type: A, value: 192.0.2.1 }] }]")
        .start();
    cluster.wait_kept("generation");
    cluster.gateways[0].kill();
    cluster.agent().kill();
    std::fs::remove_file(cluster.folder.path("agent-peers.json")).unwrap();
    cluster.restart_agent();
    let (status, body) = eventually("the agent's readiness", || {
        cluster.agent().get("/readyz").filter(|(_, body)| body.contains("peers"))
    });
    let told: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 503, "{told}");
    let why = "no list of peers yet: none on disk, and the gateway has not been reached";
    assert_eq!(told["conditions"]["peers"], why);
    assert_eq!(cluster.agent().get("/livez").unwrap().0, 200, "a restart would not help");
    assert_eq!(lines(&cluster.ask("api.static.example", "A")), ["api.static.example. A 192.0.2.1"]);
    let gateway = format!("gateway=grpc://{}", cluster.gateway().seat.grpc);
    cluster.agent().wait_log(&["not connected to this cluster's gateway", &gateway]);

    cluster.gateways[0].revive();
    cluster.agent().wait_ready();
}

#[test]
fn scrapers_that_never_read_hold_up_neither_answers_nor_probes() {
    let node = Node::start("");
    let admin = node.program.admin();
    let requests = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200);
    let greedy: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(admin).unwrap();
            stream.set_nonblocking(true).unwrap();
            // As much as fits; not an octet of the answers is read.
            let _ = stream.write(requests.as_bytes());
            stream
        })
        .collect();
    for _ in 0..20 {
        node.knows_its_own_names();
        assert_eq!(node.program.get("/livez").map(|(status, _)| status), Some(200));
    }
    assert_eq!(node.program.get("/metrics").map(|(status, _)| status), Some(200));
    drop(greedy);
}

#[test]
fn two_gateways_share_neither_state_nor_socket_and_the_socket_is_its_owners() {
    let cluster = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).start();
    let seat = &cluster.gateway().seat;
    let socket = std::fs::metadata(&seat.socket).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);

    let text = std::fs::read_to_string(&seat.config).unwrap();
    let mut other = text.clone();
    for address in [seat.tls, seat.grpc, seat.admin] {
        other = other.replace(&address.to_string(), &free_address().to_string());
    }
    let (state, taken) = (cluster.folder.path("gateway-0-peers.json"), seat.socket.to_string_lossy().into_owned());
    let cases = [
        (
            other.replace(&taken, &cluster.folder.path("other.sock").to_string_lossy()),
            format!(
                "gateway: {} is in use by another process; two programs must not share it: give each its own `state`\n",
                state.display()
            ),
        ),
        (
            other.replace("gateway-0-peers.json", "other-peers.json"),
            format!("gateway: a daemon answers on {taken} already; stop it, or give this one its own `socket`\n"),
        ),
    ];
    for (config, expected) in cases {
        let path = cluster.folder.write("other.yaml", config);
        let output = run(Command::new(binary("gateway")).arg("--config").arg(path));
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(err.ends_with(&expected), "{err}");
        // The first one is none the worse for it.
        assert!(cluster.ctl_ok(&["status"]).contains("cluster-a"));
        assert_eq!(lines(&ask(cluster.dns, "nothing.example", "A")), [""; 0]);
    }
}
