//! What requests mean: discovery, lists in pages, watches, single objects and their status.

use std::io;
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::{self, Request};
use super::store::{Change, Collection, Place, Refused, Writer, merge};
use super::{Seen, Shared};

/// How often a watch without changes gets a bookmark.
const BOOKMARKS: Duration = Duration::from_millis(200);

/// What a path means.
struct Target {
    collection: Collection,
    namespace: Option<String>,
    name: Option<String>,
    status: bool,
}

impl Target {
    /// `api/v1/...` or `apis/GROUP/VERSION/...`, with or without `namespaces/NAMESPACE`.
    fn parse(path: &[String]) -> Option<Self> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let (group, version, rest) = match path.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            // `namespaces/NAME` by itself is an object without a namespace.
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() && rest[0] != "status" => (Some(*namespace), rest),
            rest => (None, rest),
        };
        let (plural, name, status) = match rest {
            [plural] => (*plural, None, false),
            [plural, name] => (*plural, Some(*name), false),
            [plural, name, "status"] => (*plural, Some(*name), true),
            _ => return None,
        };
        let (namespace, name) = (namespace.map(str::to_owned), name.map(str::to_owned));
        Some(Self { collection: Collection::new(group, version, plural), namespace, name, status })
    }

    fn place(&self, name: &str) -> Place {
        (self.collection.clone(), self.namespace.clone().unwrap_or_default(), name.to_owned())
    }

    fn holds(&self, place: &Place) -> bool {
        place.0 == self.collection
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == place.1)
            && self.name.as_ref().is_none_or(|name| *name == place.2)
    }
}

/// Answers one request.
pub(super) fn answer(stream: &mut TcpStream, request: &Request, shared: &Shared) -> io::Result<()> {
    if let Some(discovered) = discover(request, shared) {
        return http::reply(stream, 200, &discovered);
    }
    let Some(target) = Target::parse(&request.path) else {
        return refuse(stream, &Refused(404, "NotFound", "there is no such path".into()));
    };
    let verb = verb(request, &target);
    let resource = format!("{}{}", target.collection.plural, if target.status { "/status" } else { "" });
    let note = |status| shared.seen.lock().unwrap().push(Seen { verb, resource: resource.clone(), status });
    let outcome =
        may(request, shared, verb, &resource).and_then(|()| match shared.store.lock().is_served(&target.collection) {
            true => Ok(()),
            false => Err(Refused(404, "NotFound", "the server could not find the requested resource".into())),
        });
    if verb == "watch" && outcome.is_ok() {
        note(200);
        return watch(stream, request, &target, shared);
    }
    let outcome = outcome.and_then(|()| act(request, &target, shared, verb));
    note(outcome.as_ref().map_or_else(|refused| refused.0, |_| 200));
    match outcome {
        Ok(body) => http::reply(stream, if verb == "create" { 201 } else { 200 }, &body),
        Err(refused) => refuse(stream, &refused),
    }
}

fn verb(request: &Request, target: &Target) -> &'static str {
    match (request.method.as_str(), &target.name) {
        ("GET", _) if request.is_set("watch") => "watch",
        ("GET", None) => "list",
        ("GET", Some(_)) => "get",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        _ => "delete",
    }
}

/// Whether the token of the request may.
fn may(request: &Request, shared: &Shared, verb: &'static str, resource: &str) -> Result<(), Refused> {
    let roles = shared.roles.lock().unwrap();
    let Some(roles) = &*roles else { return Ok(()) };
    let token = request.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let Some(role) = token.and_then(|token| roles.get(token)) else {
        return Err(Refused(401, "Unauthorized", "Unauthorized".into()));
    };
    match role.0.iter().any(|(may, what)| *may == verb && what == resource) {
        true => Ok(()),
        false => Err(Refused(403, "Forbidden", format!("cannot {verb} resource {resource:?}"))),
    }
}

fn act(request: &Request, target: &Target, shared: &Shared, verb: &str) -> Result<Value, Refused> {
    let body = || {
        let bad = |error| Refused(400, "BadRequest", format!("not JSON: {error}"));
        serde_json::from_slice::<Value>(&request.body).map_err(bad)
    };
    let not_found = |name: &str| Refused(404, "NotFound", format!("{} {name:?} not found", target.collection.plural));
    match (verb, &target.name) {
        ("list", _) => list(request, target, shared),
        ("create", _) => {
            let object = body()?;
            let given = object["metadata"]["name"].as_str().map(str::to_owned);
            let prefix = object["metadata"]["generateName"].as_str().unwrap_or_default().to_owned();
            let writer = writer(request, target, "Update");
            shared.store.change(|contents| {
                let name = given.unwrap_or_else(|| format!("{prefix}{}", contents.version()));
                contents.create(target.place(&name), object, writer)
            })
        }
        ("get", Some(name)) => {
            shared.store.lock().objects.get(&target.place(name)).cloned().ok_or_else(|| not_found(name))
        }
        ("update", Some(name)) => {
            let (object, writer) = (body()?, writer(request, target, "Update"));
            shared.store.change(|contents| contents.replace(target.place(name), object, target.status, writer))
        }
        ("patch", Some(name)) => {
            let patch = body()?;
            let is_apply = request.headers.get("content-type").is_some_and(|kind| kind.contains("apply-patch"));
            let writer = writer(request, target, if is_apply { "Apply" } else { "Update" });
            if is_apply && request.query("fieldManager").is_none() {
                return Err(Refused(400, "BadRequest", "fieldManager is required for apply patch".into()));
            }
            shared.store.change(|contents| {
                let place = target.place(name);
                let expected = Expected::of(&patch["metadata"]);
                let Some(mut object) = contents.objects.get(&place).cloned() else {
                    return match is_apply && !target.status && expected == Expected::default() {
                        true => contents.create(place, patch, writer),
                        false if is_apply && !target.status => Err(conflict("the object is not there")),
                        false => Err(not_found(name)),
                    };
                };
                expected.check(&object)?;
                if is_apply && !request.is_set("force") && writer.has_others(&object) {
                    return Err(conflict("Apply failed: fields are owned by others"));
                }
                merge(&mut object, &patch);
                object["metadata"]["resourceVersion"] = Value::Null;
                contents.replace(place, object, target.status, writer)
            })
        }
        ("delete", Some(name)) => {
            // Without a body there is nothing to expect.
            let options = serde_json::from_slice::<Value>(&request.body).unwrap_or_default();
            shared.store.change(|contents| {
                let place = target.place(name);
                if let Some(object) = contents.objects.get(&place) {
                    Expected::of(&options["preconditions"]).check(object)?;
                }
                contents.delete(&place)
            })
        }
        _ => Err(Refused(405, "MethodNotAllowed", "not on a collection".into())),
    }
}

/// Who writes, as the client calls itself.
fn writer(request: &Request, target: &Target, operation: &'static str) -> Writer {
    let manager = request.query("fieldManager").unwrap_or("unknown").to_owned();
    Writer { manager, operation, status: target.status }
}

fn conflict(why: &str) -> Refused {
    Refused(409, "Conflict", why.to_owned())
}

/// Which object is meant.
#[derive(Default, PartialEq, Eq)]
struct Expected<'a> {
    uid: Option<&'a str>,
    version: Option<&'a str>,
}

impl<'a> Expected<'a> {
    fn of(metadata: &'a Value) -> Self {
        Self { uid: metadata["uid"].as_str(), version: metadata["resourceVersion"].as_str() }
    }

    fn check(&self, object: &Value) -> Result<(), Refused> {
        let is = |expected: Option<&str>, key: &str| expected.is_none_or(|text| object["metadata"][key] == text);
        match is(self.uid, "uid") && is(self.version, "resourceVersion") {
            true => Ok(()),
            false => Err(conflict("the object has been modified, or is another by now")),
        }
    }
}

fn list(request: &Request, target: &Target, shared: &Shared) -> Result<Value, Refused> {
    let contents = shared.store.lock();
    let version = contents.version();
    let (version, mut items) = match request.query("continue") {
        None => {
            let wanted =
                contents.objects.iter().filter(|(place, object)| target.holds(place) && is_selected(request, object));
            (version.to_string(), wanted.map(|(_, object)| object.clone()).collect::<Vec<_>>())
        }
        Some(token) => {
            // A page may be asked for twice.
            let rest = shared.pages.lock().unwrap().get(token).cloned();
            let expired = || Refused(410, "Expired", "the provided continue parameter is too old".into());
            (token.split('-').next().unwrap_or_default().to_owned(), rest.ok_or_else(expired)?)
        }
    };
    let limit = request.query("limit").and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
    let rest = items.split_off(limit.unwrap_or(usize::MAX).min(items.len()));
    let mut metadata = json!({ "resourceVersion": version });
    if !rest.is_empty() {
        let selected = ["labelSelector", "fieldSelector"].map(|key| request.query(key).unwrap_or_default());
        let token = format!("{version}-{}-{}-{}", rest.len(), request.path.join("/"), selected.join("/"));
        metadata["continue"] = json!(token);
        metadata["remainingItemCount"] = json!(rest.len());
        shared.pages.lock().unwrap().insert(token, rest);
    }
    Ok(json!({ "apiVersion": target.collection.api_version(), "kind": "List", "metadata": metadata, "items": items }))
}

/// Equality of labels, and of the name as a field: what is asked for here.
fn is_selected(request: &Request, object: &Value) -> bool {
    let labels =
        request.query("labelSelector").unwrap_or_default().split(',').filter(|term| !term.is_empty()).all(|term| {
            match term.split_once("!=").map(|pair| (pair, false)).or_else(|| Some((term.split_once('=')?, true))) {
                Some(((key, value), equal)) => {
                    (object["metadata"]["labels"][key] == value.trim_start_matches('=')) == equal
                }
                None => object["metadata"]["labels"][term].is_string(),
            }
        });
    let fields = request.query("fieldSelector").unwrap_or_default().split(',').all(|term| {
        term.strip_prefix("metadata.name=")
            .is_none_or(|name| object["metadata"]["name"] == name.trim_start_matches('='))
    });
    labels && fields
}

fn watch(stream: &mut TcpStream, request: &Request, target: &Target, shared: &Shared) -> io::Result<()> {
    let began = shared.watches.load(Ordering::SeqCst);
    let seconds = request.query("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(300);
    let end = Instant::now() + Duration::from_secs(seconds);
    http::begin(stream)?;
    let mut since = match request.query("resourceVersion") {
        // From no version on: first what is there now.
        None | Some("" | "0") => initial_events(stream, request, target, shared)?,
        Some(_) if request.is_set("sendInitialEvents") => initial_events(stream, request, target, shared)?,
        Some(version) => version.parse().unwrap_or(0),
    };
    while Instant::now() < end && shared.watches.load(Ordering::SeqCst) == began {
        let Some((version, changes)) = shared.store.changes_after(since, BOOKMARKS, |place| target.holds(place)) else {
            let status = status(&Refused(410, "Expired", format!("too old resource version: {since}")));
            http::line(stream, &json!({ "type": "ERROR", "object": status }))?;
            break;
        };
        shared.wait_while_silent();
        since = version;
        for Change { kind, object, .. } in changes.iter().filter(|change| is_selected(request, &change.object)) {
            http::line(stream, &json!({ "type": kind, "object": object }))?;
        }
        if changes.is_empty() && request.is_set("allowWatchBookmarks") {
            http::line(stream, &bookmark(target, since, false))?;
        }
    }
    http::end(stream)
}

/// A list as a watch gives it: every object as added, then a bookmark that says so.
fn initial_events(stream: &mut TcpStream, request: &Request, target: &Target, shared: &Shared) -> io::Result<u64> {
    let (version, objects) = {
        let contents = shared.store.lock();
        let wanted =
            contents.objects.iter().filter(|(place, object)| target.holds(place) && is_selected(request, object));
        (contents.version(), wanted.map(|(_, object)| object.clone()).collect::<Vec<_>>())
    };
    for object in objects {
        http::line(stream, &json!({ "type": "ADDED", "object": object }))?;
    }
    if request.is_set("sendInitialEvents") {
        http::line(stream, &bookmark(target, version, true))?;
    }
    Ok(version)
}

fn bookmark(target: &Target, version: u64, initial: bool) -> Value {
    let annotations = if initial { json!({ "k8s.io/initial-events-end": "true" }) } else { json!({}) };
    let metadata = json!({ "resourceVersion": version.to_string(), "annotations": annotations });
    json!({ "type": "BOOKMARK", "object": { "apiVersion": target.collection.api_version(), "metadata": metadata } })
}

/// Which groups there are, and what is in them.
fn discover(request: &Request, shared: &Shared) -> Option<Value> {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let contents = shared.store.lock();
    let resources = |group: &str, version: &str| {
        let of = |collection: &&Collection| collection.group == group && collection.version == version;
        let resource =
            |collection: &Collection| json!({ "name": collection.plural, "verbs": ["get", "list", "watch"] });
        contents.served().filter(of).map(resource).collect::<Vec<_>>()
    };
    match path.as_slice() {
        ["version"] => Some(json!({ "major": "1", "minor": "33", "gitVersion": "v1.33.0-fake" })),
        ["api"] => Some(json!({ "kind": "APIVersions", "versions": ["v1"] })),
        ["apis"] => {
            let group = |collection: &Collection| {
                let version = json!({ "groupVersion": collection.api_version(), "version": collection.version });
                json!({ "name": collection.group, "versions": [version.clone()], "preferredVersion": version })
            };
            let mut groups: Vec<Value> = contents.served().filter(|of| !of.group.is_empty()).map(group).collect();
            groups.dedup();
            Some(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }))
        }
        ["api", version] => {
            Some(json!({ "kind": "APIResourceList", "groupVersion": version, "resources": resources("", version) }))
        }
        ["apis", group, version] => {
            let found = resources(group, version);
            let list =
                json!({ "kind": "APIResourceList", "groupVersion": format!("{group}/{version}"), "resources": found });
            (!found.is_empty()).then_some(list)
        }
        _ => None,
    }
}

fn refuse(stream: &mut TcpStream, refused: &Refused) -> io::Result<()> {
    http::reply(stream, refused.0, &status(refused))
}

fn status(Refused(code, reason, message): &Refused) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message })
}
