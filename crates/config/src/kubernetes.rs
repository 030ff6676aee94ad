//! `backend.kubernetes`: names from the Kubernetes API. How the API is spoken to is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::access::{AccessDraft, KubernetesAccess};
use crate::context::Context;
use crate::effective::Effective;
use crate::files::{Output, OutputKind};
use crate::section::{Problem, Section};
use crate::units::{self, Show};

/// As the cluster DNS that most clusters have.
const TTL: u32 = 5;
/// A longer one keeps names of what is gone.
const TTLS: RangeInclusive<u32> = 0..=3_600;
/// A restart of the API server is shorter.
const STALE_AFTER: Duration = Duration::from_secs(60);
/// Below, every cut of a connection is an alarm; above, nobody learns of it in time.
const STALE_AFTERS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
/// The file of the last catalog, in the folder of the gateway's state.
const SNAPSHOT: &str = "catalog";
/// Weights of peers at most: as many as there may be peers.
const MAX_WEIGHTS: usize = 256;
/// 0 leaves to a peer what nobody else has.
const WEIGHTS: RangeInclusive<u32> = 0..=1_000;

/// Names from the Kubernetes API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesSettings {
    /// How the API server is reached.
    pub access: KubernetesAccess,
    /// The TTL of every record, in seconds.
    pub ttl: u32,
    /// Which names pods have.
    pub pods: PodNames,
    /// The last catalog on disk.
    pub snapshot: PathBuf,
    /// What has not been known to be current for so long is stale.
    pub stale_after: Duration,
    /// Names of services that clusters share; none: they are not told.
    pub cluster_set: Option<ClusterSetOptions>,
}

/// How services that clusters share are told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterSetOptions {
    /// What this cluster is called in names of endpoints, a DNS label; none: the first label of the suffix.
    pub cluster_id: Option<String>,
    /// The peers whose exports are taken; none: those of all.
    pub from: Option<BTreeSet<String>>,
    /// Parts of peers in what several of them export; of those that are not named: 1.
    pub weights: BTreeMap<String, u32>,
}

/// Which names pods have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodNames {
    /// None.
    Off,
    /// Every address of an existing namespace has one.
    Insecure,
    /// The addresses of pods have one.
    Verified,
}

const POD_NAMES: &[(&str, PodNames)] =
    &[("off", PodNames::Off), ("insecure", PodNames::Insecure), ("verified", PodNames::Verified)];

/// Whether names of services that clusters share are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SetNames {
    /// Where the API has exports and imports.
    On,
    /// Not.
    Off,
}

const SET_NAMES: &[(&str, SetNames)] = &[("on", SetNames::On), ("off", SetNames::Off)];

impl Show for SetNames {
    fn show(&self) -> String {
        SET_NAMES.iter().find(|(_, names)| names == self).map_or_else(String::new, |(word, _)| (*word).to_owned())
    }
}

impl Show for PodNames {
    fn show(&self) -> String {
        POD_NAMES.iter().find(|(_, names)| names == self).map_or_else(String::new, |(word, _)| (*word).to_owned())
    }
}

/// The same, whose kubeconfig has not been read yet.
#[derive(Debug)]
pub(crate) struct KubernetesDraft {
    access: AccessDraft,
    /// Without the access.
    settings: KubernetesSettings,
}

impl KubernetesDraft {
    /// Reads `kubernetes`; none when it is left out or refused.
    pub(crate) fn read(backend: &mut Section<'_>, state: &Path) -> Option<Self> {
        let mut section = backend.section("kubernetes")?;
        let access = AccessDraft::read(&mut section);
        let beside = state.with_file_name(SNAPSHOT);
        let settings = KubernetesSettings {
            access: KubernetesAccess::default(),
            ttl: section.or("ttl", TTL, units::ttl(TTLS)),
            pods: section.or("pods", PodNames::Off, units::word(POD_NAMES)),
            snapshot: section.path_or("snapshot", &beside.to_string_lossy()),
            stale_after: section.or("staleAfter", STALE_AFTER, units::duration(STALE_AFTERS)),
            cluster_set: read_cluster_set(&mut section),
        };
        let at = section.key_at("snapshot").unwrap_or(section.at.clone());
        if settings.snapshot == state {
            section.cx.error(&at, "`snapshot` is the file of `state`", "name another file");
        }
        let path = settings.snapshot.clone();
        section.cx.writes(Output { key: "snapshot", path, at, kind: OutputKind::FileAndFolder });
        backend.show("kubernetes", section.close());
        Some(Self { access, settings })
    }

    /// Looks into the kubeconfig; notes what is wrong with it.
    pub(crate) fn resolve(self, cx: &Context) -> Option<KubernetesSettings> {
        let access = self.access.resolve(cx)?;
        Some(KubernetesSettings { access, ..self.settings })
    }
}

/// A DNS label (RFC 1123 2.1), as it stands in names.
fn cluster_id(text: &str) -> Result<String, Problem> {
    let is_inner = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    let is_label = (1..=63).contains(&text.len()) && text.bytes().all(is_inner);
    match is_label && !text.starts_with('-') && !text.ends_with('-') {
        true => Ok(text.to_owned()),
        false => Err(Problem::new(
            format!("{text:?} is no DNS label"),
            "write 1 to 63 lower-case letters, digits and '-', with a letter or digit at both ends: cluster-b",
        )),
    }
}

fn read_cluster_set(kubernetes: &mut Section<'_>) -> Option<ClusterSetOptions> {
    let Some(mut section) = kubernetes.section("clusterSet") else { return Some(ClusterSetOptions::default()) };
    let names = section.or("names", SetNames::On, units::word(SET_NAMES));
    let cluster_id = section.get("clusterId", cluster_id).map(|id| id.value);
    let from = section.list("from", MAX_WEIGHTS, units::label);
    let from = from.map(|peers| peers.into_iter().map(|peer| peer.value).collect());
    let (mut weights, mut shown) = (BTreeMap::new(), Vec::new());
    for mut entry in section.sections("weights", MAX_WEIGHTS) {
        let peer = entry.require("peer", "name a peer as `gatewayctl peer list` does", units::label);
        let weight =
            entry.require("weight", "give its part: twice the weight, twice the services", units::count(WEIGHTS));
        if let (Some(peer), Some(weight)) = (peer, weight)
            && weights.insert(peer.value.clone(), weight.value).is_some()
        {
            section.cx.error(&peer.at, format!("peer {} has a weight already", peer.value), "keep one of them");
        }
        shown.push(entry.close());
    }
    section.show("weights", Effective::List(shown));
    kubernetes.show("clusterSet", section.close());
    (names == SetNames::On).then_some(ClusterSetOptions { cluster_id, from, weights })
}
