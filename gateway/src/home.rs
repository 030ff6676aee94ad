//! The routes of a gateway: its own suffix, and with a catalog of its own the home zone for its own agents.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Context;
use strait_catalog::{CatalogZone, ClusterSetSettings, ClusterSetZone, ExportZone, Label, ZoneSettings};
use strait_config::{Backend, ClusterSetOptions, GatewayConfig, KubernetesSettings};
use strait_link::{LinkMetrics, PeerLinks, UpstreamGroup};
use strait_process::Process;
use strait_resolve::zone::{Zone, ZoneBuilder};
use strait_resolve::{MappedSource, Route, RouteTable, Source};
use strait_wire::{Name, ZoneMapping};

use crate::catalog::OwnCatalog;
use crate::members::LinkedMembers;
use crate::reverse;

/// TTL of what an empty home zone denies, in seconds.
const EMPTY_ZONE_TTL: u32 = 30;

/// What answers for this cluster.
pub(crate) struct Home {
    routes: Vec<Route>,
    /// Zones of which this cluster's own agents may ask, and nobody else.
    own_zones: Vec<Name>,
    description: &'static str,
    catalog: Option<OwnCatalog>,
    /// What this cluster is called in names of endpoints that clusters share.
    cluster_id: Option<String>,
}

impl Home {
    /// Starts the backend.
    pub(crate) async fn start(
        config: &GatewayConfig,
        metrics: &Arc<LinkMetrics>,
        links: &Arc<PeerLinks>,
        process: &Process,
    ) -> anyhow::Result<Self> {
        match &config.backend {
            Backend::Kubernetes(settings) => Self::kubernetes(config, settings, links, process).await,
            Backend::ClusterDns(settings) => {
                let group = UpstreamGroup::start(settings.clone(), Arc::clone(metrics))?;
                let mut home =
                    Self::mapped(config, vec![(config.home_zone.clone(), group as _)], "backend clusterDns")?;
                home.routes.extend(reverse::of_cluster_dns(config, settings, metrics)?);
                Ok(home)
            }
            Backend::Zones(zones) => {
                let zones = zones.iter().map(|zone| Arc::clone(&zone.zone));
                Self::mapped(config, zone_sources(zones, &config.home_zone)?, "backend zones")
            }
        }
    }

    /// Zones at home, each told under its name outside.
    fn mapped(
        config: &GatewayConfig,
        sources: Vec<(Name, Arc<dyn Source>)>,
        description: &'static str,
    ) -> anyhow::Result<Self> {
        let mapping = ZoneMapping::new(config.home_zone.clone(), config.suffix.clone())?;
        let mut routes = Vec::new();
        for (zone, source) in sources {
            let zone = mapping.name_outward(&zone)?;
            let source = Arc::new(MappedSource::new(mapping.clone(), source));
            routes.push(Route { zone, kind: "home", source, cached: true });
        }
        Ok(Self { routes, own_zones: Vec::new(), description, catalog: None, cluster_id: None })
    }

    /// The catalog under the suffix, and for our own agents under the home zone and by address.
    async fn kubernetes(
        config: &GatewayConfig,
        settings: &KubernetesSettings,
        links: &Arc<PeerLinks>,
        process: &Process,
    ) -> anyhow::Result<Self> {
        let gate = process.readiness.gate("catalog");
        let catalog = OwnCatalog::start(settings, gate, &process.registry).await?;
        // Never cached: an answer lies ready in the catalog, and one that is kept beside it would only be older.
        let route = |zone: Name, source: Arc<dyn Source>| Route { zone, kind: "home", source, cached: false };
        let mut routes = Vec::new();
        for apex in [&config.suffix, &config.home_zone] {
            let name_server: Box<[IpAddr]> = Box::default();
            let zone = ZoneSettings { apex: apex.clone(), home: config.home_zone.clone(), name_server };
            routes.push(route(apex.clone(), Arc::new(CatalogZone::new(catalog.current(), zone)?)));
        }
        let mut own_zones = vec![config.home_zone.clone()];
        routes.extend(reverse::of_catalog(config, &catalog)?);
        own_zones.extend(reverse::zones_of_all(&config.reverse));
        let mut cluster_id = None;
        if let Some(options) = &settings.cluster_set {
            let id = own_cluster_id(config, options)?;
            cluster_id = Some(id.as_str().to_owned());
            let (exports, set) = cluster_set(config, options, id, &catalog, links)?;
            own_zones.push(set.zone.clone());
            routes.extend([exports, set]);
        }
        Ok(Self { routes, own_zones, description: "backend kubernetes", catalog: Some(catalog), cluster_id })
    }

    /// What answers, in words.
    pub(crate) fn description(&self) -> &'static str {
        self.description
    }

    /// The routes, the first of two for one zone.
    pub(crate) fn routes(&self) -> RouteTable {
        RouteTable::new(self.routes.iter().cloned()).0
    }

    /// Zones of which this cluster's own agents may ask.
    pub(crate) fn own_zones(&self) -> Vec<Name> {
        self.own_zones.clone()
    }

    /// What this cluster is called in names of endpoints that clusters share; none when it shares nothing.
    pub(crate) fn cluster_id(&self) -> Option<String> {
        self.cluster_id.clone()
    }

    /// Stops the backend, and waits until what it keeps on disk is there.
    pub(crate) async fn stop(self) {
        if let Some(catalog) = self.catalog {
            catalog.stop().await;
        }
    }
}

/// What the configuration says, or else the first label of the suffix.
fn own_cluster_id(config: &GatewayConfig, options: &ClusterSetOptions) -> anyhow::Result<Label> {
    let first = config.suffix.labels().next().map(String::from_utf8_lossy);
    let id = options.cluster_id.as_deref().map(Cow::Borrowed).or(first).unwrap_or_default();
    Label::new(&id).with_context(|| {
        format!(
            "the first label of the suffix, {id:?}, cannot stand for this cluster in names: give clusterSet.clusterId"
        )
    })
}

/// What this cluster exports, for peers, and what all of them do, for our own agents.
fn cluster_set(
    config: &GatewayConfig,
    options: &ClusterSetOptions,
    cluster: Label,
    catalog: &OwnCatalog,
    links: &Arc<PeerLinks>,
) -> anyhow::Result<(Route, Route)> {
    let settings = ClusterSetSettings { suffix: config.suffix.clone(), cluster };
    let exports = ExportZone::new(catalog.current(), &settings)?;
    let members = Arc::new(LinkedMembers::new(Arc::clone(links), options));
    let set = ClusterSetZone::new(catalog.current(), &settings, members)?;
    let exports = Route { zone: exports.apex().clone(), kind: "home", source: Arc::new(exports), cached: false };
    // What others say is kept for as long as it lasts; what is here never is.
    let set = Route { zone: set.apex().clone(), kind: "clusterset", source: Arc::new(set), cached: true };
    Ok((exports, set))
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
