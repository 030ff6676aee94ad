//! Names of which it is not known yet whose they are.

use crate::{Ask, BoxFuture, Source, SourceError};
use strait_wire::Answer;

/// A zone whose names may be somebody's who is not known yet. SERVFAIL, for to deny them, or to ask others who would, is to
/// say what nobody knows.
pub struct UnknownZone {
    why: String,
}

impl UnknownZone {
    /// A zone of which clients are told `why` nothing is known.
    pub fn new(why: String) -> Self {
        Self { why }
    }
}

impl Source for UnknownZone {
    fn answer<'a>(&'a self, _: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        Box::pin(std::future::ready(Err(SourceError::NotReady(self.why.clone()))))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use strait_wire::{Ede, Rcode};

    use super::*;
    use crate::testing::ask;

    #[tokio::test]
    async fn who_asks_is_told_that_it_is_not_known_yet() {
        let zone = UnknownZone::new("the peers are not known yet".to_owned());
        let question = ask("web.shop.svc.cluster-b.example.com", "A");
        assert!(zone.answer_now(&question).is_none());
        let error = zone.answer(&question).await.unwrap_err();
        assert_eq!(
            (error.rcode(), error.ede()),
            (Rcode::SERVFAIL, Ede::new(Ede::NOT_READY, "the peers are not known yet"))
        );
    }
}
