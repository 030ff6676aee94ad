#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use strait_wire::{Class, Edns, EdnsOption, Flags, Question, Rcode, Rdata, Record, option};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::*;

fn record(name: &str, rtype: RecordType, rdata: Rdata) -> Record {
    Record { name: name.parse().unwrap(), rtype, class: Class::IN, ttl: 30, rdata }
}

fn response(name: &str, rcode: Rcode, answers: Vec<Record>) -> Message {
    let question = Question { name: name.parse().unwrap(), rtype: RecordType::A, class: Class::IN };
    let mut message = Message::response(question, rcode);
    message.flags = Flags(Flags::QR | Flags::RD | Flags::RA);
    message.answers = answers;
    message
}

fn view(message: &Message) -> AnswerView {
    AnswerView::new(message, "127.0.0.1:53 (udp)".to_owned(), Duration::from_micros(1_310))
}

#[test]
fn an_answer_reads_as_dig_writes_it() {
    let alias = record("Web.example.com", RecordType::CNAME, Rdata::name(&"web2.example.com".parse().unwrap()));
    let address = record("web2.example.com", RecordType::A, Rdata::opaque(vec![10, 2, 0, 1]));
    let expected = "\
Web.example.com.\t30\tIN\tCNAME\tweb2.example.com.
web2.example.com.\t30\tIN\tA\t10.2.0.1
;; status: NOERROR, flags: qr rd ra
;; answered by 127.0.0.1:53 (udp) in 1.31 ms
";
    assert_eq!(view(&response("web.example.com", Rcode::NOERROR, vec![alias, address])).text(), expected);
}

#[test]
fn an_answer_that_is_none_says_why() {
    let mut message = response("web.example.com", Rcode::SERVFAIL, vec![]);
    let data = [&22_u16.to_be_bytes()[..], b"cluster-b: no endpoint answers\x1b[m"].concat();
    message.edns = Some(Edns { options: vec![EdnsOption { code: option::EDE, data }], ..Edns::default() });
    let expected = "\
;; status: SERVFAIL, flags: qr rd ra
;; EDE 22 (No Reachable Authority): cluster-b: no endpoint answers\\u{1b}[m
;; answered by 127.0.0.1:53 (udp) in 1.31 ms
";
    assert_eq!(view(&message).text(), expected);
}

#[test]
fn a_negative_answer_shows_its_soa() {
    let mut message = response("nope.example.com", Rcode::NXDOMAIN, vec![]);
    let (mname, rname) = ("ns.example.com".parse().unwrap(), "admin.example.com".parse().unwrap());
    let soa = Rdata::soa(&mname, &rname, [1, 2, 3, 4, 5]);
    message.authorities.push(record("example.com", RecordType::SOA, soa));
    let text = view(&message).text();
    let expected = ";; authority: example.com.\t30\tIN\tSOA\tns.example.com. admin.example.com. 1 2 3 4 5\n";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn scripts_can_tell_data_from_none_and_none_from_failure() {
    let address = || vec![record("a.example.com", RecordType::A, Rdata::opaque(vec![10, 2, 0, 1]))];
    let cases = [
        (Rcode::NOERROR, address(), Outcome::Done),
        (Rcode::NOERROR, vec![], Outcome::NoData),
        (Rcode::NXDOMAIN, vec![], Outcome::NoData),
        (Rcode::SERVFAIL, vec![], Outcome::Failed),
        (Rcode::REFUSED, vec![], Outcome::Failed),
        // Half an answer is a failure.
        (Rcode::SERVFAIL, address(), Outcome::Failed),
    ];
    for (rcode, answers, expected) in cases {
        assert_eq!(view(&response("a.example.com", rcode, answers)).outcome(), expected, "{rcode}");
    }
}

#[test]
fn data_is_written_in_presentation_format() {
    let name = |text: &str| text.parse::<Name>().unwrap();
    let cases = [
        (RecordType::AAAA, Rdata::opaque([&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1]].concat()), "2001:db8::1"),
        (RecordType::SRV, Rdata::srv(1, 2, 5_060, &name("Sip.example.com")), "1 2 5060 Sip.example.com."),
        (RecordType::MX, Rdata::parse(RecordType::MX, b"\x00\x0a\x02mx\x00").unwrap(), "10 mx."),
        (RecordType::PTR, Rdata::name(&name("a\\032b.example.com")), "a\\032b.example.com."),
        // Quotes, backslashes, and what is not printable (RFC 1035 5.1).
        (RecordType::TXT, Rdata::opaque(b"\x05a\"b\\\x1b\x01x".to_vec()), "\"a\\\"b\\\\\\027\" \"x\""),
        // The answer to ANY (RFC 8482): an empty string is one as well.
        (RecordType(13), Rdata::opaque(b"\x07RFC8482\x00".to_vec()), "\"RFC8482\" \"\""),
        (RecordType::CAA, Rdata::opaque(b"\x00\x05issueca.test".to_vec()), "0 issue \"ca.test\""),
        // Unknown to everybody (RFC 3597 5).
        (RecordType(65_280), Rdata::opaque(vec![1, 0xab]), "\\# 2 01ab"),
        (RecordType(65_280), Rdata::opaque(vec![]), "\\# 0"),
        // Data that does not fit its type is shown as it is, not guessed at.
        (RecordType::A, Rdata::opaque(vec![10, 2]), "\\# 2 0a02"),
    ];
    for (rtype, data, expected) in cases {
        assert_eq!(rdata::text(&record("a.example.com", rtype, data)), expected, "{rtype}");
    }
}

#[test]
fn a_server_is_an_address_with_or_without_a_port() {
    let cases = [
        ("127.0.0.1", "127.0.0.1:53"),
        ("127.0.0.1:5301", "127.0.0.1:5301"),
        ("::1", "[::1]:53"),
        ("[::1]", "[::1]:53"),
        ("[::1]:5301", "[::1]:5301"),
    ];
    for (text, expected) in cases {
        assert_eq!(server(text).unwrap().to_string(), expected);
    }
}

#[test]
fn an_answer_to_another_question_is_not_taken() {
    let question = Message::query(7, "a.example.com".parse().unwrap(), RecordType::A);
    let answer = |id, name: &str| {
        let mut message = response(name, Rcode::NOERROR, vec![]);
        message.id = id;
        message.to_wire().unwrap()
    };
    assert!(plain::read(&answer(7, "a.example.com"), &question).is_ok());
    for wrong in [answer(8, "a.example.com"), answer(7, "b.example.com"), question.to_wire().unwrap()] {
        assert_eq!(plain::read(&wrong, &question).unwrap_err().to_string(), "the answer is to another question");
    }
}

/// A server whose UDP answers are preceded by noise, and truncated when `truncated`.
async fn scripted(truncated: bool) -> SocketAddr {
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            break (Arc::new(udp), tcp);
        }
    };
    let address = udp.local_addr().unwrap();
    let answer = |wire: &[u8], last: u8| {
        let question = Message::parse(wire).unwrap();
        let data = Rdata::opaque(vec![10, 2, 0, last]);
        let mut answer = response("a.example.com", Rcode::NOERROR, vec![record("a.example.com", RecordType::A, data)]);
        answer.id = question.id;
        answer
    };
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        let (len, client) = udp.recv_from(&mut buffer).await.unwrap();
        let mut reply = answer(&buffer[..len], 1);
        if truncated {
            reply.flags = Flags(reply.flags.0 | Flags::TC);
            reply.answers.clear();
        }
        udp.send_to(b"noise", client).await.unwrap();
        udp.send_to(&reply.to_wire().unwrap(), client).await.unwrap();
    });
    tokio::spawn(async move {
        let (mut stream, _) = tcp.accept().await.unwrap();
        let len = stream.read_u16().await.unwrap();
        let mut wire = vec![0; usize::from(len)];
        stream.read_exact(&mut wire).await.unwrap();
        let reply = answer(&wire, 2).to_wire().unwrap();
        stream.write_u16(u16::try_from(reply.len()).unwrap()).await.unwrap();
        stream.write_all(&reply).await.unwrap();
    });
    address
}

#[tokio::test]
async fn a_node_agent_is_asked_over_udp_and_over_tcp_when_truncated() {
    for (truncated, transport, last) in [(false, "udp", 1), (true, "tcp", 2)] {
        let server = scripted(truncated).await;
        let question = Message::query(7, "a.example.com".parse().unwrap(), RecordType::A);
        let answered = ask_agent(server, &question).await.unwrap();
        assert_eq!(answered.by, format!("{server} ({transport})"));
        assert_eq!(answered.message.answers[0].rdata.as_bytes(), [10, 2, 0, last]);
    }
}

#[tokio::test]
async fn where_nothing_listens_the_address_is_named() {
    let free = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let question = Message::query(7, "a.example.com".parse().unwrap(), RecordType::A);
    let error = ask_agent(free, &question).await.err().unwrap().to_string();
    let expected = "is the node-agent running, and is this its `listen` address (--server)?";
    assert_eq!(error, format!("nothing listens on {free}; {expected}"));
}
