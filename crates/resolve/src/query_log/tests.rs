#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::Condvar;
use std::time::{Instant, UNIX_EPOCH};

use super::*;
use crate::testing::{gateway_identity, name};

fn entry(name_text: &str, rcode: Rcode) -> QueryLogEntry {
    QueryLogEntry {
        time: UNIX_EPOCH + Duration::from_micros(1_700_000_000_250_000),
        client: "192.0.2.7:4242".parse().unwrap(),
        transport: Transport::Udp,
        identity: None,
        name: name(name_text),
        rtype: RecordType::A,
        rcode,
        zone: "example.com.".into(),
        source: "static",
        cached: false,
        duration: Duration::from_micros(35),
    }
}

/// Writes into memory; stands still while it is shut.
#[derive(Clone, Default)]
struct Paper(Arc<Press>);

#[derive(Default)]
struct Press {
    /// What is written, and whether it is shut.
    state: Mutex<(Vec<u8>, bool)>,
    opened: Condvar,
}

impl Paper {
    fn shut(&self, shut: bool) {
        self.0.state.lock().unwrap().1 = shut;
        self.0.opened.notify_all();
    }

    /// What is written when the log has ended. That waits for its last lines, but no longer than a second, in which a
    /// busy machine may not be done: the writer is done when nobody else holds the paper.
    fn text(&self) -> String {
        let started = Instant::now();
        while Arc::strong_count(&self.0) > 1 {
            assert!(started.elapsed() < Duration::from_secs(60), "the writer does not end");
            std::thread::yield_now();
        }
        String::from_utf8(self.0.state.lock().unwrap().0.clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let Press { state, opened } = &*self.0;
        let mut state = opened.wait_while(state.lock().unwrap(), |(_, shut)| *shut).unwrap();
        state.0.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_text_line_tells_everything() {
    let paper = Paper::default();
    let log = QueryLog::new(QueryLogFilter::All, false, Box::new(paper.clone()));
    log.record(entry("web.example.com", Rcode::NOERROR));
    // The end of the log waits for its last line.
    drop(log);
    assert_eq!(
        paper.text(),
        "2023-11-14T22:13:20.25Z client=192.0.2.7:4242 transport=udp identity=- name=web.example.com. type=A \
         rcode=NOERROR zone=example.com. source=static cached=false duration_us=35\n"
    );
}

#[test]
fn a_json_line_tells_everything() {
    let paper = Paper::default();
    let log = QueryLog::new(QueryLogFilter::All, true, Box::new(paper.clone()));
    log.record(QueryLogEntry { identity: Some(gateway_identity()), ..entry("web.example.com", Rcode::NXDOMAIN) });
    drop(log);
    let line: serde_json::Value = serde_json::from_str(paper.text().trim_end()).unwrap();
    let expected = serde_json::json!({
        "time": "2023-11-14T22:13:20.25Z", "client": "192.0.2.7:4242", "transport": "udp",
        "identity": "spiffe://cluster-a.example.com/gateway", "name": "web.example.com.", "type": "A",
        "rcode": "NXDOMAIN", "zone": "example.com.", "source": "static", "cached": false, "duration_us": 35,
    });
    assert_eq!(line, expected);
}

#[test]
fn a_name_cannot_forge_a_line() {
    let paper = Paper::default();
    let log = QueryLog::new(QueryLogFilter::All, false, Box::new(paper.clone()));
    log.record(entry("a\\010rcode=NOERROR\\032b.example.com", Rcode::SERVFAIL));
    drop(log);
    assert_eq!(paper.text().lines().count(), 1);
    assert!(paper.text().contains("name=a\\010rcode=NOERROR\\032b.example.com. "), "{}", paper.text());
}

#[test]
fn the_filter_picks() {
    let cases = [
        (QueryLogFilter::Off, [false, false, false]),
        (QueryLogFilter::All, [true, true, true]),
        // A name that does not exist is an answer, not an error.
        (QueryLogFilter::Errors, [false, false, true]),
    ];
    for (filter, picked) in cases {
        let log = QueryLog::new(filter, false, Box::new(io::sink()));
        assert_eq!([Rcode::NOERROR, Rcode::NXDOMAIN, Rcode::REFUSED].map(|rcode| log.picks(rcode)), picked);
    }
}

#[test]
fn over_its_bound_lines_are_dropped_and_counted() {
    let paper = Paper::default();
    paper.shut(true);
    let log = QueryLog::new(QueryLogFilter::All, false, Box::new(paper.clone()));
    // A buffer of the writer's and the line in its hand hold some; one more queue overflows for certain.
    for _ in 0..MAX_WAITING * 2 {
        log.record(entry("web.example.com", Rcode::NOERROR));
    }
    assert!(log.lost().load(Ordering::Relaxed) > 0);
    let dropped = usize::try_from(log.lost().load(Ordering::Relaxed)).unwrap();
    paper.shut(false);
    drop(log);
    assert_eq!(paper.text().lines().count() + dropped, MAX_WAITING * 2);
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = QueryLog::new(QueryLogFilter::All, false, Box::new(Full));
    let mut handed = 0;
    while log.lost().load(Ordering::Relaxed) == 0 {
        log.record(entry("web.example.com", Rcode::NOERROR));
        handed += 1;
        assert!(handed < 10_000_000, "a full disk went unnoticed");
        std::thread::yield_now();
    }
}
