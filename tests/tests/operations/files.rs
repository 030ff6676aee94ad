//! Files that change while the agent runs: resolv.conf and hosts files.

use std::net::{SocketAddr, UdpSocket};

use strait_tests::tools::skip;
use strait_tests::{Folder, ScriptedServer, until};

use super::Node;

#[test]
fn a_changed_resolv_conf_counts_within_seconds_and_a_lost_one_changes_nothing() {
    // A resolv.conf names no ports; these addresses are ours alone.
    let addresses = ["127.53.7.1:53", "127.53.7.2:53"].map(|address| address.parse::<SocketAddr>().unwrap());
    if UdpSocket::bind(addresses[0]).is_err() {
        return skip("port 53 may not be bound");
    }
    let first = ScriptedServer::start_at(addresses[0], |r| vec![strait_tests::Reply::address(r, "192.0.2.1")]);
    let second = ScriptedServer::start_at(addresses[1], |r| vec![strait_tests::Reply::address(r, "192.0.2.2")]);
    let folder = Folder::new();
    folder.write("resolv.conf", "nameserver 127.53.7.1\n");
    let node = Node::start_in(folder, "lameduck: 0s\nupstreams: { resolvConf: resolv.conf }");
    let mut number = 0;
    // A name of its own each time, so that no cache helps.
    let mut next = || {
        number += 1;
        node.resolve(&format!("n{number}.example"))
    };
    assert!(next()[0].ends_with("A 192.0.2.1"));
    assert_eq!(second.received().len(), 0);

    node.folder.write("resolv.conf", "# the network has changed\nnameserver 127.53.7.2\n");
    until("the new upstream to be asked", || next()[0].ends_with("A 192.0.2.2"));
    node.program.wait_log(&["upstreams in force", "127.53.7.2:53"]);
    let asked = first.received().len();

    std::fs::remove_file(node.path("resolv.conf")).unwrap();
    node.program.wait_log(&["no upstreams can be read from the file; the last ones stay in force", "resolv.conf"]);
    node.folder.write("resolv.conf", "search example.com\n");
    node.program.wait_log(&["the last ones stay in force", "nameserver"]);
    assert!(next()[0].ends_with("A 192.0.2.2"));
    assert_eq!(first.received().len(), asked, "the old upstream is asked no more");
    assert_eq!(node.program.metric("strait_upstream_up{"), 1.0, "the old upstream's series is gone");
}

#[test]
fn a_changed_hosts_file_counts_within_seconds_also_for_cached_names() {
    let upstream = ScriptedServer::with_address("192.0.2.80");
    let folder = Folder::new();
    folder.write("hosts", "192.0.2.7 seven.example\n");
    let more = format!(
        "lameduck: 0s\nhosts: {{ files: [hosts], ttl: 60 }}\nupstreams: {{ servers: [\"{}\"] }}",
        upstream.address()
    );
    let node = Node::start_in(folder, &more);
    assert_eq!(node.resolve("seven.example"), ["seven.example. A 192.0.2.7"]);
    // The upstream's answer is in the cache for five minutes.
    assert_eq!(node.resolve("eight.example"), ["eight.example. A 192.0.2.80"]);

    node.folder.write("hosts", "192.0.2.8 eight.example # new\n192.0.2.300 bad.example\n");
    until("the new entry to be told", || node.resolve("eight.example") == ["eight.example. A 192.0.2.8"]);
    assert_eq!(node.resolve("seven.example"), ["seven.example. A 192.0.2.80"], "the old entry is gone");
    node.program.wait_log(&["left out of the hosts files", "hosts:2:1", "192.0.2.300"]);

    // Touched, but the names are the same: the cache is kept.
    let asked = upstream.count("seven.example");
    node.folder.write("hosts", "192.0.2.8 eight.example\n");
    until("the file to be read again", || node.program.log().matches("hosts files read").count() >= 3);
    assert_eq!(node.resolve("seven.example"), ["seven.example. A 192.0.2.80"]);
    assert_eq!(upstream.count("seven.example"), asked);

    // Gone, perhaps to be written anew: the names stay.
    std::fs::remove_file(node.folder.path("hosts")).unwrap();
    node.program.wait_log(&["cannot be read any more", "last names stay in force"]);
    assert_eq!(node.resolve("eight.example"), ["eight.example. A 192.0.2.8"]);
}
