//! `backend`: where a gateway's answers come from.

use std::path::Path;
use std::time::Duration;

use strait_link::UpstreamSettings;
use strait_wire::Name;

use crate::context::Context;
use crate::kubernetes::{KubernetesDraft, KubernetesSettings};
use crate::section::Section;
use crate::upstreams::UpstreamDraft;
use crate::zones::ZoneDraft;
use crate::{StaticZone, overlap};

/// The keys of which one is given, in the order in which they are named.
const CHOICES: [&str; 3] = ["kubernetes", "clusterDns", "zones"];

/// Where a gateway's answers come from.
#[derive(Debug)]
pub enum Backend {
    /// What the Kubernetes API tells.
    Kubernetes(KubernetesSettings),
    /// This cluster's own DNS.
    ClusterDns(UpstreamSettings),
    /// Zones in the file.
    Zones(Vec<StaticZone>),
}

/// A backend whose files have not been read yet.
pub(crate) enum BackendDraft {
    Kubernetes(KubernetesDraft),
    ClusterDns(UpstreamDraft),
    Zones(Vec<ZoneDraft>),
}

impl BackendDraft {
    /// Reads `backend`; `state` is the gateway's own file, beside which others may lie.
    pub(crate) fn read(root: &mut Section<'_>, home_zone: &Name, state: &Path) -> Option<Self> {
        root.must_have(
            "backend",
            "say where answers come from: `backend: { kubernetes: {} }` or `backend: { clusterDns: [10.96.0.10] }`",
        );
        let mut section = root.section("backend")?;
        let chosen: Vec<&str> = CHOICES.into_iter().filter(|key| section.has(key)).collect();
        match chosen[..] {
            [_] => {}
            [] => {
                let help = "write `kubernetes: {}`, `clusterDns: [10.96.0.10]` or `zones: [...]`";
                let message = "`backend` has none of `kubernetes`, `clusterDns` and `zones`";
                section.cx.error(&section.at, message, help);
            }
            [..] => {
                let both: Vec<String> = chosen.iter().map(|key| format!("`{key}`")).collect();
                section.cx.error(&section.at, format!("`backend` has {}", both.join(" and ")), "keep one of them");
            }
        }
        let kubernetes = KubernetesDraft::read(&mut section, state);
        let cluster_dns = UpstreamDraft::read_cluster_dns(&mut section, home_zone.clone());
        let zones = read_zones(&mut section, home_zone);
        if !chosen.contains(&"zones") {
            section.hide("zones");
        }
        root.show("backend", section.close());
        match chosen[..] {
            ["kubernetes"] => kubernetes.map(Self::Kubernetes),
            ["clusterDns"] => cluster_dns.map(Self::ClusterDns),
            ["zones"] => Some(Self::Zones(zones)),
            _ => None,
        }
    }

    /// Reads the files it points to; notes what is wrong with them.
    pub(crate) fn resolve(self, cx: &Context, deadline: Duration) -> Option<Backend> {
        match self {
            Self::Kubernetes(kubernetes) => kubernetes.resolve(cx).map(Backend::Kubernetes),
            Self::ClusterDns(group) => group.resolve(cx, deadline, &[]).map(Backend::ClusterDns),
            Self::Zones(zones) => Some(Backend::Zones(zones.into_iter().filter_map(|zone| zone.resolve(cx)).collect())),
        }
    }
}

/// Reads `zones`, all of which lie within the home zone.
fn read_zones(section: &mut Section<'_>, home_zone: &Name) -> Vec<ZoneDraft> {
    let zones = ZoneDraft::read_all(section);
    overlap::check_zones(section.cx, &zones);
    for zone in &zones {
        let (name, at) = zone.claim();
        if !name.is_within(home_zone) {
            let message = format!("zone {name} does not lie within the home zone, {home_zone}");
            section.cx.error(at, message, "peers ask for names under the suffix, which is the home zone here");
        }
    }
    zones
}
