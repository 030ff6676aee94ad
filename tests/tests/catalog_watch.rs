//! The road from an API server to the catalog: what the cluster says is told, whatever happens to the server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use strait_catalog::{
    ApiAccess, ApiTimes, CatalogFeed, CatalogSettings, CatalogZone, FeedSettings, FeedState, Kind, PodMode, SyncState,
    WatchFault, ZoneSettings,
};
use strait_resolve::{Ask, Source};
use strait_tests::program::Folder;
use strait_tests::{ApiServer, ApiWeather, Collection, Role, StartApi, over_each_api_server, until};
use strait_wire::{
    Answer, Class, ClusterPath, Ede, Message, Name, QueryView, Question, Rcode, RecordType, ReplyLimits,
};

const WEB: &str = "web.shop.svc.cluster.local";
const OLD: &str = "old.shop.svc.cluster.local";

/// Three kinds are followed unless pods are needed.
const KINDS: usize = 3;

fn services() -> Collection {
    Collection::core("services")
}

fn slices() -> Collection {
    Collection::new("discovery.k8s.io", "v1", "endpointslices")
}

fn cluster_ip(address: &str) -> Value {
    json!({ "spec": { "type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ports": [{ "port": 80 }] } })
}

over_each_api_server!(
    a_cluster_is_told_once_all_its_pages_have_come_and_as_it_changes,
    pods_are_followed_when_their_names_are_verified,
    lists_that_are_asked_for_again_make_no_gap,
    watches_that_are_cut_go_on_where_they_were,
    a_server_that_comes_back_for_the_tenth_time_is_followed_as_the_first,
    a_server_that_falls_silent_is_noticed,
    a_slow_server_is_waited_for,
    what_may_not_be_read_keeps_everything_from_being_told_and_is_said,
    a_hundred_changes_in_a_burst_are_few_catalogs,
    without_a_server_the_last_catalog_is_told_as_stale,
    without_a_server_and_a_catalog_nothing_is_denied,
    the_catalog_is_kept_when_changes_cease,
    while_nothing_changes_the_catalog_on_disk_does_not_grow_old,
    what_has_not_been_current_for_long_is_stale,
);

/// A server, and what is told of it.
struct Lab {
    api: Box<dyn ApiServer>,
    pods: PodMode,
    /// Ends before the folder goes: a feed that is dropped may still be writing there.
    runtime: tokio::runtime::Runtime,
    folder: Folder,
}

/// A feed with a zone of its catalog.
struct Told<'a> {
    lab: &'a Lab,
    feed: CatalogFeed,
    zone: Arc<CatalogZone>,
}

impl Lab {
    fn new(start: StartApi) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let lab = Self { api: start(), pods: PodMode::Off, runtime, folder: Folder::new() };
        lab.api.apply(&Collection::core("namespaces"), "", "shop", json!({}));
        lab.set("web", "10.0.5.1");
        lab
    }

    fn set(&self, name: &str, address: &str) {
        self.api.apply(&services(), "shop", name, cluster_ip(address));
    }

    fn file(&self) -> PathBuf {
        self.folder.path("catalog")
    }

    fn settings(&self) -> FeedSettings {
        let path = self.folder.write("kubeconfig", self.api.kubeconfig("gateway"));
        FeedSettings {
            catalog: CatalogSettings { ttl: 5, pods: self.pods },
            // Short, so that what is dead is found while the test runs.
            times: ApiTimes {
                request: Duration::from_millis(500),
                absent: Duration::from_millis(200),
                watch: Duration::from_secs(1),
            },
            file: Some(self.file()),
            ..FeedSettings::new(ApiAccess::Kubeconfig { path, context: Some("test".to_owned()) })
        }
    }

    fn follow(&self) -> Told<'_> {
        self.follow_with(self.settings())
    }

    fn follow_with(&self, settings: FeedSettings) -> Told<'_> {
        let feed = self.runtime.block_on(CatalogFeed::start(settings)).unwrap();
        let home: Name = "cluster.local".parse().unwrap();
        let settings = ZoneSettings { apex: home.clone(), home, name_server: Box::default() };
        let zone = Arc::new(CatalogZone::new(feed.catalog(), settings).unwrap());
        Told { lab: self, feed, zone }
    }

    fn asked(&self, verb: &str, resource: &str) -> usize {
        self.api.seen().iter().filter(|seen| seen.verb == verb && seen.resource == resource).count()
    }
}

impl Told<'_> {
    fn state(&self) -> FeedState {
        self.feed.state().borrow().clone()
    }

    fn is_synced(&self) -> bool {
        let state = self.state();
        matches!(state.sync, SyncState::Synced { .. }) && state.faults.is_empty()
    }

    fn synced(self) -> Self {
        until("the catalog is current", || self.is_synced());
        self
    }

    fn says(&self, name: &str) -> String {
        said(&self.zone, name)
    }

    fn wait_for(&self, name: &str, expected: &str) {
        until(&format!("{name} is {expected}"), || self.says(name) == expected);
    }

    fn wait_for_stale(&self) {
        until("the catalog is stale", || matches!(self.state().sync, SyncState::Stale { .. }));
    }

    fn stop(self) {
        self.lab.runtime.block_on(self.feed.stop());
    }
}

/// The addresses of a name, or why there are none.
fn answer(zone: &CatalogZone, name: &Name) -> Option<Answer> {
    let question = Question { name: name.clone(), rtype: RecordType::A, class: Class::IN };
    zone.answer_now(&Ask { question, dnssec_ok: false, checking_disabled: false, path: ClusterPath::default() })
}

/// The extended error of what is told.
fn mark(zone: &CatalogZone, name: &str) -> Option<u16> {
    answer(zone, &name.parse().unwrap()).and_then(|answer| answer.ede().map(|ede| ede.code))
}

fn said(zone: &CatalogZone, name: &str) -> String {
    let name: Name = name.parse().unwrap();
    let query = Message::query(1, name.clone(), RecordType::A).to_wire().unwrap();
    let Some(answer) = answer(zone, &name) else { return "not ready".to_owned() };
    let mut out = Vec::new();
    answer.write_reply(&QueryView::parse(&query).unwrap(), 0, ReplyLimits::stream(), None, &mut out);
    let message = Message::parse(&out).unwrap();
    match message.rcode {
        Rcode::NOERROR => {
            let mut own: Vec<_> = strait_tests::lines(&message);
            own.iter_mut().for_each(|line| *line = line.rsplit(' ').next().unwrap().to_owned());
            own.sort();
            own.join(" ")
        }
        rcode => rcode.to_string(),
    }
}

fn a_cluster_is_told_once_all_its_pages_have_come_and_as_it_changes(start: StartApi) {
    let lab = Lab::new(start);
    // Two pages and a bit.
    let address = |at: usize| format!("10.1.{}.{}", at / 200, at % 200);
    let many = (0..1_100).map(|at| (services(), "many".to_owned(), format!("s{at}"), cluster_ip(&address(at))));
    lab.api.apply_all(many.collect());
    // A page that comes late would be asked for again, and each is counted here.
    let patient = ApiTimes { request: strait_tests::patience(), ..lab.settings().times };
    let told = lab.follow_with(FeedSettings { times: patient, ..lab.settings() }).synced();
    until("three pages", || lab.asked("list", "services") == 3);
    assert_eq!(told.feed.catalog().load().services(), lab.api.names(&services()).len());
    assert_eq!(told.says(WEB), "10.0.5.1");
    assert_eq!(told.says("s1099.many.svc.cluster.local"), address(1_099));
    assert_eq!(told.says(OLD), "NXDOMAIN");

    lab.set("web", "10.0.5.2");
    told.wait_for(WEB, "10.0.5.2");
    lab.api.apply(&services(), "shop", "db", json!({ "spec": { "clusterIP": "None" } }));
    let slice = |addresses: &[&str]| {
        let endpoints: Vec<_> = addresses.iter().map(|address| json!({ "addresses": [address] })).collect();
        let labels = json!({ "kubernetes.io/service-name": "db" });
        json!({ "metadata": { "labels": labels }, "addressType": "IPv4", "endpoints": endpoints, "ports": null })
    };
    lab.api.apply(&slices(), "shop", "db-1", slice(&["10.2.0.1", "10.2.0.2"]));
    told.wait_for("db.shop.svc.cluster.local", "10.2.0.1 10.2.0.2");
    lab.api.apply(&slices(), "shop", "db-1", slice(&["10.2.0.2"]));
    told.wait_for("db.shop.svc.cluster.local", "10.2.0.2");
    // A slice that loses its service is nobody's.
    lab.api.apply(
        &slices(),
        "shop",
        "db-1",
        json!({ "addressType": "IPv4", "endpoints": [{ "addresses": ["10.2.0.2"] }] }),
    );
    told.wait_for("db.shop.svc.cluster.local", "NXDOMAIN");
    lab.api.delete(&services(), "shop", "web");
    told.wait_for(WEB, "NXDOMAIN");
}

fn pods_are_followed_when_their_names_are_verified(start: StartApi) {
    let mut lab = Lab::new(start);
    lab.pods = PodMode::Verified;
    let containers = json!([{ "name": "c", "image": "i" }]);
    let pod = json!({ "spec": { "containers": containers }, "status": { "podIP": "10.3.0.1", "podIPs": [{ "ip": "10.3.0.1" }] } });
    lab.api.apply(&Collection::core("pods"), "shop", "p", pod);
    let told = lab.follow().synced();
    assert_eq!(told.says("10-3-0-1.shop.pod.cluster.local"), "10.3.0.1");
    assert_eq!(told.says("10-3-0-2.shop.pod.cluster.local"), "NXDOMAIN");
}

/// Somebody who asks all the time, and notes what is not as it should be.
struct Reader {
    stopped: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    thread: std::thread::JoinHandle<Vec<String>>,
}

impl Reader {
    fn start(told: &Told<'_>, name: &'static str, expected: &'static [&str]) -> Self {
        let (stopped, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (zone, stop, count) = (Arc::clone(&told.zone), Arc::clone(&stopped), Arc::clone(&asked));
        let thread = std::thread::spawn(move || {
            let mut odd = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                let said = said(&zone, name);
                if !expected.contains(&said.as_str()) {
                    odd.push(said);
                }
                count.fetch_add(1, Ordering::SeqCst);
                std::thread::yield_now();
            }
            odd
        });
        Self { stopped, asked, thread }
    }

    fn finish(self) {
        self.stopped.store(true, Ordering::SeqCst);
        assert_eq!(self.thread.join().unwrap(), Vec::<String>::new());
        assert!(self.asked.load(Ordering::SeqCst) > 0);
    }
}

fn lists_that_are_asked_for_again_make_no_gap(start: StartApi) {
    let lab = Lab::new(start);
    let told = lab.follow().synced();
    let reader = Reader::start(&told, WEB, &["10.0.5.1"]);
    for round in 1..=3 {
        let lists = lab.asked("list", "services");
        // The history is gone while nobody watches: there must be a list, and what was deleted meanwhile is not in it.
        lab.set("old", "10.0.5.9");
        told.wait_for(OLD, "10.0.5.9");
        lab.api.set(ApiWeather::Gone);
        lab.api.delete(&services(), "shop", "old");
        lab.api.forget_history();
        lab.api.set(ApiWeather::Fair);
        told.wait_for(OLD, "NXDOMAIN");
        // A real server notes a request a moment after it has answered.
        until(&format!("the list of round {round}"), || lab.asked("list", "services") > lists);
    }
    reader.finish();
}

fn watches_that_are_cut_go_on_where_they_were(start: StartApi) {
    let lab = Lab::new(start);
    let told = lab.follow().synced();
    let mut state = told.feed.state();
    state.mark_unchanged();
    for round in 0..5 {
        let watches = lab.asked("watch", "services");
        lab.api.cut_watches();
        lab.set("web", &format!("10.0.1.{round}"));
        told.wait_for(WEB, &format!("10.0.1.{round}"));
        until("services are watched again", || lab.asked("watch", "services") > watches);
    }
    // Nobody was told, and nothing was listed again.
    assert!(!state.has_changed().unwrap(), "{:?}", told.state());
    assert_eq!(lab.asked("list", "services"), 1);
}

fn a_server_that_comes_back_for_the_tenth_time_is_followed_as_the_first(start: StartApi) {
    let lab = Lab::new(start);
    let told = lab.follow().synced();
    let reader = Reader::start(&told, "keep.shop.svc.cluster.local", &["10.0.5.7", "NXDOMAIN"]);
    lab.set("keep", "10.0.5.7");
    for round in 0..10 {
        lab.set("old", "10.0.5.9");
        told.wait_for(OLD, "10.0.5.9");
        lab.api.set(ApiWeather::Gone);
        told.wait_for_stale();
        until("every kind is lost", || told.state().faults.len() == KINDS);
        assert!(matches!(told.state().faults[&Kind::Service], WatchFault::Unreachable(_)), "{:?}", told.state());
        lab.api.delete(&services(), "shop", "old");
        lab.set("web", &format!("10.0.2.{round}"));
        // What was known is told on.
        assert_eq!(told.says(OLD), "10.0.5.9");
        lab.api.set(ApiWeather::Fair);
        told.wait_for(OLD, "NXDOMAIN");
        told.wait_for(WEB, &format!("10.0.2.{round}"));
        until("the catalog is current", || told.is_synced());
    }
    // From the first time on, everything came by the watch.
    assert_eq!(lab.asked("list", "services"), 1);
    reader.finish();
}

fn a_server_that_falls_silent_is_noticed(start: StartApi) {
    let lab = Lab::new(start);
    // However long the next watch may take to stand.
    let settings = lab.settings();
    let times = ApiTimes { request: Duration::from_secs(3_600), ..settings.times };
    let told = lab.follow_with(FeedSettings { times, ..settings }).synced();
    lab.api.set(ApiWeather::Silent);
    lab.set("web", "10.0.5.2");
    told.wait_for_stale();
    assert!(matches!(told.state().faults.values().next(), Some(WatchFault::Silent(_))), "{:?}", told.state());
    assert_eq!(told.says(WEB), "10.0.5.1");
    lab.api.set(ApiWeather::Fair);
    told.wait_for(WEB, "10.0.5.2");
    until("the catalog is current", || told.is_synced());
}

fn a_slow_server_is_waited_for(start: StartApi) {
    let lab = Lab::new(start);
    lab.api.set(ApiWeather::Slow(Duration::from_millis(200)));
    let told = lab.follow().synced();
    assert_eq!(told.says(WEB), "10.0.5.1");
    lab.set("web", "10.0.5.2");
    told.wait_for(WEB, "10.0.5.2");
}

fn what_may_not_be_read_keeps_everything_from_being_told_and_is_said(start: StartApi) {
    let lab = Lab::new(start);
    let all =
        ["namespaces", "services", "endpointslices"].map(|resource| ["list", "watch"].map(|verb| (verb, resource)));
    let role = |without: (&str, &str)| {
        let rest = all.iter().flatten().filter(|may| **may != without);
        vec![("gateway", Role(rest.map(|(verb, resource)| (*verb, (*resource).to_owned())).collect()))]
    };
    lab.api.allow_only(role(("list", "endpointslices")));
    let told = lab.follow();
    until("the fault is known", || !told.state().faults.is_empty());
    let fault = WatchFault::Forbidden { verb: "list", resource: "endpointslices", group: "discovery.k8s.io" };
    until("the others have been listed", || lab.asked("watch", "services") > 0 && lab.asked("watch", "namespaces") > 0);
    assert_eq!(told.state().faults.into_iter().collect::<Vec<_>>(), [(Kind::Endpoints, fault)]);
    for name in [WEB, OLD, "cluster.local"] {
        assert_eq!(told.says(name), "not ready", "{name}");
    }
    let text = told.state().to_string();
    for word in ["not known yet", "list", "endpointslices", "discovery.k8s.io", "ClusterRole"] {
        assert!(text.contains(word), "{text}");
    }
    // Once it is allowed, nothing has to be started anew.
    lab.api.allow_only(role(("", "")));
    until("the catalog is current", || told.is_synced());
    // A token that is not valid any more.
    lab.api.allow_only(vec![]);
    lab.api.cut_watches();
    told.wait_for_stale();
    until("every kind is refused", || told.state().faults.len() == KINDS);
    assert!(told.state().faults.values().all(|fault| *fault == WatchFault::Unauthorized), "{:?}", told.state());
    assert_eq!(told.says(WEB), "10.0.5.1");
}

fn a_hundred_changes_in_a_burst_are_few_catalogs(start: StartApi) {
    let lab = Lab::new(start);
    let told = lab.follow().synced();
    let (before, began) = (told.feed.counts(), Instant::now());
    let many =
        (0..100).map(|at| (services(), "shop".to_owned(), format!("s{at}"), cluster_ip(&format!("10.4.1.{at}"))));
    lab.api.apply_all(many.collect());
    told.wait_for("s99.shop.svc.cluster.local", "10.4.1.99");
    until("all changes have come", || told.feed.counts().changes == before.changes + 100);
    let published = told.feed.counts().published - before.published;
    // The first at once, and at most one for each 10 ms after.
    let most = 2 + began.elapsed().as_millis() / 10;
    assert!(u128::from(published) <= most, "{published} catalogs for one burst, not {most}");
}

fn without_a_server_the_last_catalog_is_told_as_stale(start: StartApi) {
    let lab = Lab::new(start);
    lab.set("old", "10.0.5.9");
    let told = lab.follow().synced();
    told.wait_for(OLD, "10.0.5.9");
    told.stop();

    lab.api.set(ApiWeather::Gone);
    lab.api.delete(&services(), "shop", "old");
    let told = lab.follow();
    assert!(matches!(told.state().sync, SyncState::Stale { .. }));
    assert_eq!((told.says(WEB), told.says(OLD)), ("10.0.5.1".to_owned(), "10.0.5.9".to_owned()));
    let reader = Reader::start(&told, WEB, &["10.0.5.1"]);
    until("the fault is known", || told.state().faults.len() == KINDS);
    lab.api.set(ApiWeather::Fair);
    told.wait_for(OLD, "NXDOMAIN");
    until("the catalog is current", || told.is_synced());
    reader.finish();
}

fn without_a_server_and_a_catalog_nothing_is_denied(start: StartApi) {
    let lab = Lab::new(start);
    lab.api.set(ApiWeather::Gone);
    let told = lab.follow();
    until("the fault is known", || told.state().faults.len() == KINDS);
    assert_eq!(told.state().sync, SyncState::Waiting);
    for name in [WEB, OLD, "cluster.local"] {
        assert_eq!(told.says(name), "not ready", "{name}");
    }
    // What is not known whole is not kept either.
    told.stop();
    assert!(!lab.file().exists());
    lab.api.set(ApiWeather::Fair);
    assert_eq!(lab.follow().synced().says(WEB), "10.0.5.1");
}

fn the_catalog_is_kept_when_changes_cease(start: StartApi) {
    let lab = Lab::new(start);
    let told = lab.follow().synced();
    // Long before the time to save has come, and without an orderly end.
    until("the catalog is on disk", || lab.file().exists());
    let first = std::fs::read(lab.file()).unwrap();
    lab.set("web", "10.0.5.2");
    told.wait_for(WEB, "10.0.5.2");
    lab.api.set(ApiWeather::Gone);
    told.wait_for_stale();
    until("what has changed is on disk", || std::fs::read(lab.file()).unwrap() != first);
}

fn while_nothing_changes_the_catalog_on_disk_does_not_grow_old(start: StartApi) {
    let lab = Lab::new(start);
    let told = lab.follow_with(FeedSettings { save_every: Duration::from_millis(50), ..lab.settings() }).synced();
    let note = lab.folder.path("catalog.current");
    until("it is noted to be current", || note.exists());
    let (catalog, first) = (std::fs::read(lab.file()).unwrap(), std::fs::read(&note).unwrap());
    // Seconds are told.
    until("it is noted again", || std::fs::read(&note).unwrap() != first);
    assert_eq!(std::fs::read(lab.file()).unwrap(), catalog, "nothing else was written");
    lab.set("web", "10.0.5.2");
    told.wait_for(WEB, "10.0.5.2");
    until("what has changed is on disk", || std::fs::read(lab.file()).unwrap() != catalog);
}

fn what_has_not_been_current_for_long_is_stale(start: StartApi) {
    let lab = Lab::new(start);
    let stale_after = Duration::from_millis(1_500);
    let told = lab.follow_with(FeedSettings { stale_after, ..lab.settings() }).synced();
    assert!(!told.state().is_stale);
    let patient = FeedSettings { stale_after: Duration::from_secs(3_600), file: None, ..lab.settings() };
    let patient = lab.follow_with(patient).synced();
    lab.api.set(ApiWeather::Gone);
    until("it is stale", || told.state().is_stale);
    assert_eq!(mark(&told.zone, WEB), Some(Ede::STALE_ANSWER));
    patient.wait_for_stale();
    assert_eq!(mark(&patient.zone, WEB), None);
    assert!(!patient.state().is_stale, "not for an hour yet");
    assert_eq!(told.says(WEB), "10.0.5.1");
    let text = told.state().to_string();
    assert!(text.contains("as they were at 2") && text.contains("cannot be reached"), "{text}");
    lab.api.set(ApiWeather::Fair);
    until("it is current", || told.is_synced() && !told.state().is_stale);
    assert_eq!(mark(&told.zone, WEB), None);
}

#[test]
fn a_way_to_the_server_that_cannot_be_known_is_said_at_the_start() {
    let lab = Lab::new(strait_tests::api_server::ours);
    let missing = ApiAccess::Kubeconfig { path: lab.folder.path("none"), context: None };
    let path = lab.folder.write("kubeconfig", lab.api.kubeconfig("gateway"));
    let unknown = ApiAccess::Kubeconfig { path, context: Some("other".to_owned()) };
    for (access, word) in [(missing, "none"), (unknown, "other"), (ApiAccess::InCluster, "no way to the API server")] {
        let started = lab.runtime.block_on(CatalogFeed::start(FeedSettings::new(access)));
        let error = started.err().expect("an error").to_string();
        assert!(error.contains(word), "{error}");
    }
}
