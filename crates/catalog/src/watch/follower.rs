//! Follows the objects of one kind: lists them, watches from there, and goes on where a watch ended.
//!
//! A watch that ends is opened again at once and without a word; only when that fails are changes lost. A list is asked
//! for when there is nothing to go on from: at first, and when the server has forgotten its history (410).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::api::{Api, Watch};
use super::backoff::BackOff;
use super::fault::WatchFault;
use super::keeper::News;
use super::objects::{Collection, Event, Raw};
use crate::metrics::CatalogMetrics;
use crate::{Change, LabelReader};

/// A watch that stood for so long was well.
pub(crate) const STEADY: Duration = Duration::from_secs(1);

/// Whoever follows one kind.
pub(super) struct Follower {
    api: Api,
    /// Where the objects are; none when that has to be looked for.
    collection: Option<Collection>,
    /// Whether the server does not have them.
    is_absent: bool,
    news: mpsc::Sender<News>,
    metrics: Arc<CatalogMetrics>,
    labels: LabelReader,
    /// Changes up to here are known; none when there must be a list.
    version: Option<String>,
    /// When the server was heard last.
    heard: SystemTime,
    /// Why changes do not come, when they do not.
    fault: Option<WatchFault>,
}

/// How a turn ended.
enum Ended {
    /// There is nobody to tell.
    Unheard,
    /// The watch that stood is over; why, unless it was in order.
    Watched(Option<WatchFault>),
    /// There was no list, or the watch could not be opened.
    Failed(WatchFault),
    /// The server does not have such objects.
    Absent,
}

impl From<WatchFault> for Ended {
    fn from(fault: WatchFault) -> Self {
        Self::Failed(fault)
    }
}

impl Follower {
    pub(super) fn new(api: Api, news: mpsc::Sender<News>, metrics: Arc<CatalogMetrics>) -> Self {
        let (labels, heard) = (LabelReader::default(), SystemTime::now());
        Self { api, collection: None, is_absent: false, news, metrics, labels, version: None, heard, fault: None }
    }

    /// Follows, until nobody wants to know.
    pub(super) async fn run<T: Raw>(mut self) {
        let mut back_off = BackOff::default();
        loop {
            let began = Instant::now();
            let fault = match self.turn::<T>().await {
                Ended::Unheard => return,
                Ended::Absent => {
                    if self.note_absent::<T>().await.is_err() {
                        return;
                    }
                    sleep(self.api.absent()).await;
                    continue;
                }
                Ended::Watched(fault) => {
                    if began.elapsed() >= STEADY {
                        back_off.reset();
                    }
                    // What was said is understood no better when it is said again; and whoever was silent for so long has
                    // not been heard for so long, be the next watch as it may.
                    let is_told = matches!(fault, Some(WatchFault::Unusable { .. } | WatchFault::Silent(_)));
                    self.note::<T>(fault.as_ref());
                    fault.filter(|_| is_told)
                }
                Ended::Failed(fault) => {
                    self.note::<T>(Some(&fault));
                    // What is not there is looked for first.
                    let is_known = fault.is_gone() || fault.is_not_found() && !T::VERSIONS.is_empty();
                    Some(fault).filter(|_| !is_known)
                }
            };
            if let Some(fault) = fault
                && self.lose::<T>(fault).await.is_err()
            {
                return;
            }
            sleep(back_off.wait()).await;
        }
    }

    /// Lists, if there is nothing to go on from, and watches to the end.
    async fn turn<T: Raw>(&mut self) -> Ended {
        match self.open::<T>().await {
            Ok(watch) => self.watch::<T>(watch).await,
            Err(ended) => ended,
        }
    }

    async fn open<T: Raw>(&mut self) -> Result<Watch, Ended> {
        let collection = self.locate::<T>().await?;
        let version = match self.version.clone() {
            Some(version) => version,
            None => self.list::<T>(collection).await?,
        };
        let watch = self.api.watch(collection, &version).await?;
        self.heard = SystemTime::now();
        if self.fault.take().is_some() {
            self.tell(News::Resumed(T::KIND)).await?;
        }
        Ok(watch)
    }

    /// Where the objects are, among the versions that the server may have.
    async fn locate<T: Raw>(&mut self) -> Result<Collection, Ended> {
        if T::VERSIONS.is_empty() {
            return Ok(T::COLLECTION);
        }
        if let Some(known) = self.collection {
            return Ok(known);
        }
        for version in T::VERSIONS {
            if self.api.has(*version).await? {
                if std::mem::take(&mut self.is_absent) {
                    tracing::info!(resource = version.resource, group = version.group, "the API server has it now");
                }
                return Ok(*self.collection.insert(*version));
            }
        }
        Err(Ended::Absent)
    }

    /// Tells that there are no such objects, unless that is known.
    async fn note_absent<T: Raw>(&mut self) -> Result<(), Ended> {
        let (kind, Collection { resource, group, .. }) = (T::KIND, T::COLLECTION);
        self.fault = None;
        if !std::mem::replace(&mut self.is_absent, true) {
            tracing::info!(resource, group, "the API server does not have it; it is looked for now and then");
            self.tell(News::Changed(Change::Absent(kind), self.labels.left_out(), Instant::now())).await?;
        }
        Ok(())
    }

    /// Tells everything there is. What changes meanwhile comes with the watch.
    async fn list<T: Raw>(&mut self, collection: Collection) -> Result<String, Ended> {
        let mut objects = Vec::new();
        let mut token = None;
        let version = loop {
            let page = self.api.page::<T>(collection, token).await?;
            let items = page.items.unwrap_or_default().into_iter();
            objects.extend(items.filter_map(|raw| raw.trim(&mut self.labels)));
            match page.metadata.next.filter(|next| !next.is_empty()) {
                Some(next) => token = Some(next),
                None => break page.metadata.resource_version,
            }
        };
        let change = Change::Replace(T::KIND, objects);
        self.tell(News::Changed(change, self.labels.left_out(), Instant::now())).await?;
        // A list says that changes come again.
        self.fault = None;
        self.version = Some(version.clone());
        Ok(version)
    }

    async fn watch<T: Raw>(&mut self, mut watch: Watch) -> Ended {
        loop {
            let event = match watch.next::<T>().await {
                Ok(Some(event)) => event,
                Ok(None) => return Ended::Watched(None),
                Err(fault) => return Ended::Watched(Some(fault)),
            };
            let arrived = Instant::now();
            self.heard = SystemTime::now();
            let (change, version) = match event {
                Event::Added(raw) | Event::Modified(raw) => {
                    let (key, version) = (raw.key(), raw.meta().resource_version.clone());
                    // What has no name any more is gone.
                    let change = raw.trim(&mut self.labels).map(Change::Apply);
                    (Some(change.unwrap_or(Change::Delete(T::KIND, key))), version)
                }
                Event::Deleted(raw) => (Some(Change::Delete(T::KIND, raw.key())), raw.meta().resource_version.clone()),
                Event::Bookmark(bookmark) => (None, bookmark.metadata.resource_version),
                Event::Error(status) => {
                    let fault = WatchFault::refused("watch", T::COLLECTION, status.code, &status.message);
                    return Ended::Watched(Some(fault));
                }
            };
            if let Some(change) = change
                && self.tell(News::Changed(change, self.labels.left_out(), arrived)).await.is_err()
            {
                return Ended::Unheard;
            }
            if !version.is_empty() {
                self.version = Some(version);
            }
        }
    }

    /// Draws the conclusions from how a watch ended.
    fn note<T: Raw>(&mut self, fault: Option<&WatchFault>) {
        self.metrics.count_restart(T::KIND, fault);
        if fault.is_some() {
            self.api.reset();
        }
        if fault.is_some_and(WatchFault::wants_list) {
            self.version = None;
        }
        if fault.is_some_and(WatchFault::is_not_found) {
            self.collection = None;
        }
    }

    /// Tells that changes do not come, unless that is known.
    async fn lose<T: Raw>(&mut self, fault: WatchFault) -> Result<(), Ended> {
        if self.fault.as_ref() == Some(&fault) {
            return Ok(());
        }
        self.fault = Some(fault.clone());
        self.tell(News::Lost(T::KIND, self.heard, fault)).await
    }

    async fn tell(&mut self, news: News) -> Result<(), Ended> {
        self.news.send(news).await.map_err(|_| Ended::Unheard)
    }
}
