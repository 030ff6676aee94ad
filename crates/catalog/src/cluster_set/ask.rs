//! Asking the other clusters: in what order, how many at a time, and for how long.

use std::hash::Hasher;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use strait_resolve::{Ask, SourceError};
use strait_wire::Name;
use tokio::time::{Instant, timeout_at};

use super::member::{Member, Standing};
use super::merge::Merge;

/// Clusters that one question is asked of at a time.
const AT_A_TIME: usize = 4;
/// Clusters that one question is asked of in all.
const MAX_ASKED: usize = 32;
/// How long all of them have together: a client waits for 3 s.
const DEADLINE: Duration = Duration::from_millis(2_500);

/// Asks the clusters that can be asked, best first, until nothing can be added to what they have said.
pub(super) async fn ask_members(members: Vec<Member>, ask: &Ask, zone: &Name, merge: &mut Merge<'_>) {
    let deadline = Instant::now() + DEADLINE;
    let best_first = in_order(members, &ask.question.name).into_iter().take(MAX_ASKED);
    let questions = best_first.map(|member| async move { member.ask(ask, zone).await });
    let mut replies = stream::iter(questions).buffered(AT_A_TIME);
    while !merge.is_decided() {
        match timeout_at(deadline, replies.next()).await {
            Ok(Some(said)) => merge.take(said),
            Ok(None) => return,
            Err(_) => {
                let text = format!("other clusters of the set had no answer within {DEADLINE:?}");
                return merge.fail(SourceError::Unreachable(text));
            }
        }
    }
}

/// Those that can be asked: by how they stand, and then so that of the services that several have, each gets the part that
/// its weight says (rendezvous hashing). For one service the order is the same whatever is asked of it: both families
/// of its addresses come from one cluster.
fn in_order(members: Vec<Member>, name: &Name) -> Vec<Member> {
    let service = service_of(name);
    let mut ranked: Vec<(Standing, f64, Member)> = members
        .into_iter()
        .filter(|member| member.standing != Standing::Gone)
        .map(|member| (member.standing, distance(&member, &service), member))
        .collect();
    ranked.sort_by(|(standing, distance, one), (other_standing, other_distance, other)| {
        standing.cmp(other_standing).then(distance.total_cmp(other_distance)).then(one.name.cmp(&other.name))
    });
    ranked.into_iter().map(|(_, _, member)| member).collect()
}

/// A member's number for a service: of two, that with twice the weight has the smaller one twice as often.
fn distance(member: &Member, service: &[u8]) -> f64 {
    // The same in every gateway and in every run of it: FNV-1a.
    let mut hash = Fnv::default();
    hash.write(member.name.as_bytes());
    hash.write(&[0xff]);
    hash.write(service);
    // In (0, 1]: 53 bits are exact.
    let uniform = ((hash.finish() >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
    -uniform.ln() / f64::from(member.weight)
}

/// What is the same in all names of a service: its last labels, from its own on.
fn service_of(name: &Name) -> Vec<u8> {
    const LABELS_OF_A_SERVICE: usize = 5; // <service>.<ns>.svc.clusterset.local
    let labels: Vec<&[u8]> = name.labels().collect();
    let from = labels.len().saturating_sub(LABELS_OF_A_SERVICE);
    labels[from..].join(&b'.')
}

/// The hash FNV-1a of 64 bits, stirred, so that short inputs spread over all of them.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.0 = (self.0 ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        let mut hash = self.0;
        for shift in [33, 29, 32] {
            hash = (hash ^ (hash >> shift)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        }
        hash ^ (hash >> 33)
    }
}

#[cfg(test)]
mod tests;
