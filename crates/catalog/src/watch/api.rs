//! The API server as far as it is asked: pages of lists and watches, line by line.
//!
//! The client's own watcher is not used: it does not tell when a watch stands again, logs at every try, and reads
//! lines of any length.

use std::pin::Pin;
use std::time::Duration;

use futures_util::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};
use kube::Client;
use kube::core::Request;
use kube::core::params::{ListParams, WatchParams};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::access::ApiAccess;
use super::fault::{WatchFault, root_of};
use super::objects::{Collection, Event, Page, Resources};

/// Objects of a page.
const PAGE_SIZE: u32 = 500;
/// The longest page, in octets: 500 slices of 1,000 endpoints have some 200 MB.
const MAX_PAGE: u64 = 256 << 20;
/// The longest line of a watch, in octets: an object has at most 1.5 MiB where it is stored.
const MAX_EVENT: u64 = 8 << 20;
/// How much longer than it was to last a watch may be silent.
const GRACE: Duration = Duration::from_secs(5);

/// How long the API server may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiTimes {
    /// Until a page of a list is there, or a watch stands.
    pub request: Duration,
    /// A resource that the server need not have is looked for again after so long.
    pub absent: Duration,
    /// How long a watch lasts; one that has said nothing for a little longer is dead. In whole seconds.
    pub watch: Duration,
}

impl Default for ApiTimes {
    fn default() -> Self {
        Self { request: Duration::from_secs(30), absent: Duration::from_secs(10), watch: Duration::from_secs(60) }
    }
}

impl ApiTimes {
    /// The same with watches so short that a server which falls silent is noticed before what it told is stale. A second
    /// is the shortest there is.
    pub(super) fn noticing_within(self, stale_after: Duration) -> Self {
        let shortest = Duration::from_secs(1);
        Self { watch: self.watch.min(stale_after / 2).max(shortest), ..self }
    }

    /// How long a watch that is to last so long may be silent.
    fn silence(&self, lasts: Duration) -> Duration {
        lasts + GRACE.min(self.watch)
    }
}

/// One client of the API server. A fault costs it its connections: which of them are dead is not known.
pub(crate) struct Api {
    access: ApiAccess,
    times: ApiTimes,
    /// Whose objects are asked for; none: those of all.
    namespace: Option<String>,
    client: Option<Client>,
}

/// A watch that stands.
pub(crate) struct Watch {
    lines: Lines,
    line: Vec<u8>,
    patience: Duration,
    collection: Collection,
}

type Lines = Pin<Box<dyn AsyncBufRead + Send>>;

impl Api {
    pub(crate) fn new(access: ApiAccess, times: ApiTimes) -> Self {
        Self { access, times, namespace: None, client: None }
    }

    /// The same for the objects of one namespace.
    pub(crate) fn within(self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self }
    }

    fn path(&self, collection: Collection) -> String {
        collection.path(self.namespace.as_deref())
    }

    /// The page of a list that `token` leads to.
    pub(crate) async fn page<T: DeserializeOwned>(
        &mut self,
        collection: Collection,
        token: Option<String>,
    ) -> Result<Page<T>, WatchFault> {
        let fields = collection.fields.map(str::to_owned);
        let params = ListParams {
            field_selector: fields,
            limit: Some(PAGE_SIZE),
            continue_token: token,
            ..ListParams::default()
        };
        let request = Request::new(self.path(collection)).list(&params);
        let patience = self.times.request;
        let page = async {
            let body = self.send("list", collection, request).await?;
            let mut octets = Vec::new();
            let read = body.take(MAX_PAGE).read_to_end(&mut octets).await;
            read.map_err(|error| WatchFault::Unreachable(root_of(&error)))?;
            parse(&octets, collection)
        };
        let page = timeout(patience, page).await.unwrap_or(Err(WatchFault::Silent(patience)));
        self.keep_if_well(page)
    }

    /// Whether the server has that collection. Whoever may ask the server anything may ask for that.
    pub(crate) async fn has(&mut self, collection: Collection) -> Result<bool, WatchFault> {
        let patience = self.times.request;
        let resources = async {
            let request = http::Request::get(collection.discovery()).body(Vec::new());
            let body = self.send("get", collection, request.map_err(kube::core::request::Error::BuildRequest)).await?;
            let mut octets = Vec::new();
            let read = body.take(MAX_EVENT).read_to_end(&mut octets).await;
            read.map_err(|error| WatchFault::Unreachable(root_of(&error)))?;
            parse::<Resources>(&octets, collection)
        };
        match timeout(patience, resources).await.unwrap_or(Err(WatchFault::Silent(patience))) {
            Ok(resources) => Ok(resources.have(collection.resource)),
            Err(fault) if fault.is_not_found() => Ok(false),
            Err(fault) => self.keep_if_well(Err(fault)),
        }
    }

    /// How long until a resource that is not there is looked for again.
    pub(crate) fn absent(&self) -> Duration {
        self.times.absent
    }

    /// Watches what changes after `version`.
    pub(crate) async fn watch(&mut self, collection: Collection, version: &str) -> Result<Watch, WatchFault> {
        // Watches that began together do not end together.
        let lasts = self.times.watch.mul_f64(rand::random_range(0.8..=1.0)).as_secs().max(1);
        let fields = collection.fields.map(str::to_owned);
        let seconds = u32::try_from(lasts).unwrap_or(u32::MAX);
        let params = WatchParams { field_selector: fields, timeout: Some(seconds), ..WatchParams::default() };
        let request = Request::new(self.path(collection)).watch(&params, version);
        let patience = self.times.request;
        let lines = timeout(patience, self.send("watch", collection, request)).await;
        let lines = self.keep_if_well(lines.unwrap_or(Err(WatchFault::Silent(patience))))?;
        let patience = self.times.silence(Duration::from_secs(lasts));
        Ok(Watch { lines, line: Vec::new(), patience, collection })
    }

    /// Does what `request` says to objects of the collection at that path; what the server says they are then.
    pub(crate) async fn act<T: DeserializeOwned>(
        &mut self,
        verb: &'static str,
        collection: Collection,
        request: impl FnOnce(Request) -> Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<T, WatchFault> {
        let request = request(Request::new(self.path(collection)));
        let patience = self.times.request;
        let outcome = async {
            let body = self.send(verb, collection, request).await?;
            let mut octets = Vec::new();
            let read = body.take(MAX_EVENT).read_to_end(&mut octets).await;
            read.map_err(|error| WatchFault::Unreachable(root_of(&error)))?;
            parse(&octets, collection)
        };
        let outcome = timeout(patience, outcome).await.unwrap_or(Err(WatchFault::Silent(patience)));
        // What is refused has been heard.
        if !matches!(outcome, Err(WatchFault::Refused { .. })) {
            return self.keep_if_well(outcome);
        }
        outcome
    }

    /// Forgets the connections: they may be dead.
    pub(crate) fn reset(&mut self) {
        self.client = None;
    }

    fn keep_if_well<T>(&mut self, outcome: Result<T, WatchFault>) -> Result<T, WatchFault> {
        if outcome.is_err() {
            self.reset();
        }
        outcome
    }

    async fn send(
        &mut self,
        verb: &'static str,
        collection: Collection,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Lines, WatchFault> {
        let unusable = |what| WatchFault::Unusable { resource: collection.resource, what };
        let request = request.map_err(|error| unusable(root_of(&error)))?;
        if let Some(kept) = &self.client {
            match kept.request_stream(request.clone()).await.map_err(|error| WatchFault::of(error, verb, collection)) {
                Ok(body) => return Ok(Box::pin(body)),
                // Its token may be an old one, which has been replaced where it was read from.
                Err(WatchFault::Unauthorized) => {}
                Err(fault) => return Err(fault),
            }
        }
        let client = self.client.insert(self.access.client().await?);
        let body = client.request_stream(request).await.map_err(|error| WatchFault::of(error, verb, collection))?;
        Ok(Box::pin(body))
    }
}

impl Watch {
    /// The next event; none when the watch has ended in order.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<Event<T>>, WatchFault> {
        self.line.clear();
        let mut bounded = (&mut self.lines).take(MAX_EVENT);
        let read = timeout(self.patience, bounded.read_until(b'\n', &mut self.line)).await;
        let read = read.map_err(|_| WatchFault::Silent(self.patience))?;
        match read.map_err(|error| WatchFault::Unreachable(root_of(&error)))? {
            0 => Ok(None),
            // A line that is cut off is no event.
            _ if !self.line.ends_with(b"\n") && (self.line.len() as u64) < MAX_EVENT => Ok(None),
            _ => parse(&self.line, self.collection).map(Some),
        }
    }
}

fn parse<T: DeserializeOwned>(octets: &[u8], collection: Collection) -> Result<T, WatchFault> {
    let unusable =
        |error: serde_json::Error| WatchFault::Unusable { resource: collection.resource, what: error.to_string() };
    serde_json::from_slice(octets).map_err(unusable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_hangs_is_noticed_before_what_it_told_is_stale() {
        // (staleAfter, how long a watch lasts), in seconds
        for (stale_after, watch) in [(2, 1), (10, 5), (60, 30), (120, 60), (86_400, 60)] {
            let stale_after = Duration::from_secs(stale_after);
            let times = ApiTimes::default().noticing_within(stale_after);
            assert_eq!(times.watch, Duration::from_secs(watch), "{stale_after:?}");
            assert!(times.silence(times.watch) <= stale_after, "{stale_after:?}");
        }
        // No watch is shorter.
        assert_eq!(ApiTimes::default().noticing_within(Duration::from_secs(1)).watch, Duration::from_secs(1));
    }
}
