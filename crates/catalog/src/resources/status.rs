//! The status of a peer: what is told of it, in conditions as `kubectl wait` knows them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strait_federation::{Directions, Refusal};

use super::herald::{Asking, Observation};
use super::objects::{GROUP, Resource, VERSION};
use super::{peer, time};

/// A peer that has asked within this asks us, in seconds.
const ASKED_WITHIN: i64 = 15 * 60;

/// The longest message, in characters: what the API's own conditions have.
const MAX_MESSAGE: usize = 1_024;

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

/// A verdict: status, reason, message.
type Verdict = (&'static str, String, String);

/// What is to be told of a peer that is in force so, or not for that reason.
pub(super) fn conditions(
    standing: Result<Directions, &Refusal>,
    observation: &Observation,
    now: i64,
) -> [Condition; 3] {
    let (ready, reachable, agreed) = match standing {
        Ok(directions) => {
            let ready = verdict("True", "InForce", "the peer is in force");
            (ready, reachable(directions, observation), agreed(directions, observation, now))
        }
        Err(Refusal { reason, message }) => {
            let unknown = || verdict("Unknown", "NotInForce", "the peer is not in force");
            (("False", (*reason).to_owned(), message.clone()), unknown(), unknown())
        }
    };
    [("Ready", ready), ("Reachable", reachable), ("Agreed", agreed)].map(|(kind, (status, reason, message))| {
        Condition {
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason,
            message: message.chars().take(MAX_MESSAGE).collect(),
            observed_generation: 0,
            last_transition_time: String::new(),
        }
    })
}

fn verdict(status: &'static str, reason: &str, message: impl Into<String>) -> Verdict {
    (status, reason.to_owned(), message.into())
}

/// Whether we reach it.
fn reachable(directions: Directions, observation: &Observation) -> Verdict {
    match &observation.links {
        _ if !directions.outbound() => verdict("Unknown", "NotAsked", "this cluster does not ask it"),
        None => verdict("Unknown", "Connecting", "no link has been tried yet"),
        Some(links) if links.is_up => verdict("True", "LinksUp", &*links.in_words),
        Some(links) if links.is_new => verdict("Unknown", "Connecting", &*links.in_words),
        Some(links) => verdict("False", "LinksDown", &*links.in_words),
    }
}

/// Whether both of us ask each other. That it asks is seen only where it asks: of several replicas one may not have been
/// asked, so that nothing follows from that.
fn agreed(directions: Directions, observation: &Observation, now: i64) -> Verdict {
    if directions != Directions::Both {
        return verdict("False", "OneWay", "only one direction is wanted here");
    }
    let (status, reason, message) = reachable(directions, observation);
    if status != "True" {
        let status = if status == "False" { "False" } else { "Unknown" };
        return verdict(status, &reason, format!("it is not known to answer: {message}"));
    }
    match observation.asking {
        Asking { connections: 1.., .. } => verdict("True", "BothWays", "it answers, and is connected to ask"),
        Asking { last_query_at: Some(at), .. } if now.saturating_sub(at) <= ASKED_WITHIN => {
            verdict("True", "BothWays", "it answers, and has asked lately")
        }
        _ => verdict(
            "Unknown",
            "NotSeenAsking",
            "it answers; this replica of the gateway has not been asked by it lately, another may have been: has it this cluster as a peer?",
        ),
    }
}

/// What the resource tells now.
pub(super) fn told(resource: &Resource) -> Vec<Condition> {
    // What somebody else has written there is told anew.
    Vec::<Condition>::deserialize(&resource.status["conditions"]).unwrap_or_default()
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
pub(super) fn settle(resource: &Resource, conditions: &mut [Condition; 3]) -> Difference {
    let before = told(resource);
    let mut difference = if before.len() == conditions.len() { Difference::None } else { Difference::Substance };
    for condition in conditions {
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
pub(super) fn changed<'a>(resource: &Resource, conditions: &'a [Condition; 3]) -> Vec<&'a Condition> {
    let before = told(resource);
    let is_news = |condition: &&Condition| {
        let known = before.iter().find(|known| known.kind == condition.kind);
        condition.status != "Unknown"
            && known.is_none_or(|known| {
                known.status != condition.status || known.status == "False" && known.reason != condition.reason
            })
    };
    conditions.iter().filter(is_news).collect()
}

/// The status as it is applied. The object must be the one that was seen, and not another of its name.
pub(super) fn patch(resource: &Resource, conditions: &[Condition; 3]) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": peer::KIND,
        "metadata": { "name": resource.metadata.name, "uid": resource.metadata.uid },
        "status": { "observedGeneration": resource.metadata.generation, "conditions": conditions },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::resources::herald::Links;

    const NOW: i64 = 1_700_000_000;

    fn links(is_up: bool, is_new: bool) -> Option<Links> {
        Some(Links { is_up, is_new, in_words: "words".to_owned() })
    }

    fn asking(connections: u64, last_query_at: Option<i64>) -> Asking {
        Asking { connections, last_query_at }
    }

    #[test]
    fn conditions_say_what_is_seen() {
        use Directions::{Both, InboundOnly, OutboundOnly};
        // (directions, links, asking, [Reachable, Agreed])
        let cases = [
            (Both, links(true, false), asking(1, None), ["True LinksUp", "True BothWays"]),
            (Both, links(true, false), asking(0, Some(NOW - 60)), ["True LinksUp", "True BothWays"]),
            // Another replica may have been asked.
            (Both, links(true, false), asking(0, Some(NOW - 3_600)), ["True LinksUp", "Unknown NotSeenAsking"]),
            (Both, links(true, false), asking(0, None), ["True LinksUp", "Unknown NotSeenAsking"]),
            (Both, links(false, false), asking(1, None), ["False LinksDown", "False LinksDown"]),
            (Both, links(false, true), asking(1, None), ["Unknown Connecting", "Unknown Connecting"]),
            (Both, None, asking(1, None), ["Unknown Connecting", "Unknown Connecting"]),
            (OutboundOnly, links(true, false), asking(0, None), ["True LinksUp", "False OneWay"]),
            (InboundOnly, None, asking(1, None), ["Unknown NotAsked", "False OneWay"]),
        ];
        for (directions, links, asking, expected) in cases {
            let conditions = conditions(Ok(directions), &Observation { links: links.clone(), asking }, NOW);
            let words = conditions.each_ref().map(|c| format!("{} {}", c.status, c.reason));
            assert_eq!(words[0], "True InForce");
            assert_eq!(words[1..], expected, "{directions:?} {links:?} {asking:?}");
        }
        let refusal = Refusal { reason: "SuffixTaken", message: "m".repeat(5_000) };
        let refused = conditions(Err(&refusal), &Observation::default(), NOW);
        assert_eq!((refused[0].status.as_str(), refused[0].reason.as_str()), ("False", "SuffixTaken"));
        assert_eq!((refused[0].message.len(), refused[1].status.as_str()), (MAX_MESSAGE, "Unknown"));
    }

    fn resource(conditions: &[Condition], generation: i64) -> Resource {
        let written = json!({ "metadata": { "generation": generation }, "status": { "conditions": conditions } });
        serde_json::from_value(written).unwrap()
    }

    #[test]
    fn a_transition_is_a_change_of_status_and_words_are_words() {
        let made = |is_up: bool, words: &str| {
            let links = Some(Links { is_up, is_new: false, in_words: words.to_owned() });
            conditions(Ok(Directions::Both), &Observation { links, asking: asking(1, None) }, NOW)
        };
        let mut first = made(true, "1 of 2");
        let empty = resource(&[], 1);
        assert_eq!(settle(&empty, &mut first), Difference::Substance);
        assert_eq!(changed(&empty, &first).len(), 3);
        first.iter_mut().for_each(|condition| condition.last_transition_time = "then".to_owned());
        let known = resource(&first, 1);
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
            assert_eq!(now[0].last_transition_time, "then", "its status is as it was");
            assert_eq!(now[1].last_transition_time == "then", now[1].status == "True");
        }
        // What somebody else has scribbled there is told anew.
        let scribbled: Resource = serde_json::from_value(json!({ "status": { "conditions": "none" } })).unwrap();
        assert_eq!(settle(&scribbled, &mut made(true, "")), Difference::Substance);
    }
}
