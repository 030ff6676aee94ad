#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;

fn start() -> (Admin, Readiness) {
    let readiness = Readiness::default();
    let admin = Admin::start("127.0.0.1:0".parse().unwrap(), crate::registry("1.2.3").unwrap(), readiness.clone());
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
fn connections_that_say_nothing_are_closed_and_do_not_keep_others_out() {
    let (admin, _) = start();
    let silent: Vec<TcpStream> =
        (0..MAX_CONNECTIONS - 1).map(|_| TcpStream::connect(admin.address()).unwrap()).collect();
    assert_eq!(get(&admin, "/livez").0, 200);
    // Each of them ends by the header's time.
    for mut stream in silent {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert_eq!(stream.read(&mut [0; 512]).map(|len| len < 512).ok(), Some(true));
    }
}

#[test]
fn a_port_that_is_taken_is_said_with_what_to_do() {
    let (admin, _) = start();
    let error = Admin::start(admin.address(), Registry::new(), Readiness::default()).unwrap_err();
    assert!(error.to_string().contains("another program listens there"), "{error}");
}
