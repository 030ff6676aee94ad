//! The query log: which questions, which fields, and that no name can forge a line.

use std::collections::BTreeMap;

use strait_tests::client::{ask_tcp, ask_udp, query};
use strait_tests::{Folder, ScriptedServer, until};
use strait_wire::{Name, Rcode};

use super::Node;

/// Everything that could end a line, a field or a string, and octets that are not UTF-8.
const HOSTILE: &str = r#"a\010b\013c.\"quoted\".back\\slash.\255\254\192\128.with\032blank.rcode\=NOERROR\032name\=x.\027[2J.static.example"#;

/// Asks the same questions of every node: an answer, a denial, a failure, a hostile name; returns the log once it has
/// `count` lines.
fn logged(filter: &str, format: &str, count: usize) -> (Node, String) {
    let upstream = ScriptedServer::start(|received| vec![strait_tests::Reply::rcode(received, Rcode::SERVFAIL)]);
    let node = Node::start_in(
        Folder::new(),
        &format!(
            "lameduck: 0s\nqueryLog: {{ filter: {filter}, format: {format}, file: queries.log }}\n\
             upstreams: {{ servers: [\"{}\"] }}",
            upstream.address()
        ),
    );
    ask_udp(node.dns, &query("API.static.example", "A")).unwrap();
    ask_tcp(node.dns, &query("none.static.example", "TXT")).unwrap();
    ask_udp(node.dns, &query("fails.example", "AAAA")).unwrap();
    ask_udp(node.dns, &query(HOSTILE, "A")).unwrap();
    let path = node.path("queries.log");
    let read = || std::fs::read_to_string(&path).unwrap_or_default();
    until(&format!("{count} lines in the query log"), || read().lines().count() >= count);
    let text = read();
    (node, text)
}

/// `client=… transport=…` behind the time.
fn fields(line: &str) -> (String, Vec<(String, String)>) {
    let (time, rest) = line.split_once(' ').unwrap();
    let pairs = rest.split(' ').map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or_else(|| panic!("{pair:?} in {line:?}"));
        (key.to_owned(), value.to_owned())
    });
    (time.to_owned(), pairs.collect())
}

const KEYS: [&str; 10] =
    ["client", "transport", "identity", "name", "type", "rcode", "zone", "source", "cached", "duration_us"];

#[test]
fn text_lines_have_these_fields_in_this_order() {
    let (_node, text) = logged("all", "text", 4);
    let lines: Vec<_> = text.lines().map(fields).collect();
    assert_eq!(lines.len(), 4, "{text}");
    for (time, pairs) in &lines {
        assert!(time.len() >= 20 && time.ends_with('Z') && time.contains('T'), "{time}");
        assert_eq!(pairs.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), KEYS);
        assert!(pairs[0].1.starts_with("127.0.0.1:"), "{pairs:?}");
        assert!(pairs[9].1.parse::<u64>().is_ok(), "{pairs:?}");
    }
    let told: Vec<String> = lines
        .iter()
        .map(|(_, pairs)| pairs[1..9].iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(told[0], "udp - API.static.example. A NOERROR static.example. static false");
    assert_eq!(told[1], "tcp - none.static.example. TXT NXDOMAIN static.example. static false");
    assert_eq!(told[2], "udp - fails.example. AAAA SERVFAIL . upstream false");
    assert!(told[3].ends_with(" A NXDOMAIN static.example. static false"), "{}", told[3]);
}

#[test]
fn json_lines_have_the_same_fields() {
    let (_node, text) = logged("all", "json", 4);
    assert_eq!(text.lines().count(), 4, "{text}");
    let lines: Vec<BTreeMap<String, serde_json::Value>> =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect();
    for line in &lines {
        let mut keys: Vec<&str> = [&KEYS[..], &["time"]].concat();
        keys.sort_unstable();
        assert_eq!(line.keys().map(String::as_str).collect::<Vec<_>>(), keys);
        assert!(line["duration_us"].is_u64() && line["cached"].is_boolean() && line["identity"].is_null(), "{line:?}");
    }
    assert_eq!(lines[1]["name"], "none.static.example.");
    assert_eq!(lines[1]["rcode"], "NXDOMAIN");
    assert_eq!(lines[2]["zone"], ".");
}

#[test]
fn no_name_forges_a_line_and_every_name_can_be_read_back() {
    let hostile: Name = HOSTILE.parse().unwrap();
    let (_node, text) = logged("all", "text", 4);
    assert!(text.bytes().all(|octet| octet == b'\n' || (0x20..0x7f).contains(&octet)), "{text:?}");
    let (_, pairs) = fields(text.lines().last().unwrap());
    assert_eq!(pairs[3].1.parse::<Name>().unwrap(), hostile);
    let (_node, text) = logged("all", "json", 4);
    let line: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(line["name"].as_str().unwrap().parse::<Name>().unwrap(), hostile);
}

#[test]
fn errors_alone_are_logged_when_only_they_are_wanted() {
    for format in ["text", "json"] {
        let (node, text) = logged("errors", format, 1);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("fails.example.") && text.contains("SERVFAIL"), "{text}");
        assert_eq!(node.program.metric("strait_query_log_dropped_total"), 0.0);
    }
}

#[test]
fn without_a_query_log_there_is_no_file_and_names_are_nowhere() {
    let (node, text) = logged("off", "text", 0);
    assert_eq!(text, "");
    assert!(!node.path("queries.log").exists());
    assert!(!node.program.log().contains("API.static.example"), "{}", node.program.log());
}
