//! The composition root: the one place that knows every part of the node-agent.

use std::sync::Arc;

use strait_config::{HandOver, NodeAgentConfig};
use strait_federation::{AdminSocket, CacheService, ProbeService, ZoneSet};
use strait_link::{LinkDefaults, LinkMetrics, PeerLinks};
use strait_process::Process;
use strait_resolve::{ResolveMetrics, Resolver, ResolverSettings, Source, Transit};
use strait_serve::{DnsListeners, ServeMetrics, Sharing, StreamLimits};
use tonic::service::Routes;

use crate::addresses::AddressRoutes;
use crate::hosts::HostsFiles;
use crate::peers::PeerFeed;
use crate::routes::LocalRoutes;

/// Runs until `process.shutdown.stop()` fires and what is in work is done.
pub(crate) async fn run(config: NodeAgentConfig, process: Process) -> anyhow::Result<()> {
    let link_metrics = Arc::new(LinkMetrics::new(&process.registry)?);
    let serve_metrics = Arc::new(ServeMetrics::new(&process.registry)?);

    // Bound first: a port that is taken is said before anything else begins.
    let listening = process.readiness.gate("listening");
    let sharing = match config.daemon.hand_over {
        HandOver::Off => Sharing::Alone,
        HandOver::On => Sharing::WithSuccessor,
    };
    let listeners = DnsListeners::bind(&config.listen, config.workers, sharing).await?;
    let socket = match &config.socket {
        Some(path) => Some(AdminSocket::bind(path).await?),
        None => None,
    };

    let hosts = config.hosts.as_ref().map(HostsFiles::read);
    let links = config.identity.as_ref().map(|identity| {
        Arc::new(PeerLinks::new(LinkDefaults {
            credentials: identity.credentials.clone(),
            own_cluster: identity.credentials.id().trust_domain,
            health: config.daemon.health.clone(),
            metrics: Arc::clone(&link_metrics),
        }))
    });
    let local = LocalRoutes::start(
        &config,
        hosts.as_ref().map(HostsFiles::data),
        &listeners.addresses(),
        own_gateway(&config, links.as_deref()),
        &link_metrics,
    )?;
    let resolver = Arc::new(Resolver::new(ResolverSettings {
        admit: Arc::new(config.allow.clone()),
        cache: config.daemon.cache.clone(),
        routes: local.table(Vec::new(), &ZoneSet::default(), AddressRoutes::default()),
        follow_aliases: true,
        transit: Transit::Refused,
        deadline: config.daemon.deadline,
        metrics: Arc::new(ResolveMetrics::new(&process.registry)?),
        query_log: strait_process::open_query_log(&config.daemon.query_log)?,
    }));
    let _feed = PeerFeed::start(&config, links, local, Arc::clone(&resolver), &process)?;
    if let Some(hosts) = hosts {
        hosts.follow(Arc::clone(&resolver), process.shutdown.stop().clone());
    }
    if let Some(identity) = &config.identity {
        let stop = process.shutdown.stop().clone();
        strait_process::watch_credentials(identity.credentials.clone(), &process.registry, stop)?;
    }

    let admin = socket.map(|socket| {
        let readiness = process.readiness.clone();
        let services = Routes::new(CacheService::new(Arc::clone(&resolver)).into_server())
            .add_service(ProbeService::new(move || readiness.conditions()).into_server());
        tokio::spawn(socket.serve(services, process.shutdown.stop().clone()))
    });

    tracing::info!(node = config.node, addresses = ?listeners.addresses(), "answering");
    listening.ready();
    let limits = StreamLimits::default().for_descriptors(process.descriptors, listeners.addresses().len());
    listeners.serve(resolver, limits, serve_metrics, process.shutdown.stop().clone()).await;
    if let Some(admin) = admin {
        admin.await?;
    }
    Ok(())
}

/// This cluster's gateway as far as it answers for zones of the cluster.
fn own_gateway(config: &NodeAgentConfig, links: Option<&PeerLinks>) -> Option<Arc<dyn Source>> {
    let trust_bundle = config.identity.as_ref()?.trust_bundle.clone();
    let peer = links?.to_own_gateway(config.gateway.clone(), trust_bundle, &config.gateway_zones)?;
    Some(peer)
}
