//! Messages mapped between the home zone and the suffix.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use strait_wire::{MappingError, Message, Name, ZoneMapping};

static MAPPING: LazyLock<ZoneMapping> = LazyLock::new(|| {
    let name = |text: &str| text.parse::<Name>().expect("a name");
    ZoneMapping::new(name("cluster.local"), name("b.example")).expect("zones apart")
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = Message::parse(bytes) else { return };
    // Error texts do not go out, so they cannot come back.
    let message = Message { edns: None, ..message };
    if let Ok(outside) = MAPPING.outward(&message) {
        assert!(names(&outside).all(|name| !name.is_within(MAPPING.home())));
        assert_eq!(MAPPING.inward(&outside).expect("what went out can come back"), message);
        if let Ok(wire) = outside.to_wire() {
            let decoded = Message::parse(&wire).expect("what is written can be read");
            assert!(names(&decoded).all(|name| !name.is_within(MAPPING.home())));
        }
    }
    if let Ok(home) = MAPPING.inward(&message) {
        assert!(names(&home).all(|name| !name.is_within(MAPPING.suffix())));
        match MAPPING.outward(&home) {
            Ok(back) => assert_eq!(back, message),
            // What hides the home zone in data that no layout knows goes out of no cluster.
            Err(MappingError::Hidden { .. }) => {}
            Err(error) => panic!("what came in can go out: {error}"),
        }
    }
});

fn names(message: &Message) -> impl Iterator<Item = Name> {
    let questions = message.questions.iter().map(|question| question.name.clone());
    questions.chain(
        message
            .records()
            .flat_map(|record| std::iter::once(record.name.clone()).chain(record.rdata.names()).collect::<Vec<_>>()),
    )
}
