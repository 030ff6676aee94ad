//! Templates: anchored, bounded, and safe whatever is asked.

use super::*;

fn templates(templates: &[(&str, RecordType, &str)]) -> Zone {
    let mut builder = builder("ocp.example.com");
    for (pattern, rtype, answer) in templates {
        builder.template(pattern, *rtype, Some(30), answer).unwrap();
    }
    builder.build().unwrap()
}

#[test]
fn patterns_match_whole_names_only() {
    let zone = templates(&[
        (r"api|api-int", RecordType::A, "192.0.2.10"),
        (r"([a-z0-9-]+\.)+apps", RecordType::A, "192.0.2.11"),
        (r"node-(?<n>[0-9]{1,3})", RecordType::A, "10.1.0.{{ n }}"),
        (r"NODE-(?<n>[0-9]{1,3})", RecordType::AAAA, "2001:db8::{{n}}"),
        (r"db-([a-z])", RecordType::CNAME, "{{ 1 }}.db.example.net."),
        (r"rel-([a-z]+)", RecordType::CNAME, "node-{{1}}"),
        (r"_(?<svc>[a-z]+)\._tcp", RecordType::SRV, "0 {{svc}} 443 {{svc}}.example.net."),
        (r"_(?<svc>[a-z]+)\._udp", RecordType::SRV, "0 0 443 {{ svc }}"),
        (r"t-(?<t>.*)", RecordType::TXT, "\"you asked {{ t }}\" second"),
        (r"(?<h>[^.]+)\.ptr", RecordType::PTR, "{{ h }}.example.net."),
    ]);
    let cases = [
        ("api", "A", "NOERROR | api.ocp.example.com. A 192.0.2.10"),
        ("API-int", "A", "NOERROR | api-int.ocp.example.com. A 192.0.2.10"),
        // An alternative is not a way around the anchors.
        ("myapi", "A", "NXDOMAIN | SOA"),
        ("api-internal", "A", "NXDOMAIN | SOA"),
        ("x.api", "A", "NXDOMAIN | SOA"),
        ("console.apps", "A", "NOERROR | console.apps.ocp.example.com. A 192.0.2.11"),
        // The dot before apps is a dot.
        ("fooapps", "A", "NXDOMAIN | SOA"),
        ("apps", "A", "NXDOMAIN | SOA"),
        ("node-17", "A", "NOERROR | node-17.ocp.example.com. A 10.1.0.17"),
        ("node-17", "AAAA", "NOERROR | node-17.ocp.example.com. AAAA 2001:db8::17"),
        // A type that no template makes.
        ("node-17", "TXT", "NOERROR | SOA"),
        // No such address; the AAAA template matches still.
        ("node-256", "A", "NOERROR | SOA"),
        ("db-x", "A", "NOERROR | db-x.ocp.example.com. CNAME x.db.example.net."),
        // The alias leads to no name.
        ("rel-x", "A", "NXDOMAIN | rel-x.ocp.example.com. CNAME node-x.ocp.example.com. | SOA"),
        // A weight that is no number.
        ("_web._tcp", "SRV", "NXDOMAIN | SOA"),
        ("_web._udp", "SRV", "NOERROR | _web._udp.ocp.example.com. SRV web.ocp.example.com."),
        // Text is one string whatever it holds.
        (
            "t-a\\\"\\ \\\"b",
            "TXT",
            "NOERROR | t-a\\\"\\032\\\"b.ocp.example.com. TXT \\x14you asked a\\\\\\\"\\\\032\\\\\\\"b\\x06second",
        ),
        ("host.ptr", "PTR", "NOERROR | host.ptr.ocp.example.com. PTR host.example.net."),
        // What is no host name goes into no name.
        ("ho\\032st.ptr", "PTR", "NXDOMAIN | SOA"),
        ("ho\\.st.ptr", "PTR", "NXDOMAIN | SOA"),
    ];
    for (name, rtype, expected) in cases {
        assert_eq!(say(&zone, &format!("{name}.ocp.example.com"), rtype), expected, "{name} {rtype}");
    }
    let answer = ask(&zone, "api.ocp.example.com", "A");
    assert_eq!(answer.ttl(), 30);
    assert!(answer.is_authoritative());
}

#[test]
fn exact_names_win_over_templates_and_templates_over_wildcards() {
    let mut builder = builder("example.com");
    builder.record("api", RecordType::A, None, "192.0.2.1").unwrap();
    builder.record("*", RecordType::A, None, "192.0.2.2").unwrap();
    builder.record("x.empty", RecordType::A, None, "192.0.2.3").unwrap();
    builder.template("a.*|empty", RecordType::A, None, "192.0.2.4").unwrap();
    // Only the first template of a type counts.
    builder.template(".*", RecordType::A, None, "192.0.2.5").unwrap();
    let zone = builder.build().unwrap();
    for (name, expected) in [("api", "192.0.2.1"), ("apex", "192.0.2.4"), ("b", "192.0.2.5"), ("empty", "192.0.2.4")] {
        assert_eq!(
            say(&zone, &format!("{name}.example.com"), "A"),
            format!("NOERROR | {name}.example.com. A {expected}")
        );
    }
    assert_eq!(say(&zone, "example.com", "A"), "NOERROR | SOA", "templates do not make the apex");
}

#[test]
fn a_capture_too_long_for_a_name_makes_no_name() {
    let zone = templates(&[("(?<l>.*)", RecordType::CNAME, "{{l}}.{{l}}.{{l}}.{{l}}.{{l}}.example.net.")]);
    assert_eq!(say(&zone, &format!("{}.ocp.example.com", "a".repeat(60)), "A"), "NXDOMAIN | SOA");
}

/// Patterns that take exponential time elsewhere.
#[test]
fn patterns_are_linear() {
    for pattern in [r"(a+)+b", r"(a|aa)+b", r"(a|a?)+b", r"(.*a){20}b"] {
        let zone = templates(&[(pattern, RecordType::A, "192.0.2.1")]);
        let name = ["a".repeat(63).as_str(), &"a".repeat(63), &"a".repeat(63), "ocp.example.com"].join(".");
        assert_eq!(say(&zone, &name, "A"), "NXDOMAIN | SOA", "{pattern}");
    }
}

#[test]
fn broken_templates_are_refused_with_a_place() {
    let long = "a".repeat(1 << 20);
    let deep = format!("{}a{}", "(".repeat(100), ")".repeat(100));
    let cases: &[(&str, &str, &str, usize, &str)] = &[
        (
            &long,
            "A",
            "192.0.2.1",
            1,
            "the pattern has 1048576 octets, at most 1024 are allowed: make several templates of it",
        ),
        (
            &deep,
            "A",
            "192.0.2.1",
            33,
            "the pattern is refused: exceed the maximum number of nested parentheses/brackets (32)",
        ),
        (
            "a{1000}{1000}",
            "A",
            "192.0.2.1",
            1,
            "the pattern is refused: Compiled regex exceeds size limit of 1048576 bytes.",
        ),
        ("(a", "A", "192.0.2.1", 1, "the pattern is refused: unclosed group"),
        // Whole only together with the group around it.
        ("a)|(b", "A", "192.0.2.1", 2, "the pattern is refused: unopened group"),
        (r"(a)\1", "A", "192.0.2.1", 4, "the pattern is refused: backreferences are not supported"),
        ("a", "MX", "10 a", 1, "a template cannot make MX records, only A, AAAA, CNAME, TXT, SRV and PTR"),
        ("(?<n>a)", "A", "10.0.0.{{ m }}", 8, "the pattern has no group \"m\"; it has: n"),
        ("(a)(?<n>b)", "A", "10.0.0.{{ 3 }}", 8, "the pattern has no group \"3\"; it has: 1, n"),
        ("a", "SRV", "0 0 {{p}} x", 5, "the pattern has no group \"p\"; it has: none; write (?<name>...) in it"),
        ("(a)", "A", "10.0.0.{{ 1", 8, "'{{' without '}}' after it: a placeholder is written {{ name }}"),
        // Without placeholders the answer is checked at once.
        ("a", "A", "192.0.2.300", 1, "\"192.0.2.300\" is not an IPv4 address"),
        ("a", "A", "", 1, "the answer is empty"),
    ];
    for (pattern, rtype, answer, column, message) in cases {
        let error = builder("example.com").template(pattern, rtype.parse().unwrap(), None, answer).unwrap_err();
        assert_eq!((error.message.as_str(), error.column, error.line), (*message, Some(*column), None));
    }
}

#[test]
fn templates_are_bounded_in_number() {
    let mut builder = builder("example.com");
    for _ in 0..256 {
        builder.template("a", RecordType::A, None, "192.0.2.1").unwrap();
    }
    let error = builder.template("a", RecordType::A, None, "192.0.2.1").unwrap_err();
    assert_eq!(error.message, "more than 256 templates in one zone");
}
