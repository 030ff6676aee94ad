//! What RFCs 1035, 2181, 2308, 3597, 4592, 6672 and 8482 ask of a zone.

use super::*;

/// The zone of RFC 4592 2.2.1, with addresses for its targets.
const RFC4592: &str = r#"
$ORIGIN example.
@                 3600 IN  SOA   ns.example.com. hostmaster.example.com. 1 7200 900 86400 300
example.          3600     NS    ns.example.com.
example.          3600     NS    ns.example.net.
*.example.        3600     TXT   "this is a wildcard"
*.example.        3600     MX    10 host1.example.
sub.*.example.    3600     TXT   "this is not a wildcard"
host1.example.    3600     A     192.0.2.1
_ssh._tcp.host1.example.  3600  SRV 0 0 22 host1.example.
_ssh._tcp.host2.example.  3600  SRV 0 0 22 host1.example.
subdel.example.   3600     NS   ns.example.com.
subdel.example.   3600     NS   ns.example.net.
"#;

#[test]
fn rfc4592_2_2_1_wildcards() {
    let zone = zone("example.", RFC4592);
    let cases = [
        // The RFC's own: synthesized from the wildcard.
        ("host3.example.", "MX", "NOERROR | host3.example. MX host1.example. | host1.example. A 192.0.2.1"),
        // Synthesized, but the wildcard has no such type.
        ("host3.example.", "A", "NOERROR | SOA"),
        // foo.bar.example: the closest encloser is the apex.
        ("foo.bar.example.", "TXT", "NOERROR | foo.bar.example. TXT \\x12this is a wildcard"),
        // host1.example exists.
        ("host1.example.", "MX", "NOERROR | SOA"),
        // sub.*.example exists, so the wildcard itself is only a name with a star.
        ("sub.*.example.", "MX", "NOERROR | SOA"),
        // _telnet._tcp.host1.example: the closest encloser is _tcp.host1.example, without a wildcard.
        ("_telnet._tcp.host1.example.", "SRV", "NXDOMAIN | SOA"),
        // ghost.*.example: the closest encloser is *.example, and there is no *.*.example.
        ("ghost.*.example.", "MX", "NXDOMAIN | SOA"),
        // 2.2.2: host2.example is an empty non-terminal.
        ("host2.example.", "TXT", "NOERROR | SOA"),
        ("_tcp.host2.example.", "SRV", "NOERROR | SOA"),
        // 2.1.1: the wildcard asked for by name.
        ("*.example.", "TXT", "NOERROR | *.example. TXT \\x12this is a wildcard"),
    ];
    for (name, rtype, expected) in cases {
        assert_eq!(say(&zone, name, rtype), expected, "{name} {rtype}");
    }
}

/// The RFC's host.subdel.example is a referral; we send no referrals, and say why.
#[test]
fn rfc4592_2_2_1_delegation_is_refused_with_a_reason() {
    let zone = zone("example.", RFC4592);
    for name in ["host.subdel.example.", "subdel.example."] {
        let answer = ask(&zone, name, "A");
        assert_eq!(answer.rcode(), Rcode::REFUSED);
        let ede = answer.ede().unwrap();
        assert_eq!(ede.code, Ede::NOT_AUTHORITATIVE);
        assert_eq!(ede.text, "subdel.example. is delegated away in this zone; give it a forward of its own");
    }
    // RFC 4035 3.1.4.1: DS is the parent's.
    assert_eq!(say(&zone, "subdel.example.", "DS"), "NOERROR | SOA");
}

#[test]
fn rfc2308_2_negative_answers_carry_the_soa() {
    let zone = zone("example.", RFC4592.replace("3600 IN  SOA", "120 IN SOA").as_str());
    // 2.1: no such name; 2.2: no such type.
    for (name, rtype, kind) in
        [("x.host1.example.", "A", AnswerKind::NxDomain), ("host1.example.", "AAAA", AnswerKind::NoData)]
    {
        let answer = ask(&zone, name, rtype);
        assert_eq!(answer.kind(), kind);
        assert!(answer.is_authoritative());
        // 3: the lesser of the SOA's TTL, 120, and its minimum, 300.
        assert_eq!(answer.ttl(), 120);
        let message = answer.to_message().unwrap();
        assert_eq!(message.authorities[0].name, *zone.apex());
        assert_eq!(message.authorities[0].ttl, 120);
    }
}

#[test]
fn rfc2308_soa_is_made_up_when_there_is_none() {
    let zone = ZoneBuilder::new("example.com".parse().unwrap(), 60).build().unwrap();
    let message = ask(&zone, "example.com", "SOA").to_message().unwrap();
    let names: Vec<String> = message.answers[0].rdata.names().map(|name| name.to_string()).collect();
    assert_eq!(names, ["ns.example.com.", "hostmaster.example.com."]);
    assert_eq!(ask(&zone, "x.example.com", "A").ttl(), 60);
}

#[test]
fn rfc1035_5_1_zone_file_forms() {
    let zone = zone(
        "example.com",
        "$TTL 1h30m\n\
         @ IN SOA ns hostmaster (\n\
         \t\t2026 ; serial\n\
         \t\t2h 30m 1d 5m )\n\
         \tNS ns ; the owner of the line before\n\
         ns 60 IN A 192.0.2.1\n\
         \tIN 70 AAAA 2001:db8::1\n\
         WWW CNAME ns\n\
         $ORIGIN sub\n\
         @ MX 10 mail\n\
         txt TXT (\"a;b\" \"\\\"c\\\\\" plain \\100)\n\
         dotted\\.label A 192.0.2.2\n\
         abs.example.com. A 192.0.2.3\n",
    );
    let cases = [
        ("example.com", "NS", "NOERROR | example.com. NS ns.example.com."),
        ("ns.example.com", "AAAA", "NOERROR | ns.example.com. AAAA 2001:db8::1"),
        // Data keeps its case, look-ups ignore it (RFC 4343).
        ("www.example.com", "A", "NOERROR | www.example.com. CNAME ns.example.com. | ns.example.com. A 192.0.2.1"),
        ("sub.example.com", "MX", "NOERROR | sub.example.com. MX mail.sub.example.com."),
        ("txt.sub.example.com", "TXT", "NOERROR | txt.sub.example.com. TXT \\x03a;b\\x03\\\"c\\\\\\x05plain\\x01d"),
        ("dotted\\.label.sub.example.com", "A", "NOERROR | dotted\\.label.sub.example.com. A 192.0.2.2"),
        ("abs.example.com", "A", "NOERROR | abs.example.com. A 192.0.2.3"),
    ];
    for (name, rtype, expected) in cases {
        assert_eq!(say(&zone, name, rtype), expected, "{name} {rtype}");
    }
    assert_eq!(ask(&zone, "ns.example.com", "A").ttl(), 60);
    assert_eq!(ask(&zone, "ns.example.com", "AAAA").ttl(), 70);
    assert_eq!(ask(&zone, "abs.example.com", "A").ttl(), 5_400);
}

#[test]
fn rfc1035_5_1_include_keeps_the_origin() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("inner"), "$ORIGIN deep.example.com.\nx A 192.0.2.1\n").unwrap();
    let outer = folder.path().join("outer");
    std::fs::write(&outer, "$INCLUDE inner\n$INCLUDE inner2 sub\ny A 192.0.2.2\n").unwrap();
    std::fs::write(folder.path().join("inner2"), "z A 192.0.2.3\n").unwrap();
    let mut builder = builder("example.com");
    builder.zone_file(&outer).unwrap();
    let zone = builder.build().unwrap();
    for (name, address) in [("x.deep", "192.0.2.1"), ("y", "192.0.2.2"), ("z.sub", "192.0.2.3")] {
        let name = format!("{name}.example.com");
        assert_eq!(say(&zone, &name, "A"), format!("NOERROR | {name}. A {address}"));
    }
}

#[test]
fn rfc2308_4_the_default_ttl_holds_in_included_files_and_does_not_leak_back() {
    let folder = tempfile::tempdir().unwrap();
    let outer = folder.path().join("outer");
    std::fs::write(&outer, "$TTL 7\na A 192.0.2.1\n$INCLUDE inner\nd A 192.0.2.1\n").unwrap();
    std::fs::write(folder.path().join("inner"), "b A 192.0.2.1\n$TTL 9\nc A 192.0.2.1\n").unwrap();
    let mut builder = builder("example.com");
    builder.zone_file(&outer).unwrap();
    let zone = builder.build().unwrap();
    for (name, ttl) in [("a", 7), ("b", 7), ("c", 9), ("d", 7)] {
        assert_eq!(ask(&zone, &format!("{name}.example.com"), "A").ttl(), ttl, "{name}");
    }
}

#[test]
fn rfc3597_5_generic_data() {
    let mut builder = builder("example.com");
    for (owner, rtype, value) in [
        // The RFC's own example, an unknown type.
        ("a", "TYPE731", "\\# 6 abcdef ( 01 23 45 )"),
        ("b", "TYPE62347", "\\# 0"),
        // A known type in generic form, and a known type under its number.
        ("c", "A", "\\# 4 0A000001"),
        ("d", "TYPE1", "10.0.0.2"),
        // A name inside generic data is known as such.
        ("e", "CNAME", "\\# 3 016100"),
    ] {
        builder.record(owner, record_type(rtype).unwrap(), None, value).unwrap();
    }
    let zone = builder.build().unwrap();
    assert_eq!(say(&zone, "a.example.com", "TYPE731"), "NOERROR | a.example.com. TYPE731 abcdef012345");
    assert_eq!(say(&zone, "b.example.com", "TYPE62347"), "NOERROR | b.example.com. TYPE62347 ");
    assert_eq!(say(&zone, "c.example.com", "A"), "NOERROR | c.example.com. A 10.0.0.1");
    assert_eq!(say(&zone, "d.example.com", "A"), "NOERROR | d.example.com. A 10.0.0.2");
    assert_eq!(say(&zone, "e.example.com", "CNAME"), "NOERROR | e.example.com. CNAME a.");
}

/// Types in presentation format, each compared with its wire form.
#[test]
fn presentation_format_of_many_types() {
    let cases = [
        ("CAA", "0 issue \"ca.example.net\"", "0005697373756563612e6578616d706c652e6e6574"),
        ("SSHFP", "4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789", "0402123456789abcdef6"),
        ("TLSA", "3 1 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971", "030101d2abde240d7cd3"),
        ("HTTPS", "1 svc alpn=h2", "0001037376630765"),
        ("NAPTR", "100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:a@b!\" .", "0064000a0175074532552b736970"),
        ("RP", "Admin txt", "0541646d696e0765"),
        ("HINFO", "CPU \"Some OS\"", "0343505507536f6d65204f53"),
        // RFC 9460 2.1: parameters in any order, sent by key; D.2 has the forms.
        ("HTTPS", "1 . ipv4hint=192.0.2.1 alpn=h2", "0001000001000302683200040004c0000201"),
        (
            "SVCB",
            "16 foo.example.org. alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1",
            "001003666f6f076578616d706c65036f7267000000000400010004000100090268320568332d313900040004c0000201",
        ),
        (
            "SVCB",
            "16 foo.example.org. alpn=\"f\\\\\\\\oo\\\\,bar,h2\"",
            "001003666f6f076578616d706c65036f726700000100 0c08665c6f6f2c626172026832",
        ),
        (
            "SVCB",
            "1 foo.example.com. ipv6hint=\"2001:db8::1,2001:db8::53:1\" port=53 key667=\"hello\\210qoo\"",
            "000103666f6f076578616d706c6503636f6d00 0003 0002 0035 0006002020010db800000000000000000000000120010db8000000000000000000530001029b000968656c6c6fd2716f6f",
        ),
        // RFC 4034 5.4, 2.3; with the algorithm's mnemonic.
        (
            "DS",
            "60485 5 1 ( 2BB183AF5F22588179A53B0A 98631FAD1A292118 )",
            "ec450501 2bb183af5f22588179a53b0a98631fad1a292118",
        ),
        ("CDS", "0 0 0 00", "0000000000"),
        ("DNSKEY", "256 3 RSASHA1 AQPSKmyn fzW4", "01000305 0103d22a6ca77f35b8"),
        ("CDNSKEY", "0 3 0 AA==", "00000300 00"),
        // RFC 7553 4.3: no length octet.
        ("URI", "10 1 \"ftp://a/b\"", "000a0001 6674703a2f2f612f62"),
        ("OPENPGPKEY", "AQID BA==", "01020304"),
        ("SMIMEA", "3 1 1 d2ab", "030101d2ab"),
        // RFC 7043 3.2, 4.2.
        ("EUI48", "00-00-5e-00-53-2a", "00005e00532a"),
        ("EUI64", "00-00-5e-ef-10-00-00-2a", "00005eef1000002a"),
        ("SPF", "\"v=spf1 -all\"", "0b763d73706631202d616c6c"),
        ("ZONEMD", "2018031500 1 1 feba", "7848b78c 01 01 feba"),
        ("CERT", "PGP 0 RSASHA256 AQID", "0003000008010203"),
        ("CSYNC", "66 3 A NS AAAA", "00000042 0003 0004 60000008"),
        // RFC 1876 appendix B's MIT; the defaults of section 3 for sizes.
        ("LOC", "42 21 54 N 71 06 18 W -24m 30m", "00331613 89172dd0 70be15f0 00988d20"),
        ("LOC", "0 S 180 E 0", "00121613 80000000 a69fb200 00989680"),
        // RFC 3123 5.
        ("APL", "1:192.168.32.0/21 !1:192.168.38.0/28", "00011503c0a82000011c83c0a826"),
    ];
    for (rtype, value, starts) in cases {
        let mut builder = builder("example.com");
        builder.record("x", record_type(rtype).unwrap(), None, value).unwrap_or_else(|e| panic!("{rtype}: {e}"));
        let message = ask(&builder.build().unwrap(), "x.example.com", rtype).to_message().unwrap();
        let hex: String = message.answers[0].rdata.as_bytes().iter().map(|octet| format!("{octet:02x}")).collect();
        assert!(hex.starts_with(&starts.replace(' ', "")), "{rtype} {value}: {hex}");
    }
}

#[test]
fn rfc2181_5_rrsets_have_one_ttl_and_no_doubles() {
    let zone = zone("example.com", "a 300 A 192.0.2.1\na 60 A 192.0.2.2\na 900 A 192.0.2.1\n");
    let message = ask(&zone, "a.example.com", "A").to_message().unwrap();
    assert_eq!(message.answers.iter().map(|record| record.ttl).collect::<Vec<_>>(), [60, 60]);
}

#[test]
fn rfc1034_3_6_2_aliases_are_followed_within_the_zone() {
    let mut text =
        String::from("@ NS ns\nout CNAME www.example.net.\ngone CNAME missing\nempty CNAME a.b\nx.a.b A 192.0.2.9\n");
    text.push_str("loop1 CNAME loop2\nloop2 CNAME loop1\nself CNAME self\ncut CNAME x.sub\nsub NS ns.example.net.\n");
    for i in 0..13 {
        text.push_str(&format!("c{i} CNAME c{}\n", i + 1));
    }
    text.push_str("c13 A 192.0.2.1\n");
    let zone = zone("example.com", &text);
    let cases = [
        // Out of the zone: for the resolver to follow.
        ("out", "NOERROR | out.example.com. CNAME www.example.net."),
        // The rcode is that of the last name (RFC 2308 2.1).
        ("gone", "NXDOMAIN | gone.example.com. CNAME missing.example.com. | SOA"),
        ("empty", "NOERROR | empty.example.com. CNAME a.b.example.com. | SOA"),
        // Into a delegation: the alias is ours, its target is not.
        ("cut", "NOERROR | cut.example.com. CNAME x.sub.example.com."),
        ("loop1", "SERVFAIL"),
        ("self", "SERVFAIL"),
        // Thirteen aliases are too many.
        ("c0", "SERVFAIL"),
    ];
    for (name, expected) in cases {
        assert_eq!(say(&zone, &format!("{name}.example.com"), "A"), expected, "{name}");
    }
    assert_eq!(
        ask(&zone, "c2.example.com", "A").to_message().unwrap().answers.len(),
        12,
        "eleven aliases are followed"
    );
    assert!(ask(&zone, "loop1.example.com", "A").ede().unwrap().text.contains("go in a circle"));
    // The alias itself is not followed.
    assert_eq!(say(&zone, "loop1.example.com", "CNAME"), "NOERROR | loop1.example.com. CNAME loop2.example.com.");
}

#[test]
fn rfc6672_3_dname() {
    let long = ["a".repeat(63).as_str(), &"b".repeat(63), &"c".repeat(60), "d.example.com"].join(".");
    let zone = zone(
        "example.com",
        &format!("old DNAME new\nhost.new A 192.0.2.1\nd DNAME {}.example.net.\nold TXT beside\n", "e".repeat(63)),
    );
    let cases = [
        // 2.3: names below are substituted, with the synthesized CNAME behind the DNAME.
        (
            "host.old.example.com",
            "A",
            "NOERROR | old.example.com. DNAME new.example.com. | host.old.example.com. CNAME host.new.example.com. \
             | host.new.example.com. A 192.0.2.1",
        ),
        (
            "none.old.example.com",
            "A",
            "NXDOMAIN | old.example.com. DNAME new.example.com. | none.old.example.com. CNAME none.new.example.com. | SOA",
        ),
        // 2.3: the owner itself is not redirected.
        ("old.example.com", "A", "NOERROR | SOA"),
        ("old.example.com", "TXT", "NOERROR | old.example.com. TXT \\x06beside"),
    ];
    for (name, rtype, expected) in cases {
        assert_eq!(say(&zone, name, rtype), expected, "{name} {rtype}");
    }
    // 2.2: YXDOMAIN when the new name is too long.
    assert_eq!(ask(&zone, &long, "A").rcode(), Rcode::YXDOMAIN);
}

#[test]
fn rfc8482_4_1_any_gets_one_rrset() {
    let zone = zone("example.com", "a A 192.0.2.1\na TXT x\na MX 1 a\n");
    assert_eq!(say(&zone, "a.example.com", "ANY"), "NOERROR | a.example.com. A 192.0.2.1");
}

#[test]
fn names_outside_the_zone_are_nobodys_business() {
    let zone = builder("example.com").build().unwrap();
    assert!(zone.answer_now(&question("example.net", "A")).is_none());
}

/// RFC 2782: the targets' addresses come along, those of the zone, and not without bound.
#[test]
fn rfc2782_additional_addresses_are_bounded() {
    let mut text = String::from("x SRV 0 0 1 www.example.net.\nx SRV 0 0 1 t0\nx MX 5 t0\n");
    for i in 0..40 {
        text.push_str(&format!("many SRV 0 0 1 t{i}\nt{i} A 192.0.2.{i}\n"));
    }
    let zone = zone("example.com", &text);
    let additional = |name: &str, rtype| ask(&zone, name, rtype).to_message().unwrap().additionals;
    assert_eq!(additional("x.example.com", "SRV").len(), 1);
    assert_eq!(additional("x.example.com", "MX").len(), 1);
    assert_eq!(additional("many.example.com", "SRV").len(), 32);
}
