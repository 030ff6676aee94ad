//! `gatewayctl node-address`: addresses that a node has for itself, on a dummy link, for its node-agent to answer on.
//!
//! The link outlives who made it: an agent that is replaced leaves its addresses to the next. What is there already is
//! left as it is, so that doing it again does nothing. A link that serves somebody else is neither used nor removed.

mod netlink;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, bail};

use netlink::{Kind, Link, Netlink};

/// Names of links are at most 15 octets (`IFNAMSIZ`).
const MAX_NAME: usize = 15;

/// What is to be done with a node's own addresses.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum NodeAddressCommand {
    /// Give this host addresses of its own; needs CAP_NET_ADMIN
    Add {
        #[command(flatten)]
        link: LinkArg,
        /// Addresses, such as 169.254.20.53 or fd00::53
        #[arg(required = true, value_name = "ADDR", value_parser = own_address)]
        addresses: Vec<IpAddr>,
    },
    /// Take a dummy link away with its addresses, or some addresses of a link; needs CAP_NET_ADMIN
    Remove {
        #[command(flatten)]
        link: LinkArg,
        /// Addresses to take away from the link, which stays; needed with a link that is no dummy link, such as lo
        #[arg(value_name = "ADDR", value_parser = own_address)]
        addresses: Vec<IpAddr>,
    },
}

/// The link that has the addresses.
#[derive(Debug, clap::Args)]
pub(crate) struct LinkArg {
    /// The link; a dummy link of that name is made when there is none
    #[arg(long = "link", value_name = "NAME", default_value = "strait-dns", value_parser = link_name)]
    name: String,
}

/// Letters, digits, `-`, `_` and `.`: what no tool chokes on.
fn link_name(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    match (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(allowed) && text != "." && text != ".." {
        true => Ok(text.to_owned()),
        false => Err(format!("write 1 to {MAX_NAME} letters, digits, '-', '_' and '.'")),
    }
}

/// An address that a host can have for itself: a link-local, private, shared or unique-local one (RFC 3927, 1918, 6598, 4193).
/// The host reaches nobody else who has it, so it must not be one of the world's, nor one that clouds answer on.
pub(crate) fn own_address(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| format!("write an address such as {EXAMPLES}"))?;
    let own = match address {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_private() || is_shared(ip),
        IpAddr::V6(ip) => ip.is_unique_local(),
    };
    match own {
        _ if of_clouds(address) => {
            Err(format!("programs of this host ask its cloud at {address} and near it; choose one such as {EXAMPLES}"))
        }
        true => Ok(address),
        false => Err(format!(
            "{address} is no address that a host has for itself (link-local, private or unique-local); choose one such as {EXAMPLES}"
        )),
    }
}

const EXAMPLES: &str = "169.254.20.53 or fd00::53";

/// 100.64.0.0/10 (RFC 6598).
fn is_shared(ip: Ipv4Addr) -> bool {
    ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64
}

/// Where clouds tell virtual machines their data, the time and names: 169.254.169.0/24, fd00:ec2::/32 (AWS), fd20:ce::/32 (Google).
fn of_clouds(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.octets().starts_with(&[169, 254, 169]),
        IpAddr::V6(ip) => {
            [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0)]
                .iter()
                .any(|range| range.segments()[..2] == ip.segments()[..2])
        }
    }
}

impl NodeAddressCommand {
    /// Does it, and says on standard output what there is now.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let out = &mut std::io::stdout().lock();
        let mut netlink = Netlink::open().context("cannot talk to the kernel about links")?;
        match self {
            Self::Add { link, addresses } => add(&mut netlink, &link.name, &addresses, out),
            Self::Remove { link, addresses } => remove(&mut netlink, &link.name, &addresses, out),
        }
    }
}

fn add(netlink: &mut Netlink, name: &str, addresses: &[IpAddr], out: &mut impl Write) -> anyhow::Result<()> {
    let (link, kind) = match find(netlink, name)? {
        Some(found) => found,
        None => netlink
            .make_dummy(name)
            .with_context(|| format!("cannot make the link {name}; that needs the capability CAP_NET_ADMIN and the kernel's module `dummy`; without the module use --link lo"))?,
    };
    if matches!(kind, Kind::Other(_)) {
        bail!(
            "{name} is {kind}, which serves something else; name a link that there is not yet, or lo, with --link (`nodeLocal.link` of the chart)"
        );
    }
    netlink
        .bring_up(link)
        .with_context(|| format!("cannot bring the link {name} up; that needs the capability CAP_NET_ADMIN"))?;
    for address in addresses {
        netlink.add_address(link, *address).with_context(|| {
            format!("cannot give {address} to the link {name}; that needs the capability CAP_NET_ADMIN")
        })?;
        writeln!(out, "{name} has {address}")?;
    }
    Ok(())
}

fn remove(netlink: &mut Netlink, name: &str, addresses: &[IpAddr], out: &mut impl Write) -> anyhow::Result<()> {
    match find(netlink, name)? {
        None => writeln!(out, "there is no {name}")?,
        Some((link, Kind::Dummy)) if addresses.is_empty() => {
            netlink
                .remove(link)
                .with_context(|| format!("cannot remove the link {name}; that needs the capability CAP_NET_ADMIN"))?;
            writeln!(out, "{name} is gone")?;
        }
        Some((_, kind)) if addresses.is_empty() => {
            bail!(
                "{name} is {kind} and stays; name the addresses to take away from it: node-address remove --link {name} ADDR..."
            )
        }
        Some((link, _)) => {
            for address in addresses {
                let was_there = netlink.remove_address(link, *address).with_context(|| {
                    format!("cannot take {address} away from the link {name}; that needs the capability CAP_NET_ADMIN")
                })?;
                match was_there {
                    true => writeln!(out, "{name} has {address} no more")?,
                    false => writeln!(out, "{name} does not have {address} by itself")?,
                }
            }
        }
    }
    Ok(())
}

fn find(netlink: &mut Netlink, name: &str) -> anyhow::Result<Option<(Link, Kind)>> {
    netlink.link(name).with_context(|| format!("cannot look for the link {name}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_of_links_are_such_that_the_kernel_takes() {
        for good in ["lo", "strait-dns", "strait.dns_1", "fifteen-letters"] {
            assert_eq!(link_name(good).unwrap(), good);
        }
        for bad in ["", ".", "..", "sixteen-letters-", "a/b", "a b", "ä"] {
            link_name(bad).unwrap_err();
        }
    }

    #[test]
    fn a_host_has_such_addresses_for_itself_as_nobody_else_needs() {
        for good in ["169.254.20.53", "10.0.0.53", "172.16.0.53", "192.168.0.53", "100.64.0.53", "fd00::53", "fc00::1"]
        {
            assert_eq!(own_address(good).unwrap(), good.parse::<IpAddr>().unwrap());
        }
        // (address, a word of what is said)
        for (bad, word) in [
            ("0.0.0.0", "for itself"),
            ("::", "for itself"),
            ("224.0.0.1", "for itself"),
            ("ff02::1", "for itself"),
            // It is there without this.
            ("::1", "for itself"),
            ("127.0.0.1", "for itself"),
            // Somebody else's, who could not be asked any more.
            ("8.8.8.8", "for itself"),
            ("100.128.0.1", "for itself"),
            ("2001:db8::1", "for itself"),
            // Metadata, names and time of clouds.
            ("169.254.169.254", "cloud"),
            ("fd00:ec2::254", "cloud"),
            ("fd20:ce::254", "cloud"),
            ("localhost", "write an address"),
        ] {
            let error = own_address(bad).unwrap_err();
            assert!(error.contains(word), "{bad}: {error}");
        }
    }
}
