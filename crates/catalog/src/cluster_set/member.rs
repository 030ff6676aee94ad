//! Another cluster of the set: what it exports, asked of its gateway under its suffix and told under the set's zone.

use std::sync::Arc;

use strait_resolve::{Ask, Source, SourceError};
use strait_wire::{Answer, Ede, Name, Question, ZoneMapping};

/// The label above a cluster's exports: `<service>.<ns>.svc.clusterset.<suffix>`.
pub(super) const EXPORTS: &[u8] = b"clusterset";

/// How a cluster stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It answers.
    Well,
    /// It answers, but not always; or whether it does is not known yet.
    Doubtful,
    /// It does not: it is not asked.
    Gone,
}

/// Another cluster.
#[derive(Clone)]
pub struct Member {
    /// What operators call it.
    pub name: String,
    /// The suffix under which it answers.
    pub suffix: Name,
    /// How it stands.
    pub standing: Standing,
    /// Its part of the services that several clusters export; 0: only those that nobody else has.
    pub weight: u32,
    /// Answers under the suffix.
    pub source: Arc<dyn Source>,
}

/// The other clusters, whichever they are now.
pub trait Members: Send + Sync {
    /// Them, in no order.
    fn members(&self) -> Vec<Member>;
}

impl Member {
    /// Asks it what the set's zone `zone` has of its own.
    pub(super) async fn ask(&self, ask: &Ask, zone: &Name) -> Result<Answer, SourceError> {
        let unmappable =
            |error: &dyn std::fmt::Display| SourceError::Unmappable(format!("peer {}: {error}", self.name));
        let exports = self.suffix.child(EXPORTS).map_err(|error| unmappable(&error))?;
        let mapping = ZoneMapping::new(exports, zone.clone()).map_err(|error| unmappable(&error))?;
        let name = mapping.name_inward(&ask.question.name).map_err(|error| unmappable(&error))?;
        let there = Ask { question: Question { name, ..ask.question.clone() }, ..ask.clone() };
        let answer = self.source.answer(&there).await?;
        let mut message = answer.to_message().map_err(|error| unmappable(&error))?;
        // What the zone says of itself is said by the zone.
        message.authorities.clear();
        let message = mapping.outward(&message).map_err(|error| unmappable(&error))?;
        Answer::new(&message).map_err(|error| unmappable(&error))
    }
}

/// What a cluster says of its answer besides, by an extended error for private use (RFC 8914 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// The service is headless: these are the endpoints of one cluster.
    Headless,
    /// No endpoint of the service is ready.
    Unready,
}

impl Mark {
    const HEADLESS: u16 = 49_152 + 1_645;
    const UNREADY: u16 = Self::HEADLESS + 1;

    /// The answer with the mark.
    pub(super) fn put(self, answer: Answer) -> Answer {
        answer.with_ede(match self {
            Self::Headless => Ede::new(Self::HEADLESS, "endpoints of this cluster"),
            Self::Unready => Ede::new(Self::UNREADY, "no endpoint of this cluster is ready"),
        })
    }

    /// The mark of an answer.
    pub(super) fn of(answer: &Answer) -> Option<Self> {
        match answer.ede()?.code {
            Self::HEADLESS => Some(Self::Headless),
            Self::UNREADY => Some(Self::Unready),
            _ => None,
        }
    }
}
