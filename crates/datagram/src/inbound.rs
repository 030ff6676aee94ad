//! A batch of datagrams that have come.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::address::RawAddress;
use crate::control::Control;
use crate::{BATCH, MAX_DATAGRAM, UdpSocket, Wait, system};

/// Room for a batch, allocated once.
pub struct Inbound {
    slots: Box<[Slot; BATCH]>,
    len: usize,
}

/// Room for one datagram. The octets behind keep the heads of neighbouring datagrams out of one cache set.
pub(crate) struct Slot {
    pub(crate) bytes: [u8; MAX_DATAGRAM],
    _apart: [u8; 64],
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

impl Slot {
    const EMPTY: Self = Self {
        bytes: [0; MAX_DATAGRAM],
        _apart: [0; 64],
        len: 0,
        cut: false,
        sender: RawAddress::NONE,
        control: Control::NONE,
    };
}

impl Inbound {
    /// An empty batch.
    pub fn new() -> Self {
        // Made on the heap: the whole is larger than the stack of a thread may be.
        let slots: Box<[Slot]> = std::iter::repeat_with(|| Slot::EMPTY).take(BATCH).collect();
        let Ok(slots) = slots.try_into() else { unreachable!("BATCH slots were made") };
        Self { slots, len: 0 }
    }

    /// Takes what has come, one batch of it at most, in place of the batch before; how many.
    ///
    /// With [`Wait::Yes`] it waits for the first, and returns none when the socket has been woken by
    /// [`UdpSocket::wake`]. Errors: [`io::ErrorKind::WouldBlock`] when nothing came in the time set, or
    /// nothing was there; [`io::ErrorKind::Interrupted`] on a signal; else what the network says of a datagram sent
    /// earlier. None of them ends the socket.
    pub fn receive(&mut self, socket: &UdpSocket, wait: Wait) -> io::Result<usize> {
        self.len = 0;
        let received = system::receive(socket.fd(), &mut self.slots, wait)?;
        // Once woken, a socket with nothing there gives an empty datagram without a sender.
        self.len = self.slots[..received].iter().take_while(|slot| slot.sender.len > 0).count();
        Ok(self.len)
    }

    /// The datagrams of the batch, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = Datagram<'_>> {
        self.slots[..self.len].iter().filter_map(|slot| {
            let client = slot.sender.get()?;
            Some(Datagram { bytes: &slot.bytes[..slot.len], client, local: slot.control.local(), cut: slot.cut })
        })
    }
}

impl Default for Inbound {
    fn default() -> Self {
        Self::new()
    }
}
