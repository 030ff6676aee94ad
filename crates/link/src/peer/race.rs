//! One question that its first endpoint did not answer in time: asked of another when that failed, and of another as
//! well when it is late. The first answer wins.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use strait_resolve::{Ask, BoxFuture, SourceError};
use strait_wire::Answer;
use tokio::time::Instant;

use super::Shared;
use super::endpoint::{Endpoint, Try, TryError};
use crate::State;
use crate::brief::brief;

/// Tries of one question in all: a bound on what one client's question can set off.
const MAX_TRIES: usize = 4;

/// One question under way.
pub(super) struct Race<'a> {
    shared: &'a Shared,
    ask: &'a Ask,
    wire: &'a [u8],
    started: Instant,
    running: FuturesUnordered<BoxFuture<'a, (usize, Result<Answer, TryError>)>>,
    /// Endpoints that have the question now, or have spoken; those whose connection was lost may be asked again.
    tried: Vec<usize>,
    tries: usize,
    failures: Vec<(usize, TryError)>,
    /// Whoever has the question and is late.
    late: Vec<usize>,
}

impl<'a> Race<'a> {
    pub(super) fn new(shared: &'a Shared, ask: &'a Ask, wire: &'a [u8], started: Instant) -> Self {
        Self {
            shared,
            ask,
            wire,
            started,
            running: FuturesUnordered::new(),
            tried: Vec::new(),
            tries: 0,
            failures: Vec::new(),
            late: Vec::new(),
        }
    }

    /// Goes on from the first try, which failed.
    pub(super) fn after(mut self, first: usize, error: TryError) -> Self {
        self.tried.push(first);
        self.tries = 1;
        self.failed(first, error);
        self
    }

    /// Goes on from the first try, which is late.
    pub(super) fn beside(mut self, first: usize, asked: Try<'a>) -> Self {
        self.tried.push(first);
        self.tries = 1;
        self.running.push(Box::pin(async move { (first, asked.answer().await) }));
        self.hedge();
        self
    }

    /// Runs until there is an answer, nobody is left to ask, or time is up.
    pub(super) async fn run(mut self) -> Result<Answer, SourceError> {
        let settings = &self.shared.settings;
        let deadline = self.started + settings.deadline;
        let pace = settings.try_budget.max(Duration::from_millis(1));
        let mut hedge_at = Instant::now() + pace;
        loop {
            if self.running.is_empty() && !self.start() && !self.wait_for_a_link(deadline).await {
                return Err(self.conclude());
            }
            tokio::select! {
                Some((index, outcome)) = self.running.next() => match outcome {
                    Ok(answer) => {
                        self.tell_the_late(index);
                        return Ok(answer);
                    }
                    Err(error) => self.failed(index, error),
                },
                () = tokio::time::sleep_until(hedge_at.min(deadline)) => {
                    if Instant::now() >= deadline {
                        self.time_is_up();
                        return Err(self.conclude());
                    }
                    self.hedge();
                    hedge_at = Instant::now() + pace;
                }
            }
        }
    }

    /// Asks the best endpoint not tried yet; false when there is none, or tries are used up.
    fn start(&mut self) -> bool {
        if self.tries >= MAX_TRIES {
            return false;
        }
        let Some((index, link)) = self.shared.choose(&self.tried) else { return false };
        self.tries += 1;
        self.tried.push(index);
        let (endpoint, ask, wire) = (&self.shared.endpoints[index], self.ask, self.wire);
        let scope = self.shared.settings.scope_of(&self.ask.question.name);
        self.running.push(Box::pin(async move { (index, endpoint.ask(&link, wire, ask, scope).answer().await) }));
        true
    }

    /// Whoever has the question is late: asks another as well, if the budget allows.
    fn hedge(&mut self) {
        let late: Vec<usize> = self.tried.iter().copied().filter(|i| !self.has_failed(*i)).collect();
        if self.shared.choose(&self.tried).is_some()
            && self.tries < MAX_TRIES
            && self.shared.budget.take(std::time::Instant::now())
            && self.start()
        {
            self.shared.metrics.hedged();
            self.late = late;
        }
    }

    fn has_failed(&self, index: usize) -> bool {
        self.failures.iter().any(|(failed, _)| *failed == index)
    }

    fn failed(&mut self, index: usize, error: TryError) {
        match &error {
            // Costs nothing where it was asked; the next may have it at once.
            TryError::Lost(_) => {
                self.tried.retain(|tried| *tried != index);
                self.start();
            }
            TryError::Full => drop(self.start()),
            // It spoke. Whether another knows better is worth a try while the budget lasts.
            TryError::BadAnswer(_) | TryError::Late => {
                if self.shared.choose(&self.tried).is_some() && self.shared.budget.take(std::time::Instant::now()) {
                    self.start();
                } else {
                    self.tries = MAX_TRIES;
                }
            }
        }
        self.failures.retain(|(failed, _)| *failed != index);
        self.failures.push((index, error));
    }

    /// With nobody to ask just now: waits until somebody can be asked, as long as one of the endpoints is not known
    /// to be down. A peer that is known to be dead is told of at once.
    async fn wait_for_a_link(&mut self, deadline: Instant) -> bool {
        let mut changes = self.shared.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if self.tries >= MAX_TRIES {
                return false;
            }
            if self.start() {
                return true;
            }
            let hopeful = |(index, endpoint): (usize, &Arc<Endpoint>)| {
                !self.tried.contains(&index) && endpoint.state() != State::Down
            };
            if !self.shared.endpoints.iter().enumerate().any(hopeful) {
                return false;
            }
            if !matches!(tokio::time::timeout_at(deadline, changes.changed()).await, Ok(Ok(()))) {
                return false;
            }
        }
    }

    /// Another endpoint has answered first: those that had the question before it were late.
    fn tell_the_late(&self, winner: usize) {
        for &index in self.late.iter().filter(|index| **index != winner) {
            self.shared.endpoints[index].late(self.started.elapsed(), "answered later than another endpoint");
        }
    }

    fn time_is_up(&mut self) {
        let silent: Vec<usize> = self.tried.iter().copied().filter(|index| !self.has_failed(*index)).collect();
        for index in silent {
            self.shared.endpoints[index].late(self.started.elapsed(), "no answer in time");
            self.failures.push((index, TryError::Late));
        }
    }

    /// Why there is no answer: what those said who were asked; without any, in what state each is.
    fn conclude(&self) -> SourceError {
        let settings = &self.shared.settings;
        if self.failures.is_empty() {
            return SourceError::Unreachable(brief(format!("peer {}: {}", settings.name, self.shared.describe())));
        }
        let causes: Vec<String> =
            self.failures.iter().map(|(i, error)| format!("{} {error}", self.shared.endpoints[*i].url)).collect();
        let text = brief(format!("peer {}: {}", settings.name, causes.join("; ")));
        let any = |what: fn(&TryError) -> bool| self.failures.iter().any(|(_, error)| what(error));
        if any(|error| matches!(error, TryError::BadAnswer(_))) {
            SourceError::BadAnswer(text)
        } else if any(|error| matches!(error, TryError::Full)) {
            SourceError::Overloaded(text)
        } else {
            SourceError::Unreachable(text)
        }
    }
}
