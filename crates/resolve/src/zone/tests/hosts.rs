//! Hosts files.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::*;

const HOSTS: &str = "\
# The system's names.
127.0.0.1\tlocalhost localhost.localdomain # loopback
::1 localhost
192.0.2.1 One.example.com one
192.0.2.2 one
2001:db8::1 six
";

fn load(text: &str) -> (HostsData, Vec<HostsProblem>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts");
    std::fs::write(&path, text).unwrap();
    HostsData::load(&[path], 60)
}

fn hosts(text: &str, below: Option<Arc<dyn Source>>) -> Hosts {
    Hosts::new(Arc::new(ArcSwap::from_pointee(load(text).0)), below)
}

#[test]
fn names_and_addresses() {
    let hosts = hosts(HOSTS, None);
    let six = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.";
    let cases = [
        ("localhost", "A", "NOERROR | localhost. A 127.0.0.1"),
        ("localhost", "AAAA", "NOERROR | localhost. AAAA ::1"),
        ("LOCALHOST.localdomain", "A", "NOERROR | localhost.localdomain. A 127.0.0.1"),
        // Two lines, one name.
        ("one", "A", "NOERROR | one. A 192.0.2.1 | one. A 192.0.2.2"),
        // The other family: NODATA, so that the entry hides the name.
        ("one", "AAAA", "NOERROR | SOA"),
        ("six", "A", "NOERROR | SOA"),
        // The first name of the first line, in its case.
        ("1.2.0.192.in-addr.arpa", "PTR", "NOERROR | 1.2.0.192.in-addr.arpa. PTR One.example.com."),
        (six, "PTR", &format!("NOERROR | {six} PTR six.")),
        ("six", "ANY", "NOERROR | six. AAAA 2001:db8::1"),
        // Not theirs, and nothing below.
        ("six", "MX", "REFUSED"),
        ("other", "A", "REFUSED"),
        ("9.2.0.192.in-addr.arpa", "PTR", "REFUSED"),
        ("2.0.192.in-addr.arpa", "PTR", "REFUSED"),
        ("arpa", "PTR", "REFUSED"),
    ];
    for (name, rtype, expected) in cases {
        assert_eq!(say(&hosts, name, rtype), expected, "{name} {rtype}");
    }
    let answer = ask(&hosts, "one", "A");
    assert_eq!(answer.ttl(), 60);
    assert!(answer.is_authoritative());
}

#[test]
fn what_is_unknown_goes_below() {
    let mut builder = builder("example.com");
    builder.record("one", RecordType::A, None, "203.0.113.1").unwrap();
    builder.record("one", RecordType::TXT, None, "below").unwrap();
    let hosts = hosts(HOSTS, Some(Arc::new(builder.build().unwrap())));
    assert_eq!(say(&hosts, "one.example.com", "A"), "NOERROR | one.example.com. A 192.0.2.1");
    assert_eq!(say(&hosts, "one.example.com", "TXT"), "NOERROR | one.example.com. TXT \\x05below");
    assert_eq!(say(&hosts, "x.example.com", "A"), "NXDOMAIN | SOA");
}

#[test]
fn newer_data_counts_at_once() {
    let data = Arc::new(ArcSwap::from_pointee(load(HOSTS).0));
    let hosts = Hosts::new(Arc::clone(&data), None);
    data.store(Arc::new(load("192.0.2.9 six\n").0));
    assert_eq!(say(&hosts, "six", "A"), "NOERROR | six. A 192.0.2.9");
    assert_eq!(say(&hosts, "one", "A"), "REFUSED");
}

#[test]
fn bad_lines_are_told_and_left_out() {
    let (data, problems) =
        load("192.0.2.300 a\n\n  192.0.2.1\n192.0.2.2 good b+d after\nfe80::1%lo0 z\n192.0.2.3 c..d\n");
    let told: Vec<String> =
        problems.iter().map(|problem| problem.to_string().rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(
        told.join("\n"),
        "hosts:1:1: \"192.0.2.300\" is not an IP address: the line is left out\n\
         hosts:3:3: 192.0.2.1 has no name: add one behind it\n\
         hosts:4:16: \"b+d\" is not a host name: only letters, digits, '-', '_' and dots: the rest of the line is left out\n\
         hosts:5:1: \"fe80::1%lo0\" is not an IP address: the line is left out\n\
         hosts:6:11: \"c..d\" is not a host name: empty label (two dots in a row, or a dot at the start): the rest of the line is left out"
    );
    assert_eq!(data.len(), 1, "the good name before the bad one counts");
    let (data, problems) = HostsData::load(&["/nonexistent/hosts".into()], 60);
    assert!(data.is_empty());
    assert_eq!(problems[0].to_string(), "/nonexistent/hosts: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn names_are_bounded() {
    let text: String = (0..=10_000).map(|i| format!("192.0.2.1 h{i}\n")).collect();
    let (data, problems) = load(&text);
    assert_eq!(data.len(), 10_000);
    assert!(problems[0].message.starts_with("more than 10000 names"));
}

#[test]
fn what_is_told_is_bounded() {
    let (_, problems) = load(&"bad\n".repeat(1_000));
    assert_eq!(problems.len(), 21);
    assert_eq!(problems[20].message, "980 more lines like these are left out");
}
