//! Readiness: named conditions, all of which must hold.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

/// The conditions. Cheap to clone; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    conditions: Arc<Mutex<BTreeMap<&'static str, Condition>>>,
}

/// How a condition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    /// It does not hold, and why.
    Not(String),
    /// It holds.
    Ready,
    /// It holds; but something is not as it should be.
    Impaired(String),
}

impl Condition {
    fn holds(&self) -> bool {
        !matches!(self, Self::Not(_))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Not(why) => f.write_str(why),
            Self::Ready => f.write_str("ready"),
            Self::Impaired(what) => write!(f, "ready, but {what}"),
        }
    }
}

/// One condition; not ready until told.
#[derive(Debug)]
pub struct Gate {
    name: &'static str,
    readiness: Readiness,
}

impl Readiness {
    /// Adds a condition, not ready for now.
    pub fn gate(&self, name: &'static str) -> Gate {
        self.lock().insert(name, Condition::Not("not yet".to_owned()));
        Gate { name, readiness: self.clone() }
    }

    /// Whether every condition holds; before the first is known, no.
    pub fn is_ready(&self) -> bool {
        all_hold(&self.lock())
    }

    /// Every condition, for people and programs: `{"ready": false, "conditions": {"peers": "not yet", "listening": "ready"}}`.
    pub fn report(&self) -> Value {
        let conditions = self.lock();
        let shown = |(name, condition): (&&str, &Condition)| ((*name).to_owned(), Value::from(condition.to_string()));
        let map: serde_json::Map<_, _> = conditions.iter().map(shown).collect();
        json!({ "ready": all_hold(&conditions), "conditions": map })
    }

    /// Every condition: its name, whether it holds, and how it stands in words.
    pub fn conditions(&self) -> Vec<(&'static str, bool, String)> {
        self.lock().iter().map(|(name, condition)| (*name, condition.holds(), condition.to_string())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Condition>> {
        self.conditions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, name: &'static str, condition: Condition) {
        let before = self.lock().insert(name, condition.clone());
        match (&before, &condition) {
            (Some(before), now) if before == now => {}
            (_, Condition::Not(why)) => tracing::info!(condition = name, why, "not ready"),
            // What impairs it is told by whoever knows the cause.
            (Some(before), _) if before.holds() => {}
            _ => tracing::info!(condition = name, "ready"),
        }
    }
}

fn all_hold(conditions: &BTreeMap<&'static str, Condition>) -> bool {
    !conditions.is_empty() && conditions.values().all(Condition::holds)
}

impl Gate {
    /// The condition holds.
    pub fn ready(&self) {
        self.readiness.set(self.name, Condition::Ready);
    }

    /// The condition holds, but something is not as it should be: whoever looks is told, and nobody is turned away.
    pub fn impaired(&self, what: impl Into<String>) {
        self.readiness.set(self.name, Condition::Impaired(what.into()));
    }

    /// The condition does not hold, and why.
    pub fn not_ready(&self, why: impl Into<String>) {
        self.readiness.set(self.name, Condition::Not(why.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_must_hold() {
        let readiness = Readiness::default();
        assert!(!readiness.is_ready(), "nothing is known yet");
        let (listening, peers) = (readiness.gate("listening"), readiness.gate("peers"));
        assert!(!readiness.is_ready(), "a new condition does not hold yet");
        listening.ready();
        peers.not_ready("the gateway has not been reached");
        assert!(!readiness.is_ready());
        assert_eq!(
            readiness.report(),
            json!({ "ready": false, "conditions": { "listening": "ready", "peers": "the gateway has not been reached" } })
        );
        assert_eq!(
            readiness.conditions(),
            [("listening", true, "ready".to_owned()), ("peers", false, "the gateway has not been reached".to_owned()),]
        );
        peers.ready();
        assert!(readiness.is_ready());
        peers.not_ready("gone again");
        assert!(!readiness.is_ready());
        // Who is impaired answers, and says so.
        peers.impaired("they are those of yesterday");
        assert!(readiness.is_ready());
        assert_eq!(
            readiness.report(),
            json!({ "ready": true, "conditions": { "listening": "ready", "peers": "ready, but they are those of yesterday" } })
        );
    }
}
