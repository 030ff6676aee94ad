//! Where the agent listens: IPv6 beside IPv4, UDP and TCP.

use std::net::{Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;

use strait_tests::client::{ask_tcp, ask_udp, lines, query};
use strait_tests::program::binary;
use strait_tests::tools::skip;
use strait_tests::{Folder, Program, free_address};

#[test]
fn it_answers_on_ipv6_as_on_ipv4_over_udp_and_tcp() {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return skip("this machine has no IPv6 loopback address");
    }
    let (four, admin) = (free_address(), free_address());
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, four.port()));
    let folder = Folder::new();
    let config = super::configuration(four, admin, "lameduck: 0s")
        .replace(&format!("[\"{four}\"]"), &format!("[\"{four}\", \"{six}\"]"));
    assert!(config.contains(&six.to_string()));
    let config = folder.write("agent.yaml", config);
    let agent = Program::daemon("node-agent", &config, admin);
    for address in [four, six] {
        let query = query("api.static.example", "A");
        for answer in [ask_udp(address, &query), ask_tcp(address, &query)] {
            assert_eq!(lines(&answer.unwrap()), ["api.static.example. A 192.0.2.1"], "{address}");
        }
    }
    for transport in ["udp", "tcp"] {
        let asked = format!("strait_requests_total{{transport=\"{transport}\"");
        assert_eq!(agent.metric(&asked), 2.0);
    }
}

#[test]
fn idle_connections_do_not_use_up_the_file_descriptors() {
    let (dns, admin) = (free_address(), free_address());
    let folder = Folder::new();
    let config = folder.write("agent.yaml", super::configuration(dns, admin, "lameduck: 0s"));
    // At first 64, of 128 that may be had.
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -Sn 64 && ulimit -Hn 128 && exec \"$0\" \"$@\""]).arg(binary("node-agent"));
    shell.arg("--config").arg(&config);
    let mut agent = Program::start_command("node-agent", &mut shell).with_admin(admin);
    agent.wait_ready();
    agent.wait_log(&["open files", "descriptors=128", "max_connections=64", "max_handshakes=16"]);
    let _idle: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(dns).unwrap()).collect();
    let refused = || agent.metric("strait_connections_refused_total{reason=\"client\"");
    strait_tests::until("the connections over one client's share to be closed", || refused() >= 184.0);
    assert_eq!(agent.metric("strait_connections_refused_total{reason=\"system\""), 0.0);
    assert_eq!(agent.get("/livez").map(|(status, _)| status), Some(200));
    assert_eq!(lines(&ask_udp(dns, &query("api.static.example", "A")).unwrap()), ["api.static.example. A 192.0.2.1"]);
}
