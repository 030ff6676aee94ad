//! Who may ask this gateway what, decided by the certificate's identity for every question; and
//! the book of who asked, per peer.

mod book;

use std::sync::Arc;

use strait_identity::TrustDomain;
use strait_resolve::{Admission, Admit, Origin};
use strait_wire::{Ede, Name, QueryView};

use book::Seat;
pub use book::{InboundBook, InboundReport};

use crate::convert::without_final_dot as plain;
use crate::rules::Home;

/// The gateway's rule: peers with inbound delegation, and this cluster's own agents and gateways,
/// may ask for names under this cluster's suffix. Everything else is refused, and told why.
pub struct InboundPolicy {
    home: Home,
    book: Arc<InboundBook>,
}

impl InboundPolicy {
    /// The rule for a cluster; `book` knows its peers.
    pub fn new(home: Home, book: Arc<InboundBook>) -> Self {
        Self { home, book }
    }

    fn decide(&self, asker: &Asker<'_>, query: &QueryView<'_>) -> Result<(), Ede> {
        let name = query.qname();
        if !name.is_within(&self.home.suffix) {
            return Err(asker.outside(&self.home.suffix));
        }
        let unreadable = |_| prohibited("the list of clusters passed cannot be read".to_owned());
        let path = query.cluster_path().map_err(unreadable)?;
        match path.contains(self.home.trust_domain.as_str()) {
            true => Err(prohibited(format!("loop: the question has passed {path} and is here again"))),
            false => Ok(()),
        }
    }
}

impl Admit for InboundPolicy {
    fn admit(&self, origin: &Origin, query: &QueryView<'_>) -> Admission {
        let Some(identity) = origin.identity.as_deref() else {
            return Admission::Refuse(prohibited("no client certificate: this gateway answers known peers".to_owned()));
        };
        if identity.id.trust_domain == self.home.trust_domain {
            return verdict(self.decide(&Asker::Own, query));
        }
        self.book.with(&identity.id.trust_domain, |seat| match seat {
            None => Admission::Refuse(Asker::unknown(&identity.id.trust_domain)),
            Some(seat) => {
                let decision = self.decide(&Asker::Peer(seat.name().as_str()), query);
                if let Err(ede) = &decision {
                    seat.count_refused(|| format!("{}: {}", query.qname(), ede.text));
                }
                verdict(decision)
            }
        })
    }

    fn answered(&self, origin: &Origin) {
        if let Some(identity) = origin.identity.as_deref() {
            self.book.with(&identity.id.trust_domain, |seat| seat.into_iter().for_each(Seat::count_query));
        }
    }
}

fn verdict(decision: Result<(), Ede>) -> Admission {
    decision.map_or_else(Admission::Refuse, |()| Admission::Admit)
}

fn prohibited(text: String) -> Ede {
    Ede::new(Ede::PROHIBITED, text)
}

/// Who asks, for the words of a refusal.
enum Asker<'a> {
    Own,
    Peer(&'a str),
}

impl Asker<'_> {
    fn outside(&self, suffix: &Name) -> Ede {
        let suffix = plain(suffix);
        match self {
            Self::Peer(peer) => prohibited(format!("peer {peer} may ask only names under {suffix}")),
            // Nobody forbids it; we only do not know.
            Self::Own => Ede::new(Ede::NOT_AUTHORITATIVE, format!("this gateway answers only names under {suffix}")),
        }
    }

    fn unknown(trust_domain: &TrustDomain) -> Ede {
        prohibited(format!("no peer of trust domain {trust_domain} may ask here"))
    }
}

#[cfg(test)]
mod tests;
