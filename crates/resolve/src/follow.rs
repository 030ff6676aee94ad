//! Following aliases out of one zone into another, each target routed and checked anew.
//!
//! [`resolve`] is the body of an exchange: it asks the source of the name, then the sources of the
//! names that aliases lead to, strings the answers together and keeps the result.

mod chain;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chain::{Chain, Part};
use strait_wire::{Answer, AnswerKind, Question};

use crate::active::{ActiveRoute, ActiveTable};
use crate::cache::{CacheKey, Entry};
use crate::resolver::Road;
use crate::{Ask, SourceError};

/// No source is waited for longer, whatever it does: an exchange holds a place of a bounded number.
/// Sources bound themselves to a few seconds; this is the net below.
const SOURCE_BOUND: Duration = Duration::from_secs(15);

/// The answer to `ask` from `route`, its aliases followed. It is in the cache when it may be.
pub(crate) async fn resolve(
    road: Arc<Road>,
    ask: Ask,
    active: Arc<ActiveTable>,
    route: Arc<ActiveRoute>,
) -> Arc<Entry> {
    let key = CacheKey::of_ask(&ask);
    // An equal question may have been answered since the look-up.
    if let Some(entry) = road.look_up(&key, &ask.path, &active, Instant::now()) {
        return entry;
    }
    let first = ask_source(&road, &ask, &route).await;
    let mut chain = Chain::begin(ask.question.clone(), first, road.settings.cache.failure_lifetime());
    while let Some(target) = chain.dangling().filter(|_| road.settings.follow_aliases) {
        let question = Question { name: target.to_lowercase(), ..ask.question.clone() };
        match visit(&road, &Ask { question, ..ask.clone() }, &active).await {
            Some(part) => chain.add(target, &part),
            None => chain.leave_open(),
        }
    }
    let entry = Arc::new(chain.finish(active.generation()));
    keep(&road, &key, &ask, &entry);
    entry
}

/// What is said about the target of an alias; none when no zone holds it.
async fn visit(road: &Road, ask: &Ask, active: &ActiveTable) -> Option<Part> {
    let (key, now) = (CacheKey::of_ask(ask), Instant::now());
    if let Some(entry) = road.look_up(&key, &ask.path, active, now) {
        return Some(Part::cached(&entry, now));
    }
    let route = active.find(key.name())?;
    if let Some(error) = road.loop_guard(&ask.path, &route.zone) {
        return Some(failed(road, ask, route, &error));
    }
    let part = ask_source(road, ask, route).await;
    if part.cached && part.answer.dangling_alias().is_none() {
        let zone = Arc::clone(&part.zone);
        let entry = Entry::new(part.answer.clone(), zone, Vec::new(), part.lifetime, active.generation());
        keep(road, &key, ask, &Arc::new(entry));
    }
    Some(part)
}

/// One exchange with one source.
async fn ask_source(road: &Road, ask: &Ask, route: &ActiveRoute) -> Part {
    let source = &route.route.source;
    let answered = match source.answer_now(ask) {
        Some(answer) => Ok(answer),
        None => tokio::time::timeout(SOURCE_BOUND, source.answer(ask)).await.unwrap_or_else(|_| {
            Err(SourceError::Unreachable(format!("{} had no answer within {SOURCE_BOUND:?}", route.zone.label)))
        }),
    };
    let answer = match answered {
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
fn keep(road: &Road, key: &CacheKey, ask: &Ask, entry: &Arc<Entry>) {
    if ask.path.is_empty() || entry.answer.kind() != AnswerKind::Failure {
        road.store(key, entry);
    }
}

#[cfg(test)]
mod tests;
