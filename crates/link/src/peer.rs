//! A peer as a source: its endpoints, their health, and the choice between them.

mod budget;
mod endpoint;
mod health;
mod race;
mod supervisor;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use strait_identity::{Alpn, Credentials, PeerExpectation, Role, TrustBundle, TrustDomain, TrustStore};
use strait_resolve::{Ask, BoxFuture, Source, SourceError};
use strait_wire::{Answer, ClusterPath, Name};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::budget::RetryBudget;
use self::endpoint::Endpoint;
use self::race::Race;
use self::supervisor::Supervisor;
use crate::link::Link;
use crate::metrics::{GroupMetrics, Kind};
use crate::outstanding::Outstanding;
use crate::question::{Padding, encode};
use crate::{EndpointStatus, EndpointUrl, LinkMetrics, PeerStatus, Scheme, State};

/// How health is judged.
#[derive(Debug, Clone)]
pub struct HealthSettings {
    /// Between two health questions to an endpoint that is up (with jitter).
    pub interval: Duration,
    /// A health question is failed after this long.
    pub timeout: Duration,
    /// Answers in a row that make an endpoint up.
    pub rise: u32,
    /// Failures in a row that make it down.
    pub fall: u32,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self { interval: Duration::from_secs(5), timeout: Duration::from_secs(1), rise: 1, fall: 2 }
    }
}

/// What a peer is made of.
#[derive(Debug, Clone)]
pub struct PeerSettings {
    /// Its name, for logs and metrics.
    pub name: String,
    /// The zone it answers; health questions ask for it.
    pub suffix: Name,
    /// Other zones it answers.
    pub also: Vec<Name>,
    /// Its endpoints; equals, chosen among by health and latency.
    pub endpoints: Vec<EndpointUrl>,
    /// Who its gateways are: the trust domain and its CAs.
    pub trust_bundle: TrustBundle,
    /// Our own trust domain, appended to the cluster path of each question; none for a gateway of our own cluster,
    /// which a question does not leave by being asked there.
    pub own_cluster: Option<TrustDomain>,
    /// Health.
    pub health: HealthSettings,
    /// One endpoint's budget for a question before another is asked as well.
    pub try_budget: Duration,
    /// A connection is replaced by a new one at this age (with jitter).
    pub max_age: Duration,
    /// The budget of a question as a whole.
    pub deadline: Duration,
    /// Questions outstanding at most.
    pub max_outstanding: usize,
}

impl PeerSettings {
    /// The cluster path of a question that arrives over a link; none when it would be too long.
    fn path_after<'a>(&self, path: &'a ClusterPath) -> Option<Cow<'a, ClusterPath>> {
        match &self.own_cluster {
            Some(own) => path.passing(own.as_str()).map(Cow::Owned),
            None => Some(Cow::Borrowed(path)),
        }
    }

    /// What an answer about `name` may speak of.
    fn scope_of(&self, name: &Name) -> Scope<'_> {
        let others = || self.also.iter().find(|zone| name.is_within(zone));
        match (name.is_within(&self.suffix), &self.own_cluster) {
            (true, _) => Scope::Zone(&self.suffix),
            // What leads to a peer from elsewhere are the addresses that are its.
            (false, Some(_)) => Scope::Address { names: &self.suffix },
            (false, None) => Scope::Zone(others().unwrap_or(&self.suffix)),
        }
    }
}

/// What an answer may speak of.
#[derive(Clone, Copy)]
enum Scope<'a> {
    /// Names of that zone.
    Zone(&'a Name),
    /// The address asked for, and of its names those within that zone.
    Address {
        /// The zone.
        names: &'a Name,
    },
}

/// Links to a peer's gateways. Works from [`Peer::start`] on until dropped.
pub struct Peer {
    shared: Arc<Shared>,
    outstanding: Outstanding,
    _stop: DropGuard,
}

/// What questions and supervisors share.
struct Shared {
    settings: Arc<PeerSettings>,
    /// The path of a question that has passed no other cluster.
    own_path: ClusterPath,
    endpoints: Vec<Arc<Endpoint>>,
    changes: watch::Sender<()>,
    budget: RetryBudget,
    metrics: Arc<GroupMetrics>,
}

impl Peer {
    /// Starts connecting and asking health questions at once. Must be called within a tokio runtime.
    pub fn start(settings: PeerSettings, credentials: Credentials, metrics: Arc<LinkMetrics>) -> Arc<Self> {
        let settings = Arc::new(settings);
        let changes = watch::Sender::new(());
        let stop = CancellationToken::new();
        let trust = Arc::new(TrustStore::new([settings.trust_bundle.clone()]));
        let mut endpoints: Vec<Arc<Endpoint>> = Vec::with_capacity(settings.endpoints.len());
        for url in &settings.endpoints {
            if endpoints.iter().any(|known| known.url == *url) {
                continue;
            }
            let handles = metrics.server(Kind::Peer, &settings.name, url);
            let endpoint = Endpoint::new(url.clone(), &settings.name, &settings.health, handles, changes.clone());
            let alpn = match url.scheme {
                Scheme::Tls => Alpn::Dot,
                Scheme::Grpc => Alpn::H2,
            };
            let trust_domain = settings.trust_bundle.trust_domain().clone();
            let expected = PeerExpectation { trust_domain, role: Role::Gateway };
            let tls = strait_identity::client_config(&credentials, Arc::clone(&trust), expected, alpn);
            let supervisor = Supervisor::new(Arc::clone(&endpoint), Arc::clone(&settings), tls);
            tokio::spawn(stop.clone().run_until_cancelled_owned(supervisor.run()));
            endpoints.push(endpoint);
        }
        let group = metrics.group(Kind::Peer, &settings.name);
        let shared = Shared {
            own_path: settings.path_after(&ClusterPath::default()).unwrap_or_default().into_owned(),
            endpoints,
            changes,
            budget: RetryBudget::new(std::time::Instant::now()),
            metrics: Arc::clone(&group),
            settings: Arc::clone(&settings),
        };
        Arc::new(Self {
            shared: Arc::new(shared),
            outstanding: Outstanding::new(settings.max_outstanding, group),
            _stop: stop.drop_guard(),
        })
    }

    /// What is known now.
    pub fn status(&self) -> PeerStatus {
        let endpoints: Vec<EndpointStatus> = self.shared.endpoints.iter().map(|endpoint| endpoint.status()).collect();
        PeerStatus { state: state_of_all(endpoints.iter().map(|endpoint| endpoint.state)), endpoints }
    }

    /// The state of the whole.
    pub fn state(&self) -> State {
        state_of_all(self.shared.endpoints.iter().map(|endpoint| endpoint.state()))
    }

    /// Asks the best endpoint; what it does not answer in time is raced for.
    async fn exchange(&self, ask: &Ask) -> Result<Answer, SourceError> {
        let shared = &*self.shared;
        let path = shared.path_of(ask)?;
        let Some(_room) = self.outstanding.take() else {
            let (max, name) = (shared.settings.max_outstanding, &shared.settings.name);
            return Err(SourceError::Overloaded(format!("{max} questions to peer {name} are outstanding already")));
        };
        shared.budget.asked();
        let wire = encode(0, ask, &ask.question.name, &path, Padding::On);
        let started = Instant::now();
        let race = || Race::new(shared, ask, &wire, started);
        let Some((index, link)) = shared.choose(&[]) else { return Box::pin(race().run()).await };
        let mut first = shared.endpoints[index].ask(&link, &wire, ask, shared.settings.scope_of(&ask.question.name));
        let race = match first.in_time().await {
            Some(Ok(answer)) => return Ok(answer),
            Some(Err(error)) => race().after(index, error),
            None => race().beside(index, first),
        };
        Box::pin(race.run()).await
    }
}

impl Source for Peer {
    /// The suffix, whatever leads here: the reverse zones of a peer are many.
    fn counted_with(&self) -> Option<&Name> {
        let settings = &self.shared.settings;
        settings.own_cluster.as_ref().map(|_| &settings.suffix)
    }

    fn capacity(&self) -> Option<usize> {
        Some(self.shared.settings.max_outstanding)
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        Box::pin(self.exchange(ask))
    }
}

impl Shared {
    /// The clusters a question will have passed when it arrives.
    fn path_of<'a>(&'a self, ask: &'a Ask) -> Result<Cow<'a, ClusterPath>, SourceError> {
        if ask.path.is_empty() {
            return Ok(Cow::Borrowed(&self.own_path));
        }
        let too_many = || {
            let own = self.settings.own_cluster.as_ref().map_or("", TrustDomain::as_str);
            SourceError::Loop(format!("the question has passed too many clusters: {} > {own}", ask.path))
        };
        self.settings.path_after(&ask.path).ok_or_else(too_many)
    }

    /// The endpoint for the next try, with its link: of those that are up two at random, and the cheaper of them;
    /// without any, of the degraded; without any, of the others as far as they are connected.
    fn choose(&self, tried: &[usize]) -> Option<(usize, Arc<Link>)> {
        let tier = |state: State| match state {
            State::Up => 0,
            State::Degraded => 1,
            State::Connecting | State::Down => 2,
        };
        let (mut best, mut seen) = (usize::MAX, 0);
        let mut pair: [Option<(usize, Arc<Link>)>; 2] = [None, None];
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            let Some(link) = endpoint.link().filter(|_| !tried.contains(&index)) else { continue };
            let tier = tier(endpoint.state());
            if tier > best {
                continue;
            }
            if tier < best {
                (best, seen, pair) = (tier, 0, [None, None]);
            }
            // Each of those seen so far has the same chance of a place.
            let place = if seen < pair.len() { seen } else { rand::random_range(0..=seen) };
            if let Some(place) = pair.get_mut(place) {
                *place = Some((index, link));
            }
            seen += 1;
        }
        match pair {
            [Some(one), Some(other)] => {
                let cost = |candidate: &(usize, Arc<Link>)| self.endpoints[candidate.0].cost();
                match cost(&one).cmp(&cost(&other)) {
                    Ordering::Less => Some(one),
                    Ordering::Greater => Some(other),
                    Ordering::Equal if rand::random() => Some(one),
                    Ordering::Equal => Some(other),
                }
            }
            [one, _] => one,
        }
    }

    /// Each endpoint, its state, for how long, and its last failure.
    fn describe(&self) -> String {
        let now = SystemTime::now();
        let describe = |status: EndpointStatus| {
            let age = now.duration_since(status.since).unwrap_or_default().as_secs();
            let cause = status.last_error.map(|(cause, _)| format!(": {cause}")).unwrap_or_default();
            format!("{} {} for {age} s{cause}", status.url, status.state)
        };
        let texts: Vec<String> = self.endpoints.iter().map(|endpoint| describe(endpoint.status())).collect();
        match texts.is_empty() {
            true => "it has no endpoints".to_owned(),
            false => texts.join("; "),
        }
    }
}

/// The best endpoint's state; degraded when some are up and some are not.
fn state_of_all(states: impl Iterator<Item = State>) -> State {
    let states: Vec<State> = states.collect();
    let any = |state| states.contains(&state);
    let all_up = states.iter().all(|state| *state == State::Up);
    if states.is_empty() {
        State::Down
    } else if all_up {
        State::Up
    } else if any(State::Up) || any(State::Degraded) {
        State::Degraded
    } else if any(State::Connecting) {
        State::Connecting
    } else {
        State::Down
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
