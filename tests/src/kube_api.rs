//! A Kubernetes API server that does what a test says: lists in pages, watches with bookmarks, forgets its history, is slow,
//! silent or gone, and allows no more than it is told to.

mod http;
mod rest;
mod store;

use std::collections::HashMap;
use std::io::BufReader;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

pub use self::store::Collection;
use self::store::{Place, Store};
use crate::api_server::kubeconfig;
use crate::free_address;

/// How the server is today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiWeather {
    /// It answers.
    Fair,
    /// It answers that much later.
    Slow(Duration),
    /// It takes connections and requests, and says nothing; watches that stand say nothing either.
    Silent,
    /// Connections are closed, new ones at once.
    Gone,
}

/// A request that was served, or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// As in a role: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: &'static str,
    /// The plural, with `/status` for that of an object.
    pub resource: String,
    /// The status code of the reply.
    pub status: u16,
}

/// What a token may do: verbs on resources.
#[derive(Debug, Clone, Default)]
pub struct Role(pub Vec<(&'static str, String)>);

/// The server. Dropped, it is gone.
pub struct KubeApi {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    weather: Mutex<ApiWeather>,
    /// The weather is another, or the server stops.
    changed: Condvar,
    stopped: AtomicBool,
    /// Watches that began before this count changed are cut.
    watches: AtomicU64,
    /// None: who comes may do everything.
    roles: Mutex<Option<HashMap<String, Role>>>,
    seen: Mutex<Vec<Seen>>,
    connections: Mutex<Vec<TcpStream>>,
    /// What is left of lists that are given in pages.
    pages: Mutex<HashMap<String, Vec<Value>>>,
}

impl KubeApi {
    /// A server with no objects, that serves what every cluster has and this project asks for.
    pub fn start() -> Self {
        let address = free_address();
        let listener = TcpListener::bind(address).expect("a free address can be bound");
        let shared = Arc::new(Shared {
            store: Store::default(),
            weather: Mutex::new(ApiWeather::Fair),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
            watches: AtomicU64::new(0),
            roles: Mutex::default(),
            seen: Mutex::default(),
            connections: Mutex::default(),
            pages: Mutex::default(),
        });
        let api = Self { address, shared };
        for plural in ["namespaces", "services", "pods", "nodes", "events", "secrets", "configmaps"] {
            api.serve(Collection::core(plural));
        }
        api.serve(Collection::new("discovery.k8s.io", "v1", "endpointslices"));
        api.serve(Collection::new("coordination.k8s.io", "v1", "leases"));
        api.serve(Collection::new("events.k8s.io", "v1", "events"));
        let shared = Arc::clone(&api.shared);
        std::thread::spawn(move || accept(&listener, &shared));
        api
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig that leads here with that token.
    pub fn kubeconfig(&self, token: &str) -> String {
        kubeconfig(&json!({ "server": self.url() }), &json!({ "token": token }))
    }

    /// Serves a collection from now on, as when its resource definition has been installed.
    pub fn serve(&self, collection: Collection) {
        self.shared.store.change(|contents| contents.serve(collection, true));
    }

    /// Serves it no more; its objects are gone.
    pub fn withdraw(&self, collection: Collection) {
        self.shared.store.change(|contents| contents.serve(collection, false));
        self.cut_watches();
    }

    /// Puts an object there, in place of what was there. An empty namespace is for those without one.
    pub fn apply(&self, collection: &Collection, namespace: &str, name: &str, object: Value) -> Value {
        self.shared.store.change(|contents| contents.put(place(collection, namespace, name), object))
    }

    /// Puts many there at once: no watch sees some of them without the others.
    pub fn apply_all(&self, objects: impl IntoIterator<Item = (Collection, String, String, Value)>) {
        self.shared.store.change(|contents| {
            for (collection, namespace, name, object) in objects {
                contents.put((collection, namespace, name), object);
            }
        });
    }

    /// Takes an object away.
    #[track_caller]
    pub fn delete(&self, collection: &Collection, namespace: &str, name: &str) {
        let deleted = self.shared.store.change(|contents| contents.delete(&place(collection, namespace, name)));
        assert!(deleted.is_ok(), "{namespace}/{name} was not there");
    }

    /// The object as it is now.
    pub fn get(&self, collection: &Collection, namespace: &str, name: &str) -> Option<Value> {
        self.shared.store.lock().objects.get(&place(collection, namespace, name)).cloned()
    }

    /// Names of the objects of a collection.
    pub fn names(&self, collection: &Collection) -> Vec<String> {
        let contents = self.shared.store.lock();
        contents.objects.keys().filter(|(of, _, _)| of == collection).map(|(_, _, name)| name.clone()).collect()
    }

    /// Changes the weather, also for connections that stand.
    pub fn set(&self, weather: ApiWeather) {
        *self.shared.weather.lock().unwrap() = weather;
        self.shared.changed.notify_all();
        if weather == ApiWeather::Gone {
            self.shared.cut_connections();
        }
    }

    /// Forgets its history: watches end with 410, and so does whoever asks to watch from what was.
    pub fn forget_history(&self) {
        self.shared.store.change(store::Contents::forget);
    }

    /// Ends the watches that stand, as a server does now and then.
    pub fn cut_watches(&self) {
        self.shared.watches.fetch_add(1, Ordering::SeqCst);
    }

    /// From now on a token may do what its role says, and an unknown one nothing.
    pub fn allow_only(&self, roles: impl IntoIterator<Item = (&'static str, Role)>) {
        let roles = roles.into_iter().map(|(token, role)| (token.to_owned(), role)).collect();
        *self.shared.roles.lock().unwrap() = Some(roles);
    }

    /// What was asked of it so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }
}

impl Drop for KubeApi {
    fn drop(&mut self) {
        self.set(ApiWeather::Gone);
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.cut_watches();
        self.shared.cut_connections();
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn weather(&self) -> ApiWeather {
        *self.weather.lock().unwrap()
    }

    fn wait_while_silent(&self) {
        let is_silent =
            |weather: &mut ApiWeather| *weather == ApiWeather::Silent && !self.stopped.load(Ordering::SeqCst);
        drop(self.changed.wait_while(self.weather.lock().unwrap(), is_silent).unwrap());
    }

    fn cut_connections(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn place(collection: &Collection, namespace: &str, name: &str) -> Place {
    (collection.clone(), namespace.to_owned(), name.to_owned())
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(own) = stream.try_clone() else { continue };
        // First noted, then judged: whoever makes it gone meanwhile cuts it.
        shared.connections.lock().unwrap().push(own);
        if shared.weather() == ApiWeather::Gone {
            let _ = stream.shutdown(Shutdown::Both);
            continue;
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || serve(stream, &shared));
    }
}

/// One connection to its end; whatever goes wrong with it ends it.
fn serve(mut stream: TcpStream, shared: &Shared) {
    let Ok(reading) = stream.try_clone() else { return };
    let _ = stream.set_nodelay(true);
    let mut reading = BufReader::new(reading);
    while let Ok(Some(request)) = http::Request::read(&mut reading) {
        match shared.weather() {
            ApiWeather::Slow(delay) => std::thread::sleep(delay),
            ApiWeather::Silent => {
                shared.wait_while_silent();
                return;
            }
            ApiWeather::Fair | ApiWeather::Gone => {}
        }
        if rest::answer(&mut stream, &request, shared).is_err() {
            return;
        }
    }
}
