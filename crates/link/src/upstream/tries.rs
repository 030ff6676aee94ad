//! The tries of one question: listened to together, and what became of them.

use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use strait_resolve::SourceError;
use strait_wire::Answer;

use super::address::UpstreamServer;
use super::attempt::{Attempt, Outcome, TryError};
use super::refusal;
use super::server::Server;
use crate::brief::brief;

/// The tries of one question: those that are listened to, at most [`choice::MAX_TRIES`], and what became of the others.
#[derive(Default)]
pub(super) struct Tries<'a> {
    /// In the order in which they were sent.
    pub(super) running: Vec<Attempt<'a>>,
    pub(super) outcomes: Outcomes,
}

impl<'a> Tries<'a> {
    /// Listens to all until this one has failed or is overdue.
    pub(super) async fn listen_to_new(&mut self, attempt: Attempt<'a>) -> Option<Answer> {
        let until = attempt.overdue();
        self.running.push(attempt);
        loop {
            let (at, outcome) = self.next(until).await?;
            let is_new = at + 1 == self.running.len();
            if let Some(answer) = self.take(at, outcome) {
                return Some(answer);
            }
            if is_new {
                return None;
            }
        }
    }

    /// Listens to all until then.
    pub(super) async fn listen_to_all(&mut self, until: Instant) -> Option<Answer> {
        loop {
            let (at, outcome) = self.next(until).await?;
            if let Some(answer) = self.take(at, outcome) {
                return Some(answer);
            }
        }
    }

    /// The next outcome of any, and whose it is; none when nothing comes until then.
    async fn next(&mut self, until: Instant) -> Option<(usize, Outcome)> {
        let listen = async |(at, attempt): (usize, &mut Attempt<'a>)| (at, attempt.outcome(until).await);
        let mut outcomes: FuturesUnordered<_> = self.running.iter_mut().enumerate().map(listen).collect();
        while let Some((at, outcome)) = outcomes.next().await {
            if let Some(outcome) = outcome {
                return Some((at, outcome));
            }
        }
        None
    }

    /// Takes note of what came of a try, unless it is an answer to be given.
    fn take(&mut self, at: usize, outcome: Outcome) -> Option<Answer> {
        let server = self.running.remove(at).server;
        let answer = self.outcomes.take(server, outcome)?;
        self.running.iter_mut().filter(|attempt| attempt.server.address == server.address).for_each(Attempt::excuse);
        Some(answer)
    }
}

/// What became of the tries of one question.
#[derive(Default)]
pub(super) struct Outcomes {
    refused: Vec<(UpstreamServer, Answer)>,
    failed: Vec<(UpstreamServer, TryError)>,
}

impl Outcomes {
    /// Whether asking the server again is of no use.
    pub(super) fn is_settled(&self, server: &Server) -> bool {
        self.refused.iter().any(|(address, _)| *address == server.address)
            || self.failed.iter().any(|(address, error)| *address == server.address && error.is_bad_answer())
    }

    pub(super) fn bad_answers(&self) -> usize {
        self.failed.iter().filter(|(_, error)| error.is_bad_answer()).count()
    }

    /// Takes note of an outcome, unless it is an answer to be given.
    pub(super) fn take(&mut self, server: &Server, outcome: Outcome) -> Option<Answer> {
        match outcome {
            Ok(answer) => match refusal(answer.rcode()) {
                None => return Some(answer),
                Some(reason) => {
                    server.refused(reason);
                    self.refused.push((server.address.clone(), answer));
                }
            },
            Err(error) => {
                self.failed.retain(|(address, _)| *address != server.address);
                self.failed.push((server.address.clone(), error));
            }
        }
        None
    }

    /// The last refusal, as it came; without one, who failed and why.
    pub(super) fn conclude(mut self) -> Result<Answer, SourceError> {
        if let Some((_, answer)) = self.refused.pop() {
            return Ok(answer);
        }
        let causes: Vec<String> = self.failed.iter().map(|(address, error)| format!("{address} {error}")).collect();
        let causes = causes.join("; ");
        match self.bad_answers() {
            0 => Err(SourceError::Unreachable(brief(format!("no upstream answered: {causes}")))),
            _ => Err(SourceError::BadAnswer(brief(format!("no upstream gave a usable answer: {causes}")))),
        }
    }
}
