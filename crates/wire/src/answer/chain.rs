//! The chain of aliases in an answer section.

use crate::{Name, Question, Record, RecordType};

/// The most aliases followed for one question: a bound on the work that an answer can ask for. BIND and unbound
/// stop at about as many.
pub const MAX_ALIASES: usize = 11;

/// The way from the name asked for along CNAME records.
pub(super) struct Chain {
    /// The names on the way; the first is the question's.
    pub(super) names: Vec<Name>,
    /// For each name that is an alias, which record of the section says so.
    pub(super) links: Vec<usize>,
    /// Whether the last name has records of the type asked for.
    pub(super) found: bool,
}

/// Follows the aliases from the question's name; after [`MAX_ALIASES`] it ends, in a loop too.
///
/// DNAME records need no following: a server sends the CNAME that follows from one (RFC 6672 3.1).
pub(super) fn follow_aliases(answers: &[Record], question: &Question) -> Chain {
    let mut chain = Chain { names: vec![question.name.clone()], links: Vec::new(), found: false };
    let is_wanted = |r: &Record| r.rtype == question.rtype || question.rtype == RecordType::ANY;
    loop {
        let last = &chain.names[chain.names.len() - 1];
        if answers.iter().any(|r| is_wanted(r) && r.name == *last) {
            chain.found = true;
            return chain;
        }
        let mut here = answers.iter().enumerate().filter(|(_, r)| r.rtype == RecordType::CNAME && r.name == *last);
        // One alias per name (RFC 2181 10.1); of several, the first counts.
        let Some((link, target)) = here.find_map(|(at, r)| Some((at, r.rdata.names().next()?))) else { return chain };
        chain.links.push(link);
        if chain.names.len() > MAX_ALIASES {
            return chain;
        }
        chain.names.push(target);
    }
}
