//! What is told of a zone: whether it is in force, and how many records it has.

use strait_federation::Refusal;
use strait_resolve::zone::Zone;

use super::{Condition, Status, verdict};

/// What is to be told of a zone that is in force, or not for that reason.
pub(in crate::resources) fn of_zone(standing: Result<&Zone, &Refusal>) -> Status {
    let ready = match standing {
        Ok(_) => verdict("True", "InForce", "the zone is handed to the node-agents"),
        Err(Refusal { reason, message }) => verdict("False", reason, &**message),
    };
    Status { conditions: vec![Condition::new("Ready", ready)], records: standing.ok().map(Zone::record_count) }
}
