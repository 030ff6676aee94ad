//! Bad input as the programs meet it: each case with the exact message that a user gets, and nothing changed by it.
//!
//! Broken configurations and zone files have their table beside the code that reads them: `crates/config/tests/broken`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic with its cause is the report")]
#![allow(clippy::print_stderr, reason = "the case that fails is told to whoever runs the tests")]

mod arguments;
mod certificates;
mod peer_file;

use std::process::{Command, Output};

use strait_tests::cluster::succeed;
use strait_tests::program::{binary, run};
use strait_tests::{Cluster, ClusterPlan, Folder, Home};

/// Runs one of the programs to its end.
fn call(program: &str, arguments: &[&str]) -> Output {
    run(Command::new(binary(program)).args(arguments))
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A cluster that has `cluster-b` as peer; nobody answers for it.
fn with_a_peer() -> Cluster {
    let cluster = ClusterPlan::new("cluster-a", Home::Zones(&["web.shop.svc A 10.1.0.1"]))
        .agent("zones: [{ name: static.example, records: [{ name: api, type: A, value: 192.0.2.1 }] }]")
        .start();
    let ca = authority(&cluster.folder, "cluster-b.example.com");
    cluster.ctl_ok(&[
        "peer",
        "add",
        "cluster-b",
        "--suffix",
        "cluster-b.example.com",
        "--endpoint",
        "tls://127.0.0.1:9",
        "--ca",
        &ca,
    ]);
    cluster
}

/// The path of a new CA certificate, in a folder of the trust domain's name.
fn authority(folder: &Folder, trust_domain: &str) -> String {
    let dir = folder.path(trust_domain).to_string_lossy().into_owned();
    succeed(&["pki", "init", "--trust-domain", trust_domain, "--dir", &dir]);
    format!("{dir}/ca.crt")
}
