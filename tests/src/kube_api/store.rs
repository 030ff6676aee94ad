//! What the fake API server holds: objects, and the changes that led to them, each with its resource version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A collection: `apis/GROUP/VERSION/PLURAL` or `api/v1/PLURAL`, without the namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Collection {
    /// Empty for the core group.
    pub group: String,
    /// Such as `v1`.
    pub version: String,
    /// The plural in lower case.
    pub plural: String,
}

impl Collection {
    /// A collection of the core group, `v1`.
    pub fn core(plural: &str) -> Self {
        Self::new("", "v1", plural)
    }

    /// A collection of a group.
    pub fn new(group: &str, version: &str, plural: &str) -> Self {
        Self { group: group.into(), version: version.into(), plural: plural.into() }
    }

    /// `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }
}

/// Where an object is: its collection, namespace (empty for those without) and name.
pub(super) type Place = (Collection, String, String);

/// A change, as a watch tells it.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) place: Place,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub(super) kind: &'static str,
    pub(super) object: Value,
}

/// Why something cannot be done: the status code and what is said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) u16, pub(super) &'static str, pub(super) String);

/// Who changes an object, and how, as its managed fields tell.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    pub(super) manager: String,
    /// `Apply` or `Update`.
    pub(super) operation: &'static str,
    pub(super) status: bool,
}

impl Writer {
    /// Whether somebody else has written what it wants to write. Fields are not told apart.
    pub(super) fn has_others(&self, object: &Value) -> bool {
        let of_status = |entry: &Value| entry["subresource"] == "status";
        let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
        entries.filter(|entry| of_status(entry) == self.status).any(|entry| entry["manager"] != self.manager.as_str())
    }

    /// The managed fields of the object, with its own entry anew.
    fn sign(&self, before: Option<&Value>, object: &mut Value, now: &str) {
        let known = before.and_then(|before| before["metadata"]["managedFields"].as_array()).cloned();
        let mut entry = json!({ "manager": self.manager, "operation": self.operation, "time": now });
        if self.status {
            entry["subresource"] = json!("status");
        }
        let is_own =
            |known: &Value| known["manager"] == entry["manager"] && known["subresource"] == entry["subresource"];
        let mut entries: Vec<Value> = known.unwrap_or_default().into_iter().filter(|known| !is_own(known)).collect();
        entries.push(entry);
        object["metadata"]["managedFields"] = json!(entries);
    }
}

#[derive(Default)]
pub(super) struct Contents {
    version: u64,
    pub(super) objects: BTreeMap<Place, Value>,
    changes: Vec<Change>,
    /// Changes up to here are forgotten.
    forgotten: u64,
    served: BTreeSet<Collection>,
    uids: u64,
}

/// The objects, and who waits for changes.
#[derive(Default)]
pub(super) struct Store {
    contents: Mutex<Contents>,
    changed: Condvar,
}

impl Store {
    pub(super) fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap()
    }

    /// Does something, and wakes who watches.
    pub(super) fn change<T>(&self, what: impl FnOnce(&mut Contents) -> T) -> T {
        let outcome = what(&mut self.lock());
        self.changed.notify_all();
        outcome
    }

    /// Waits for changes after `since`, at most so long. None: they are forgotten.
    pub(super) fn changes_after(
        &self,
        since: u64,
        patience: Duration,
        is_wanted: impl Fn(&Place) -> bool,
    ) -> Option<(u64, Vec<Change>)> {
        let end = Instant::now() + patience;
        let mut contents = self.lock();
        loop {
            if since < contents.forgotten {
                return None;
            }
            let new: Vec<Change> =
                contents.changes.iter().filter(|c| c.version > since && is_wanted(&c.place)).cloned().collect();
            let left = end.saturating_duration_since(Instant::now());
            if !new.is_empty() || left.is_zero() {
                return Some((contents.version, new));
            }
            contents = self.changed.wait_timeout(contents, left).unwrap().0;
        }
    }
}

impl Contents {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn serve(&mut self, collection: Collection, served: bool) {
        match served {
            true => drop(self.served.insert(collection)),
            false => {
                self.served.remove(&collection);
                self.objects.retain(|(of, _, _), _| *of != collection);
            }
        }
    }

    pub(super) fn is_served(&self, collection: &Collection) -> bool {
        self.served.contains(collection)
    }

    pub(super) fn served(&self) -> impl Iterator<Item = &Collection> {
        self.served.iter()
    }

    /// Forgets the changes so far: whoever watches from before them has to list anew.
    pub(super) fn forget(&mut self) {
        self.forgotten = self.version;
        self.changes.clear();
    }

    /// The server's clock: a second a change.
    fn now(&self) -> String {
        let (minutes, second) = ((self.version + 1) / 60, (self.version + 1) % 60);
        format!("2026-01-{:02}T{:02}:{:02}:{second:02}Z", 1 + minutes / 1_440, minutes / 60 % 24, minutes % 60)
    }

    pub(super) fn create(&mut self, place: Place, mut object: Value, writer: Writer) -> Result<Value, Refused> {
        if self.objects.contains_key(&place) {
            return Err(Refused(409, "AlreadyExists", format!("{} exists already", place.2)));
        }
        // The status has a door of its own; when it was made is the server's to say.
        for (of, key) in [("/metadata", "creationTimestamp"), ("/metadata", "uid"), ("", "status")] {
            object.pointer_mut(of).and_then(Value::as_object_mut).map(|fields| fields.remove(key));
        }
        writer.sign(None, &mut object, &self.now());
        Ok(self.put(place, object))
    }

    /// Puts an object there, whatever was there. What the client said of `uid` and the like is the server's to say.
    pub(super) fn put(&mut self, place: Place, mut object: Value) -> Value {
        self.version += 1;
        let before = self.objects.get(&place);
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        let generation = match before {
            None => 1,
            Some(before) => {
                let same = before["spec"] == object["spec"];
                before["metadata"]["generation"].as_u64().unwrap_or(1) + u64::from(!same)
            }
        };
        let made = match before.map(|before| &before["metadata"]["creationTimestamp"]).filter(|made| made.is_string()) {
            Some(made) => made.clone(),
            None => json!(self.now()),
        };
        let uid = match before {
            Some(before) => before["metadata"]["uid"].clone(),
            None => {
                self.uids += 1;
                json!(format!("00000000-0000-4000-8000-{:012x}", self.uids))
            }
        };
        object["apiVersion"] = json!(place.0.api_version());
        let metadata = &mut object["metadata"];
        metadata["name"] = json!(place.2);
        if !place.1.is_empty() {
            metadata["namespace"] = json!(place.1);
        }
        metadata["uid"] = uid;
        if !metadata["creationTimestamp"].is_string() {
            metadata["creationTimestamp"] = made;
        }
        metadata["generation"] = json!(generation);
        metadata["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(place.clone(), object.clone());
        self.changes.push(Change { version: self.version, place, kind, object: object.clone() });
        object
    }

    /// Replaces an object; one that names another version than what is there is too late.
    pub(super) fn replace(
        &mut self,
        place: Place,
        object: Value,
        status: bool,
        writer: Writer,
    ) -> Result<Value, Refused> {
        let Some(before) = self.objects.get(&place).cloned() else {
            return Err(Refused(404, "NotFound", format!("{} not found", place.2)));
        };
        let (expected, now) = (&object["metadata"]["resourceVersion"], &before["metadata"]["resourceVersion"]);
        if expected.is_string() && expected != now {
            return Err(Refused(409, "Conflict", "the object has been modified; take the latest version".into()));
        }
        // The status has a door of its own, as for every resource with a status subresource.
        let mut new = if status { before.clone() } else { object.clone() };
        let keeps = if status { &object["status"] } else { &before["status"] };
        if !keeps.is_null() {
            new["status"] = keeps.clone();
        }
        writer.sign(Some(&before), &mut new, &self.now());
        Ok(self.put(place, new))
    }

    pub(super) fn delete(&mut self, place: &Place) -> Result<Value, Refused> {
        let Some(mut object) = self.objects.remove(place) else {
            return Err(Refused(404, "NotFound", format!("{} not found", place.2)));
        };
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let change = Change { version: self.version, place: place.clone(), kind: "DELETED", object: object.clone() };
        self.changes.push(change);
        Ok(object)
    }
}

/// RFC 7396: what `patch` says takes the place of what is there; null takes it away.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return *target = patch.clone() };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        match value {
            Value::Null => drop(target.as_object_mut().map(|target| target.remove(key))),
            value => merge(&mut target[key.as_str()], value),
        }
    }
}
