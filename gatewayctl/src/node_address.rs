//! `gatewayctl node-address`: addresses that a node has for itself, on a dummy link, for its node-agent to answer on.
//!
//! The link outlives who made it: an agent that is replaced leaves its addresses to the next. What is there already is
//! left as it is, so that doing it again does nothing.

mod netlink;

use std::io::Write;
use std::net::IpAddr;

use anyhow::{Context, bail};

use netlink::Netlink;

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
        #[arg(required = true, value_name = "ADDR")]
        addresses: Vec<IpAddr>,
    },
    /// Take the link away, with its addresses; needs CAP_NET_ADMIN
    Remove {
        #[command(flatten)]
        link: LinkArg,
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

impl NodeAddressCommand {
    /// Does it, and says on standard output what there is now.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.run_to(&mut std::io::stdout().lock())
    }

    fn run_to(self, out: &mut impl Write) -> anyhow::Result<()> {
        let mut netlink = Netlink::open().context("cannot talk to the kernel about links")?;
        match self {
            Self::Add { link: LinkArg { name }, addresses } => {
                // No host has them.
                if let Some(address) = addresses.iter().find(|ip| ip.is_unspecified() || ip.is_multicast()) {
                    bail!("{address} cannot be the address of a host; choose one such as 169.254.20.53 or fd00::53");
                }
                let link = match netlink.link(&name).with_context(|| format!("cannot look for the link {name}"))? {
                    Some(link) => link,
                    None => netlink
                        .make_dummy(&name)
                        .with_context(|| format!("cannot make the link {name}; that needs the capability CAP_NET_ADMIN and the kernel's module `dummy`; without the module use --link lo"))?,
                };
                netlink.bring_up(link).with_context(|| {
                    format!("cannot bring the link {name} up; that needs the capability CAP_NET_ADMIN")
                })?;
                for address in addresses {
                    netlink.add_address(link, address).with_context(|| {
                        format!("cannot give {address} to the link {name}; that needs the capability CAP_NET_ADMIN")
                    })?;
                    writeln!(out, "{name} has {address}")?;
                }
            }
            Self::Remove { link: LinkArg { name } } => match netlink.link(&name)? {
                Some(link) => {
                    netlink.remove(link).with_context(|| format!("cannot remove the link {name}; that needs the capability CAP_NET_ADMIN, and a link that was made (as `lo` was not)"))?;
                    writeln!(out, "{name} is gone")?;
                }
                None => writeln!(out, "there is no {name}")?,
            },
        }
        Ok(())
    }
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
    fn nobodys_address_is_refused() {
        for address in ["0.0.0.0", "::", "224.0.0.1", "ff02::1"] {
            let link = LinkArg { name: "none-such".to_owned() };
            let command = NodeAddressCommand::Add { link, addresses: vec![address.parse().unwrap()] };
            let error = command.run_to(&mut Vec::new()).unwrap_err();
            assert!(error.to_string().contains("cannot be the address of a host"), "{error}");
        }
    }
}
