//! What is in force: judged anew whenever the API server tells something, and kept on disk.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use strait_federation::{FileStore, Generation, Home, Judgement, PeerDocument, PeerSet, Refusal, StoreError, judge};
use tokio::sync::watch;

use super::objects::Resource;
use super::peer;
use super::reflector::{Resources, Told};
use crate::WatchFault;

/// How the peers stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceState {
    /// Whether there are any to go by: those of the API server, or those on disk.
    pub is_known: bool,
    /// Those that are not in force, by name, and why.
    pub refused: BTreeMap<String, Refusal>,
    /// Why changes do not come, when they do not.
    pub fault: Option<WatchFault>,
}

impl fmt::Display for ResourceState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match (self.is_known, &self.fault) {
            (false, _) => "the peers are not known yet",
            (true, Some(_)) => "the peers are in force as they were",
            (true, None) => "the peers are current",
        })?;
        self.fault.iter().try_for_each(|fault| write!(out, "; {fault}"))
    }
}

/// What is known of the peers.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    /// Those in force; none before there are any to go by.
    pub(super) set: Option<Arc<PeerSet>>,
    /// Those of the API server; none before it has told them.
    pub(super) resources: Option<Resources>,
    /// Those of them that are not in force.
    pub(super) refused: Arc<BTreeMap<String, Refusal>>,
    pub(super) fault: Option<WatchFault>,
}

impl View {
    pub(super) fn generation(&self) -> Option<Generation> {
        self.set.as_ref().map(|set| set.generation())
    }

    pub(super) fn state(&self) -> ResourceState {
        let is_known = self.set.is_some();
        ResourceState { is_known, refused: BTreeMap::clone(&self.refused), fault: self.fault.clone() }
    }
}

/// Judges and keeps.
pub(super) struct Keeper {
    pub(super) home: Home,
    pub(super) copy: FileStore,
    pub(super) view: watch::Sender<View>,
}

impl Keeper {
    /// Starts with the copy on disk. One that cannot be used must not keep the gateway from starting: the API server has
    /// the truth.
    pub(super) async fn restore(&self) {
        let copy = self.copy.clone();
        let read = tokio::task::spawn_blocking(move || match copy.read() {
            Err(StoreError::Damaged { path, source }) => {
                let kept_as =
                    copy.set_aside().map_or_else(|error| error.to_string(), |aside| aside.display().to_string());
                tracing::warn!(file = %path.display(), line = source.line, column = source.column, error = source.what,
                    kept_as, "the copy of the peers is damaged, and not used; the API server's are waited for");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "the copy of the peers cannot be read");
                None
            }
            Ok(set) => set,
        });
        if let Some(set) = read.await.ok().flatten() {
            tracing::info!(generation = %set.generation(), peers = set.len(), "peers of the copy on disk are in force until the API server tells");
            self.view.send_modify(|view| view.set = Some(Arc::new(set)));
        }
    }

    /// Follows what is told, for ever.
    pub(super) async fn run(self, mut told: watch::Receiver<Told>) {
        loop {
            let now = told.borrow_and_update().clone();
            self.take(now).await;
            if told.changed().await.is_err() {
                return;
            }
        }
    }

    async fn take(&self, Told { resources, fault }: Told) {
        let before = self.view.borrow().clone();
        let Some(resources) = resources else {
            self.view.send_modify(|view| view.fault = fault);
            return;
        };
        let Judgement { set, refused } = judged(&resources, &self.home);
        for (name, Refusal { reason, message }) in &refused {
            if before.refused.get(name).is_none_or(|known| known.message != *message) {
                tracing::warn!(peer = name, reason, message, "a peer is not in force");
            }
        }
        let is_new = before.set.as_deref() != Some(&set);
        let set = match before.set {
            Some(known) if !is_new => known,
            _ => Arc::new(set),
        };
        self.view.send_replace(View {
            set: Some(Arc::clone(&set)),
            resources: Some(resources),
            refused: Arc::new(refused),
            fault,
        });
        if is_new {
            self.save(set).await;
        }
    }

    /// Keeps a copy. It is not what makes a change last: that is the API server's.
    async fn save(&self, set: Arc<PeerSet>) {
        let copy = self.copy.clone();
        let saved = tokio::task::spawn_blocking(move || copy.save(&set)).await;
        if let Ok(Err(error)) = saved {
            tracing::warn!(%error, "the peers are in force, but a restart without the API server will not find them");
        }
    }
}

/// The verdict on what there is: the oldest first, so that whoever comes later does not push out who was there.
fn judged(resources: &BTreeMap<String, Resource>, home: &Home) -> Judgement {
    let mut in_order: Vec<&Resource> = resources.values().collect();
    in_order.sort_by_key(|resource| (resource.metadata.created_at(), resource.metadata.name.as_str()));
    let mut unreadable = BTreeMap::new();
    let mut documents: Vec<PeerDocument> = Vec::new();
    for resource in in_order {
        match peer::document(resource) {
            Ok(document) => documents.push(document),
            Err(error) => {
                let message = format!("spec: {error}");
                unreadable.insert(resource.metadata.name.clone(), Refusal { reason: "BadSpec", message });
            }
        }
    }
    let mut judgement = judge(&documents, home);
    judgement.refused.append(&mut unreadable);
    judgement
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use serde_json::json;
    use strait_federation::{Directions, NamespacePolicy, PeerRecord};
    use strait_identity::{CertificateAuthority, TrustBundle};

    use super::*;

    pub(in crate::resources) fn home() -> Home {
        let own = "cluster-a.example.com";
        let (suffix, trust_domain) = (own.parse().unwrap(), own.parse().unwrap());
        Home { suffix, trust_domain, home_zone: "cluster.local".parse().unwrap() }
    }

    pub(in crate::resources) fn record(name: &str) -> PeerRecord {
        let suffix = format!("{name}.example.com");
        let authority = CertificateAuthority::create(&suffix.parse().unwrap(), Duration::from_secs(3_600)).unwrap();
        PeerRecord {
            name: name.parse().unwrap(),
            suffix: suffix.parse().unwrap(),
            endpoints: vec!["tls://192.0.2.1:853".parse().unwrap()],
            trust_bundle: TrustBundle::from_pem(authority.certificate_pem(), None).unwrap(),
            directions: Directions::Both,
            namespaces: NamespacePolicy::default(),
            addresses: vec!["10.0.0.0/8".parse().unwrap()],
            changed_at: 5,
        }
    }

    /// The resource of a peer as the API server has it.
    fn resource(peer: &PeerRecord, created: &str) -> Resource {
        let mut written = peer::resource(peer);
        written["metadata"]["creationTimestamp"] = json!(created);
        serde_json::from_value(written).unwrap()
    }

    #[test]
    fn of_two_that_exclude_each_other_the_older_is_in_force_whatever_their_names() {
        let (b, c) = (
            record("cluster-b"),
            PeerRecord { suffix: "x.cluster-b.example.com".parse().unwrap(), ..record("cluster-c") },
        );
        let (early, late) = ("2023-11-14T22:13:20Z", "2023-11-14T22:13:21Z");
        for (of_b, of_c, refused) in [(early, late, "cluster-c"), (late, early, "cluster-b"), (late, late, "cluster-c")]
        {
            let resources = [("cluster-b", resource(&b, of_b)), ("cluster-c", resource(&c, of_c))];
            let judgement = judged(&resources.map(|(name, resource)| (name.to_owned(), resource)).into(), &home());
            assert_eq!(judgement.refused.keys().collect::<Vec<_>>(), [refused]);
            assert_eq!(judgement.set.len(), 1);
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_beside_the_others() {
        let odd = Resource { spec: json!({ "suffix": [] }), ..resource(&record("odd"), "") };
        let resources = [("odd".to_owned(), odd), ("cluster-b".to_owned(), resource(&record("cluster-b"), ""))];
        let Judgement { set, refused } = judged(&resources.into(), &home());
        assert_eq!((set.len(), refused["odd"].reason), (1, "BadSpec"));
        assert!(refused["odd"].message.starts_with("spec: invalid type"), "{refused:?}");
    }
}
