//! Who may ask this gateway what, decided by the certificate's identity for every question, and for every answer that
//! holds other names than the one asked for; and the book of who asked, per peer.

mod book;

use std::sync::Arc;

use strait_identity::TrustDomain;
use strait_resolve::{Admission, Admit, Origin};
use strait_wire::{Answer, Ede, Name, QueryView, RecordType};

use book::Seat;
pub use book::{InboundBook, InboundReport};

use crate::convert::without_final_dot as plain;
use crate::rules::Home;

/// The gateway's rule: peers with inbound delegation, and this cluster's own agents and gateways,
/// may ask for names under this cluster's suffix; peers for those of the namespaces they may see, and no answer leads
/// them to others; our own for names of zones at home as well. Everything else is refused, and told why.
pub struct InboundPolicy {
    home: Home,
    own_zones: Vec<Name>,
    reverse_zones: Vec<Name>,
    book: Arc<InboundBook>,
}

impl InboundPolicy {
    /// The rule for a cluster; `book` knows its peers.
    pub fn new(home: Home, book: Arc<InboundBook>) -> Self {
        Self { home, own_zones: Vec::new(), reverse_zones: Vec::new(), book }
    }

    /// As well: names within `zones` for this cluster's own agents and gateways. Peers never see them.
    #[must_use]
    pub fn with_own_zones(mut self, zones: Vec<Name>) -> Self {
        self.own_zones = zones;
        self
    }

    /// As well: names within `zones`, above and of addresses of this cluster, for peers. What leads from them into a
    /// namespace that a peer may not see is not told to it.
    #[must_use]
    pub fn with_reverse_zones(mut self, zones: Vec<Name>) -> Self {
        self.reverse_zones = zones;
        self
    }

    fn decide(&self, asker: &Asker<'_>, query: &QueryView<'_>) -> Result<(), Ede> {
        let name = query.qname();
        let besides = match asker {
            Asker::Own => &self.own_zones,
            Asker::Peer(_) => &self.reverse_zones,
        };
        let is_besides = || besides.iter().any(|zone| name.is_within(zone));
        if !name.is_within(&self.home.suffix) && !is_besides() {
            return Err(self.outside(asker));
        }
        asker.may_see(&name, &self.home.suffix)?;
        let unreadable = |_| prohibited("the list of clusters passed cannot be read".to_owned());
        let path = query.cluster_path().map_err(unreadable)?;
        match path.contains(self.home.trust_domain.as_str()) {
            true => Err(prohibited(format!("loop: the question has passed {path} and is here again"))),
            false => Ok(()),
        }
    }

    fn outside(&self, asker: &Asker<'_>) -> Ede {
        let suffix = plain(&self.home.suffix);
        match asker {
            Asker::Peer(seat) => prohibited(format!("peer {} may ask only names under {suffix}", seat.name())),
            // Nobody forbids it; we only do not know.
            Asker::Own => {
                let zones: Vec<String> = [&self.home.suffix].into_iter().chain(&self.own_zones).map(plain).collect();
                let text = format!("this gateway answers only names under {}", zones.join(", "));
                Ede::new(Ede::NOT_AUTHORITATIVE, text)
            }
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
            Some(seat) => verdict(seat.noting(query, self.decide(&Asker::Peer(seat), query))),
        })
    }

    /// The whole answer is withheld: of part of it nobody could tell that it is part.
    fn may_tell(&self, origin: &Origin, query: &QueryView<'_>, answer: &Answer) -> Result<(), Ede> {
        let peer = origin.identity.as_deref().map(|identity| &identity.id.trust_domain);
        let Some(peer) = peer.filter(|peer| **peer != self.home.trust_domain) else { return Ok(()) };
        self.book.with(peer, |seat| match seat {
            // It may not ask any more.
            None => Err(Asker::unknown(peer)),
            Some(seat) => seat.noting(query, Asker::Peer(seat).may_read(answer, &self.home.suffix)),
        })
    }

    fn is_outside(&self, origin: &Origin) -> bool {
        origin.identity.as_deref().is_none_or(|identity| identity.id.trust_domain != self.home.trust_domain)
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
    Peer(&'a Seat),
}

impl Asker<'_> {
    /// Whether it may see a name of ours; the refusal is the same whether the name exists or not.
    fn may_see(&self, name: &Name, suffix: &Name) -> Result<(), Ede> {
        let Self::Peer(seat) = self else { return Ok(()) };
        match seat.namespaces().forbids(name, suffix) {
            None => Ok(()),
            Some(rule) => Err(prohibited(format!("not shown to peer {}: {rule}", seat.name()))),
        }
    }

    /// Whether it may see every name of the answer.
    fn may_read(&self, answer: &Answer, suffix: &Name) -> Result<(), Ede> {
        // What cannot be read is told to nobody.
        let unreadable = |_| prohibited("the answer cannot be read".to_owned());
        let message = answer.to_message().map_err(unreadable)?;
        let told = message.records().filter(|record| record.rtype != RecordType::SOA);
        let mut names = told.flat_map(|record| std::iter::once(record.name.clone()).chain(record.rdata.names()));
        names.try_for_each(|name| self.may_see(&name, suffix))
    }

    fn unknown(trust_domain: &TrustDomain) -> Ede {
        prohibited(format!("no peer of trust domain {trust_domain} may ask here"))
    }
}

#[cfg(test)]
mod tests;
