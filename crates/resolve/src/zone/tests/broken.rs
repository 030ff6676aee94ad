//! Broken records and zone files, each with the message, line and column that a user gets.

use super::*;

#[test]
fn broken_zone_files() {
    let cases = [
        ("a A 192.0.2.300\n", 1, 5, "\"192.0.2.300\" is not an IPv4 address"),
        ("a AAAA 192.0.2.3\n", 1, 8, "\"192.0.2.3\" is not an IPv6 address"),
        (
            "a A 192.0.2.1 192.0.2.2\n",
            1,
            15,
            "\"192.0.2.2\" is more than A data holds; several values are several records",
        ),
        (
            "\n\n   A 192.0.2.1\n",
            3,
            4,
            "the first record has no owner: begin the line with a name or @, without blanks before it",
        ),
        ("a MX 10\n", 1, 8, "MX data needs a name here"),
        ("a MX ten mail\n", 1, 6, "\"ten\" is not a preference (0 to 65535)"),
        ("a SRV 0 0 99999 b\n", 1, 11, "\"99999\" is not a port"),
        ("a A\n", 1, 4, "A data needs an IPv4 address here"),
        ("a 300 IN\n", 1, 7, "a record needs a type and data after this"),
        ("a 300\n", 1, 3, "a record needs a type and data after this"),
        ("a\n", 1, 1, "a record needs a type and data after this"),
        (
            "a WHAT x\n",
            1,
            3,
            "unknown record type \"WHAT\": of types without a name write TYPE and the number (RFC 3597 5)",
        ),
        ("a CH TXT x\n", 1, 3, "class CH is not served, only IN"),
        (
            "a 2147483648 A 192.0.2.1\n",
            1,
            3,
            "\"2147483648\" is not a TTL: seconds from 0 to 2147483647 (RFC 2181 8), or 1h30m",
        ),
        ("$TTL 1x\n", 1, 6, "\"1x\" is not a TTL: seconds from 0 to 2147483647 (RFC 2181 8), or 1h30m"),
        ("a TXT \"open\n", 1, 7, "this quoted string is not closed on its line: add '\"' at its end"),
        ("a SOA ns h (\n 1 2 3\n", 1, 12, "this parenthesis is never closed: add ')' after the record's data"),
        ("a TXT (a (b))\n", 1, 10, "a parenthesis within parentheses: close the first one before"),
        ("a TXT b )\n", 1, 9, "')' without '(' before it: remove it, or write it as \\)"),
        ("a TXT \\300\n", 1, 7, "bad escape: write \\DDD with three digits from 000 to 255, or \\ and a character"),
        ("a TXT b\\\n", 1, 9, "a backslash at the end of the line escapes nothing: remove it"),
        ("a..b A 192.0.2.1\n", 1, 1, "\"a..b\" is not a name: empty label (two dots in a row, or a dot at the start)"),
        (
            "b\u{fc}cher A 192.0.2.1\n",
            1,
            1,
            "\"b\u{fc}cher\" is not ASCII: write internationalised names as xn-- labels (RFC 5890)",
        ),
        (
            "a CNAME b\na A 192.0.2.1\n",
            2,
            1,
            "A beside CNAME at a.example.com.: an alias can have no other data (RFC 2181 10.1)",
        ),
        (
            "a A 192.0.2.1\n\ta.b A 192.0.2.1\n",
            2,
            2,
            "unknown record type \"a.b\": of types without a name write TYPE and the number (RFC 3597 5)",
        ),
        (
            "a TXT x\na CNAME b\n",
            2,
            1,
            "CNAME beside TXT at a.example.com.: an alias can have no other data (RFC 2181 10.1)",
        ),
        ("a CNAME b\na CNAME c\n", 2, 1, "a second CNAME record at a.example.com.: there can be only one"),
        (
            "@ SOA a b 1 2 3 4 5\n@ SOA a b 2 2 3 4 5\n",
            2,
            1,
            "a second SOA record at example.com.: there can be only one",
        ),
        (
            "x SOA a b 1 2 3 4 5\n",
            1,
            1,
            "the SOA record belongs at the zone's apex example.com., not at x.example.com.",
        ),
        ("@ SOA a b 1 2 3 4\n", 1, 18, "SOA data needs a minimum here"),
        ("@ SOA a b 1 2 3 4 5m5\n", 1, 19, "\"5m5\" is not a minimum: seconds, or 1h30m"),
        (
            "a.example.net. A 192.0.2.1\n",
            1,
            1,
            "a.example.net. is not within the zone example.com.: move it to its own zone, or drop the final dot",
        ),
        ("* NS ns\n", 1, 1, "NS at a wildcard has no defined meaning (RFC 4592 4.2, 4.4): name the zones one by one"),
        (
            "d DNAME e\nx.d A 192.0.2.1\n",
            2,
            1,
            "d.example.com. has a DNAME record, so there can be no names below it (RFC 6672 2.4)",
        ),
        (
            "x.d A 192.0.2.1\nd DNAME e\n",
            2,
            1,
            "d.example.com. has a DNAME record, so there can be no names below it (RFC 6672 2.4)",
        ),
        ("a ANY x\n", 1, 3, "ANY is a type of question, not of data"),
        ("a TYPE731 \\# 3 abcd\n", 1, 14, "the length says 3 octets, the hex digits make 2"),
        ("a TYPE731 \\# 2 abxd\n", 1, 16, "'x' is not a hex digit"),
        ("a TYPE1 \\# 3 abcdef\n", 1, 9, "bad A data: record data does not fit its type"),
        ("$GENERATE 1-9 a A 192.0.2.1\n", 1, 1, "$GENERATE is not read: write the records out, or use a template"),
        ("$FOO\n", 1, 1, "unknown directive \"$FOO\": $ORIGIN, $TTL and $INCLUDE are read"),
        ("$ORIGIN\n", 1, 1, "$ORIGIN takes one name"),
        ("a CAA x issue y\n", 1, 7, "\"x\" is not a number of flags (0 to 255)"),
        (
            "a RRSIG A 8 2\n",
            1,
            9,
            "this program does not read RRSIG data as text: write it generic, \\# LENGTH HEX (RFC 3597 5)",
        ),
        (
            "a IPSECKEY 10 1\n",
            1,
            12,
            "this program does not read IPSECKEY data as text: write it generic, \\# LENGTH HEX (RFC 3597 5)",
        ),
        ("a DS 1 8 2 abc\n", 1, 12, "an odd number of hex digits: two make an octet"),
        ("a DS 1 FOO 2 ab\n", 1, 8, "\"FOO\" is not an algorithm (0 to 255)"),
        (
            "a OPENPGPKEY abc\n",
            1,
            14,
            "bad base64: letters, digits, '+' and '/' in fours, '=' only to fill up (RFC 4648 4)",
        ),
        ("a HTTPS 1 . port=1 port=2\n", 1, 20, "port is there twice: a parameter may occur once (RFC 9460 2.1)"),
        ("a HTTPS 1 . mandatory=port\n", 1, 13, "mandatory lists a parameter that is not there (RFC 9460 8)"),
        ("a HTTPS 1 . no-default-alpn\n", 1, 13, "no-default-alpn needs alpn beside it (RFC 9460 7.1.1)"),
        ("a HTTPS 1 . ipv4hint=::1\n", 1, 13, "\"::1\" is not an IPv4 address"),
        (
            "a HTTPS 1 . color=red\n",
            1,
            13,
            "\"color\" is not a parameter: write alpn=, port=, ipv4hint=, ... or keyNNNNN= (RFC 9460 2.1)",
        ),
        ("a LOC 91 N 0 E 0\n", 1, 7, "\"91\" is not degrees, minutes and seconds, then N or S (RFC 1876 3)"),
        ("a EUI48 00-00-5e\n", 1, 9, "\"00-00-5e\" is not 6 octets in hex with hyphens between, as 00-00-5e-00-53-2a"),
        ("a CSYNC 1 3 FOO\n", 1, 13, "\"FOO\" is not a record type"),
    ];
    for (text, line, column, message) in cases {
        let error = try_zone("example.com", text).map(drop).unwrap_err();
        assert_eq!((error.line, error.column, error.message.as_str()), (Some(line), Some(column), message), "{text:?}");
    }
}

#[test]
fn a_text_that_is_in_no_file_includes_none() {
    let read = |text: &str| {
        builder("example.com").zone_text(text).map_err(|error| (error.to_string(), error.line, error.column))
    };
    assert_eq!(read("$TTL 5\n$ORIGIN sub\na A 192.0.2.1\n"), Ok(()));
    let told = "$INCLUDE is not read here: write the records of that file in its place";
    assert_eq!(read("a A 192.0.2.1\n$INCLUDE /etc/hosts\n"), Err((told.to_owned(), Some(2), Some(1))));
    assert_eq!(read("a A x\n"), Err(("\"x\" is not an IPv4 address".to_owned(), Some(1), Some(5))));
}

#[test]
fn a_zone_can_be_held_to_fewer_records_and_names() {
    let full = |text: &str| builder("example.com").for_records(4).zone_text(text).map_err(|error| error.message);
    let told = Err("the zone has more than 4 records or names, the most that are loaded".to_owned());
    assert_eq!(full("@ A 192.0.2.1\n@ A 192.0.2.2\n@ A 192.0.2.3\n@ A 192.0.2.4\n"), Ok(()));
    assert_eq!(full("@ A 192.0.2.1\n@ A 192.0.2.2\n@ A 192.0.2.3\n@ A 192.0.2.4\n@ A 192.0.2.5\n"), told);
    // Names count as well, those without records among them.
    assert_eq!(full("a.b.c A 192.0.2.1\nd A 192.0.2.1\n"), told);
}

#[test]
fn errors_name_the_file_they_are_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let read = |name: &str| builder("example.com").zone_file(&path(name)).unwrap_err().to_string();
    std::fs::write(path("outer"), "a A 192.0.2.1\n$INCLUDE inner\n").unwrap();
    std::fs::write(path("inner"), "\n b A x\n").unwrap();
    std::fs::write(path("self"), "$INCLUDE self\n").unwrap();
    std::fs::write(path("missing"), "\n$INCLUDE none\n").unwrap();
    std::fs::write(path("latin1"), b"a TXT \"\xfc\"\n").unwrap();
    let place = |name: &str, rest: &str| format!("{}:{rest}", path(name).display());
    // A line that continues no owner: the first of its file.
    assert_eq!(
        read("inner"),
        place("inner", "2:2: the first record has no owner: begin the line with a name or @, without blanks before it")
    );
    assert_eq!(read("outer"), read("inner"));
    assert_eq!(read("self"), place("self", "1:1: $INCLUDE nests more than 8 deep; does a file include itself?"));
    let none = path("none");
    assert_eq!(
        read("missing"),
        place("missing", &format!("2:10: {}: cannot be read: No such file or directory (os error 2)", none.display()))
    );
    assert_eq!(read("none"), place("none", " cannot be read: No such file or directory (os error 2)"));
    assert_eq!(read("latin1"), place("latin1", "1:8: not UTF-8 text: write octets over 127 as \\DDD (RFC 1035 5.1)"));
}

#[test]
fn broken_values_say_the_column() {
    let long = format!("\"{}\"", "a".repeat(256));
    let cases = [
        ("a", RecordType::A, None, "192.0.2", Some(1), "\"192.0.2\" is not an IPv4 address"),
        ("a", RecordType::A, None, "", Some(1), "A data needs an IPv4 address here"),
        ("a", RecordType::SRV, None, "0 0 x a", Some(5), "\"x\" is not a port"),
        ("a", RecordType::SRV, None, "0 0", Some(4), "SRV data needs a port here"),
        (
            "a",
            RecordType::TXT,
            None,
            &long,
            Some(1),
            "a string of 256 octets, at most 255 are allowed: split it into several quoted strings",
        ),
        (
            "a.",
            RecordType::A,
            None,
            "192.0.2.1",
            None,
            "a. is not within the zone example.com.: move it to its own zone, or drop the final dot",
        ),
        (
            "a b",
            RecordType::A,
            Some(1 << 31),
            "192.0.2.1",
            None,
            "TTL 2147483648 is over 2147483647 seconds, the most there is (RFC 2181 8)",
        ),
        (
            "",
            RecordType::A,
            None,
            "192.0.2.1",
            None,
            "\"\" is not a name: empty label (two dots in a row, or a dot at the start)",
        ),
        ("a", RecordType::CNAME, None, "\"b\"", Some(1), "a name is written without quotes"),
    ];
    for (owner, rtype, ttl, value, column, message) in cases {
        let error = builder("example.com").record(owner, rtype, ttl, value).unwrap_err();
        assert_eq!((error.column, error.message.as_str(), error.line), (column, message, None));
    }
}

#[test]
fn rrsets_are_bounded() {
    let text: String = (0..=4096).map(|i| format!("a TXT {i}\n")).collect();
    let error = try_zone("example.com", &text).map(drop).unwrap_err();
    assert_eq!(
        (error.line, error.message.as_str()),
        (Some(4097), "more than 4096 TXT records at a.example.com.: no message could carry them",)
    );
}

/// What fits a zone but no message is said to who asks, not sent in part.
#[test]
fn an_rrset_too_large_for_a_message_is_a_failure_with_its_reason() {
    let text: String = (0..300).map(|i| format!("a TXT {i:0>250}\n")).collect();
    let answer = ask(&try_zone("example.com", &text).unwrap(), "a.example.com", "TXT");
    assert_eq!(answer.rcode(), Rcode::SERVFAIL);
    assert!(answer.ede().unwrap().text.contains("do not fit a message"));
}

#[test]
fn zones_are_bounded_in_records_and_in_names() {
    let refused = "the zone has more than 10000 records or names, the most that are loaded";
    let many: String = (0..=10_000).map(|i| format!("{}.{i} A 192.0.2.1\n", i % 2)).collect();
    assert_eq!(try_zone("example.com", &many).map(drop).unwrap_err().message, refused);
    // A hundred empty non-terminals each.
    let deep: String = (0..200).map(|i| format!("{}{i} A 192.0.2.1\n", "a.".repeat(100))).collect();
    assert_eq!(try_zone("example.com", &deep).map(drop).unwrap_err().message, refused);
}

#[test]
fn files_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge");
    // Sparse: takes no room.
    std::fs::File::create(&path).unwrap().set_len((64 << 20) + 1).unwrap();
    let error = builder("example.com").zone_file(&path).unwrap_err();
    assert_eq!(error.message, "has 67108865 octets, at most 67108864 are read");
    let (_, problems) = HostsData::load(&[path], 60);
    assert_eq!(problems[0].message, "has 67108865 octets, at most 67108864 are read");
}
