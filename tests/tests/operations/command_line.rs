//! `--help`, `--version`, `--check-config`, `--print-config`; exit codes and where text goes.

use std::process::Command;

use strait_tests::cluster::succeed;
use strait_tests::program::{binary, run};
use strait_tests::{Folder, free_address};

/// Exit code, standard output, standard error.
fn call(program: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = run(Command::new(binary(program)).args(arguments));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A folder with a good configuration of each program.
fn configurations() -> Folder {
    let folder = Folder::new();
    let at = |name: &str| folder.path(name).to_string_lossy().into_owned();
    succeed(&["pki", "init", "--trust-domain", "a.example.com", "--dir", &at("ca")]);
    succeed(&["pki", "issue", "gateway", "--dir", &at("ca"), "--out", &at("gw")]);
    succeed(&["pki", "issue", "node-agent", "--node", "node-1", "--dir", &at("ca"), "--out", &at("ag")]);
    folder.write("resolv.conf", "nameserver 192.0.2.53\n");
    folder.write("example.org.zone", "@ 300 IN SOA ns h 1 2 3 4 5\n@ 300 IN NS ns\nns 300 IN A 192.0.2.1\n");
    folder.write("hosts", "192.0.2.7 seven.example\n");
    folder.write(
        "node-agent.yaml",
        r##"
node: node-1
listen: ["127.0.0.1:5353", "[::1]:5353"]
allow: [10.0.0.0/8, 127.0.0.0/8]
admin: 127.0.0.1:9153
identity: { certificate: ag/tls.crt, key: ag/tls.key, trustBundle: ca/ca.crt }
gateway: { endpoints: ["grpc://10.0.0.5:8443"] }
state: state
zones:
  - name: example.com
    ttl: 300
    records:
      - { name: api, type: A, value: 192.0.2.10, ttl: 60 }
      - { name: "*.apps", type: A, values: [192.0.2.11, 192.0.2.12] }
      - { name: quoted, type: TXT, value: '"a: b" "#c"' }
    templates:
      - { match: 'node-(?<n>[0-9]{1,3})', type: A, answer: '10.1.0.{{ n }}', ttl: 30 }
  - { name: example.org, file: example.org.zone }
hosts: { files: [hosts], ttl: 60 }
upstreams: { resolvConf: resolv.conf, maxOutstanding: 100 }
forward:
  - { zone: cluster.local, servers: [10.96.0.10] }
cache: { size: 16MiB, minTtl: 5s }
queryLog: { filter: errors, format: json, file: queries.log }
log: { level: "info,strait_link=debug", format: json }
"##,
    );
    folder.write(
        "gateway.yaml",
        r#"
cluster: cluster-a
suffix: a.example.com
listen: ["tls://127.0.0.1:8853", "grpc://127.0.0.1:8443"]
admin: 127.0.0.1:9154
socket: gateway.sock
state: peers.json
identity: { certificate: gw/tls.crt, key: gw/tls.key, trustBundle: ca/ca.crt }
backend: { clusterDns: [10.96.0.10] }
lameduck: 10s
"#,
    );
    folder
}

#[test]
fn help_and_version_are_told_on_standard_output() {
    for (program, purpose) in [
        (
            "node-agent",
            "The node's resolver: answers static and local zones, caches, forwards the rest, asks peer clusters.",
        ),
        ("gateway", "Answers peer clusters for this cluster's names; keeps peers and delegations."),
    ] {
        let (code, out, err) = call(program, &["--help"]);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{program}");
        assert!(out.starts_with(purpose), "{program}:\n{out}");
        for option in ["--config <PATH>", "--check-config", "--print-config", "--version"] {
            assert!(out.contains(option), "{program} does not tell of {option}:\n{out}");
        }
        let version = format!("{program} {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(call(program, &["--version"]), (Some(0), version, String::new()));
    }
}

#[test]
fn a_wrong_command_line_ends_with_2_and_says_what_is_wrong() {
    let folder = configurations();
    for program in ["node-agent", "gateway"] {
        let config = folder.path(format!("{program}.yaml")).to_string_lossy().into_owned();
        let cases: [(&[&str], &str); 4] = [
            (&[], "error: the following required arguments were not provided:\n  --config <PATH>\n"),
            (&["--config", &config, "--bogus"], "error: unexpected argument '--bogus' found\n"),
            (
                &["--config", &config, "--check-config", "--print-config"],
                "error: the argument '--check-config' cannot be used with '--print-config'\n",
            ),
            (&["--config", &config, "more"], "error: unexpected argument 'more' found\n"),
        ];
        for (arguments, expected) in cases {
            let (code, out, err) = call(program, arguments);
            assert_eq!((code, out.as_str()), (Some(2), ""), "{program} {arguments:?}");
            assert!(err.starts_with(expected), "{program} {arguments:?}:\n{err}");
        }
    }
}

#[test]
fn a_good_configuration_is_ok_and_a_broken_one_ends_with_2() {
    let folder = configurations();
    for program in ["node-agent", "gateway"] {
        let good = folder.path(format!("{program}.yaml"));
        let shown = good.to_string_lossy().into_owned();
        let checked = call(program, &["--config", &shown, "--check-config"]);
        assert_eq!(checked, (Some(0), format!("{shown}: ok\n"), String::new()));

        let text = std::fs::read_to_string(&good).unwrap().replace("admin:", "admni:");
        let broken = folder.write("broken.yaml", &text).to_string_lossy().into_owned();
        let line = text.lines().position(|line| line.starts_with("admni:")).unwrap() + 1;
        // The same words whether it is checked or started.
        for arguments in [
            &["--config", &broken, "--check-config"][..],
            &["--config", &broken, "--print-config"],
            &["--config", &broken],
        ] {
            let (code, out, err) = call(program, arguments);
            assert_eq!((code, out.as_str()), (Some(2), ""), "{program} {arguments:?}");
            assert!(err.starts_with(&format!("{broken}:{line}:1: error: ")), "{err}");
            assert!(err.contains("`admni`") && err.contains("^^^^^") && err.contains("`admin`"), "{err}");
        }
        let missing = folder.path("missing.yaml").to_string_lossy().into_owned();
        let (code, _, err) = call(program, &["--config", &missing, "--check-config"]);
        assert_eq!(code, Some(2));
        assert!(err.contains(&missing), "{err}");
    }
}

#[test]
fn the_printed_configuration_is_one_that_reads_back_the_same() {
    let folder = configurations();
    for program in ["node-agent", "gateway"] {
        let config = folder.path(format!("{program}.yaml")).to_string_lossy().into_owned();
        let (code, printed, err) = call(program, &["--config", &config, "--print-config"]);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{program}");
        assert!(printed.contains("deadline: 3s"), "the defaults are not filled in:\n{printed}");
        let again = folder.write("printed.yaml", &printed).to_string_lossy().into_owned();
        assert_eq!(call(program, &["--config", &again, "--print-config"]), (Some(0), printed, String::new()));
    }
}

/// Nothing is half started: a failure at the start ends the process with 1, the cause on standard error.
#[test]
fn a_port_that_is_taken_ends_with_1_and_names_it() {
    let folder = Folder::new();
    let (dns, admin, taken) = (free_address(), free_address(), free_address());
    let _udp = std::net::UdpSocket::bind(taken).unwrap();
    let _tcp = std::net::TcpListener::bind(taken).unwrap();
    let cases = [
        (
            super::configuration(taken, admin, ""),
            format!(
                "node-agent: cannot listen on {taken} (udp): Address already in use (os error 98); another program listens \
                 there (`ss -lntup` names it): stop it, or set another address or port in `listen`\n"
            ),
        ),
        (
            super::configuration(dns, taken, ""),
            format!(
                "node-agent: cannot listen on {taken} (admin): Address already in use (os error 98); another program \
                 listens there, or give `admin` another port\n"
            ),
        ),
    ];
    for (config, expected) in cases {
        let path = folder.write("agent.yaml", config).to_string_lossy().into_owned();
        let (code, _, err) = call("node-agent", &["--config", &path]);
        assert_eq!(code, Some(1));
        assert!(err.ends_with(&expected), "{err}");
    }
}
