//! The reverse zones of a gateway's own addresses: names under the suffix for peers, at home for its own agents.

use std::borrow::Cow;
use std::sync::Arc;

use strait_catalog::ReverseZone;
use strait_config::GatewayConfig;
use strait_link::{LinkMetrics, UpstreamGroup, UpstreamSettings};
use strait_resolve::{Ask, BoxFuture, IpNet, MappedReverse, Route, Source, SourceError};
use strait_wire::{Answer, Name, RecordType, ZoneMapping};

use crate::catalog::OwnCatalog;

/// The zones that all addresses lie in.
const OF_ADDRESSES: [[&[u8]; 2]; 2] = [[b"in-addr", b"arpa"], [b"ip6", b"arpa"]];

/// The zones of which a gateway with these ranges may be asked; what of them has no route is refused for want of it.
pub(crate) fn zones_of_all(ranges: &[IpNet]) -> Vec<Name> {
    let of_addresses = || OF_ADDRESSES.into_iter().filter_map(|labels| Name::from_labels(labels).ok());
    if ranges.is_empty() { Vec::new() } else { of_addresses().collect() }
}

/// Routes to what the catalog says of addresses.
pub(crate) fn of_catalog(config: &GatewayConfig, catalog: &OwnCatalog) -> anyhow::Result<Vec<Route>> {
    let route = |zone: Name| -> anyhow::Result<Route> {
        let told_in = |names: &Name| ReverseZone::new(catalog.current(), zone.clone(), names.clone());
        let source = Arc::new(OwnAddresses { at_home: told_in(&config.home_zone)?, outside: told_in(&config.suffix)? });
        Ok(Route { zone, kind: "home", source, cached: false })
    };
    reverse_zones(config).map(route).collect()
}

/// Routes to what the cluster's DNS says of addresses.
pub(crate) fn of_cluster_dns(
    config: &GatewayConfig,
    cluster_dns: &UpstreamSettings,
    metrics: &Arc<LinkMetrics>,
) -> anyhow::Result<Vec<Route>> {
    if config.reverse.is_empty() {
        return Ok(Vec::new());
    }
    // The same servers, which may speak of names here that the home zone does not hold.
    let zone = Name::from_labels([b"arpa".as_slice()])?;
    let group = UpstreamGroup::start(UpstreamSettings { zone, ..cluster_dns.clone() }, Arc::clone(metrics))?;
    let mapping = ZoneMapping::new(config.home_zone.clone(), config.suffix.clone())?;
    let source: Arc<dyn Source> = Arc::new(MappedReverse::new(mapping, group));
    let route = |zone| Route { zone, kind: "home", source: Arc::clone(&source), cached: true };
    Ok(reverse_zones(config).map(route).collect())
}

fn reverse_zones(config: &GatewayConfig) -> impl Iterator<Item = Name> {
    config.reverse.iter().flat_map(IpNet::reverse_zones)
}

/// A reverse zone of our own addresses. Who asks decides where the names lie that it is told.
struct OwnAddresses {
    at_home: ReverseZone,
    outside: ReverseZone,
}

impl Source for OwnAddresses {
    fn ready(&self, lower: &[u8], rtype: RecordType) -> Option<Cow<'_, Answer>> {
        self.at_home.ready(lower, rtype)
    }

    fn answer_now(&self, ask: &Ask) -> Option<Answer> {
        self.at_home.answer_now(ask)
    }

    fn told_outside(&self) -> Option<&dyn Source> {
        Some(&self.outside)
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        self.at_home.answer(ask)
    }
}
