//! One answer of what several clusters say: what is here, then what others say in their order.

use std::collections::HashSet;

use strait_resolve::SourceError;
use strait_wire::{Answer, AnswerKind, Message, Question, Rcode, Record};

use super::local::Said;
use super::member::Mark;
use crate::source::Authority;
use crate::source::records::Sections;

/// What has been said so far.
pub(super) struct Merge<'a> {
    authority: &'a Authority,
    question: &'a Question,
    /// Endpoints of a headless service, of one cluster each.
    parts: Vec<Answer>,
    /// All there is to say.
    whole: Option<Answer>,
    /// Of a service without endpoints that are ready; what is here first.
    unready: Option<Answer>,
    denials: usize,
    failure: Option<SourceError>,
}

impl<'a> Merge<'a> {
    /// Begins with what is said here.
    pub(super) fn new(authority: &'a Authority, question: &'a Question, local: Said) -> Self {
        let (mut parts, mut whole, mut unready) = (Vec::new(), None, None);
        match local {
            Said::Whole(answer) => whole = Some(answer),
            Said::Part(answer) => parts.push(answer),
            Said::Unready(answer) => unready = Some(answer),
            Said::Nothing => {}
        }
        Self { authority, question, parts, whole, unready, denials: 0, failure: None }
    }

    /// Takes in what the next cluster says.
    pub(super) fn take(&mut self, said: Result<Answer, SourceError>) {
        let answer = match said {
            Ok(answer) => answer,
            Err(error) => return self.fail(error),
        };
        match (answer.rcode(), Mark::of(&answer)) {
            // Whoever refuses exports nothing to us: it is none of the set, or shows us other namespaces.
            (Rcode::NXDOMAIN | Rcode::REFUSED, _) => self.denials += 1,
            (Rcode::NOERROR, Some(Mark::Headless)) => self.parts.push(answer),
            (Rcode::NOERROR, Some(Mark::Unready)) => self.unready = self.unready.take().or(Some(answer)),
            // The first who has it says what kind of service it is.
            (Rcode::NOERROR, None) if self.parts.is_empty() => self.whole = self.whole.take().or(Some(answer)),
            (Rcode::NOERROR, None) => {}
            (rcode, _) => self.fail(SourceError::BadAnswer(format!("answered {rcode}"))),
        }
    }

    /// Notes that somebody could not say.
    pub(super) fn fail(&mut self, error: SourceError) {
        self.failure = self.failure.take().or(Some(error));
    }

    /// Whether nothing that others say can add to it.
    pub(super) fn is_decided(&self) -> bool {
        self.whole.is_some() && self.parts.is_empty()
    }

    /// The answer; an error when nobody has it, and somebody could not say.
    pub(super) fn finish(self) -> Result<Answer, SourceError> {
        let Self { authority, question, parts, whole, unready, denials, failure } = self;
        if !parts.is_empty() {
            return Ok(union(authority, question, &parts));
        }
        if let Some(answer) = whole.or(unready) {
            return Ok(restated(authority, question, &answer));
        }
        match failure {
            Some(error) => Err(error),
            None if denials > 0 => Ok(denial(authority, question, Rcode::NXDOMAIN)),
            None => Err(SourceError::Unreachable("no other cluster of the set can be asked".to_owned())),
        }
    }
}

/// Records of all of them, each once: those that were asked for, and what is said of names of the zone beside them. None
/// lasts longer than those of the zone, so that whoever is better by then is told soon.
fn union(authority: &Authority, question: &Question, parts: &[Answer]) -> Answer {
    let mut sections = Sections::new(authority, question);
    let messages: Vec<Message> = parts.iter().filter_map(|part| part.to_message().ok()).collect();
    let bounded = |record: &Record| Record { ttl: record.ttl.min(authority.ttl), ..record.clone() };
    let mut told = HashSet::new();
    let mut is_new =
        |record: &&Record| told.insert((record.name.clone(), record.rtype, record.rdata.as_bytes().to_vec()));
    let is_asked = |record: &&Record| record.name == question.name && record.rtype == question.rtype;
    let answers = messages.iter().flat_map(|message| &message.answers).filter(is_asked);
    answers.filter(&mut is_new).for_each(|record| sections.answer(bounded(record)));
    let beside = messages.iter().flat_map(|message| &message.additionals);
    let beside = beside.filter(|record| record.name.is_within(&authority.apex));
    beside.filter(&mut is_new).for_each(|record| sections.put_beside(bounded(record)));
    if sections.message.answers.is_empty() {
        sections.deny();
    }
    sections.finish(question)
}

/// The answer as the zone tells it: with its own word on what there is not, and no marks.
fn restated(authority: &Authority, question: &Question, answer: &Answer) -> Answer {
    match answer.kind() {
        AnswerKind::NoData => denial(authority, question, Rcode::NOERROR),
        _ => union(authority, question, std::slice::from_ref(answer)),
    }
}

/// That there is no such name, or nothing of that type.
pub(super) fn denial(authority: &Authority, question: &Question, rcode: Rcode) -> Answer {
    let mut sections = Sections::new(authority, question);
    sections.message.rcode = rcode;
    sections.deny();
    sections.finish(question)
}
