//! Following aliases out of one zone into another, each target routed and checked anew.
//!
//! [`resolve`] is the body of an exchange: it asks the source of the name, then the sources of the
//! names that aliases lead to, strings the answers together and keeps the result.

mod chain;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chain::{Chain, Part};
use strait_wire::{Answer, AnswerKind, ClusterPath, Name, Question};

use crate::active::{ActiveRoute, ActiveTable};
use crate::cache::{CacheKey, Entry};
use crate::resolver::{Road, SOURCE_BOUND};
use crate::sharing::within;
use crate::{Ask, SourceError};

/// What an exchange is for: a question, and the route it travels by.
pub(crate) struct Errand {
    pub(crate) ask: Ask,
    /// What must be equal for two questions to share an exchange.
    pub(crate) key: Arc<[u8]>,
    pub(crate) active: Arc<ActiveTable>,
    pub(crate) route: Arc<ActiveRoute>,
    pub(crate) since: tokio::time::Instant,
}

impl Errand {
    pub(crate) fn new(ask: Ask, active: Arc<ActiveTable>, route: Arc<ActiveRoute>) -> Self {
        let key = flight_key(active.generation(), &CacheKey::of_ask(&ask), &ask.path);
        Self { ask, key, active, route, since: tokio::time::Instant::now() }
    }
}

/// The answer to the question of `errand`, its aliases followed. It is in the cache when it may be.
pub(crate) async fn resolve(road: &Road, errand: &Errand) -> Arc<Entry> {
    let Errand { ask, active, .. } = errand;
    // An equal question may have been answered since the look-up.
    if let Some((entry, _)) = road.look_up(&CacheKey::of_ask(ask), &ask.path, active, Instant::now()) {
        return entry;
    }
    resolve_anew(road, errand).await
}

/// The same, whatever the cache says about the name itself.
pub(crate) async fn resolve_anew(road: &Road, errand: &Errand) -> Arc<Entry> {
    let Errand { ask, active, route, .. } = errand;
    let first = ask_source(road, errand).await;
    let mut chain = Chain::begin(&ask.question, first, road.settings.cache.failure_lifetime());
    while let Some(target) = chain.dangling().filter(|_| road.settings.follow_aliases) {
        let question = Question { name: target.to_lowercase(), ..ask.question.clone() };
        // Seldom, and so not in the room that every exchange takes.
        match Box::pin(visit(road, Ask { question, ..ask.clone() }, active)).await {
            Some(part) => chain.add(target, &part),
            None => chain.leave_open(),
        }
    }
    let entry = Arc::new(chain.finish(active.generation()));
    keep(road, &CacheKey::of_ask(ask), ask, route, &entry);
    entry
}

/// What is said about the target of an alias; none when no zone holds it.
async fn visit(road: &Road, ask: Ask, active: &Arc<ActiveTable>) -> Option<Part> {
    let key = CacheKey::of_ask(&ask);
    if let Some((entry, now)) = road.look_up(&key, &ask.path, active, Instant::now()) {
        return Some(Part::cached(&entry, now));
    }
    let route = active.find(key.name())?;
    if let Some(error) = road.loop_guard(&ask.path, &route.zone) {
        return Some(failed(road, &ask, route, &error));
    }
    let errand = Errand::new(ask, Arc::clone(active), Arc::clone(route));
    let part = ask_source(road, &errand).await;
    if part.cached && part.answer.dangling_alias().is_none() {
        let zone = Arc::clone(&part.zone);
        let entry = Entry::new(part.answer.clone(), zone, Vec::new(), part.lifetime, active.generation());
        keep(road, &key, &errand.ask, route, &Arc::new(entry));
    }
    Some(part)
}

/// What one source says, as far as it is the source's to say.
async fn ask_source(road: &Road, errand: &Errand) -> Part {
    let Errand { ask, active, route, .. } = errand;
    let answered = match route.route.source.answer_now(ask) {
        Some(answer) => Ok(answer),
        None => share_exchange(road, errand).await,
    };
    let answer = match answered.and_then(|answer| only_its_own(answer, active, route)) {
        Ok(answer) => answer,
        Err(error) => return failed(road, ask, route, &error),
    };
    let (answer, lifetime) = match route.route.cached {
        true => road.settings.cache.bound(&answer),
        false => (answer.clone(), Duration::from_secs(u64::from(answer.ttl()))),
    };
    // A part of an answer is not the answer to the next question.
    let lifetime = if answer.is_truncated() { Duration::ZERO } else { lifetime };
    Part::new(answer, lifetime, route)
}

/// One exchange with one source, for everybody who has the same question for it now, by whatever way it came:
/// an upstream must not be made to answer one question many times over (RFC 5452 5).
async fn share_exchange(road: &Road, errand: &Errand) -> Result<Answer, SourceError> {
    let Errand { ask, key, active, route, since } = errand;
    let (onward, key) = match ask.path.is_empty() || route.route.carries_path() {
        true => (Cow::Borrowed(ask), Cow::Borrowed(key)),
        false => {
            let onward = Ask { path: ClusterPath::default(), ..ask.clone() };
            let key = flight_key(active.generation(), &CacheKey::of_ask(&onward), &onward.path);
            (Cow::Owned(onward), Cow::Owned(key))
        }
    };
    let late = || Err(SourceError::Unreachable(format!("{} had no answer within {SOURCE_BOUND:?}", route.zone.label)));
    let exchange = within(SOURCE_BOUND, *since, route.route.source.answer(&onward), late);
    match road.asking.run(&key, *since, exchange).await {
        Ok(outcome) => outcome.unwrap_or(Err(SourceError::BrokenOff)),
        Err(_) => Err(SourceError::Overloaded("too many questions are waiting for answers".into())),
    }
}

/// The question itself, the clusters passed, and the route table it travels by.
fn flight_key(generation: u64, key: &CacheKey, path: &ClusterPath) -> Arc<[u8]> {
    [&generation.to_be_bytes(), key.as_bytes(), &path.encode()].concat().into()
}

/// Names that another route holds are not this source's to speak of: the answer ends before the first of them, and
/// its own route is asked.
fn only_its_own(answer: Answer, active: &ActiveTable, route: &ActiveRoute) -> Result<Answer, SourceError> {
    if !answer.tells_of_others() {
        return Ok(answer);
    }
    let is_its_own = |name: &Name| {
        let held_by = active.find(name.to_lowercase().as_wire());
        held_by.is_some_and(|other| Arc::ptr_eq(&other.zone, &route.zone))
    };
    answer.keep_names(is_its_own).map_err(|error| SourceError::BadAnswer(error.to_string()))
}

fn failed(road: &Road, ask: &Ask, route: &ActiveRoute, error: &SourceError) -> Part {
    tracing::debug!(zone = %route.zone.label, name = %ask.question.name, rtype = %ask.question.rtype, %error, "no answer");
    let answer = Answer::failure(ask.question.clone(), error.rcode(), Some(error.ede()));
    let lifetime = match error.is_worth_keeping() {
        true => road.settings.cache.failure_lifetime(),
        false => Duration::ZERO,
    };
    Part::new(answer, lifetime, route)
}

/// Stores what may be told to others: not a failure that may be due to the clusters this question has passed.
fn keep(road: &Road, key: &CacheKey, ask: &Ask, route: &ActiveRoute, entry: &Arc<Entry>) {
    let owes_nothing_to_the_path = ask.path.is_empty() || entry.via.is_empty() && !route.route.carries_path();
    if owes_nothing_to_the_path || entry.answer.kind() != AnswerKind::Failure {
        road.store(key, entry);
    }
}

#[cfg(test)]
mod tests;
