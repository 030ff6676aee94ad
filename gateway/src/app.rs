//! The composition root: the one place that knows every part of the gateway.

use std::sync::Arc;

use strait_config::GatewayConfig;
use strait_federation::{
    AddressSettings, Addresses, AdminService, AdminSettings, AdminSocket, AgentBook, CacheService, DistributionService,
    InboundBook, InboundPolicy, PeeringService, ProbeService,
};
use strait_link::{LinkDefaults, LinkMetrics, PeerLinks};
use strait_process::Process;
use strait_resolve::{Admit, ResolveMetrics, Resolver, ResolverSettings, Transit};
use strait_serve::{PeerListenerSettings, PeerListeners, ServeMetrics, StreamLimits};
use tonic::service::Routes;

use crate::admin::Backend;
use crate::home::Home;
use crate::state::Peers;
use crate::{reverse, trust};

/// Runs until `process.shutdown.stop()` fires and what is in work is done.
pub(crate) async fn run(config: GatewayConfig, process: Process) -> anyhow::Result<()> {
    let link_metrics = Arc::new(LinkMetrics::new(&process.registry)?);
    let serve_metrics = Arc::new(ServeMetrics::new(&process.registry)?);
    let inbound = InboundBook::new(&process.registry)?;
    let agents = AgentBook::new(&process.registry)?;
    let stop = process.shutdown.stop().clone();

    // Bound first: a port that is taken is said before anything else begins.
    let listening = process.readiness.gate("listening");
    let listeners = PeerListeners::bind(&config.listen).await?;
    let socket = AdminSocket::bind(&config.socket).await?;

    let own = strait_federation::Home {
        suffix: config.suffix.clone(),
        trust_domain: config.identity.credentials.id().trust_domain,
        home_zone: config.home_zone.clone(),
    };
    let readiness = process.readiness.clone();
    let probe = ProbeService::new(move || readiness.conditions()).into_server();
    // Until the peers are known there is nothing to ask but what they are waited for.
    let opening = Peers::open(&config.state, own.clone(), &process, &stop);
    let Some(mut peers) = socket.serve_while(Routes::new(probe.clone()), opening).await? else { return Ok(()) };
    let federation = peers.federation.clone();
    let links = Arc::new(PeerLinks::new(LinkDefaults {
        credentials: config.identity.credentials.clone(),
        own_cluster: own.trust_domain.clone(),
        health: config.daemon.health.clone(),
        metrics: Arc::clone(&link_metrics),
    }));
    let trust =
        trust::follow(&federation, config.identity.clone(), Arc::clone(&links), Arc::clone(&inbound), stop.clone());
    peers.tell(Arc::clone(&links), Arc::clone(&inbound));

    let home = Home::start(&config, &link_metrics, &links, &process).await?;
    let addresses = Addresses::start(AddressSettings {
        federation: federation.clone(),
        own: config.reverse.clone(),
        cluster_id: home.cluster_id(),
        credentials: config.identity.credentials.clone(),
        state: config.state.path().to_owned(),
        registry: process.registry.clone(),
    })?;
    let policy = InboundPolicy::new(own.clone(), Arc::clone(&inbound)).with_own_zones(home.own_zones());
    let policy = Arc::new(policy.with_reverse_zones(reverse::zones_of_all(&config.reverse)));
    let resolver = Arc::new(Resolver::new(ResolverSettings {
        admit: Arc::clone(&policy) as Arc<dyn Admit>,
        cache: config.daemon.cache.clone(),
        routes: home.routes(),
        follow_aliases: false,
        transit: Transit::Refused,
        deadline: config.daemon.deadline,
        metrics: Arc::new(ResolveMetrics::new(&process.registry)?),
        query_log: strait_process::open_query_log(&config.daemon.query_log)?,
    }));

    let admin = AdminService::new(AdminSettings {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster: config.cluster.clone(),
        federation: federation.clone(),
        inbound: Arc::clone(&inbound),
        agents: Arc::clone(&agents),
        addresses: addresses.clone(),
        backend: Arc::new(Backend::new(
            Arc::clone(&resolver),
            policy,
            links,
            config.identity.credentials.clone(),
            home.description(),
        )),
    });
    let services = Routes::new(admin.into_server())
        .add_service(CacheService::new(Arc::clone(&resolver)).into_server())
        .add_service(probe);
    let admin = tokio::spawn(socket.serve(services, stop.clone()));
    let distribution =
        DistributionService::new(own.trust_domain, addresses.snapshots(), agents, stop.clone()).into_server();
    let peering = PeeringService::new(federation, &config.reverse, home.cluster_id(), stop.clone()).into_server();
    let settings = PeerListenerSettings {
        tls: trust.tls,
        trust: trust.store,
        limits: StreamLimits::of_peers().for_descriptors(process.descriptors, listeners.addresses().len()),
        observer: inbound,
        services: Routes::new(distribution).add_service(peering),
    };
    strait_process::watch_credentials(config.identity.credentials.clone(), &process.registry, stop.clone())?;

    tracing::info!(cluster = config.cluster, suffix = %config.suffix, home = home.description(),
        addresses = ?listeners.addresses(), socket = %config.socket.display(), "answering peers");
    listening.ready();
    listeners.serve(resolver, settings, serve_metrics, stop).await;
    admin.await?;
    home.stop().await;
    peers.stop().await;
    Ok(())
}
