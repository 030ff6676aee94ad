//! `gatewayctl` against a running gateway: each refusal with its words and exit code, and nothing half applied.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use strait_tests::program::{binary, run};
use strait_tests::tools::skip;
use strait_tests::{Authority, Cluster, Folder, tool};

use super::{authority, call, stderr, with_a_peer};

/// What stands in `gatewayctl`'s way, its exit code and what it says.
type Case<'a> = (&'a [&'a str], i32, &'a str);

#[track_caller]
fn refused(cluster: &Cluster, arguments: &[&str], code: i32, expected: &str) {
    let output = cluster.ctl(arguments);
    let (shown, err) = (arguments.join(" "), stderr(&output));
    assert_eq!(output.status.code(), Some(code), "gatewayctl {shown}\n{err}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "gatewayctl {shown}");
    // Behind it clap shows the usage.
    let said = err.split("\n\nUsage").next().unwrap().split("\n\nFor more").next().unwrap().trim_end();
    assert_eq!(said, expected, "gatewayctl {shown}");
}

/// The peers that the gateway keeps, without what changes by itself.
fn kept(cluster: &Cluster) -> (String, serde_json::Value) {
    let file = cluster.folder.read("gateway-0-peers.json");
    let list: serde_json::Value = serde_json::from_str(&cluster.ctl_ok(&["-o", "json", "peer", "list"])).unwrap();
    let names: Vec<_> =
        list["peers"].as_array().unwrap().iter().map(|p| (p["name"].clone(), p["suffix"].clone())).collect();
    (file, serde_json::json!({ "generation": list["generation"], "names": names }))
}

#[test]
fn a_refused_change_says_why_and_changes_nothing() {
    let cluster = with_a_peer();
    let before = kept(&cluster);
    assert_eq!(before.1["names"], serde_json::json!([["cluster-b", "cluster-b.example.com"]]));

    // Suffixes that no peer can have.
    let ca = authority(&cluster.folder, "cluster-c.example.com");
    let add = |suffix: &str, expected: &str| {
        let arguments =
            ["peer", "add", "cluster-c", "--suffix", suffix, "--endpoint", "tls://127.0.0.1:9", "--ca", &ca];
        refused(&cluster, &arguments, 1, &format!("error: the suffix {expected}"));
    };
    let reserved = "which cannot be delegated to a peer; use the suffix under which that cluster is known, for example cluster-b.example.com";
    let own = "overlaps this cluster's own suffix cluster-a.example.com; two clusters need two suffixes, neither below the other";
    let taken = "overlaps cluster-b.example.com of peer cluster-b; remove that peer first (gatewayctl peer remove cluster-b, or its resource), or choose another suffix";
    for (suffix, expected) in [
        (
            ".",
            ". is the whole of DNS; name the suffix of that one cluster, for example cluster-b.example.com".to_owned(),
        ),
        (
            "com",
            "com is a top-level domain; name the suffix of that one cluster, for example cluster-b.example.com"
                .to_owned(),
        ),
        (
            "*.c.example.com",
            "*.c.example.com is a wildcard; write it without \"*.\", everything below it is meant anyway".to_owned(),
        ),
        ("10.in-addr.arpa", format!("10.in-addr.arpa overlaps in-addr.arpa, {reserved}")),
        ("8.b.d.0.ip6.arpa", format!("8.b.d.0.ip6.arpa overlaps ip6.arpa, {reserved}")),
        ("cluster.local", format!("cluster.local overlaps cluster.local, {reserved}")),
        ("svc.cluster.local", format!("svc.cluster.local overlaps cluster.local, {reserved}")),
        ("clusterset.local", format!("clusterset.local overlaps clusterset.local, {reserved}")),
        ("cluster-a.example.com", format!("cluster-a.example.com {own}")),
        ("CLUSTER-A.example.COM", format!("cluster-a.example.com {own}")),
        ("west.cluster-a.example.com", format!("west.cluster-a.example.com {own}")),
        // It would swallow our own, and cluster-b's.
        ("example.com", format!("example.com {own}")),
        ("cluster-b.example.com", format!("cluster-b.example.com {taken}")),
        ("west.cluster-b.example.com", format!("west.cluster-b.example.com {taken}")),
    ] {
        add(suffix, &expected);
    }

    // Everything else about a peer.
    let folder = &cluster.folder;
    let at = |name: &str| folder.path(name).to_string_lossy().into_owned();
    let expired = folder.write("expired.crt", Authority::expired("cluster-c.example.com").certificate());
    let expired = expired.to_string_lossy().into_owned();
    let (own_ca, leaf, key, missing) =
        (cluster.ca(), at("gateway-0/tls.crt"), at("gateway-0/tls.key"), at("nothing.crt"));
    let elsewhere = Folder::new();
    let other_b = authority(&elsewhere, "cluster-b.example.com");
    let with = |ca: &str| {
        ["peer", "add", "cluster-c", "--suffix", "c.example.com", "--endpoint", "tls://h:1", "--ca", ca]
            .map(str::to_owned)
    };
    for (ca, more, expected) in [
        (&missing, &[][..], format!("{missing}: cannot be read: No such file or directory (os error 2)")),
        (
            &leaf,
            &[],
            format!("{leaf}: certificate 1 (CN=gateway of cluster-a.example.com) is not a CA; give the cluster's ca.crt, not a leaf such as tls.crt"),
        ),
        (&key, &[], format!("{key}: a private key is in it; give the CA certificate (ca.crt) alone, and keep the key at home")),
        (&own_ca, &[], "the trust domain cluster-a.example.com is this cluster's own; the trust bundle (--ca) must be the other cluster's CA".to_owned()),
        (
            &ca,
            &["--trust-domain", "z.example.com"],
            format!("{ca}: certificate 1 is the CA of cluster-c.example.com, but z.example.com is wanted; a bundle holds the CAs of one trust domain"),
        ),
        (&ca, &["--endpoint", "tls://h:1"], "the endpoint tls://h:1 is there twice; leave one".to_owned()),
        (
            &other_b,
            &[],
            "the trust domain cluster-b.example.com belongs to peer cluster-b with other CAs; one trust domain has one bundle: \
             change that peer's (--replace, or its resource), or give this cluster a trust domain of its own"
                .to_owned(),
        ),
    ] {
        let arguments = with(ca);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        refused(&cluster, &arguments, 1, &format!("error: {expected}"));
    }
    let arguments = with(&expired);
    let output = cluster.ctl(&arguments.each_ref().map(String::as_str));
    assert_eq!(output.status.code(), Some(1));
    let (said, remedy) = (stderr(&output), "; get the new ca.crt of that cluster\n");
    assert!(said.starts_with(&format!("error: {expired}: every CA in it has expired, the last one at 2")), "{said}");
    assert!(said.ends_with(remedy), "{said}");

    // Peers that are there, or are not.
    refused(
        &cluster,
        &["peer", "add", "cluster-b", "--suffix", "c.example.com", "--endpoint", "tls://h:1", "--ca", &ca],
        1,
        "error: peer cluster-b exists already; give --replace to change it, or choose another name",
    );
    let unknown = "error: there is no peer \"cluster-x\"; known peers: cluster-b";
    refused(&cluster, &["peer", "show", "cluster-x"], 1, unknown);
    refused(&cluster, &["peer", "remove", "cluster-x"], 1, unknown);

    assert_eq!(kept(&cluster), before, "something was half applied");
}

#[test]
fn a_wrong_command_line_ends_with_2_before_the_gateway_is_asked() {
    let cluster = with_a_peer();
    let before = kept(&cluster);
    let ca = authority(&cluster.folder, "cluster-c.example.com");
    let endpoint = |url: &str, expected: &str| {
        let arguments = ["peer", "add", "cluster-c", "--suffix", "c.example.com", "--endpoint", url, "--ca", &ca];
        let expected = format!(
            "error: invalid value '{url}' for '--endpoint <URL>': \"{url}\" is not an endpoint: {expected}; write tls://host:853 or grpc://host:8443"
        );
        refused(&cluster, &arguments, 2, &expected);
    };
    let port = "its port is not a number from 1 to 65535";
    for (url, expected) in [
        ("http://192.0.2.1:853", "its scheme is neither tls nor grpc"),
        ("192.0.2.1:853", "it has no scheme"),
        ("tls://", "it has no host"),
        ("tls://192.0.2.1:0", port),
        ("tls://192.0.2.1:65536", port),
        ("tls://192.0.2.1:dns", port),
    ] {
        endpoint(url, expected);
    }
    let name = "is not a peer name: write 1 to 63 lower-case letters, digits and '-', with a letter or digit at both ends (for example cluster-b)";
    for bad in ["Cluster-C", "cluster_c", "-c", "c.example.com", ""] {
        let arguments = ["peer", "add", bad, "--suffix", "c.example.com", "--endpoint", "tls://h:1", "--ca", &ca];
        let output = cluster.ctl(&arguments);
        let err = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{bad:?}: {err}");
        assert!(
            err.contains(name) || (bad == "-c" && err.starts_with("error: unexpected argument '-c' found")),
            "{bad:?}: {err}"
        );
    }
    let cases: &[Case<'_>] = &[
        (&["peer", "list", "--bogus"], 2, "error: unexpected argument '--bogus' found"),
        (&["peers"], 2, "error: unrecognized subcommand 'peers'\n\n  tip: a similar subcommand exists: 'peer'"),
        (
            &["peer", "add", "cluster-c", "--suffix", "c.example.com", "--ca", &ca],
            2,
            "error: the following required arguments were not provided:\n  --endpoint <URL>",
        ),
        (
            &["peer", "add", "cluster-c", "--suffix", "c..example.com", "--endpoint", "tls://h:1", "--ca", &ca],
            2,
            "error: invalid value 'c..example.com' for '--suffix <SUFFIX>': empty label (two dots in a row, or a dot at the start)",
        ),
    ];
    for (arguments, code, expected) in cases {
        refused(&cluster, arguments, *code, expected);
    }
    assert_eq!(kept(&cluster), before, "something was half applied");

    // An endpoint without a port is no error: each scheme has its own.
    cluster.ctl_ok(&[
        "peer",
        "add",
        "cluster-c",
        "--suffix",
        "c.example.com",
        "--endpoint",
        "tls://127.0.0.1",
        "--ca",
        &ca,
    ]);
    assert!(cluster.ctl_ok(&["peer", "show", "cluster-c"]).contains("tls://127.0.0.1:853"));
}

#[test]
fn without_a_gateway_the_socket_is_named_and_what_to_do() {
    let mut cluster = with_a_peer();
    let socket = cluster.gateway().seat.socket.to_string_lossy().into_owned();
    let list = |socket: &str, expected: &str| {
        let output = call("gatewayctl", &["--socket", socket, "peer", "list"]);
        assert_eq!((output.status.code(), stderr(&output)), (Some(1), format!("error: {expected}\n")));
    };
    cluster.gateways[0].kill();
    // The file of a gateway that was killed.
    list(&socket, &format!("nobody answers on {socket}: the daemon that made it is gone; start it"));
    std::fs::remove_file(&socket).unwrap();
    list(
        &socket,
        &format!(
            "there is no socket {socket}; is the gateway (or node-agent) running? Name its socket with --socket (the `socket` of its configuration)"
        ),
    );
    let config = cluster.gateway().seat.config.to_string_lossy().into_owned();
    list(
        &config,
        &format!(
            "{config} is not a socket; name the admin socket of the gateway (or node-agent) with --socket (the `socket` of its configuration)"
        ),
    );
}

#[test]
fn another_user_may_not_use_the_socket_and_is_told_whose_it_is() {
    let cluster = with_a_peer();
    let socket = &cluster.gateway().seat.socket;
    let open = Folder::new();
    let folder = std::fs::metadata(cluster.folder.path("")).unwrap();
    let mut command = if folder.uid() == 0 {
        // Root is refused nothing: become somebody else, who can find the socket and no more.
        let Some(setpriv) = tool("setpriv") else { return };
        std::fs::set_permissions(cluster.folder.path(""), PermissionsExt::from_mode(0o711)).unwrap();
        let program = open.path("gatewayctl");
        std::fs::set_permissions(open.path(""), PermissionsExt::from_mode(0o711)).unwrap();
        std::fs::copy(binary("gatewayctl"), &program).unwrap();
        let mut command = Command::new(setpriv);
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        command
    } else {
        std::fs::set_permissions(socket, PermissionsExt::from_mode(0o000)).unwrap();
        Command::new(binary("gatewayctl"))
    };
    let output = run(command.arg("--socket").arg(socket).args(["peer", "remove", "cluster-b"]));
    let err = stderr(&output);
    if err.starts_with("setpriv: ") {
        return skip(&format!("no other user can be taken: {err}"));
    }
    let expected = format!(
        "error: no permission for {}: the socket is for the user the daemon runs as; become that user (sudo -u ..., or \
         kubectl exec into its container)\n",
        socket.display()
    );
    assert_eq!((output.status.code(), err), (Some(1), expected));
    std::fs::set_permissions(socket, PermissionsExt::from_mode(0o600)).unwrap();
    assert!(cluster.ctl_ok(&["peer", "list"]).contains("cluster-b"), "the peer is gone");
}
