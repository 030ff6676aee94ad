//! A batch of datagrams that have come.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::address::RawAddress;
use crate::control::Control;
use crate::{BATCH, MAX_DATAGRAM, UdpSocket, Wait, system};

/// Room for a batch, allocated once; the system gives memory to what of it is used.
pub struct Inbound {
    /// A stretch of [`STRIDE`] octets for each datagram.
    octets: Box<[u8]>,
    heads: Box<[Head; BATCH]>,
    len: usize,
}

/// From one datagram to the next. The octets between keep the beginnings of datagrams out of one cache set.
pub(crate) const STRIDE: usize = MAX_DATAGRAM + 64;

/// What is known of a datagram.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) len: usize,
    pub(crate) cut: bool,
    pub(crate) sender: RawAddress,
    pub(crate) control: Control,
}

/// A datagram that has come.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// What it holds.
    pub bytes: &'a [u8],
    /// Who sent it.
    pub client: SocketAddr,
    /// Where it was sent to, when the socket is bound to a wildcard address; elsewhere it is the socket's own.
    pub local: Option<IpAddr>,
    /// Whether it was longer than [`MAX_DATAGRAM`] and `bytes` is only its beginning.
    pub cut: bool,
}

impl Inbound {
    /// An empty batch.
    pub fn new() -> Self {
        let head = Head { len: 0, cut: false, sender: RawAddress::NONE, control: Control::NONE };
        Self { octets: vec![0; BATCH * STRIDE].into(), heads: Box::new([head; BATCH]), len: 0 }
    }

    /// Takes what has come, one batch of it at most, in place of the batch before; how many.
    ///
    /// With [`Wait::Yes`] it waits for the first, and returns none when the socket has been woken by
    /// [`UdpSocket::wake`]. Errors: [`io::ErrorKind::WouldBlock`] when nothing came in the time set, or
    /// nothing was there; [`io::ErrorKind::Interrupted`] on a signal; else what the network says of a datagram sent
    /// earlier. None of them ends the socket.
    pub fn receive(&mut self, socket: &UdpSocket, wait: Wait) -> io::Result<usize> {
        self.len = 0;
        let received = system::receive(socket.fd(), &mut self.octets, &mut self.heads, wait)?;
        // Once woken, a socket with nothing there gives an empty datagram without a sender.
        self.len = self.heads[..received].iter().take_while(|head| head.sender.len > 0).count();
        Ok(self.len)
    }

    /// The datagrams of the batch, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = Datagram<'_>> {
        self.heads[..self.len].iter().zip(self.octets.chunks_exact(STRIDE)).filter_map(|(head, octets)| {
            let client = head.sender.get()?;
            Some(Datagram { bytes: &octets[..head.len], client, local: head.control.local(), cut: head.cut })
        })
    }
}

impl Default for Inbound {
    fn default() -> Self {
        Self::new()
    }
}
