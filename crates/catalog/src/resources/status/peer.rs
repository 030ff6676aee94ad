//! What is told of a peer: whether it is in force, whether we reach it, whether it asks us.

use strait_federation::{Directions, Refusal};

use super::{Condition, Status, Verdict, verdict};
use crate::resources::herald::{Asking, Observation};

/// A peer that has asked within this asks us, in seconds.
const ASKED_WITHIN: i64 = 15 * 60;

/// What is to be told of a peer that is in force so, or not for that reason.
pub(in crate::resources) fn of_peer(
    standing: Result<Directions, &Refusal>,
    observation: &Observation,
    now: i64,
) -> Status {
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
    let conditions = [("Ready", ready), ("Reachable", reachable), ("Agreed", agreed)];
    Status { conditions: conditions.map(|(kind, verdict)| Condition::new(kind, verdict)).into(), records: None }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::herald::Links;
    use crate::resources::status::MAX_MESSAGE;

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
            let status = of_peer(Ok(directions), &Observation { links: links.clone(), asking }, NOW);
            let words: Vec<String> = status.conditions.iter().map(|c| format!("{} {}", c.status, c.reason)).collect();
            assert_eq!(words[0], "True InForce");
            assert_eq!(words[1..], expected, "{directions:?} {links:?} {asking:?}");
        }
        let refusal = Refusal { reason: "SuffixTaken", message: "m".repeat(5_000) };
        let refused = of_peer(Err(&refusal), &Observation::default(), NOW).conditions;
        assert_eq!((refused[0].status.as_str(), refused[0].reason.as_str()), ("False", "SuffixTaken"));
        assert_eq!((refused[0].message.len(), refused[1].status.as_str()), (MAX_MESSAGE, "Unknown"));
    }
}
