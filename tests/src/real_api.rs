//! A real `kube-apiserver` with its etcd, as [`ApiServer`]: reached through a relay that makes the weather, asked with the
//! tokens of service accounts, whose requests its audit log tells.
//!
//! There are no controllers: what they would make (EndpointSlices, accounts) is made by tests. Servers are lent: a test that
//! has ended leaves its own to the next of the same process, which takes everything out of it first.

mod definitions;
mod http;
mod processes;

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use serde_json::{Value, json};

use self::processes::Processes;
pub use self::processes::asset;
use crate::api_server::kubeconfig;
use crate::{ApiServer, ApiWeather, Collection, Relay, Role, Seen, Weather, until};

/// Where the accounts are that tests are known as.
const NAMESPACE: &str = "strait-system";
/// Ours are known by this.
const LABEL: &str = "strait.dev/made-by=tests";

/// Servers that nobody has at the moment.
static IDLE: Mutex<Vec<Server>> = Mutex::new(Vec::new());

struct Server {
    processes: Processes,
    relay: Relay,
}

/// A real API server. Dropped, it is there for the next test.
pub struct RealApi {
    server: Option<Server>,
    /// So much of the audit log is about others.
    before: usize,
    /// Kinds of collections, as the server calls them.
    kinds: Mutex<HashMap<Collection, String>>,
    /// Versions that are served of collections that a test has defined.
    served: Mutex<BTreeSet<Collection>>,
    roles: Mutex<u64>,
}

impl RealApi {
    /// A server without objects but those that it makes itself.
    #[track_caller]
    pub fn start() -> Self {
        let idle = IDLE.lock().unwrap().pop();
        let is_used = idle.is_some();
        let server = idle.unwrap_or_else(|| {
            let processes = Processes::start();
            let relay = Relay::start(processes.address);
            Server { processes, relay }
        });
        let (kinds, served, roles) = Default::default();
        let mut api = Self { server: Some(server), before: 0, kinds, served, roles };
        if is_used {
            api.take_everything_out();
        }
        // It makes these itself, a moment after it is ready.
        for (collection, namespace, name) in [("services", "default", "kubernetes"), ("namespaces", "", "default")] {
            until("the server's own objects", || api.get(&Collection::core(collection), namespace, name).is_some());
        }
        api.before = api.audit().lines().count();
        api
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("it is there until it is dropped")
    }

    /// Its address without the relay before it: for administrators.
    pub fn direct_url(&self) -> String {
        format!("https://{}", self.server().processes.address)
    }

    /// A kubeconfig of an administrator, without the relay before it.
    pub fn admin_kubeconfig(&self) -> String {
        let cluster = json!({ "server": self.direct_url(), "insecure-skip-tls-verify": true });
        kubeconfig(&cluster, &json!({ "token": processes::TOKEN }))
    }

    /// A kubeconfig that leads through the relay, with that user.
    pub fn kubeconfig_of(&self, user: &Value) -> String {
        kubeconfig(&json!({ "server": self.url(), "certificate-authority-data": base64(&self.certificates()) }), user)
    }

    /// The certificates by which it is believed, PEM.
    pub fn certificates(&self) -> String {
        self.server().processes.certificates()
    }

    /// Sends a request as an administrator; status and body of the reply.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let sent = self.server().processes.admin.send(method, path, body);
        sent.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// [`RealApi::send`] that must succeed.
    #[track_caller]
    pub fn must(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, reply) = self.send(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status}: {reply}\n{body}");
        reply
    }

    /// Makes an object unless it is there.
    #[track_caller]
    pub fn ensure(&self, path: &str, object: &Value) {
        let (status, reply) = self.send("POST", path, object);
        assert!(matches!(status, 200..300 | 409), "{path}: {status}: {reply}\n{object}");
    }

    /// Makes a namespace unless it is there.
    #[track_caller]
    pub fn ensure_namespace(&self, name: &str) {
        self.ensure("/api/v1/namespaces", &json!({ "metadata": { "name": name } }));
    }

    /// A token of a service account, by TokenRequest, which is made when it is not there.
    #[track_caller]
    pub fn token(&self, namespace: &str, account: &str) -> String {
        self.ensure_namespace(namespace);
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        self.ensure(&accounts, &json!({ "metadata": { "name": account } }));
        let request = json!({ "spec": { "expirationSeconds": 3_600 } });
        let reply = self.must("POST", &format!("{accounts}/{account}/token"), &request);
        reply["status"]["token"].as_str().expect("a token").to_owned()
    }

    /// Kills it as a crash would, and starts it again with a history that begins now.
    #[track_caller]
    pub fn restart(&self) {
        self.server().processes.restart_api();
    }

    /// The collection's path, with or without a namespace.
    fn path(collection: &Collection, namespace: &str) -> String {
        let root = if collection.group.is_empty() { "/api" } else { "/apis" };
        let within = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
        format!("{root}/{}{within}/{}", collection.api_version(), collection.plural)
    }

    #[track_caller]
    fn kind(&self, collection: &Collection) -> String {
        let mut kinds = self.kinds.lock().unwrap();
        let look_up = || {
            let root = if collection.group.is_empty() { "/api" } else { "/apis" };
            let known = self.must("GET", &format!("{root}/{}", collection.api_version()), &Value::Null);
            let of = list(&known["resources"]).iter().find(|one| one["name"] == collection.plural.as_str());
            of.and_then(|one| one["kind"].as_str()).unwrap_or_else(|| panic!("no {collection:?}")).to_owned()
        };
        kinds.entry(collection.clone()).or_insert_with(look_up).clone()
    }

    fn audit(&self) -> String {
        // The first request makes it.
        let path = self.server().processes.folder.path("audit.log");
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// Everything that tests have put there, but for namespaces, which go only where there is a controller.
    fn take_everything_out(&self) {
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        for definition in list(&self.must("GET", definitions, &Value::Null)["items"]) {
            let collection = Collection::new(
                definition["spec"]["group"].as_str().unwrap_or_default(),
                definition["spec"]["versions"][0]["name"].as_str().unwrap_or_default(),
                definition["spec"]["names"]["plural"].as_str().unwrap_or_default(),
            );
            self.withdraw(collection);
        }
        for kind in ["clusterroles", "clusterrolebindings"] {
            let path = format!("/apis/rbac.authorization.k8s.io/v1/{kind}?labelSelector={LABEL}");
            self.must("DELETE", &path, &Value::Null);
        }
        for (group, plural) in [
            ("", "services"),
            ("discovery.k8s.io", "endpointslices"),
            ("", "pods"),
            ("", "events"),
            ("", "serviceaccounts"),
            ("coordination.k8s.io", "leases"),
        ] {
            let collection = Collection::new(group, "v1", plural);
            for object in list(&self.must("GET", &Self::path(&collection, ""), &Value::Null)["items"]) {
                let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
                let is_its_own = match plural {
                    "services" | "endpointslices" => text("name") == "kubernetes",
                    _ => text("namespace") != NAMESPACE && text("namespace").starts_with("kube-"),
                };
                if !is_its_own {
                    self.delete(&collection, text("namespace"), text("name"));
                }
            }
        }
    }

    /// Binds an account to a cluster role, or no more.
    fn bind(&self, account: &str, role: &str, is_bound: bool) {
        let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
        let name = format!("tests-{account}-{role}");
        if !is_bound {
            self.send("DELETE", &format!("{bindings}/{name}"), &Value::Null);
            return;
        }
        let binding = json!({
            "metadata": { "name": name, "labels": label() },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
            "subjects": [{ "kind": "ServiceAccount", "namespace": NAMESPACE, "name": account }],
        });
        self.ensure(bindings, &binding);
    }

    /// Whether an account may do something that is no resource.
    pub fn may(&self, namespace: &str, account: &str, attributes: &Value) -> bool {
        let mut spec = attributes.clone();
        spec["user"] = json!(format!("system:serviceaccount:{namespace}:{account}"));
        let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
        spec["groups"] = json!(groups);
        let reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        self.must("POST", reviews, &json!({ "spec": spec }))["status"]["allowed"] == true
    }

    fn may_path(&self, account: &str, path: &str) -> bool {
        self.may(NAMESPACE, account, &json!({ "nonResourceAttributes": { "path": path, "verb": "get" } }))
    }
}

impl Drop for RealApi {
    fn drop(&mut self) {
        let Some(server) = self.server.take() else { return };
        if std::thread::panicking() {
            // Nobody knows in what state it is. It ends with the process.
            std::mem::forget(server);
            return;
        }
        server.relay.set(Weather::Fair);
        IDLE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(server);
    }
}

impl ApiServer for RealApi {
    fn url(&self) -> String {
        format!("https://{}", self.server().relay.address())
    }

    #[track_caller]
    fn kubeconfig(&self, who: &str) -> String {
        let token = self.token(NAMESPACE, who);
        if *self.roles.lock().unwrap() == 0 {
            self.bind(who, "cluster-admin", true);
            until("its rights", || self.may_path(who, "/anything"));
        }
        self.kubeconfig_of(&json!({ "token": token }))
    }

    fn serve(&self, collection: Collection) {
        self.served.lock().unwrap().insert(collection.clone());
        self.define(&collection);
    }

    fn withdraw(&self, collection: Collection) {
        self.served.lock().unwrap().remove(&collection);
        self.define(&collection);
    }

    #[track_caller]
    fn apply(&self, collection: &Collection, namespace: &str, name: &str, mut object: Value) -> Value {
        if !namespace.is_empty() {
            self.ensure_namespace(namespace);
        }
        object["apiVersion"] = json!(collection.api_version());
        object["kind"] = json!(self.kind(collection));
        object["metadata"]["name"] = json!(name);
        let (all, one) = (Self::path(collection, namespace), format!("{}/{name}", Self::path(collection, namespace)));
        let written = match self.send("GET", &one, &Value::Null) {
            (200, before) => {
                object["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
                match self.send("PUT", &one, &object) {
                    // A field that cannot be changed: it must be another object.
                    (422, _) => {
                        self.delete(collection, namespace, name);
                        object["metadata"]["resourceVersion"] = Value::Null;
                        self.must("POST", &all, &object)
                    }
                    (200, written) => written,
                    (status, reply) => panic!("{one}: {status}: {reply}"),
                }
            }
            _ => self.must("POST", &all, &object),
        };
        if object["status"].is_null() {
            return written;
        }
        object["metadata"]["resourceVersion"] = written["metadata"]["resourceVersion"].clone();
        self.must("PUT", &format!("{one}/status"), &object)
    }

    #[track_caller]
    fn delete(&self, collection: &Collection, namespace: &str, name: &str) {
        let path = format!("{}/{name}", Self::path(collection, namespace));
        self.must("DELETE", &format!("{path}?gracePeriodSeconds=0"), &Value::Null);
        until(&format!("{path} to be gone"), || self.send("GET", &path, &Value::Null).0 == 404);
    }

    fn get(&self, collection: &Collection, namespace: &str, name: &str) -> Option<Value> {
        let (status, object) = self.send("GET", &format!("{}/{name}", Self::path(collection, namespace)), &Value::Null);
        (status == 200).then_some(object)
    }

    fn names(&self, collection: &Collection) -> Vec<String> {
        let all = self.must("GET", &Self::path(collection, ""), &Value::Null);
        list(&all["items"]).iter().filter_map(|one| one["metadata"]["name"].as_str()).map(str::to_owned).collect()
    }

    fn set(&self, weather: ApiWeather) {
        let relay = &self.server().relay;
        relay.set(match weather {
            ApiWeather::Fair => Weather::Fair,
            // A reply to a new connection has four ways to go, those of TLS with it.
            ApiWeather::Slow(delay) => Weather::Slow(delay / 4),
            ApiWeather::Silent => Weather::BlackHole,
            ApiWeather::Gone => Weather::Cut,
        });
        if weather == ApiWeather::Gone {
            relay.cut();
        }
    }

    #[track_caller]
    fn forget_history(&self) {
        self.restart();
    }

    fn cut_watches(&self) {
        self.server().relay.cut();
    }

    #[track_caller]
    fn allow_only(&self, roles: Vec<(&'static str, Role)>) {
        let epoch = {
            let mut epoch = self.roles.lock().unwrap();
            *epoch += 1;
            format!("/epoch-{epoch}")
        };
        let known = self.names_in(&Collection::core("serviceaccounts"), NAMESPACE);
        for account in known.iter().filter(|known| !roles.iter().any(|(who, _)| who == known)) {
            self.delete(&Collection::core("serviceaccounts"), NAMESPACE, account);
        }
        let collection = Collection::new("rbac.authorization.k8s.io", "v1", "clusterroles");
        for (who, role) in roles {
            self.token(NAMESPACE, who);
            let rule = |(verb, resource): &(&str, String)| json!({ "apiGroups": ["*"], "resources": [resource], "verbs": [verb] });
            let mut rules: Vec<Value> = role.0.iter().map(rule).collect();
            rules.push(json!({ "nonResourceURLs": [epoch], "verbs": ["get"] }));
            let name = format!("tests-{who}");
            self.apply(&collection, "", &name, json!({ "metadata": { "labels": label() }, "rules": rules }));
            self.bind(who, &name, true);
            self.bind(who, "cluster-admin", false);
            until("the role to be in force", || self.may_path(who, &epoch) && !self.may_path(who, "/anything"));
        }
    }

    fn seen(&self) -> Vec<Seen> {
        self.audit().lines().skip(self.before).filter_map(seen).collect()
    }
}

impl RealApi {
    fn names_in(&self, collection: &Collection, namespace: &str) -> Vec<String> {
        let all = self.must("GET", &Self::path(collection, namespace), &Value::Null);
        list(&all["items"]).iter().filter_map(|one| one["metadata"]["name"].as_str()).map(str::to_owned).collect()
    }
}

/// A line of the audit log. A watch counts when it begins.
fn seen(line: &str) -> Option<Seen> {
    // The last line may be on its way.
    let event: Value = serde_json::from_str(line).ok()?;
    let status = u16::try_from(event["responseStatus"]["code"].as_u64()?).ok()?;
    let verbs = ["get", "list", "watch", "create", "update", "patch", "delete"];
    let verb = verbs.into_iter().find(|verb| event["verb"] == *verb)?;
    let begins = event["stage"] == "ResponseStarted";
    let is_counted = if verb == "watch" { begins || status >= 400 } else { !begins };
    let part = event["objectRef"]["subresource"].as_str().map(|part| format!("/{part}")).unwrap_or_default();
    let resource = format!("{}{part}", event["objectRef"]["resource"].as_str()?);
    is_counted.then_some(Seen { verb, resource, status })
}

fn label() -> Value {
    let (key, value) = LABEL.split_once('=').expect("a key and a value");
    json!({ key: value })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// RFC 4648 4, which kubeconfigs want.
fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |group: &[u8]| {
        let bits = (0..3).fold(0_usize, |bits, at| bits << 8 | usize::from(group.get(at).copied().unwrap_or(0)));
        (0..4)
            .map(move |at| match at <= group.len() {
                true => char::from(ALPHABET[bits >> (18 - 6 * at) & 63]),
                false => '=',
            })
            .collect::<String>()
    };
    text.as_bytes().chunks(3).map(group).collect()
}
