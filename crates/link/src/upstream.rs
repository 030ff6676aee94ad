//! A group of ordinary upstreams as a source: UDP with retry over TCP, or DNS over TLS; choice by latency; failover; a cap.

mod address;
mod attempt;
mod choice;
mod list;
mod server;
mod tries;
mod udp;
mod warm;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use strait_resolve::{Ask, BoxFuture, Source, SourceError};
use strait_wire::{Answer, ClusterPath, Name, Rcode};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::attempt::{Attempt, Outcome};
use self::choice::First;
use self::list::{ResolvConf, ServerList};
use self::server::Server;
use self::tries::Tries;
use crate::backoff::jitter;
use crate::metrics::{Kind, Reason};
use crate::outstanding::Outstanding;
use crate::{LinkMetrics, question};

pub use address::{UpstreamServer, UpstreamServerError};

/// Servers whose answer to one question cannot be used: the second may know better than the first, a third will not.
const MAX_BAD_ANSWERS: usize = 2;
/// Between two questions to a server that does not answer.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// Where the list of upstreams comes from.
#[derive(Debug, Clone)]
pub enum UpstreamServers {
    /// A fixed list.
    List(Vec<UpstreamServer>),
    /// A file in resolv.conf(5) format, read again within seconds when it changes. While it is missing or
    /// unreadable the last good list stays in force.
    ResolvConf(PathBuf),
}

/// What a group is made of.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// For logs and metrics: the zone's name in lower case with its final dot, as in all metrics.
    pub name: String,
    /// What it answers for: nothing outside is believed. The root for the default group.
    pub zone: Name,
    /// The servers.
    pub servers: UpstreamServers,
    /// Addresses never asked although the list or the file names them: our own listeners. An unspecified
    /// address stands for every address of this machine.
    pub exclude: Vec<SocketAddr>,
    /// CA certificates (PEM text) for `tls://` servers; public roots without.
    pub ca: Option<String>,
    /// How long one server may take before the next is asked as well: what it usually takes, and no less than this.
    pub min_try_budget: Duration,
    /// After this time a try is overdue: the next server is asked, or the same once more. What was asked is listened to
    /// until the deadline.
    pub max_try_budget: Duration,
    /// The budget of a question as a whole.
    pub deadline: Duration,
    /// Questions outstanding at most.
    pub max_outstanding: usize,
}

/// A group of upstreams. Works from [`UpstreamGroup::start`] on until dropped.
pub struct UpstreamGroup {
    settings: Arc<UpstreamSettings>,
    list: Arc<ServerList>,
    outstanding: Outstanding,
    _stop: DropGuard,
}

impl UpstreamGroup {
    /// Starts watching the file, if there is one. A missing file is not an error here: it is logged, and awaited.
    ///
    /// Must be called within a tokio runtime.
    pub fn start(
        settings: UpstreamSettings,
        metrics: Arc<LinkMetrics>,
    ) -> Result<Arc<Self>, strait_identity::BundleError> {
        let tls = strait_identity::public_client_config(settings.ca.as_deref())?;
        let settings = Arc::new(settings);
        let group = metrics.group(Kind::Upstream, &settings.name);
        let list = Arc::new(ServerList::new(Arc::clone(&settings), tls, metrics));
        let stop = CancellationToken::new();
        match &settings.servers {
            UpstreamServers::List(servers) => list.replace(servers.clone()),
            UpstreamServers::ResolvConf(path) => {
                let mut file = ResolvConf::new(path.clone());
                file.look(&list);
                tokio::spawn(stop.clone().run_until_cancelled_owned(file.watch(Arc::clone(&list))));
            }
        }
        let prober = probe_the_doubtful(Arc::clone(&list), settings.zone.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(prober));
        Ok(Arc::new(Self {
            outstanding: Outstanding::new(settings.max_outstanding, group),
            settings,
            list,
            _stop: stop.drop_guard(),
        }))
    }

    async fn exchange(&self, ask: &Ask) -> Result<Answer, SourceError> {
        let Some(_room) = self.outstanding.take() else {
            let max = self.settings.max_outstanding;
            return Err(SourceError::Overloaded(format!("{max} questions to upstreams are outstanding already")));
        };
        let servers = self.list.current();
        let Some(First { server, patience }) = choice::first(&servers) else {
            return Err(SourceError::NotReady("no upstream is known yet".to_owned()));
        };
        let now = Instant::now();
        let (late, deadline) = (now + patience, now + self.settings.deadline);
        let mut attempt = server.ask(ask, now, late, deadline);
        match attempt.outcome(late).await {
            Some(Ok(answer)) if refusal(answer.rcode()).is_none() => Ok(answer),
            outcome => Box::pin(ask_further(ask, &servers, server, attempt, outcome, deadline)).await,
        }
    }
}

/// Asks the others, one after the other, each when the one before has failed or is overdue. All that were asked are listened
/// to until the deadline: whoever seems late may only have needed time to find the answer.
async fn ask_further<'a>(
    ask: &'a Ask,
    servers: &'a [Arc<Server>],
    first: &'a Arc<Server>,
    attempt: Attempt<'a>,
    outcome: Option<Outcome>,
    deadline: Instant,
) -> Result<Answer, SourceError> {
    let mut tries = Tries::default();
    match outcome {
        None => tries.running.push(attempt),
        Some(outcome) => {
            drop(attempt);
            if let Some(answer) = tries.outcomes.take(first, outcome) {
                return Ok(answer);
            }
        }
    }
    for server in choice::plan(servers, first) {
        let now = Instant::now();
        if now >= deadline || tries.outcomes.bad_answers() >= MAX_BAD_ANSWERS {
            break;
        }
        if tries.outcomes.is_settled(server) {
            continue;
        }
        if let Some(answer) = tries.listen_to_new(server.ask(ask, now, deadline, deadline)).await {
            return Ok(answer);
        }
    }
    match tries.listen_to_all(deadline).await {
        Some(answer) => Ok(answer),
        None => tries.outcomes.conclude(),
    }
}

impl Source for UpstreamGroup {
    fn capacity(&self) -> Option<usize> {
        Some(self.settings.max_outstanding)
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        Box::pin(self.exchange(ask))
    }
}

/// Whether another server may know better.
fn refusal(rcode: Rcode) -> Option<Reason> {
    match rcode {
        Rcode::SERVFAIL => Some(Reason::Servfail),
        Rcode::REFUSED | Rcode::NOTIMP | Rcode::FORMERR => Some(Reason::Refused),
        _ => None,
    }
}

/// Asks the servers that do not answer about the zone, until they do. Those in doubt as well, since questions go elsewhere
/// now: it shall be known soon whether they are dead. A probe is listened to as long as a question is, while the next ones
/// leave: as many as have room in that time.
async fn probe_the_doubtful(list: Arc<ServerList>, zone: Name) {
    let probe = question::probe(&zone, ClusterPath::default());
    let mut running = FuturesUnordered::new();
    loop {
        let hear = async {
            // Any well-formed answer counts; the server takes note of it itself.
            while running.next().await.is_some() {}
            std::future::pending::<()>().await;
        };
        let _ = tokio::time::timeout(jitter(PROBE_INTERVAL), hear).await;
        for server in list.current().iter().filter(|server| server.is_in_doubt()) {
            let (server, probe) = (Arc::clone(server), &probe);
            running.push(async move { server.probe(probe).await });
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
