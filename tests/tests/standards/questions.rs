//! Questions that are refused, and packets that are no questions: the same on every road.

use strait_tests::client::query;
use strait_wire::{Class, Flags, Message, Opcode, Rcode, RecordType};

use crate::bench::{Bench, Road, on_every_road};
use crate::carrier::Transport;

/// What is done to the bytes of a question.
type Change = dyn Fn(&mut Vec<u8>);

/// A question with one thing changed in its bytes.
fn changed(road: &Road, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut packet = Message { id: 0x4242, edns: None, ..road.query("one", "A") }.to_wire().unwrap();
    change(&mut packet);
    packet
}

#[track_caller]
fn refused(road: &Road, packet: &[u8], rcode: Rcode) -> Message {
    let reply = road.open().ask(packet);
    assert_eq!((reply.id, reply.rcode), (0x4242, rcode));
    assert!(reply.flags.has(Flags::QR) && reply.records().next().is_none());
    reply
}

#[test]
fn rfc1035_4_1_1_a_reply_carries_id_question_and_rd_of_the_query() {
    on_every_road(|road| {
        for (id, flags) in [(0, Flags::RD), (0xffff, Flags::RD), (7, 0)] {
            let query = Message { id, flags: Flags(flags), ..road.query("one", "A") };
            let reply = road.ask(&query);
            assert_eq!((reply.id, &reply.questions), (id, &query.questions));
            assert!(reply.flags.has(Flags::QR | Flags::RA));
            assert_eq!(reply.flags.has(Flags::RD), flags == Flags::RD);
            assert_eq!(reply.flags.opcode(), Opcode::QUERY);
            assert!(!reply.flags.has(0x0040), "the Z bit is set");
        }
    });
}

#[test]
fn rfc1035_4_1_1_only_who_holds_the_zone_is_authoritative() {
    on_every_road(|road| {
        for (name, rtype) in [("one", "A"), ("one", "AAAA"), ("none", "A"), ("@", "SOA")] {
            // Twice: the second answer may come from a cache.
            for _ in 0..2 {
                let reply = road.ask(&road.query(name, rtype));
                assert_eq!(reply.flags.has(Flags::AA), road.authoritative, "{name} {rtype}");
            }
        }
    });
}

#[test]
fn rfc8906_3_1_4_every_other_opcode_is_not_implemented() {
    let upstream_saw = Bench::shared();
    on_every_road(|road| {
        for opcode in 1..=15_u8 {
            let packet = changed(road, |packet| packet[2] |= opcode << 3);
            let reply = refused(road, &packet, Rcode::NOTIMP);
            assert_eq!(reply.flags.opcode(), Opcode(opcode));
        }
    });
    // Nor does one go further: a name of its own, which only an upstream could know.
    let name = "opcodes.upstream.example";
    for opcode in 1..=15_u8 {
        let mut packet = query(name, "A").to_wire().unwrap();
        packet[2] |= opcode << 3;
        let reply = ask_agent(&upstream_saw, &packet);
        assert_eq!(reply.rcode, Rcode::NOTIMP);
    }
    assert_eq!(upstream_saw.upstream.count(name), 0);
}

fn ask_agent(bench: &Bench, packet: &[u8]) -> Message {
    let socket = strait_tests::client::udp(bench.a.dns).unwrap();
    socket.send(packet).unwrap();
    strait_tests::client::receive(&socket).unwrap()
}

#[test]
fn rfc8906_3_1_3_unknown_flags_are_ignored() {
    on_every_road(|road| {
        let query = Message { flags: Flags(Flags::RD | 0x0040 | Flags::AA | Flags::RA), ..road.query("one", "A") };
        let reply = road.ask(&query);
        assert_eq!((reply.rcode, reply.answers.len()), (Rcode::NOERROR, 1));
        assert!(!reply.flags.has(0x0040), "the Z bit comes back");
    });
}

#[test]
fn rfc1035_3_2_4_other_classes_are_refused() {
    on_every_road(|road| {
        for class in [Class::CH, Class::HS, Class::NONE, Class::ANY, Class(2), Class(0), Class(0xffff)] {
            let packet = changed(road, |packet| {
                let at = packet.len() - 2;
                packet[at..].copy_from_slice(&class.0.to_be_bytes());
            });
            let reply = refused(road, &packet, Rcode::REFUSED);
            assert_eq!(reply.questions[0].class, class);
        }
    });
    let bench = Bench::shared();
    let mut chaos = query("version.bind", "TXT");
    chaos.questions[0].class = Class::CH;
    assert_eq!(ask_agent(&bench, &chaos.to_wire().unwrap()).rcode, Rcode::REFUSED);
    assert_eq!(bench.upstream.count("version.bind"), 0);
}

#[test]
fn rfc9619_4_the_number_of_questions_must_be_one() {
    on_every_road(|road| {
        let none = changed(road, |packet| {
            packet[5] = 0;
            packet.truncate(12);
        });
        assert!(refused(road, &none, Rcode::FORMERR).questions.is_empty());
        let two = changed(road, |packet| {
            packet[5] = 2;
            let again = packet[12..].to_vec();
            packet.extend(again);
        });
        refused(road, &two, Rcode::FORMERR);
        // The count alone: more is promised than is there.
        refused(road, &changed(road, |packet| packet[5] = 2), Rcode::FORMERR);
        refused(road, &changed(road, |packet| packet[4..6].fill(0xff)), Rcode::FORMERR);
    });
}

#[test]
fn rfc1035_4_1_1_responses_are_never_answered() {
    on_every_road(|road| {
        road.ignores(&changed(road, |packet| packet[2] |= 0x80));
        // Nor with an opcode or a count that would be told to a query.
        road.ignores(&changed(road, |packet| packet[2] |= 0x80 | 4 << 3));
        road.ignores(&changed(road, |packet| {
            packet[2] |= 0x80;
            packet[5] = 0;
        }));
    });
}

#[test]
fn rfc1035_4_1_1_what_is_shorter_than_a_header_is_ignored() {
    on_every_road(|road| {
        for length in 1..12 {
            let packet = changed(road, |packet| packet.truncate(length));
            match road.transport {
                // A stream whose framing makes no sense is closed.
                Transport::Tcp | Transport::Dot => assert!(road.open().is_closed_by(&packet), "{length} octets"),
                _ => road.ignores(&packet),
            }
        }
    });
}

#[test]
fn rfc1035_4_1_messages_that_cannot_be_read_are_format_errors() {
    on_every_road(|road| {
        let end = changed(road, |_| ()).len();
        // A header alone that promises a question, and every cut through it.
        for length in 12..end {
            refused(road, &changed(road, |packet| packet.truncate(length)), Rcode::FORMERR);
        }
        let changes: [&Change; 6] = [
            // Octets behind the question.
            &|packet| packet.push(0),
            // A record is promised that is not there, in each section.
            &|packet| packet[7] = 1,
            &|packet| packet[9] = 1,
            &|packet| packet[11] = 1,
            // A label of a kind that does not exist, and a name that points at itself.
            &|packet| packet[12] = 0x80,
            &|packet| packet[12..14].copy_from_slice(&[0xc0, 12]),
        ];
        for change in changes {
            refused(road, &changed(road, change), Rcode::FORMERR);
        }
        // TC has no meaning in a query.
        refused(road, &changed(road, |packet| packet[2] |= 0x02), Rcode::FORMERR);
    });
}

#[test]
fn rfc1035_2_3_4_names_have_at_most_255_octets() {
    on_every_road(|road| {
        let packet = changed(road, |packet| {
            packet.truncate(12);
            for _ in 0..4 {
                packet.push(63);
                packet.extend([b'a'; 63]);
            }
            packet.extend([0, 0, 1, 0, 1]);
        });
        refused(road, &packet, Rcode::FORMERR);
    });
}

#[test]
fn rfc5936_2_zone_transfers_and_other_meta_types_are_not_implemented() {
    on_every_road(|road| {
        // AXFR, IXFR, MAILB, MAILA, TKEY, TSIG, and what is not assigned in the range of meta types.
        for rtype in [252, 251, 253, 254, 249, 250, 200, 128, 41] {
            let packet = changed(road, |packet| {
                let at = packet.len() - 4;
                packet[at..at + 2].copy_from_slice(&u16::to_be_bytes(rtype));
            });
            refused(road, &packet, Rcode::NOTIMP);
        }
        let any = road.ask(&road.query("one", "ANY"));
        assert_eq!(any.rcode, Rcode::NOERROR, "{}", RecordType::ANY);
    });
}
