//! Readiness: named conditions, all of which must hold.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

/// The conditions. Cheap to clone; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    /// Each condition with why it does not hold; none when it does.
    conditions: Arc<Mutex<BTreeMap<&'static str, Option<String>>>>,
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
        self.lock().insert(name, Some("not yet".to_owned()));
        Gate { name, readiness: self.clone() }
    }

    /// Whether every condition holds; before the first is known, no.
    pub fn is_ready(&self) -> bool {
        all_hold(&self.lock())
    }

    /// Every condition, for people and programs: `{"ready": false, "conditions": {"peers": "not yet", "listening": "ready"}}`.
    pub fn report(&self) -> Value {
        let conditions = self.lock();
        let shown = |why: &Option<String>| Value::from(why.clone().unwrap_or_else(|| "ready".to_owned()));
        let map: serde_json::Map<_, _> =
            conditions.iter().map(|(name, why)| ((*name).to_owned(), shown(why))).collect();
        json!({ "ready": all_hold(&conditions), "conditions": map })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Option<String>>> {
        self.conditions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, name: &'static str, why: Option<String>) {
        let before = self.lock().insert(name, why.clone());
        match (&before, &why) {
            (Some(before), now) if before == now => {}
            (_, None) => tracing::info!(condition = name, "ready"),
            (_, Some(why)) => tracing::info!(condition = name, why, "not ready"),
        }
    }
}

fn all_hold(conditions: &BTreeMap<&'static str, Option<String>>) -> bool {
    !conditions.is_empty() && conditions.values().all(Option::is_none)
}

impl Gate {
    /// The condition holds.
    pub fn ready(&self) {
        self.readiness.set(self.name, None);
    }

    /// The condition does not hold, and why.
    pub fn not_ready(&self, why: impl Into<String>) {
        self.readiness.set(self.name, Some(why.into()));
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
        peers.ready();
        assert!(readiness.is_ready());
        peers.not_ready("gone again");
        assert!(!readiness.is_ready());
    }
}
