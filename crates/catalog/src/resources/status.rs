//! The status of a resource: what is told of it, in conditions as `kubectl wait` knows them.

mod peer;
mod zone;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(super) use self::peer::of_peer;
pub(super) use self::zone::of_zone;
use super::objects::{GROUP, Resource, ResourceKind, VERSION};
use super::time;

/// The longest message, in characters: what the API's own conditions have.
const MAX_MESSAGE: usize = 1_024;

/// What is to be told of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) conditions: Vec<Condition>,
    /// Of a zone: how many records it has.
    pub(super) records: Option<usize>,
}

/// One of the conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// `True`, `False` or `Unknown`.
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) message: String,
    #[serde(default)]
    pub(super) observed_generation: i64,
    #[serde(default)]
    pub(super) last_transition_time: String,
}

impl Condition {
    /// One whose generation and time come with [`settle`].
    fn new(kind: &str, (status, reason, message): Verdict) -> Self {
        Self {
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason,
            message: message.chars().take(MAX_MESSAGE).collect(),
            observed_generation: 0,
            last_transition_time: String::new(),
        }
    }
}

/// A verdict: status, reason, message.
type Verdict = (&'static str, String, String);

fn verdict(status: &'static str, reason: &str, message: impl Into<String>) -> Verdict {
    (status, reason.to_owned(), message.into())
}

/// What the resource tells now.
pub(super) fn told(resource: &Resource) -> Vec<Condition> {
    // What somebody else has written there is told anew.
    Vec::<Condition>::deserialize(&resource.status["conditions"]).unwrap_or_default()
}

fn told_records(resource: &Resource) -> Option<usize> {
    usize::try_from(resource.status["records"].as_u64()?).ok()
}

/// How much of what is told is another than what is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Difference {
    /// Nothing.
    None,
    /// Words.
    Words,
    /// Something a program could act on.
    Substance,
}

/// Completes the conditions by what was told before.
pub(super) fn settle(resource: &Resource, status: &mut Status) -> Difference {
    let before = told(resource);
    let is_whole = before.len() == status.conditions.len() && told_records(resource) == status.records;
    let mut difference = if is_whole { Difference::None } else { Difference::Substance };
    for condition in &mut status.conditions {
        condition.observed_generation = resource.metadata.generation;
        let known = before.iter().find(|known| known.kind == condition.kind);
        let same = known.filter(|known| known.status == condition.status);
        condition.last_transition_time = same.map_or_else(time::now, |known| known.last_transition_time.clone());
        let is_like = |known: &&Condition| {
            known.reason == condition.reason && known.observed_generation == condition.observed_generation
        };
        match same.filter(is_like) {
            None => difference = Difference::Substance,
            Some(known) if known.message != condition.message && difference == Difference::None => {
                difference = Difference::Words;
            }
            Some(_) => {}
        }
    }
    difference
}

/// The conditions whose status has changed from what the resource tells, in a way that is worth an event.
pub(super) fn changed<'a>(resource: &Resource, status: &'a Status) -> Vec<&'a Condition> {
    let before = told(resource);
    let is_news = |condition: &&Condition| {
        let known = before.iter().find(|known| known.kind == condition.kind);
        condition.status != "Unknown"
            && known.is_none_or(|known| {
                known.status != condition.status || known.status == "False" && known.reason != condition.reason
            })
    };
    status.conditions.iter().filter(is_news).collect()
}

/// The status as it is applied. The object must be the one that was seen, and not another of its name.
pub(super) fn patch(kind: ResourceKind, resource: &Resource, status: &Status) -> Value {
    let mut patch = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": kind.name(),
        "metadata": { "name": resource.metadata.name, "uid": resource.metadata.uid },
        "status": { "observedGeneration": resource.metadata.generation, "conditions": status.conditions },
    });
    if let Some(records) = status.records {
        patch["status"]["records"] = json!(records);
    }
    patch
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use strait_federation::{Directions, Refusal};
    use strait_resolve::zone::ZoneBuilder;

    use super::*;
    use crate::resources::herald::{Asking, Links, Observation};

    const NOW: i64 = 1_700_000_000;

    fn resource(conditions: &[Condition], generation: i64) -> Resource {
        let written = json!({ "metadata": { "generation": generation }, "status": { "conditions": conditions } });
        serde_json::from_value(written).unwrap()
    }

    #[test]
    fn a_transition_is_a_change_of_status_and_words_are_words() {
        let made = |is_up: bool, words: &str| {
            let links = Some(Links { is_up, is_new: false, in_words: words.to_owned() });
            let asking = Asking { connections: 1, last_query_at: None };
            of_peer(Ok(Directions::Both), &Observation { links, asking }, NOW)
        };
        let mut first = made(true, "1 of 2");
        let empty = resource(&[], 1);
        assert_eq!(settle(&empty, &mut first), Difference::Substance);
        assert_eq!(changed(&empty, &first).len(), 3);
        first.conditions.iter_mut().for_each(|condition| condition.last_transition_time = "then".to_owned());
        let known = resource(&first.conditions, 1);
        // (as it is now, of generation, difference, conditions with an event)
        let cases = [
            (made(true, "1 of 2"), 1, Difference::None, 0),
            (made(true, "2 of 2"), 1, Difference::Words, 0),
            (made(false, "none"), 1, Difference::Substance, 2),
            (made(true, "1 of 2"), 2, Difference::Substance, 0),
        ];
        for (mut now, generation, difference, events) in cases {
            let known = Resource { metadata: resource(&[], generation).metadata, ..known.clone() };
            assert_eq!(settle(&known, &mut now), difference, "{now:?}");
            assert_eq!(changed(&known, &now).len(), events, "{now:?}");
            let [ready, reachable, _] = &now.conditions[..] else { panic!("{now:?}") };
            assert_eq!(ready.last_transition_time, "then", "its status is as it was");
            assert_eq!(reachable.last_transition_time == "then", reachable.status == "True");
        }
        // What somebody else has scribbled there is told anew.
        let scribbled: Resource = serde_json::from_value(json!({ "status": { "conditions": "none" } })).unwrap();
        assert_eq!(settle(&scribbled, &mut made(true, "")), Difference::Substance);
    }

    #[test]
    fn a_zone_tells_how_many_records_it_has_as_long_as_it_is_in_force() {
        let mut builder = ZoneBuilder::new("corp.example.com".parse().unwrap(), 300);
        builder.zone_text("a A 192.0.2.1").unwrap();
        let zone = builder.build().unwrap();
        let mut status = of_zone(Ok(&zone));
        let empty = resource(&[], 1);
        assert_eq!((settle(&empty, &mut status), status.records), (Difference::Substance, Some(2)));
        let written = patch(ResourceKind::Zone, &empty, &status);
        assert_eq!((&written["kind"], &written["status"]["records"]), (&json!("Zone"), &json!(2)));
        let known: Resource = serde_json::from_value(written).unwrap();
        let known = Resource { metadata: resource(&[], 1).metadata, ..known };
        assert_eq!(settle(&known, &mut of_zone(Ok(&zone))), Difference::None);
        let scribbled =
            Resource { status: json!({ "conditions": known.status["conditions"], "records": 7 }), ..known.clone() };
        assert_eq!(settle(&scribbled, &mut of_zone(Ok(&zone))), Difference::Substance);
        let refusal = Refusal { reason: "NameTaken", message: "m".to_owned() };
        let mut refused = of_zone(Err(&refusal));
        assert_eq!((settle(&known, &mut refused), refused.records), (Difference::Substance, None));
        assert_eq!(changed(&known, &refused).iter().map(|c| c.reason.as_str()).collect::<Vec<_>>(), ["NameTaken"]);
    }
}
