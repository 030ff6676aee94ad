//! EDNS (RFC 6891) and its options.

use strait_tests::{ask_udp, lines};
use strait_wire::{Edns, EdnsOption, Message, Rcode, option};

use crate::bench::{Bench, on_every_road};

fn with_options(query: Message, codes: &[(u16, &[u8])]) -> Message {
    let options = codes.iter().map(|(code, data)| EdnsOption { code: *code, data: data.to_vec() }).collect();
    Message { edns: Some(Edns { options, ..Edns::default() }), ..query }
}

fn option_codes(reply: &Message) -> Vec<u16> {
    reply.edns.iter().flat_map(|edns| &edns.options).map(|option| option.code).collect()
}

#[test]
fn rfc6891_6_1_1_opt_only_when_asked() {
    on_every_road(|road| {
        for (name, rtype) in [("one", "A"), ("none", "A"), ("one", "AAAA"), ("one", "ANY"), ("one", "AXFR")] {
            let with = road.query(name, rtype);
            let without = Message { edns: None, ..with.clone() };
            // With, without and with again: what is kept in between has no OPT of anybody.
            for query in [&with, &without, &with] {
                let reply = road.ask(query);
                assert_eq!(reply.edns.is_some(), query.edns.is_some(), "{name} {rtype}");
            }
        }
    });
}

#[test]
fn rfc6891_6_1_1_more_than_one_opt_or_one_elsewhere_is_a_format_error() {
    const OPT: [u8; 11] = [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0];
    on_every_road(|road| {
        let bare = Message { edns: None, ..road.query("one", "A") }.to_wire().unwrap();
        // The octet of the header that counts, how often, and what follows the question.
        let not_root: Vec<u8> = [&[1, b'x'], &OPT[..]].concat();
        let cut_option: Vec<u8> = [&OPT[..9], &[0, 3, 0, 10, 0]].concat();
        let overlong: Vec<u8> = [&OPT[..9], &[0, 4, 0, 10, 0, 1]].concat();
        let cases: [(usize, u8, Vec<u8>); 5] = [
            (11, 2, [OPT, OPT].concat()),
            (7, 1, OPT.to_vec()),
            (11, 1, not_root),
            (11, 1, cut_option),
            (11, 1, overlong),
        ];
        for (at, count, tail) in cases {
            let mut packet = bare.clone();
            packet[at] = count;
            packet.extend(&tail);
            assert_eq!(road.open().ask(&packet).rcode, Rcode::FORMERR, "{tail:02x?}");
        }
        // The good one, so that the cases above fail for what they say.
        let mut packet = bare;
        packet[11] = 1;
        packet.extend(OPT);
        assert_eq!(road.open().ask(&packet).rcode, Rcode::NOERROR);
    });
}

#[test]
fn rfc6891_6_1_3_unknown_version_is_badvers() {
    on_every_road(|road| {
        for version in [1, 2, 255] {
            let mut packet = road.query("one", "A").to_wire().unwrap();
            // The octet before the flags and the length of the data.
            let at = packet.len() - 5;
            packet[at] = version;
            let reply = road.open().ask(&packet);
            assert_eq!((reply.rcode, reply.answers.len()), (Rcode::BADVERS, 0), "version {version}");
            assert_eq!(reply.edns.unwrap().version, 0, "the version we speak");
        }
    });
}

#[test]
fn rfc6891_6_1_2_unknown_options_are_ignored() {
    on_every_road(|road| {
        let query = with_options(
            road.query("one", "A"),
            &[(65_001, b"x"), (100, b""), (option::NSID, b""), (65_500, &[0; 99])],
        );
        let reply = road.ask(&query);
        assert_eq!((reply.rcode, reply.answers.len(), option_codes(&reply)), (Rcode::NOERROR, 1, vec![]));
    });
}

#[test]
fn rfc8906_3_2_4_unknown_edns_flags_are_ignored() {
    on_every_road(|road| {
        let mut packet = road.query("one", "A").to_wire().unwrap();
        // The last of the sixteen flag bits, before the length of the data.
        let at = packet.len() - 3;
        packet[at] = 1;
        let replies = road.open().exchange(&[packet], 1);
        let reply = Message::parse(&replies[0]).unwrap();
        assert_eq!((reply.rcode, reply.answers.len()), (Rcode::NOERROR, 1));
        assert_eq!(replies[0][replies[0].len() - 3], 0, "a flag nobody knows comes back");
    });
}

#[test]
fn rfc3225_3_the_do_bit_comes_back() {
    on_every_road(|road| {
        for dnssec_ok in [false, true] {
            let edns = Edns { dnssec_ok, ..Edns::default() };
            let reply = road.ask(&Message { edns: Some(edns), ..road.query("one", "A") });
            assert_eq!((reply.answers.len(), reply.edns.unwrap().dnssec_ok), (1, dnssec_ok));
        }
    });
}

#[test]
fn rfc7873_5_2_1_cookies_are_not_offered_and_so_ignored() {
    on_every_road(|road| {
        // A client's cookie, one with a server's part, and one of a length that does not exist.
        for cookie in [&[7_u8; 8][..], &[7; 16], &[7; 3]] {
            let reply = road.ask(&with_options(road.query("one", "A"), &[(option::COOKIE, cookie)]));
            assert_eq!((reply.rcode, reply.answers.len(), option_codes(&reply)), (Rcode::NOERROR, 1, vec![]));
        }
    });
}

#[test]
fn rfc7871_7_1_2_client_subnet_is_neither_answered_nor_passed_on() {
    const SUBNET: &[u8] = &[0, 1, 24, 0, 192, 0, 2];
    on_every_road(|road| {
        let reply = road.ask(&with_options(road.query("one", "A"), &[(option::CLIENT_SUBNET, SUBNET)]));
        assert_eq!((reply.answers.len(), option_codes(&reply)), (1, vec![]));
    });
    let bench = Bench::shared();
    let name = "subnet.upstream.example";
    let query = strait_tests::query(name, "A");
    let codes = [(option::CLIENT_SUBNET, SUBNET), (option::COOKIE, &[7; 8][..]), (65_001, b"x")];
    let reply = ask_udp(bench.a.dns, &with_options(query, &codes)).unwrap();
    assert_eq!(lines(&reply).len(), 1);
    let received = bench.upstream.received();
    let seen = received.iter().find(|r| r.question().name == name.parse().unwrap()).unwrap();
    assert!(option_codes(&seen.message).is_empty(), "options are hop by hop (RFC 6891 6.2.6)");
}

#[test]
fn rfc7828_3_keepalive_is_told_only_on_streams_and_only_when_asked() {
    on_every_road(|road| {
        for (name, rtype) in [("one", "A"), ("none", "A")] {
            let reply = road.ask(&with_options(road.query(name, rtype), &[(option::TCP_KEEPALIVE, b"")]));
            let told = reply.edns.as_ref().unwrap().option(option::TCP_KEEPALIVE);
            if road.transport.is_udp() {
                assert_eq!(told, None, "3.2.1: not over UDP");
            } else if let Some(told) = told {
                assert!(told.len() == 2 && told != [0, 0], "{told:?}");
            } else {
                assert!(road.transport.is_grpc(), "a stream's timeout is not told");
            }
            let reply = road.ask(&road.query(name, rtype));
            assert!(option_codes(&reply).is_empty(), "{name}: not asked, and told");
        }
    });
}

#[test]
fn rfc8467_4_1_replies_are_padded_inside_tls_and_nowhere_else() {
    on_every_road(|road| {
        for (name, rtype) in [("one", "A"), ("none", "A"), ("medium", "TXT"), ("one", "ANY")] {
            let query = with_options(road.query(name, rtype), &[(option::PADDING, &[0; 20])]);
            let replies = road.open().exchange(&[query.to_wire().unwrap()], 1);
            let reply = Message::parse(&replies[0]).unwrap();
            assert_eq!(reply.rcode, road.ask(&road.query(name, rtype)).rcode);
            if road.transport.is_encrypted() {
                assert_eq!(replies[0].len() % 468, 0, "{name} {rtype}: {} octets", replies[0].len());
            } else {
                assert!(option_codes(&reply).is_empty(), "{name} {rtype}");
            }
            assert!(option_codes(&road.ask(&road.query(name, rtype))).is_empty(), "not asked, and padded");
        }
    });
}
