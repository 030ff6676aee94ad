//! Receive and refuse cheaply: from a packet to a question.

use std::time::Instant;

use strait_wire::{ClusterPath, QueryView, Refusal};

use super::Road;
use crate::{Ask, Now, Origin};

/// A well-formed question with who asks it.
pub(crate) struct Asked<'a> {
    pub(crate) query: QueryView<'a>,
    pub(crate) origin: &'a Origin,
    pub(crate) arrived: Instant,
    /// The clusters passed so far.
    pub(crate) path: ClusterPath,
}

/// What becomes of a packet that is no question of ours.
pub(crate) enum Refused {
    /// The reply says why.
    Told,
    /// There is no reply.
    Ignored,
}

impl From<Refused> for Now<'_> {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Told => Self::Reply,
            Refused::Ignored => Self::Nothing,
        }
    }
}

impl Road {
    /// Reads a packet. What is no question of ours is refused here, on a few octets, for every transport alike.
    pub(super) fn receive<'a>(
        &self,
        packet: &'a [u8],
        origin: &'a Origin,
        reply: &mut Vec<u8>,
    ) -> Result<Asked<'a>, Refused> {
        let arrived = origin.arrived.unwrap_or_else(Instant::now);
        let query = match QueryView::parse(packet) {
            Ok(query) => query,
            Err(refusal) => return Err(self.refuse(refusal, packet, origin, reply)),
        };
        match query.cluster_path() {
            Ok(path) => Ok(Asked { query, origin, arrived, path }),
            Err(refusal) => Err(self.refuse(refusal, packet, origin, reply)),
        }
    }

    fn refuse(&self, refusal: Refusal, packet: &[u8], origin: &Origin, reply: &mut Vec<u8>) -> Refused {
        self.settings.metrics.refuse(refusal.reason());
        let before = reply.len();
        if self.settings.admit.tells_refusals(origin) {
            refusal.write_reply(packet, reply);
        }
        if reply.len() > before { Refused::Told } else { Refused::Ignored }
    }
}

impl<'a> Asked<'a> {
    /// A question that has been on its way: what its reply needs.
    pub(super) fn again(query: QueryView<'a>, origin: &'a Origin, arrived: Instant) -> Self {
        Self { query, origin, arrived, path: ClusterPath::default() }
    }

    /// The question as a source gets it.
    pub(super) fn ask(&self) -> Ask {
        Ask::new(&self.query, self.path.clone())
    }
}
