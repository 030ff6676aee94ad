//! The addresses of this cluster and its peers: the one place where they come together and change.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::Registry;
use strait_durable::beside;
use strait_identity::Credentials;
use strait_link::LinkTarget;
use strait_resolve::IpNet;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use super::called::Called;
use super::file::{AddressFile, AddressFileError, Advertised};
use super::follower::{Follower, News};
use super::judge::{Judged, Judgement, judge};
use super::metrics::AddressMetrics;
use crate::gateway::Federation;
use crate::peers::{PeerName, PeerSet};

/// What peers have said and is not taken in yet.
const MAX_NEWS: usize = 16;

/// The file is called as that of the peers, and this.
const SUFFIX: &str = ".addresses";

/// What following the addresses of peers needs.
pub struct AddressSettings {
    /// The peers.
    pub federation: Federation,
    /// This cluster's own addresses.
    pub own: Vec<IpNet>,
    /// What this cluster is called in names of endpoints that clusters share; none when it shares nothing.
    pub cluster_id: Option<String>,
    /// This gateway's certificate.
    pub credentials: Credentials,
    /// The file of the peers, beside which what they have advertised last is kept.
    pub state: PathBuf,
    /// Where its metrics go.
    pub registry: Registry,
}

/// Why it cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum AddressesError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] AddressFileError),
    /// The registry has such metrics already.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// What became of the ranges that a peer advertises, in words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressReport {
    /// Those it is asked of, but for what overlaps.
    pub accepted: Vec<String>,
    /// Those that others have a claim to as well, and who.
    pub overlaps: Vec<(String, Vec<String>)>,
    /// Those that are not believed, and why.
    pub refused: Vec<(String, String)>,
}

/// Whose addresses are. It follows the peers until dropped.
#[derive(Clone)]
pub struct Addresses {
    shared: Arc<Shared>,
    snapshots: watch::Receiver<Arc<PeerSet>>,
    _stop: Arc<DropGuard>,
}

struct Shared {
    judgement: Mutex<Judgement>,
}

impl Addresses {
    /// Begins with what is on disk. Must be called inside a Tokio runtime.
    pub fn start(settings: AddressSettings) -> Result<Self, AddressesError> {
        let metrics = AddressMetrics::new(&settings.registry)?;
        let file = AddressFile::new(&beside(&settings.state, SUFFIX));
        let advertised = file.load()?;
        let mut sets = settings.federation.subscribe();
        let set = Arc::clone(&sets.borrow_and_update());
        let (snapshots_in, snapshots) = watch::channel(Arc::clone(&set));
        let shared = Arc::new(Shared { judgement: Mutex::default() });
        let (news_in, news) = mpsc::channel(MAX_NEWS);
        let mut keeper = Keeper {
            own: settings.own,
            credentials: settings.credentials,
            file,
            metrics,
            called: Called::new(settings.cluster_id),
            advertised,
            followers: BTreeMap::new(),
            news_in,
            snapshots: snapshots_in,
            shared: Arc::clone(&shared),
        };
        keeper.follow_peers(&set);
        keeper.publish(&set);
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(keeper.run(sets, news)));
        Ok(Self { shared, snapshots, _stop: Arc::new(stop.drop_guard()) })
    }

    /// The peers with the addresses that are theirs, now and after every change: what node-agents are told.
    pub fn snapshots(&self) -> watch::Receiver<Arc<PeerSet>> {
        self.snapshots.clone()
    }

    /// What became of the ranges of that peer; none before it has advertised any.
    pub fn report(&self, peer: &str) -> Option<AddressReport> {
        let judgement = self.shared.judgement.lock().unwrap_or_else(PoisonError::into_inner);
        judgement.peers.get(peer).map(AddressReport::from)
    }
}

impl From<&Judged> for AddressReport {
    fn from(judged: &Judged) -> Self {
        let overlaps = judged.overlaps.iter().map(|overlap| {
            let with = overlap.with.iter().map(ToString::to_string).collect();
            (overlap.range.to_string(), with)
        });
        Self {
            accepted: judged.accepted.iter().map(ToString::to_string).collect(),
            overlaps: overlaps.collect(),
            refused: judged.refused.iter().map(|(range, why)| (range.to_string(), why.to_string())).collect(),
        }
    }
}

/// The one that changes it.
struct Keeper {
    own: Vec<IpNet>,
    credentials: Credentials,
    file: AddressFile,
    metrics: AddressMetrics,
    called: Called,
    advertised: BTreeMap<PeerName, Advertised>,
    /// One for each peer that we ask, as long as it stays what it is.
    followers: BTreeMap<PeerName, (LinkTarget, DropGuard)>,
    news_in: mpsc::Sender<News>,
    snapshots: watch::Sender<Arc<PeerSet>>,
    shared: Arc<Shared>,
}

impl Keeper {
    async fn run(mut self, mut sets: watch::Receiver<Arc<PeerSet>>, mut news: mpsc::Receiver<News>) {
        loop {
            let changed = tokio::select! {
                changed = sets.changed() => match changed {
                    Ok(()) => self.follow_peers(&Arc::clone(&sets.borrow_and_update())),
                    Err(_) => return,
                },
                // It never ends: one sender is ours.
                Some(told) = news.recv() => self.take(told, &sets.borrow()),
            };
            let set = Arc::clone(&sets.borrow());
            self.publish(&set);
            if changed {
                self.save().await;
            }
        }
    }

    /// Follows the peers that we ask, and forgets what others have advertised; whether there was any.
    fn follow_peers(&mut self, set: &PeerSet) -> bool {
        let mut before = std::mem::take(&mut self.followers);
        for peer in set.outbound() {
            let target = peer.link_target();
            let kept = before.remove(&peer.name).filter(|(known, _)| *known == target);
            let follower = kept.unwrap_or_else(|| {
                let follower =
                    Follower::new(peer.name.clone(), &target, self.credentials.clone(), self.news_in.clone());
                let stop = CancellationToken::new();
                tokio::spawn(stop.clone().run_until_cancelled_owned(follower.run()));
                (target, stop.drop_guard())
            });
            self.followers.insert(peer.name.clone(), follower);
        }
        self.called.keep(|name| set.outbound().any(|peer| peer.name == *name));
        let known = self.advertised.len();
        let followers = &self.followers;
        self.advertised.retain(|name, advertised| {
            let target = followers.get(name).map(|(target, _)| target);
            target.is_some_and(|target| *target.trust_bundle.trust_domain() == advertised.trust_domain)
        });
        self.advertised.len() != known
    }

    /// Takes in what a peer says; whether it is new.
    fn take(&mut self, News { peer, trust_bundle, ranges, cluster_id }: News, set: &PeerSet) -> bool {
        // Said by one that is no peer any more, or another by now.
        if !set.outbound().any(|known| known.name == peer && known.trust_bundle == trust_bundle) {
            return false;
        }
        self.called.note(peer.clone(), cluster_id);
        let advertised = Advertised { trust_domain: trust_bundle.trust_domain().clone(), ranges };
        if self.advertised.get(&peer) == Some(&advertised) {
            return false;
        }
        let ranges: Vec<String> = advertised.ranges.iter().map(ToString::to_string).collect();
        info!(%peer, ranges = ranges.join(" "), "peer tells other addresses than before");
        self.advertised.insert(peer, advertised);
        true
    }

    /// Judges anew, and tells whoever follows.
    fn publish(&mut self, set: &PeerSet) {
        let advertised = self.advertised.iter().map(|(name, told)| (name.clone(), Arc::clone(&told.ranges)));
        let judgement = judge(&self.own, set, &advertised.collect());
        let snapshot = Arc::new(set.with_addresses(Arc::new(judgement.map.clone())));
        let before = {
            let mut shown = self.shared.judgement.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *shown, judgement.clone())
        };
        self.metrics.show(&judgement);
        let asked = set.outbound().map(|peer| peer.name.clone()).collect();
        self.metrics.show_clashes(asked, self.called.tell_changes());
        tell_changes(&before, &judgement);
        self.snapshots.send_if_modified(|last| {
            let changed = **last != *snapshot;
            *last = snapshot;
            changed
        });
    }

    async fn save(&self) {
        let (file, advertised) = (self.file.clone(), self.advertised.clone());
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || file.save(&advertised)).await {
            warn!(%error, "the addresses of peers are in force, but a restart will not find them");
        }
    }
}

/// A line for each overlap and each refusal that is new, and for overlaps that are over.
fn tell_changes(before: &Judgement, now: &Judgement) {
    let empty = Judged::default();
    for (peer, judged) in &now.peers {
        let old = before.peers.get(peer).unwrap_or(&empty);
        for overlap in judged.overlaps.iter().filter(|overlap| !old.overlaps.contains(overlap)) {
            let with: Vec<String> = overlap.with.iter().map(ToString::to_string).collect();
            warn!(%peer, range = %overlap.range, with = with.join(", "),
                "addresses are claimed by several; the peer is not asked of them unless they are its by gatewayctl peer add --addresses");
        }
        for (range, why) in judged.refused.iter().filter(|refused| !old.refused.contains(refused)) {
            warn!(%peer, %range, %why, "a range that the peer advertises is refused");
        }
        for overlap in old.overlaps.iter().filter(|overlap| !judged.overlaps.contains(overlap)) {
            info!(%peer, range = %overlap.range, "addresses are no longer claimed by the same as before");
        }
    }
}
