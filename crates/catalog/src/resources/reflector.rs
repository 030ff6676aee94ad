//! Follows the resources of one kind: lists them, watches from there, and goes on where a watch ended.
//!
//! There are few of them, so that every change is told as the whole. They differ from what names are made of in that
//! nothing of them is thrown away but what nobody reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::objects::Resource;
use crate::WatchFault;
use crate::watch::api::Api;
use crate::watch::backoff::BackOff;
use crate::watch::follower::STEADY;
use crate::watch::objects::{Collection, Event};

/// Resources by name.
pub(super) type Resources = Arc<BTreeMap<String, Resource>>;

/// What is known of a kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// All there are; none before the first list.
    pub(super) resources: Option<Resources>,
    /// Why changes do not come, when they do not.
    pub(super) fault: Option<WatchFault>,
}

/// Whether a server must have the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Without it changes are lost.
    Required,
    /// Without it there are none of the kind; it is looked for now and then.
    Optional,
}

/// Whoever follows one kind.
pub(super) struct Reflector {
    api: Api,
    collection: Collection,
    presence: Presence,
    /// Whether the server does not have the kind.
    is_off: bool,
    resources: Resources,
    /// Changes up to here are known; none when there must be a list.
    version: Option<String>,
    told: watch::Sender<Told>,
}

impl Reflector {
    pub(super) fn new(api: Api, collection: Collection, presence: Presence, told: watch::Sender<Told>) -> Self {
        Self { api, collection, presence, is_off: false, resources: Arc::default(), version: None, told }
    }

    /// Follows, for ever.
    pub(super) async fn run(mut self) {
        let mut back_off = BackOff::default();
        loop {
            let began = Instant::now();
            match self.turn().await {
                Ok(()) => back_off.reset(),
                Err(fault) if self.is_absent(&fault).await => {
                    self.note_absent();
                    self.api.reset();
                    sleep(self.api.absent()).await;
                    continue;
                }
                Err(fault) => {
                    if began.elapsed() >= STEADY {
                        back_off.reset();
                    }
                    self.api.reset();
                    if fault.wants_list() {
                        self.version = None;
                    }
                    if !fault.is_gone() {
                        self.lose(fault);
                    }
                }
            }
            sleep(back_off.wait()).await;
        }
    }

    /// Lists, if there is nothing to go on from, and watches to the end.
    async fn turn(&mut self) -> Result<(), WatchFault> {
        let version = match self.version.clone() {
            Some(version) => version,
            None => self.list().await?,
        };
        let mut watch = self.api.watch(self.collection, &version).await?;
        self.tell();
        while let Some(event) = watch.next::<Resource>().await? {
            let (resource, is_there) = match event {
                Event::Added(resource) | Event::Modified(resource) => (resource, true),
                Event::Deleted(resource) => (resource, false),
                Event::Bookmark(bookmark) => {
                    self.version = Some(bookmark.metadata.resource_version);
                    continue;
                }
                Event::Error(status) => {
                    return Err(WatchFault::refused("watch", self.collection, status.code, &status.message));
                }
            };
            self.version = Some(resource.metadata.resource_version.clone());
            let resources = Arc::make_mut(&mut self.resources);
            match is_there {
                true => drop(resources.insert(resource.metadata.name.clone(), resource)),
                false => drop(resources.remove(&resource.metadata.name)),
            }
            self.tell();
        }
        Ok(())
    }

    async fn list(&mut self) -> Result<String, WatchFault> {
        let mut resources = BTreeMap::new();
        let mut token = None;
        let version = loop {
            let page = self.api.page::<Resource>(self.collection, token).await?;
            let items = page.items.unwrap_or_default().into_iter();
            resources.extend(items.map(|resource| (resource.metadata.name.clone(), resource)));
            match page.metadata.next.filter(|next| !next.is_empty()) {
                Some(next) => token = Some(next),
                None => break page.metadata.resource_version,
            }
        };
        if std::mem::take(&mut self.is_off) {
            let Collection { resource, group, .. } = self.collection;
            tracing::info!(resource, group, "the API server has it now");
        }
        self.resources = Arc::new(resources);
        self.version = Some(version.clone());
        self.tell();
        Ok(version)
    }

    /// Whether that fault is that the server does not have the kind, and need not.
    async fn is_absent(&mut self, fault: &WatchFault) -> bool {
        self.presence == Presence::Optional
            && match fault {
                WatchFault::NotServed { .. } => true,
                // Who may not list learns that way alone that there is nothing to list.
                WatchFault::Forbidden { .. } => self.api.has(self.collection).await.is_ok_and(|has| !has),
                _ => false,
            }
    }

    /// Tells that there are none, since the server does not have the kind.
    fn note_absent(&mut self) {
        let Collection { resource, group, .. } = self.collection;
        if !std::mem::replace(&mut self.is_off, true) {
            tracing::info!(
                resource,
                group,
                "the API server does not have it; it is looked for now and then (gatewayctl crds | kubectl apply -f -)"
            );
        }
        self.version = None;
        self.resources = Arc::default();
        let is_news = {
            let told = self.told.borrow();
            told.fault.is_some() || told.resources.as_ref().is_none_or(|known| !known.is_empty())
        };
        if is_news {
            self.tell();
        }
    }

    fn tell(&self) {
        self.told.send_modify(|told| *told = Told { resources: Some(Arc::clone(&self.resources)), fault: None });
    }

    fn lose(&self, fault: WatchFault) {
        let resource = self.collection.resource;
        self.told.send_if_modified(|told| {
            let is_new = told.fault.as_ref() != Some(&fault);
            if is_new {
                tracing::warn!(resource, %fault, "changes of resources do not come; what is known stays in force");
                told.fault = Some(fault);
            }
            is_new
        });
    }
}
