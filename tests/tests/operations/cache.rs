//! The answer cache as an operator sees it: shown, and made to forget.

use std::os::unix::fs::PermissionsExt;

use strait_tests::program::gatewayctl;
use strait_tests::{ClusterPlan, Home, ScriptedServer};

use super::Node;

#[test]
fn an_agents_cache_forgets_a_name_a_zone_or_all() {
    let upstream = ScriptedServer::with_address("192.0.2.1");
    let folder = strait_tests::Folder::new();
    let socket = folder.path("agent.sock");
    let more = format!(
        "lameduck: 0s\nsocket: \"{}\"\nupstreams: {{ servers: [\"{}\"] }}",
        socket.display(),
        upstream.address()
    );
    let node = Node::start_in(folder, &more);
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let ctl = |arguments: &[&str]| {
        let socket = socket.to_string_lossy();
        let output = gatewayctl(&[&["--socket", &*socket, "cache"], arguments].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let names = ["a.example", "b.a.example", "c.example"];
    names.iter().for_each(|name| assert_eq!(node.resolve(name).len(), 1));
    let shown: serde_json::Value = serde_json::from_str(&ctl(&["show", "-o", "json"])).unwrap();
    assert_eq!((&shown["entries"], &shown["zones"][0]["zone"]), (&3.into(), &".".into()));
    // What is flushed is asked for anew, and nothing else.
    for (arguments, said, counts) in [
        (&["flush", "--name", "c.example"][..], "1 answer flushed\n", [1, 1, 2]),
        (&["flush", "--zone", "a.example"], "2 answers flushed\n", [2, 2, 2]),
        (&["flush", "--all"], "3 answers flushed\n", [3, 3, 3]),
    ] {
        assert_eq!(ctl(arguments), said);
        names.iter().for_each(|name| assert_eq!(node.resolve(name).len(), 1));
        assert_eq!(names.map(|name| upstream.count(name)), counts, "{arguments:?}");
    }
}

#[test]
fn a_gateways_cache_is_flushed_over_its_admin_socket() {
    let dns = ScriptedServer::with_address("10.1.0.1");
    let cluster = ClusterPlan::new("cluster-a", Home::ClusterDns(dns.address())).start();
    let name = "web.shop.svc.cluster-a.example.com";
    cluster.ctl_ok(&["query", name, "--via", "gateway"]);
    let shown = cluster.ctl_ok(&["cache", "show"]);
    assert!(shown.contains("\ncluster-a.example.com.  1 "), "{shown}");
    assert_eq!(cluster.ctl_ok(&["cache", "flush", "--name", name]), "1 answer flushed\n");
    assert_eq!(cluster.ctl_ok(&["cache", "flush", "--all"]), "0 answers flushed\n");
}
