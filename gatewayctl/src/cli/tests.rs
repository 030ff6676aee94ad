#![allow(clippy::unwrap_used)]

use super::*;

/// What clap says of these arguments, without its usage lines.
fn refused(arguments: &[&str]) -> String {
    let error = Cli::try_parse_from([&["gatewayctl"], arguments].concat()).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    let text = error.to_string();
    text.split("\n\nUsage").next().unwrap().split("\n\nFor more").next().unwrap().to_owned()
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn each_argument_error_says_what_to_write() {
    let good =
        ["peer", "add", "cluster-b", "--suffix", "b.example.com", "--endpoint", "tls://192.0.2.1", "--ca", "ca.crt"];
    Cli::try_parse_from(["gatewayctl"].iter().chain(&good)).unwrap();
    let but = |at: usize, text: &'static str| {
        let mut arguments = good;
        arguments[at] = text;
        arguments.to_vec()
    };
    let with = |more: &[&'static str]| [&good, more].concat();
    let cases: Vec<(Vec<&str>, &str)> = vec![
        (
            but(2, "Cluster_B"),
            "error: invalid value 'Cluster_B' for '<NAME>': \"Cluster_B\" is not a peer name: write 1 to 63 lower-case letters, digits and '-', with a letter or digit at both ends (for example cluster-b)",
        ),
        (
            but(4, "b..example.com"),
            "error: invalid value 'b..example.com' for '--suffix <SUFFIX>': empty label (two dots in a row, or a dot at the start)",
        ),
        (
            but(6, "192.0.2.1"),
            "error: invalid value '192.0.2.1' for '--endpoint <URL>': \"192.0.2.1\" is not an endpoint: it has no scheme; write tls://host:853 or grpc://host:8443",
        ),
        (
            with(&["--trust-domain", "Cluster B"]),
            "error: invalid value 'Cluster B' for '--trust-domain <NAME>': \"Cluster B\" is not a trust domain: lower-case letters, digits, '-', '.', '_', 1 to 255 of them (for example cluster-b.example.com)",
        ),
        (
            with(&["--outbound-only", "--inbound-only"]),
            "error: the argument '--outbound-only' cannot be used with '--inbound-only'",
        ),
        (
            good[..5].to_vec(),
            "error: the following required arguments were not provided:\n  --ca <FILE>\n  --endpoint <URL>",
        ),
        (vec!["peer", "show"], "error: the following required arguments were not provided:\n  <NAME>"),
        (
            vec!["query", "a.example.com", "HOST"],
            "error: invalid value 'HOST' for '[TYPE]': not a record type; write A, AAAA, SRV, PTR, TXT, ... or TYPE and a number, as in TYPE65",
        ),
        (
            vec!["query", "a.example.com", "--via", "friend"],
            "error: invalid value 'friend' for '--via <VIA>'\n  [possible values: agent, gateway, peer]",
        ),
        (
            vec!["query", "a.example.com", "--server", "localhost"],
            "error: invalid value 'localhost' for '--server <ADDR>': write 127.0.0.1, 127.0.0.1:5301 or [::1]:53",
        ),
        (
            vec!["status", "-o", "csv"],
            "error: invalid value 'csv' for '--output <FORMAT>'\n  [possible values: table, json, yaml]",
        ),
        (
            vec!["config", "check", "f", "--kind", "x"],
            "error: invalid value 'x' for '--kind <PROGRAM>'\n  [possible values: gateway, node-agent]",
        ),
        (
            vec!["completion", "cmd"],
            "error: invalid value 'cmd' for '<SHELL>'\n  [possible values: bash, elvish, fish, powershell, zsh]",
        ),
        (
            vec!["cache", "flush"],
            "error: the following required arguments were not provided:\n  <--name <NAME>|--zone <ZONE>|--all>",
        ),
        (
            vec!["cache", "flush", "--all", "--name", "a.example.com"],
            "error: the argument '--all' cannot be used with '--name <NAME>'",
        ),
        (vec!["peers"], "error: unrecognized subcommand 'peers'\n\n  tip: a similar subcommand exists: 'peer'"),
    ];
    for (arguments, expected) in cases {
        assert_eq!(refused(&arguments), expected, "{arguments:?}");
    }
}

#[tokio::test]
async fn arguments_that_do_not_go_together_are_usage_errors() {
    let cases: &[(&[&str], &str)] = &[
        (&["--via", "peer"], "error: --via peer needs --peer NAME: which peer is to be asked?"),
        (&["--via", "agent", "--peer", "b"], "error: --peer NAME goes with --via peer only"),
        (
            &["--via", "gateway", "--server", "127.0.0.1"],
            "error: --server ADDR goes with --via agent only; the gateway is reached through its --socket",
        ),
        // --peer alone means --via peer.
        (
            &["--peer", "b", "--server", "127.0.0.1"],
            "error: --server ADDR goes with --via agent only; the gateway is reached through its --socket",
        ),
    ];
    for (more, expected) in cases {
        let cli = Cli::try_parse_from([&["gatewayctl", "query", "a.example.com"], *more].concat()).unwrap();
        let Err(Failure::Usage(error)) = cli.run().await else { panic!("{more:?} went through") };
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[tokio::test]
async fn without_a_gateway_the_socket_is_named() {
    for command in
        [&["peer", "list"][..], &["peer", "show", "b"], &["peer", "remove", "b"], &["status"], &["cache", "show"]]
    {
        let arguments = [&["gatewayctl", "--socket", "/nonexistent/gateway.sock"], command].concat();
        let Err(Failure::Failed(error)) = Cli::try_parse_from(arguments).unwrap().run().await else {
            panic!("{command:?} found a gateway")
        };
        let expected = "there is no socket /nonexistent/gateway.sock; is the gateway (or node-agent) running? Name its socket with --socket (the `socket` of its configuration)";
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn a_ca_file_is_checked_before_the_gateway_is_asked() {
    let add = [
        "gatewayctl",
        "peer",
        "add",
        "b",
        "--suffix",
        "b.example.com",
        "--inbound-only",
        "--ca",
        "/nonexistent/ca.crt",
    ];
    let Err(Failure::Failed(error)) = Cli::try_parse_from(add).unwrap().run().await else { panic!("added") };
    assert_eq!(error.to_string(), "/nonexistent/ca.crt: cannot be read: No such file or directory (os error 2)");
}
