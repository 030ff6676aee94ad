//! A batch of datagrams to be sent.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use crate::address::RawAddress;
use crate::control::Control;
use crate::{BATCH, UdpSocket, Wait, system};

/// Room for each datagram at the beginning; a batch of longer ones grows it once.
const USUAL_LEN: usize = 1232;

/// A batch of at most [`BATCH`] datagrams; its memory is kept for the next.
pub struct Outbound {
    /// The datagrams one after another.
    octets: Vec<u8>,
    envelopes: Vec<Envelope>,
    /// Of these, sent or given up.
    done: usize,
}

/// Where a datagram lies, where it goes and where it leaves from.
pub(crate) struct Envelope {
    pub(crate) octets: Range<usize>,
    pub(crate) receiver: RawAddress,
    pub(crate) control: Control,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Datagrams handed to the network.
    pub sent: usize,
    /// Datagrams that it refused; each is dropped.
    pub failed: usize,
}

impl Outbound {
    /// An empty batch.
    pub fn new() -> Self {
        Self { octets: Vec::with_capacity(BATCH * USUAL_LEN), envelopes: Vec::with_capacity(BATCH), done: 0 }
    }

    /// Adds what `fill` appends, unless it says false or the batch is full; `local` is the address to leave from, for
    /// sockets bound to a wildcard address. Whether it was added.
    pub fn push_with(
        &mut self,
        client: SocketAddr,
        local: Option<IpAddr>,
        fill: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> bool {
        self.push(RawAddress::new(client), local.map_or(Control::NONE, Control::source), fill)
    }

    /// Adds what `fill` appends for where the socket is connected to, as [`Outbound::push_with`] does.
    pub fn push_connected(&mut self, fill: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        self.push(RawAddress::NONE, Control::NONE, fill)
    }

    fn push(&mut self, receiver: RawAddress, control: Control, fill: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        if self.is_full() {
            return false;
        }
        let start = self.octets.len();
        if !fill(&mut self.octets) {
            self.octets.truncate(start);
            return false;
        }
        self.envelopes.push(Envelope { octets: start..self.octets.len(), receiver, control });
        true
    }

    /// Sends the batch and empties it. A datagram that the network refuses costs only itself.
    ///
    /// What stays, as [`Outbound::len`] tells, found the send buffer full: [`Wait::No`], or the time set has passed.
    pub fn send(&mut self, socket: &UdpSocket, wait: Wait) -> Sent {
        let mut sent = Sent::default();
        while let Some(rest) = self.envelopes.get(self.done..).filter(|rest| !rest.is_empty()) {
            match system::send(socket.fd(), &self.octets, rest, wait) {
                Ok(count) => {
                    sent.sent += count;
                    self.done += count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return sent,
                // Of this datagram, or about an earlier one to the same client (ICMP).
                Err(_) => {
                    sent.failed += 1;
                    self.done += 1;
                }
            }
        }
        self.clear();
        sent
    }

    /// Forgets what is still to be sent.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.envelopes.clear();
        self.done = 0;
    }

    /// Datagrams still to be sent.
    pub fn len(&self) -> usize {
        self.envelopes.len() - self.done
    }

    /// Whether nothing is to be sent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no more fits in.
    pub fn is_full(&self) -> bool {
        self.envelopes.len() == BATCH
    }
}

impl Default for Outbound {
    fn default() -> Self {
        Self::new()
    }
}
