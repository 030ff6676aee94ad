//! The routes of a gateway: its own suffix, mapped to the home zone, and nothing else.

use std::sync::Arc;

use strait_config::{Backend, GatewayConfig};
use strait_link::{LinkMetrics, UpstreamGroup};
use strait_resolve::zone::{Zone, ZoneBuilder};
use strait_resolve::{MappedSource, Route, RouteTable, Source};
use strait_wire::{Name, ZoneMapping};

/// TTL of what an empty home zone denies, in seconds.
const EMPTY_ZONE_TTL: u32 = 30;

/// The suffix and what answers for it, in words.
pub(crate) struct Home {
    mapping: ZoneMapping,
    sources: Vec<(Name, Arc<dyn Source>)>,
    description: String,
}

impl Home {
    /// Starts the backend.
    pub(crate) fn start(config: &GatewayConfig, metrics: &Arc<LinkMetrics>) -> anyhow::Result<Self> {
        let mapping = ZoneMapping::new(config.home_zone.clone(), config.suffix.clone())?;
        let (sources, description) = match &config.backend {
            Backend::ClusterDns(settings) => {
                let group = UpstreamGroup::start(settings.clone(), Arc::clone(metrics))?;
                (vec![(config.home_zone.clone(), group as Arc<dyn Source>)], "backend clusterDns".to_owned())
            }
            Backend::Zones(zones) => {
                let zones = zones.iter().map(|zone| Arc::clone(&zone.zone));
                (zone_sources(zones, &config.home_zone)?, "backend zones".to_owned())
            }
        };
        Ok(Self { mapping, sources, description })
    }

    /// What answers, in words.
    pub(crate) fn description(&self) -> &str {
        &self.description
    }

    /// A route per home zone, under its name outside.
    pub(crate) fn routes(&self) -> anyhow::Result<RouteTable> {
        let mut routes = Vec::new();
        for (zone, source) in &self.sources {
            let outside = self.mapping.name_outward(zone)?;
            let source = Arc::new(MappedSource::new(self.mapping.clone(), Arc::clone(source)));
            routes.push(Route { zone: outside, kind: "home", source, cached: true });
        }
        Ok(RouteTable::new(routes).0)
    }
}

/// Each zone, and an empty one at the home zone itself when no zone is there: the suffix as a whole must have an SOA,
/// since its peers ask for it to see whether we are well.
fn zone_sources(
    zones: impl Iterator<Item = Arc<Zone>>,
    home_zone: &Name,
) -> anyhow::Result<Vec<(Name, Arc<dyn Source>)>> {
    let mut sources: Vec<_> = zones.map(|zone| (zone.apex().clone(), zone as Arc<dyn Source>)).collect();
    if !sources.iter().any(|(apex, _)| apex == home_zone) {
        let empty = ZoneBuilder::new(home_zone.clone(), EMPTY_ZONE_TTL).build()?;
        sources.push((home_zone.clone(), Arc::new(empty)));
    }
    Ok(sources)
}
