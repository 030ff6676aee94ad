//! What `gatewayctl generate` prints, used: a CoreDNS with the block, an agent run as the manifest says.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic with its cause is the report")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use strait_tests::program::{binary, run};
use strait_tests::{ClusterPlan, Folder, Home, Program, ask, ask_udp, free_address, lines, query, until};

/// What a command of `gatewayctl` prints.
#[track_caller]
fn printed(arguments: &[&str]) -> String {
    let output = run(Command::new(binary("gatewayctl")).args(arguments));
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A CoreDNS in the path. It is nobody's package and takes long to build, so its absence is no failure: what it would be
/// told is compared word for word beside the code that prints it.
fn coredns() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).map(|folder| folder.join("coredns")).find(|path| path.is_file())
}

#[test]
fn coredns_sends_the_names_of_peers_to_the_agent_and_goes_on_answering_others() {
    let b = ClusterPlan::new("cluster-b", Home::Zones(&["web.shop.svc A 10.2.0.1"])).start();
    let a = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"])).start();
    b.add_peer(&a, &a.endpoints("tls"));
    a.add_peer(&b, &b.endpoints("tls"));
    let dns = free_address();
    // The agents' own address, which the agent of this test does not have.
    let (agent, port) = (format!("169.254.20.53:{}", a.dns.port()), dns.port().to_string());
    // Without a suffix: those of the gateway's peers.
    let block = a.ctl_ok(&["generate", "stub-domain", "--for", "coredns", "--agent", &agent, "--port", &port]);
    let block = block.replace(&agent, &a.dns.to_string());
    assert!(block.contains(&format!("\ncluster-b.example.com:{port} {{\n")), "{block}");
    let Some(coredns) = coredns() else { return };

    let folder = Folder::new();
    folder.write("home.zone", "@ 60 IN SOA ns h 1 2 3 4 5\n@ 60 IN NS ns\nhere 60 IN A 192.0.2.7\n");
    let zone = folder.path("home.zone");
    let home = format!(".:{port} {{\n    file {} cluster.local\n}}\n", zone.display());
    let corefile = folder.write("Corefile", format!("{home}\n{block}"));
    let _coredns = Program::start_command("coredns", Command::new(coredns).arg("-conf").arg(corefile));
    let answers = |name: &str, expected: &str| {
        let question = query(name, "A");
        until(&format!("CoreDNS to answer {name}"), || {
            ask_udp(dns, &question).is_ok_and(|answer| lines(&answer) == [expected])
        });
    };
    answers("here.cluster.local", "here.cluster.local. A 192.0.2.7");
    answers("web.shop.svc.cluster-b.example.com", "web.shop.svc.cluster-b.example.com. A 10.2.0.1");
}

#[test]
fn node_local_dns_must_be_told_where_to_listen() {
    let arguments =
        ["generate", "stub-domain", "--for", "node-local-dns", "--agent", "169.254.20.53", "--suffix", "b.example.com"];
    let output = run(Command::new(binary("gatewayctl")).args(arguments));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--for node-local-dns needs --bind"));
}

#[test]
fn a_manifest_runs_the_agent_and_kubelet_can_ask_it() {
    let (dns, admin) = (free_address(), free_address());
    let folder = Folder::new();
    folder.write("zones/static.zone", "@ 60 IN SOA ns h 1 2 3 4 5\n@ 60 IN NS ns\napi 60 IN A 192.0.2.1\n");
    let config = folder.write(
        "agent.yaml",
        format!(
            "listen: [\"{dns}\"]\nadmin: \"{admin}\"\nlameduck: 0s\nsocket: run/agent.sock\n\
             zones: [{{ name: static.example, file: zones/static.zone }}]\n"
        ),
    );
    let manifest = printed(&["generate", "static-pod", "--config", &config.to_string_lossy()]);
    let pod: Value = serde_saphyr::from_str(&manifest).unwrap();
    assert_eq!((&pod["kind"], &pod["apiVersion"]), (&"Pod".into(), &"v1".into()));
    let typed: k8s_openapi::api::core::v1::Pod = serde_json::from_value(pod.clone()).unwrap();
    let kept = serde_json::to_value(typed).unwrap();
    let container = &pod["spec"]["containers"][0];
    for key in container.as_object().unwrap().keys() {
        assert!(kept["spec"]["containers"][0].get(key).is_some(), "Kubernetes knows no {key}");
    }
    for key in pod["spec"].as_object().unwrap().keys() {
        assert!(kept["spec"].get(key).is_some(), "Kubernetes knows no {key}");
    }

    // Every file that the agent reads lies in a folder that is mounted where it is.
    let mounts: Vec<&str> = container["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mount| mount["mountPath"].as_str().unwrap())
        .collect();
    for file in ["agent.yaml", "zones/static.zone", "run/agent.sock"] {
        let path = folder.path(file).display().to_string();
        assert!(mounts.iter().any(|mount| path.starts_with(&format!("{mount}/"))), "{path} is not in {mounts:?}");
    }

    // As kubelet would: the command and its arguments, the node's name, and the probe.
    let words = |key: &str| {
        container[key].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (command, arguments) = (words("command"), words("args"));
    assert_eq!(container["env"][0]["name"], "STRAIT_NODE");
    let program = command[0].strip_prefix('/').unwrap();
    let mut agent =
        Program::start_command(program, Command::new(binary(program)).args(arguments).env("STRAIT_NODE", "node-1"));
    let probe = &container["readinessProbe"]["httpGet"];
    let asked: SocketAddr = format!("{}:{}", probe["host"].as_str().unwrap(), probe["port"]).parse().unwrap();
    assert_eq!((asked, &probe["path"]), (admin, &"/readyz".into()));
    agent = agent.with_admin(asked);
    agent.wait_ready();
    assert_eq!(lines(&ask(dns, "api.static.example", "A")), ["api.static.example. A 192.0.2.1"]);
}
