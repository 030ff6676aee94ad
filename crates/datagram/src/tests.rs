//! Sockets against sockets, over the loopback interface.
#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, SocketAddr, UdpSocket as Plain};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;

/// Long enough for the slowest machine; a test that gets so far has failed.
const PATIENCE: Duration = Duration::from_secs(10);

fn options() -> SocketOptions {
    SocketOptions { receive_timeout: Some(PATIENCE), ..SocketOptions::default() }
}

fn open(address: &str) -> UdpSocket {
    UdpSocket::open(address.parse().unwrap(), &options()).unwrap()
}

fn client(address: &str, server: SocketAddr) -> Plain {
    let client = Plain::bind(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(server).unwrap();
    client
}

fn echo(inbound: &Inbound, outbound: &mut Outbound) {
    for datagram in inbound.iter() {
        let pushed = outbound.push_with(datagram.client, datagram.local, |out| {
            out.extend_from_slice(datagram.bytes);
            true
        });
        assert!(pushed);
    }
}

#[test]
fn what_comes_is_received_in_order_and_answered() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let server = open(address);
        let client = client(address, server.local_addr());
        let (mut inbound, mut outbound) = (Inbound::new(), Outbound::new());
        let mut answered = 0;
        for n in 0..100_u8 {
            client.send(&[n; 3]).unwrap();
        }
        while answered < 100 {
            let received = inbound.receive(&server, Wait::Yes).unwrap();
            assert!((1..=BATCH).contains(&received), "{received}");
            for datagram in inbound.iter() {
                assert_eq!((datagram.client, datagram.cut), (client.local_addr().unwrap(), false));
            }
            echo(&inbound, &mut outbound);
            assert_eq!(outbound.send(&server, Wait::Yes), Sent { sent: received, failed: 0 });
            answered += received;
        }
        for n in 0..100_u8 {
            let mut reply = [0; 16];
            let len = client.recv(&mut reply).unwrap();
            assert_eq!(&reply[..len], [n; 3]);
        }
    }
}

#[test]
fn replies_leave_from_the_address_asked() {
    let cases = [
        ("0.0.0.0:0", ["127.0.0.1", "127.0.0.2", "127.0.0.3"].as_slice()),
        // Every address of 127/8 is this machine's; of IPv6 loopback addresses there is one.
        ("[::]:0", &["::1"]),
    ];
    for (wildcard, asked) in cases {
        let server = open(wildcard);
        let (mut inbound, mut outbound) = (Inbound::new(), Outbound::new());
        for asked in asked {
            let asked: IpAddr = asked.parse().unwrap();
            // Connected: a reply from elsewhere would not reach it.
            let any = if asked.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
            let client = client(any, SocketAddr::new(asked, server.local_addr().port()));
            client.send(b"from there").unwrap();
            inbound.receive(&server, Wait::Yes).unwrap();
            assert_eq!(inbound.iter().map(|d| d.local).collect::<Vec<_>>(), [Some(asked)]);
            echo(&inbound, &mut outbound);
            outbound.send(&server, Wait::Yes);
            assert_eq!(client.recv(&mut [0; 16]).unwrap(), 10, "{asked}");
        }
    }
}

#[test]
fn a_socket_with_an_address_of_its_own_has_no_notes_to_read() {
    let server = open("127.0.0.1:0");
    client("127.0.0.1:0", server.local_addr()).send(b"x").unwrap();
    let mut inbound = Inbound::new();
    inbound.receive(&server, Wait::Yes).unwrap();
    assert_eq!(inbound.iter().next().unwrap().local, None);
}

#[test]
fn a_datagram_over_the_bound_is_cut_and_says_so() {
    let server = open("127.0.0.1:0");
    let client = client("127.0.0.1:0", server.local_addr());
    for len in [MAX_DATAGRAM, MAX_DATAGRAM + 1, 0] {
        client.send(&vec![7; len]).unwrap();
        let mut inbound = Inbound::new();
        inbound.receive(&server, Wait::Yes).unwrap();
        let datagram = inbound.iter().next().unwrap();
        assert_eq!((datagram.bytes.len(), datagram.cut), (len.min(MAX_DATAGRAM), len > MAX_DATAGRAM));
    }
}

#[test]
fn a_failing_destination_costs_only_itself() {
    let server = open("127.0.0.1:0");
    let receivers: Vec<_> = (0..3).map(|_| client("127.0.0.1:0", server.local_addr())).collect();
    let mut outbound = Outbound::new();
    // No IPv4 socket sends to IPv6, and nobody to port 0: first, in the middle, twice in a row, last.
    let ipv6: SocketAddr = "[::1]:9".parse().unwrap();
    let zero: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let good: Vec<_> = receivers.iter().map(|r| r.local_addr().unwrap()).collect();
    for to in [ipv6, good[0], zero, ipv6, good[1], good[2], zero] {
        assert!(outbound.push_with(to, None, |out| {
            out.extend_from_slice(to.to_string().as_bytes());
            true
        }));
    }
    assert_eq!(outbound.send(&server, Wait::Yes), Sent { sent: 3, failed: 4 });
    assert!(outbound.is_empty());
    for receiver in receivers {
        let mut got = [0; 64];
        let len = receiver.recv(&mut got).unwrap();
        assert_eq!(&got[..len], receiver.local_addr().unwrap().to_string().as_bytes());
    }
}

#[test]
fn a_source_that_is_not_ours_is_refused() {
    let server = open("0.0.0.0:0");
    let mut outbound = Outbound::new();
    // 192.0.2.0/24 is for documentation (RFC 5737); .77 is nobody's here.
    let foreign = "192.0.2.77".parse().unwrap();
    outbound.push_with("127.0.0.1:9".parse().unwrap(), Some(foreign), |_| true);
    assert_eq!(outbound.send(&server, Wait::Yes), Sent { sent: 0, failed: 1 });
}

#[test]
fn a_batch_holds_so_many_and_no_more() {
    let server = open("127.0.0.1:0");
    let to = server.local_addr();
    let mut outbound = Outbound::new();
    for n in 0..=BATCH {
        assert_eq!(outbound.is_full(), n == BATCH);
        let pushed = outbound.push_with(to, None, |out| {
            out.push(n as u8);
            true
        });
        assert_eq!(pushed, n < BATCH);
    }
    assert_eq!(outbound.send(&server, Wait::Yes).sent, BATCH);
    // Emptied, it takes a batch again; what is not to be sent leaves nothing behind.
    assert!(!outbound.push_with(to, None, |out| {
        out.extend_from_slice(b"not this");
        false
    }));
    assert!(outbound.is_empty());
    outbound.push_with(to, None, |out| {
        assert!(out.is_empty());
        true
    });
    assert_eq!(outbound.len(), 1);
}

#[test]
fn drops_of_a_full_receive_buffer_are_counted() {
    let options = SocketOptions { receive_buffer: Some(1), ..options() };
    let server = UdpSocket::open("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    assert!(server.receive_buffer().unwrap() < 64 << 10, "the least that the system gives");
    assert_eq!(server.dropped().unwrap(), 0);
    let client = client("127.0.0.1:0", server.local_addr());
    for _ in 0..1000 {
        client.send(&[0; 512]).unwrap();
    }
    let mut inbound = Inbound::new();
    let mut received = 0;
    while let Ok(count) = inbound.receive(&server, Wait::No) {
        received += count;
    }
    assert_eq!(received + server.dropped().unwrap() as usize, 1000);
    assert!(received < 1000);
}

#[test]
fn the_receive_buffer_is_what_was_asked_for_when_the_system_allows_it() {
    let options = SocketOptions { receive_buffer: Some(100_000), ..options() };
    let socket = UdpSocket::open("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    // socket(7): the kernel doubles the value.
    assert_eq!(socket.receive_buffer().unwrap(), 200_000);
}

#[test]
fn receiving_waits_no_longer_than_asked() {
    let options = SocketOptions { receive_timeout: Some(Duration::from_millis(10)), ..SocketOptions::default() };
    let socket = UdpSocket::open("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    let mut inbound = Inbound::new();
    for wait in [Wait::No, Wait::Yes] {
        let error = inbound.receive(&socket, wait).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        assert_eq!(inbound.iter().count(), 0);
    }
}

#[test]
fn a_waiting_receiver_can_be_woken_and_sending_goes_on() {
    // Asleep already, and not yet.
    for early in [false, true] {
        let server = UdpSocket::open("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap();
        let (tell, told) = mpsc::channel();
        if early {
            server.wake();
        }
        thread::scope(|scope| {
            let server = &server;
            scope.spawn(move || {
                let mut inbound = Inbound::new();
                tell.send(None).unwrap();
                tell.send(Some(inbound.receive(server, Wait::Yes).unwrap())).unwrap();
            });
            assert_eq!(told.recv_timeout(PATIENCE).unwrap(), None);
            server.wake();
            assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Some(0));
        });
        let client = client("127.0.0.1:0", server.local_addr());
        let mut outbound = Outbound::new();
        outbound.push_with(client.local_addr().unwrap(), None, |out| {
            out.push(1);
            true
        });
        assert_eq!(outbound.send(&server, Wait::Yes).sent, 1);
        assert_eq!(client.recv(&mut [0; 4]).unwrap(), 1);
    }
}

#[test]
fn a_client_that_is_gone_does_not_end_the_socket() {
    let server = open("127.0.0.1:0");
    let (mut inbound, mut outbound) = (Inbound::new(), Outbound::new());
    for _ in 0..3 {
        let gone = client("127.0.0.1:0", server.local_addr());
        gone.send(b"x").unwrap();
        inbound.receive(&server, Wait::Yes).unwrap();
        drop(gone);
        echo(&inbound, &mut outbound);
        outbound.send(&server, Wait::Yes);
    }
    client("127.0.0.1:0", server.local_addr()).send(b"y").unwrap();
    assert_eq!(inbound.receive(&server, Wait::Yes).unwrap(), 1);
}

#[test]
fn connected_sockets_need_no_address() {
    let server = open("127.0.0.1:0");
    let client = open("127.0.0.1:0");
    client.connect(server.local_addr()).unwrap();
    let (mut inbound, mut outbound) = (Inbound::new(), Outbound::new());
    outbound.push_connected(|out| {
        out.extend_from_slice(b"ask");
        true
    });
    assert_eq!(outbound.send(&client, Wait::Yes).sent, 1);
    inbound.receive(&server, Wait::Yes).unwrap();
    echo(&inbound, &mut outbound);
    outbound.send(&server, Wait::Yes);
    assert_eq!(inbound.receive(&client, Wait::Yes).unwrap(), 1);
    assert_eq!(
        inbound.iter().next().map(|d| (d.bytes.to_vec(), d.client)),
        Some((b"ask".to_vec(), server.local_addr()))
    );
}

#[test]
fn a_group_shares_one_port_and_its_clients() {
    for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
        let group = UdpSocket::open_group(address.parse().unwrap(), 3, Sharing::Alone, &options()).unwrap();
        let port = group[0].local_addr().port();
        assert!(port != 0 && group.iter().all(|s| s.local_addr().port() == port));
        let server = match address {
            "[::1]:0" => SocketAddr::new("::1".parse().unwrap(), port),
            _ => SocketAddr::new("127.0.0.1".parse().unwrap(), port),
        };
        // The system picks by client address: among 64 clients every socket has some (all but surely).
        let any = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let clients: Vec<_> = (0..64).map(|_| client(any, server)).collect();
        for client in &clients {
            client.send(b"x").unwrap();
        }
        let (mut inbound, mut total) = (Inbound::new(), 0);
        for socket in &group {
            let before = total;
            while let Ok(count) = inbound.receive(socket, Wait::No) {
                total += count;
            }
            assert!(total > before, "a socket has no client");
        }
        assert_eq!(total, 64);
    }
}

#[test]
fn nobody_joins_a_group_in_silence() {
    let options = options();
    for count in [1, 2] {
        let group = UdpSocket::open_group("127.0.0.1:0".parse().unwrap(), count, Sharing::Alone, &options).unwrap();
        let taken = group[0].local_addr();
        // Another group, as a second process of ours would open it, and an ordinary socket.
        for sharing in [Sharing::Alone, Sharing::WithSuccessor] {
            let second = UdpSocket::open_group(taken, 2, sharing, &options).map(|_| ());
            // A group of several lets its siblings in, and the system knows no difference between them and a successor.
            if sharing == Sharing::Alone || count == 1 {
                assert_eq!(second.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
            }
        }
        assert_eq!(Plain::bind(taken).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
        assert_eq!(UdpSocket::open(taken, &options).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    }
}

#[test]
fn a_successor_shares_the_port_and_has_it_when_the_other_leaves() {
    for any in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
        let open = |address| UdpSocket::open_group(address, 2, Sharing::WithSuccessor, &options()).unwrap();
        let old = open(any.parse().unwrap());
        let address = old[0].local_addr();
        let new = open(address);
        let server =
            SocketAddr::new(if address.is_ipv4() { "127.0.0.1" } else { "::1" }.parse().unwrap(), address.port());
        let from = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let clients: Vec<_> = (0..64).map(|_| client(from, server)).collect();
        let ask = || clients.iter().for_each(|client| assert_eq!(client.send(b"x").unwrap(), 1));
        ask();
        // What came before it left is still the old one's, and both have some (all but surely).
        old.iter().for_each(|socket| socket.leave().unwrap());
        let (before_old, before_new) = (received(&old), received(&new));
        assert!(before_old > 0 && before_new > 0 && before_old + before_new == 64, "{before_old}, {before_new}");
        ask();
        assert_eq!((received(&old), received(&new)), (0, 64), "{any}");
        // One that has left can still reply to anybody.
        let mut outbound = Outbound::new();
        let local = server.ip().into();
        outbound.push_with(clients[0].local_addr().unwrap(), local, |reply| {
            reply.push(7);
            true
        });
        assert_eq!(outbound.send(&old[0], Wait::Yes).sent, 1);
        assert_eq!(clients[0].recv(&mut [0; 8]).unwrap(), 1);
    }
}

/// What lies in the sockets.
fn received(group: &[UdpSocket]) -> usize {
    let mut inbound = Inbound::new();
    let one = |socket: &UdpSocket| {
        let mut total = 0;
        while let Ok(count) = inbound.receive(socket, Wait::No) {
            total += count;
        }
        total
    };
    group.iter().map(one).sum()
}

#[test]
fn what_finds_no_room_stays_and_can_be_sent_later() {
    // A pair of Unix sockets: the loopback interface never holds a UDP sender up.
    let (sender, receiver) = socket2::Socket::pair(socket2::Domain::UNIX, socket2::Type::DGRAM, None).unwrap();
    sender.set_write_timeout(Some(Duration::from_millis(10))).unwrap();
    let (sender, mut outbound) = (UdpSocket::from(sender), Outbound::new());
    let mut sent = 0;
    for wait in [Wait::No, Wait::Yes] {
        while outbound.is_empty() {
            while outbound.push_connected(|out| {
                out.push(7);
                true
            }) {}
            sent += outbound.send(&sender, wait).sent;
        }
        let left = outbound.len();
        let mut freed = 0;
        while freed < left && receiver.recv(&mut [std::mem::MaybeUninit::uninit(); 4]).unwrap() == 1 {
            freed += 1;
        }
        assert_eq!(outbound.send(&sender, wait), Sent { sent: left, failed: 0 });
        sent += left;
    }
    assert_eq!(sent % BATCH, 0);
}
