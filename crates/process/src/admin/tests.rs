#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{Admin, Duration, HandOver, MAX_CONNECTIONS, Readiness, Registry, io};

fn start() -> (Admin, Readiness) {
    let readiness = Readiness::default();
    let admin = Admin::start(
        "127.0.0.1:0".parse().unwrap(),
        HandOver::Off,
        crate::registry("1.2.3").unwrap(),
        readiness.clone(),
    );
    (admin.unwrap(), readiness)
}

fn get(admin: &Admin, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(admin.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn the_three_pages() {
    let (admin, readiness) = start();
    assert_eq!(get(&admin, "/livez"), (200, "ok\n".to_owned()));
    let gate = readiness.gate("peers");
    gate.not_ready("the gateway has not been reached");
    let (status, body) = get(&admin, "/readyz");
    assert_eq!(status, 503);
    assert!(body.contains("the gateway has not been reached"), "{body}");
    gate.ready();
    assert_eq!(get(&admin, "/readyz").0, 200);
    let (status, page) = get(&admin, "/metrics");
    assert!(status == 200 && page.contains("strait_build_info"), "{page}");
    assert_eq!(get(&admin, "/elsewhere").0, 404);
}

#[test]
fn connections_that_say_nothing_do_not_keep_a_probe_out() {
    let (admin, _) = start();
    let silent: Vec<TcpStream> =
        (0..2 * MAX_CONNECTIONS).map(|_| TcpStream::connect(admin.address()).unwrap()).collect();
    assert_eq!(get(&admin, "/livez").0, 200);
    // The rest ends by the header's time.
    for mut stream in silent {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let end = stream.read(&mut [0; 512]);
        assert!(
            end.as_ref().is_ok_and(|len| *len < 512) || end.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset)
        );
    }
}

#[test]
fn scrapers_that_do_not_read_do_not_hold_up_a_probe() {
    let (admin, _) = start();
    let greedy: Vec<TcpStream> = (0..MAX_CONNECTIONS)
        .map(|_| {
            let mut stream = TcpStream::connect(admin.address()).unwrap();
            // Many requests in one piece, and not an octet of the answers read.
            let requests = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(500);
            stream.write_all(requests.as_bytes()).unwrap();
            stream
        })
        .collect();
    assert_eq!(get(&admin, "/livez").0, 200);
    drop(greedy);
}

#[test]
fn a_port_that_is_taken_is_said_with_what_to_do() {
    let (admin, _) = start();
    let error = Admin::start(admin.address(), HandOver::Off, Registry::new(), Readiness::default()).unwrap_err();
    assert!(error.to_string().contains("another program listens there"), "{error}");
}
