//! Where the gateway's peers are kept: in a file of its own, or in custom resources that it shares with other replicas.

use std::sync::Arc;

use strait_catalog::{
    ApiTimes, Asking, Herald, HeraldSettings, KubernetesStore, LeaseTimes, Links, Observation, Observe,
    ResourceSettings,
};
use strait_config::{KubernetesState, State};
use strait_federation::{Federation, FileStore, Home, InboundBook, PeerRecord};
use strait_link::{PeerLinks, PeerStatus};
use strait_process::{Gate, Process};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::catalog::api_access;

/// The peers, and what is told of them where they are kept.
pub(crate) struct Peers {
    /// The peers.
    pub(crate) federation: Federation,
    shared: Option<Shared>,
}

/// What comes with custom resources.
struct Shared {
    store: KubernetesStore,
    readiness: JoinHandle<()>,
    herald: Option<Herald>,
}

impl Peers {
    /// Opens the store and waits until the peers are known; none when `stop` comes first.
    pub(crate) async fn open(
        state: &State,
        home: Home,
        process: &Process,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Self>> {
        match state {
            State::File(path) => {
                let federation = Federation::open(FileStore::open(path)?, home).await?;
                Ok(Some(Self { federation, shared: None }))
            }
            State::Kubernetes(settings) => {
                let store = KubernetesStore::start(resource_settings(settings, home.clone(), process)?).await?;
                let readiness = tokio::spawn(announce(store.clone(), process.readiness.gate("peers")));
                let opened = stop.run_until_cancelled(Federation::open(store.clone(), home)).await;
                let Some(federation) = opened.transpose()? else { return Ok(None) };
                Ok(Some(Self { federation, shared: Some(Shared { store, readiness, herald: None }) }))
            }
        }
    }

    /// Tells in the resources how the peers do, whenever this replica is the one to.
    pub(crate) fn tell(&mut self, links: Arc<PeerLinks>, inbound: Arc<InboundBook>) {
        if let Some(shared) = &mut self.shared {
            let settings = HeraldSettings { identity: identity(), lease: LeaseTimes::default() };
            shared.herald = Some(Herald::start(&shared.store, settings, Arc::new(Observer { links, inbound })));
        }
    }

    /// Leaves it to another replica to tell.
    pub(crate) async fn stop(self) {
        let Some(shared) = self.shared else { return };
        shared.readiness.abort();
        if let Some(herald) = shared.herald {
            herald.stop().await;
        }
    }
}

fn resource_settings(settings: &KubernetesState, home: Home, process: &Process) -> anyhow::Result<ResourceSettings> {
    Ok(ResourceSettings {
        access: api_access(&settings.access),
        times: ApiTimes::default(),
        namespace: settings.namespace.clone(),
        copy: FileStore::open(&settings.copy)?,
        home,
        registry: process.registry.clone(),
    })
}

/// Who this replica is: its pod, and a number, since a pod may start again before its lease is over.
fn identity() -> String {
    let pod = std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME")).unwrap_or_else(|_| "gateway".to_owned());
    format!("{pod}_{:08x}", rand::random::<u32>())
}

/// Tells readiness how the peers stand, whenever that changes.
async fn announce(store: KubernetesStore, gate: Gate) {
    loop {
        let state = store.state();
        match (state.is_known, &state.fault) {
            (false, _) => gate.not_ready(state.to_string()),
            (true, Some(_)) => gate.impaired(state.to_string()),
            (true, None) => gate.ready(),
        }
        store.state_changed(&state).await;
    }
}

/// Sees how peers do from here.
struct Observer {
    links: Arc<PeerLinks>,
    inbound: Arc<InboundBook>,
}

impl Observe for Observer {
    fn observe(&self, peer: &PeerRecord) -> Observation {
        let name = peer.name.as_str();
        let report = self.inbound.report(name).unwrap_or_default();
        Observation {
            links: self.links.get(name).map(|peer| links(&peer.status())),
            asking: Asking { connections: report.connections, last_query_at: report.last_query_at },
        }
    }
}

fn links(status: &PeerStatus) -> Links {
    use strait_link::State::{Connecting, Degraded, Up};
    let answers = status.endpoints.iter().filter(|endpoint| matches!(endpoint.state, Up | Degraded)).count();
    let silent = status.endpoints.iter().filter(|endpoint| !matches!(endpoint.state, Up));
    let error =
        silent.filter_map(|endpoint| Some((endpoint.last_error.as_ref()?, endpoint))).max_by_key(|(error, _)| error.1);
    let count = format!("{answers} of {} endpoints answer", status.endpoints.len());
    let in_words = match error {
        Some(((text, _), endpoint)) => format!("{count}; {}: {text}", endpoint.url),
        None => count,
    };
    Links { is_up: answers > 0, is_new: status.state == Connecting, in_words }
}
