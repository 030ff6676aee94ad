//! Bytes from a stranger, read in every way the programs read them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strait_wire::{
    Answer, ClusterPath, Ede, Header, MAX_MESSAGE_LEN, Message, Name, QueryView, Rcode, Record, ReplyLimits, option,
};

fuzz_target!(|bytes: &[u8]| {
    read_as_query(bytes);
    read_as_message(bytes);
    read_as_response(bytes);
    if let Some(path) = ClusterPath::parse(bytes) {
        assert_eq!(path.encode(), bytes);
    }
});

/// Whatever comes, the reply can be read and answers that message.
fn read_as_query(bytes: &[u8]) {
    let mut reply = Vec::new();
    match QueryView::parse(bytes) {
        Ok(query) => {
            let _ = (query.cluster_path(), query.option(option::COOKIE));
            assert_eq!(query.qname().as_wire(), query.qname_wire());
            query.write_error(Rcode::REFUSED, Some(&Ede::new(Ede::PROHIBITED, "x".repeat(500))), &mut reply);
            assert!(reply.len() <= 512);
        }
        Err(refusal) => refusal.write_reply(bytes, &mut reply),
    }
    if !reply.is_empty() {
        let decoded = Message::parse(&reply).expect("replies can be read");
        assert_eq!(Some(decoded.id), Header::parse(bytes).map(|h| h.id));
    }
}

/// What is read and written is read again as the same, but for the EDNS version: we send 0.
fn read_as_message(bytes: &[u8]) {
    let Ok(mut message) = Message::parse(bytes) else { return };
    message.edns.iter_mut().for_each(|edns| edns.version = 0);
    let Ok(wire) = message.to_wire() else { return };
    assert_eq!(Message::parse(&wire).expect("what is written can be read"), message);
    if let Ok(answer) = Answer::new(&message) {
        assert!(answer.to_message().is_ok());
    }
}

/// The check keeps nothing outside the zone, and what it lets through can be sent to any client.
fn read_as_response(bytes: &[u8]) {
    let Ok(message) = Message::parse(bytes) else { return };
    let Some(question) = message.questions.first() else { return };
    for zone in [Name::root(), question.name.parent().unwrap_or_else(Name::root)] {
        let Ok((answer, dropped)) = Answer::check(bytes, question, &zone) else { continue };
        let kept = answer.to_message().expect("answers can be read");
        let in_zone = |record: &Record| record.name.is_within(&zone);
        assert!(kept.answers.iter().chain(&kept.additionals).all(in_zone));
        // A denial may rest on an SOA above a forward zone; nothing else from there is kept.
        assert!(kept.authorities.iter().all(|record| in_zone(record) || zone.is_within(&record.name)));
        assert_eq!(kept.records().count() + dropped, message.records().count());
        send(&answer, &message);
    }
}

fn send(answer: &Answer, message: &Message) {
    let mut asking = Message::query(1, message.questions[0].name.clone(), message.questions[0].rtype);
    asking.questions[0].class = message.questions[0].class;
    asking.edns.clone_from(&message.edns);
    let Ok(bytes) = asking.to_wire() else { return };
    let Ok(query) = QueryView::parse(&bytes) else { return };
    let padded = ReplyLimits { padding: true, keepalive: Some(1), ..ReplyLimits::stream() };
    for limits in [ReplyLimits::udp(&query), ReplyLimits::stream(), padded] {
        let mut reply = Vec::new();
        answer.write_reply(&query, 7, limits, None, &mut reply);
        assert!(reply.len() <= limits.max_len && reply.len() <= MAX_MESSAGE_LEN);
        assert_eq!(Message::parse(&reply).expect("replies can be read").id, 1);
    }
}
