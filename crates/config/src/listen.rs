//! `listen` and `admin`: addresses of our own.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;

use strait_identity::Alpn;

use crate::context::Context;
use crate::effective::Effective;
use crate::section::{Located, Problem, Section};
use crate::units;

/// The port of a node-agent's `admin` without one.
pub(crate) const AGENT_ADMIN_PORT: u16 = 9153;
/// The port of a gateway's `admin` without one.
pub(crate) const GATEWAY_ADMIN_PORT: u16 = 9154;
/// Addresses listened on at most.
const MAX_LISTEN: usize = 64;

/// Workers of an address. Each is a thread; more than processors only take turns.
const WORKERS: RangeInclusive<u32> = 1..=64;
/// And without the setting.
const MAX_DEFAULT_WORKERS: usize = 8;

/// Reads the addresses of a node-agent.
pub(crate) fn read(root: &mut Section<'_>) -> Vec<Located<SocketAddr>> {
    if let Some(addresses) = root.list("listen", MAX_LISTEN, units::address(53)) {
        return addresses;
    }
    let default = [SocketAddr::from((Ipv4Addr::LOCALHOST, 53)), SocketAddr::from((Ipv6Addr::LOCALHOST, 53))];
    root.show("listen", Effective::List(default.map(|address| Effective::Scalar(address.to_string())).into()));
    default.into_iter().map(|value| Located { value, at: root.at.clone() }).collect()
}

/// Reads the addresses of a gateway, each with the protocol for connections that offer none.
pub(crate) fn read_peers(root: &mut Section<'_>) -> Vec<Located<(SocketAddr, Alpn)>> {
    if let Some(addresses) = root.list("listen", MAX_LISTEN, peer_address) {
        return addresses;
    }
    let default = ["tls://0.0.0.0:853", "grpc://0.0.0.0:8443"];
    root.show("listen", Effective::List(default.map(|url| Effective::Scalar(url.to_owned())).into()));
    let addresses = default.into_iter().filter_map(|url| peer_address(url).ok());
    addresses.map(|value| Located { value, at: root.at.clone() }).collect()
}

/// Reads how many workers answer UDP on each address of a node-agent.
pub(crate) fn read_workers(root: &mut Section<'_>) -> NonZeroUsize {
    let workers = root.or("workers", default_workers(), units::count(WORKERS));
    usize::try_from(workers).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN)
}

/// Half of the processors that this process may use, at most eight: the other half is for what takes time and for those
/// who ask, and one worker alone answers some hundred thousand questions a second, more than a node has.
fn default_workers() -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    u32::try_from(processors.div_ceil(2).min(MAX_DEFAULT_WORKERS)).unwrap_or(1)
}

fn peer_address(text: &str) -> Result<(SocketAddr, Alpn), Problem> {
    let (alpn, port, address) = match text.split_once("://") {
        Some(("tls", address)) => (Alpn::Dot, 853, address),
        Some(("grpc", address)) => (Alpn::H2, 8443, address),
        _ => {
            let message = format!("{text:?} begins with neither tls:// nor grpc://");
            return Err(Problem::new(message, "write tls://0.0.0.0:853 or grpc://0.0.0.0:8443"));
        }
    };
    Ok((units::address(port)(address)?, alpn))
}

/// Notes addresses that cannot be had together; returns them without their places.
pub(crate) fn check(
    cx: &Context,
    addresses: Vec<Located<SocketAddr>>,
    admin: Option<&Located<SocketAddr>>,
) -> Vec<SocketAddr> {
    for (index, address) in addresses.iter().enumerate() {
        if let Some(first) =
            addresses[..index].iter().find(|first| first.value == address.value && first.value.port() != 0)
        {
            let message = format!("{} is listened on twice; first in line {}", address.value, cx.line(&first.at));
            cx.error(&address.at, message, "keep one of them");
        } else if let Some(other) = addresses.iter().find(|other| covers(other.value, address.value)) {
            let message = format!("{} covers {} already", other.value, address.value);
            cx.error(&address.at, message, "keep the one, or name every address");
        }
        if let Some(admin) = admin
            && admin.value.port() != 0
            && (admin.value == address.value
                || covers(admin.value, address.value)
                || covers(address.value, admin.value))
        {
            let message = format!("`admin`: {} is taken by `listen`", admin.value);
            cx.error(&admin.at, message, "give it a port of its own");
        }
    }
    addresses.into_iter().map(|address| address.value).collect()
}

/// Whether listening on `any` leaves nothing for `address`.
fn covers(any: SocketAddr, address: SocketAddr) -> bool {
    any != address
        && any.ip().is_unspecified()
        && any.is_ipv4() == address.is_ipv4()
        && any.port() == address.port()
        && any.port() != 0
}
