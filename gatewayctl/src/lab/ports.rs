//! Loopback ports: the same ones every time where they are free, others where not.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use anyhow::Context;

use super::say::say;

/// Ports of one cluster.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClusterPorts {
    /// The node-agent, UDP and TCP.
    pub(super) agent: u16,
    /// The node-agent's metrics.
    pub(super) agent_admin: u16,
    /// The gateway, DNS over TLS.
    pub(super) tls: u16,
    /// The gateway, gRPC.
    pub(super) grpc: u16,
    /// The gateway's metrics.
    pub(super) gateway_admin: u16,
    /// The played cluster DNS, UDP and TCP.
    pub(super) cluster_dns: u16,
}

/// Chooses ports; holds each until it is dropped or the port taken, so that none is chosen twice.
#[derive(Default)]
pub(super) struct Ports {
    held: HashMap<u16, Held>,
}

/// A port of this process, for TCP and UDP.
pub(super) struct Held {
    pub(super) streams: TcpListener,
    pub(super) datagrams: UdpSocket,
}

impl Ports {
    /// The ports of the cluster of this number.
    pub(super) fn of_cluster(&mut self, number: u16) -> anyhow::Result<ClusterPorts> {
        Ok(ClusterPorts {
            agent: self.choose(5300 + number)?,
            agent_admin: self.choose(9300 + number)?,
            tls: self.choose(8530 + number)?,
            grpc: self.choose(8440 + number)?,
            gateway_admin: self.choose(9310 + number)?,
            cluster_dns: self.choose(5310 + number)?,
        })
    }

    /// Hands over a port chosen before, for a server of this process.
    pub(super) fn take(&mut self, port: u16) -> anyhow::Result<Held> {
        self.held.remove(&port).with_context(|| format!("127.0.0.1:{port} is held by nobody here"))
    }

    fn choose(&mut self, wanted: u16) -> anyhow::Result<u16> {
        /// Of any ten ports free for TCP, one is free for UDP.
        const TRIES: usize = 10;
        if self.hold(wanted).is_ok() {
            return Ok(wanted);
        }
        let held = (0..TRIES).find_map(|_| self.hold(0).ok());
        let port = held.context("no free port on 127.0.0.1")?;
        say(format_args!("  (port {wanted} is taken; {port} stands in for it)"))?;
        Ok(port)
    }

    /// Takes a port for TCP and UDP; 0 takes any.
    fn hold(&mut self, port: u16) -> std::io::Result<u16> {
        let streams = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let port = streams.local_addr()?.port();
        let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
        self.held.insert(port, Held { streams, datagrams });
        Ok(port)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_taken_port_is_replaced_by_a_free_one() {
        let mut ports = Ports::default();
        let first = ports.hold(0).unwrap();
        let second = ports.choose(first).unwrap();
        assert_ne!(first, second);
        // Taken for UDP alone is taken.
        let datagram = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = datagram.local_addr().unwrap().port();
        assert_ne!(ports.choose(taken).unwrap(), taken);
    }
}
