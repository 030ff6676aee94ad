//! A file of peers that is damaged on disk: the gateway refuses to start and leaves it alone, an agent keeps it aside
//! and takes the gateway's.

use strait_tests::{ask, lines, until};

use super::{call, stderr, with_a_peer};

/// What has happened to the file, what it holds then, and what is said behind its name.
fn damages(whole: &str) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let entry = &whole[whole.find("    {").unwrap()..whole.rfind("    }").unwrap() + 5];
    let upto = |words: &str| whole.as_bytes()[..whole.find(words).unwrap() + words.len()].to_vec();
    vec![
        (
            "truncated",
            upto("\"endpoints\": ["),
            ":10:20: EOF while parsing a list\n  10 |       \"endpoints\": [\n     |                    ^",
        ),
        (
            "truncated in a word",
            upto("\"outbo"),
            ":8:12: EOF while parsing a string\n  8 |       \"outbo\n    |            ^",
        ),
        ("garbage", b"\x00\xffgarbage\n".to_vec(), ":1:1: expected value"),
        ("another file", b"cluster: cluster-a\n".to_vec(), ":1:1: expected value\n  1 | cluster: cluster-a\n    | ^"),
        (
            "another JSON file",
            b"[]\n".to_vec(),
            ":1:2: invalid length 0, expected an object that begins with \"version\"\n  1 | []\n    |  ^",
        ),
        ("empty", Vec::new(), ": the file is empty; an interrupted copy or a full disk may have done that"),
        (
            "of a later program",
            whole.replace("\"version\": 1", "\"version\": 2").into_bytes(),
            ":2:14: version 2 is not known here (this program knows 1); use the program that wrote the file, or a \
             newer one\n  2 |   \"version\": 2,\n    |              ^",
        ),
        (
            "a peer twice",
            whole.replace(entry, &format!("{entry},\n{entry}")).into_bytes(),
            ":29:3: the peer that ends here, cluster-b, is there twice; remove one\n  29 |   ]\n     |   ^",
        ),
        (
            "edited by hand",
            whole.replace("\"inbound\"", "\"inbond\"").into_bytes(),
            ":9:14: unknown field `inbond`, expected one of `name`, `suffix`, `outbound`, `inbound`, `endpoints`, \
             `trustDomain`, `trustBundle`, `namespaces`, `addresses`, `changedAt`\n  9 |       \"inbond\": true,\n    |              ^",
        ),
    ]
}

#[test]
fn a_gateway_refuses_to_start_from_a_damaged_file_and_leaves_it_as_it_is() {
    let mut cluster = with_a_peer();
    cluster.gateways[0].kill();
    let file = cluster.folder.path("gateway-0-peers.json");
    let config = cluster.gateway().seat.config.to_string_lossy().into_owned();
    let whole = std::fs::read_to_string(&file).unwrap();
    for (what, content, told) in damages(&whole) {
        std::fs::write(&file, &content).unwrap();
        let output = call("gateway", &["--config", &config]);
        let err = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{what}: {err}");
        let remedy = "The file is left as it is. Restore it from a copy, or move it away to begin without peers.";
        let expected = format!("gateway: {}{told}\n{remedy}\n", file.display());
        let said = err.find("gateway: /").map_or("", |at| &err[at..]);
        assert_eq!(said, expected, "{what}");
        assert_eq!(std::fs::read(&file).unwrap(), content, "{what}: the file was touched");
        assert!(!cluster.folder.path("gateway-0-peers.json.damaged").exists(), "{what}");
    }
    // The copy is restored: all is as before.
    std::fs::write(&file, &whole).unwrap();
    cluster.gateways[0].revive();
    assert!(cluster.ctl_ok(&["peer", "list"]).contains("cluster-b"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), whole);
}

#[test]
fn an_agent_keeps_a_damaged_list_aside_says_so_and_gets_it_from_the_gateway_again() {
    let mut cluster = with_a_peer();
    let file = cluster.folder.path("agent-peers.json");
    let aside = cluster.folder.path("agent-peers.json.damaged");
    until("the agent to keep its peers", || {
        std::fs::read_to_string(&file).is_ok_and(|text| text.contains("cluster-b"))
    });
    cluster.agent().kill();
    let whole = std::fs::read_to_string(&file).unwrap();
    for (what, content, told) in damages(&whole) {
        std::fs::write(&file, &content).unwrap();
        cluster.restart_agent();
        let logged = cluster.agent().wait_log(&["the peers on disk are damaged; waiting for the gateway's"]);
        assert!(logged.contains("/agent-peers.json "), "{what}: {logged}");
        assert!(logged.ends_with("/agent-peers.json.damaged"), "{what}: {logged}");
        if let Some((line, column)) = place(told) {
            assert!(logged.contains(&format!("line={line} column={column} ")), "{what}: {logged}");
        }
        assert_eq!(std::fs::read(&aside).unwrap(), content, "{what}: what was damaged is not kept");
        cluster.agent().wait_ready();
        until("the list to be on disk again", || std::fs::read_to_string(&file).is_ok_and(|text| text == whole));
        cluster.agent().kill();
    }
}

/// `:10:20: …`
fn place(told: &str) -> Option<(u32, u32)> {
    let mut parts = told.strip_prefix(':')?.split(':');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[test]
fn an_agent_with_a_damaged_list_and_no_gateway_answers_its_own_names_and_is_not_ready() {
    let mut cluster = with_a_peer();
    cluster.wait_kept("generation");
    cluster.gateways[0].kill();
    cluster.agent().kill();
    std::fs::write(cluster.folder.path("agent-peers.json"), "{").unwrap();
    cluster.restart_agent();
    cluster.agent().wait_log(&["the peers on disk are damaged"]);
    cluster.agent().wait_log(&["answering"]);
    assert_eq!(lines(&ask(cluster.dns, "api.static.example", "A")), ["api.static.example. A 192.0.2.1"]);
    let (status, body) = cluster.agent().get("/readyz").unwrap();
    assert!(status == 503 && body.contains("none on disk, and the gateway has not been reached"), "{body}");
    assert_eq!(std::fs::read(cluster.folder.path("agent-peers.json.damaged")).unwrap(), b"{");
}
