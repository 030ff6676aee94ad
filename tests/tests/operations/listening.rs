//! Where the agent listens: IPv6 beside IPv4, UDP and TCP.

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};

use strait_tests::client::{ask_tcp, ask_udp, lines, query};
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
