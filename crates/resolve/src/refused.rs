//! Names that nobody is asked of, and why.

use std::sync::LazyLock;

use strait_wire::{Answer, Ede, Name, Rcode};

use crate::{Ask, BoxFuture, Source, SourceError};

/// Their questions are counted with this zone, which no name that is asked for lies in.
static REFUSED: LazyLock<Option<Name>> = LazyLock::new(|| Name::from_labels([b"refused".as_slice(), b"invalid"]).ok());

/// A zone of names that nobody is asked of. REFUSED, for it is no fault that passes: somebody has to decide whose they are.
pub struct RefusedZone {
    why: String,
}

impl RefusedZone {
    /// A zone of which clients are told `why` it has no answers.
    pub fn new(why: String) -> Self {
        Self { why }
    }
}

impl Source for RefusedZone {
    fn answer_now(&self, ask: &Ask) -> Option<Answer> {
        let ede = Ede::new(Ede::OTHER, self.why.clone());
        Some(Answer::failure(ask.question.clone(), Rcode::REFUSED, Some(ede)))
    }

    fn counted_with(&self) -> Option<&Name> {
        REFUSED.as_ref()
    }

    fn answer<'a>(&'a self, _: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        Box::pin(std::future::ready(Err(SourceError::BadAnswer(self.why.clone()))))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::ask;

    #[test]
    fn who_asks_is_refused_and_told_why() {
        let zone = RefusedZone::new("10.96.0.0/16 is claimed by peers cluster-b and cluster-c".to_owned());
        let answer = zone.answer_now(&ask("1.0.96.10.in-addr.arpa", "PTR")).unwrap();
        assert_eq!(answer.rcode(), Rcode::REFUSED);
        assert!(answer.ede().unwrap().text.contains("cluster-b and cluster-c"));
    }
}
