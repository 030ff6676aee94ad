//! What is known of one endpoint: a state machine fed by health questions and by real ones. No clock, no I/O.

use std::time::{Duration, SystemTime};

use super::HealthSettings;
use crate::State;

/// Questions in a row that got no answer, or a later one than another endpoint's, before an endpoint that answers
/// health questions counts as degraded.
const MAX_STRIKES: u32 = 5;
/// The share of the newest time in the smoothed one.
const SMOOTHING: f64 = 0.2;

/// A change of state and what caused it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) from: State,
    pub(super) to: State,
    pub(super) cause: String,
}

/// What is known of one endpoint.
#[derive(Debug, Clone)]
pub(super) struct Health {
    rise: u32,
    fall: u32,
    /// How long an endpoint stays degraded at least once real questions have made it so.
    probation: Duration,
    pub(super) state: State,
    pub(super) since: SystemTime,
    pub(super) latency: Option<Duration>,
    pub(super) last_error: Option<(String, SystemTime)>,
    successes: u32,
    failures: u32,
    strikes: u32,
    probation_ends: Option<SystemTime>,
}

impl Health {
    pub(super) fn new(settings: &HealthSettings, now: SystemTime) -> Self {
        Self {
            rise: settings.rise,
            fall: settings.fall,
            probation: settings.interval,
            state: State::Connecting,
            since: now,
            latency: None,
            last_error: None,
            successes: 0,
            failures: 0,
            strikes: 0,
            probation_ends: None,
        }
    }

    /// A health question was answered.
    pub(super) fn healthy(&mut self, took: Duration, now: SystemTime) -> Option<Change> {
        self.smooth(took);
        self.failures = 0;
        self.successes = self.successes.saturating_add(1);
        let on_probation = self.state == State::Degraded && self.probation_ends.is_some_and(|end| now < end);
        if self.successes < self.rise || on_probation {
            return None;
        }
        self.strikes = 0;
        self.probation_ends = None;
        self.turn(State::Up, "answers health questions", now)
    }

    /// A health question failed, or the connection could not be made or was lost.
    pub(super) fn unhealthy(&mut self, cause: &str, now: SystemTime) -> Option<Change> {
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        self.last_error = Some((cause.to_owned(), now));
        let to = match self.state {
            // Never seen to answer: nothing to lose by saying so at once.
            State::Connecting | State::Down => State::Down,
            State::Up | State::Degraded if self.failures >= self.fall => State::Down,
            State::Up | State::Degraded => State::Degraded,
        };
        self.turn(to, cause, now)
    }

    /// A question was answered.
    pub(super) fn answered(&mut self, took: Duration) {
        self.smooth(took);
        self.strikes = 0;
    }

    /// A question was not answered although waited for so long, or later than by another endpoint.
    pub(super) fn late(&mut self, waited: Duration, cause: &str, now: SystemTime) -> Option<Change> {
        self.smooth(waited);
        self.strikes = self.strikes.saturating_add(1);
        self.last_error = Some((cause.to_owned(), now));
        if self.strikes < MAX_STRIKES || self.state != State::Up {
            return None;
        }
        self.probation_ends = Some(now + self.probation);
        self.turn(State::Degraded, cause, now)
    }

    fn smooth(&mut self, took: Duration) {
        self.latency = Some(match self.latency {
            None => took,
            Some(smoothed) => smoothed.mul_f64(1.0 - SMOOTHING) + took.mul_f64(SMOOTHING),
        });
    }

    fn turn(&mut self, to: State, cause: &str, now: SystemTime) -> Option<Change> {
        if self.state == to {
            return None;
        }
        let from = std::mem::replace(&mut self.state, to);
        self.since = now;
        Some(Change { from, to, cause: cause.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    enum Event {
        Healthy,
        Unhealthy,
        Answered,
        Late,
        /// Seconds go by.
        Pass(u64),
    }
    use Event::{Answered, Healthy, Late, Pass, Unhealthy};
    use State::{Connecting, Degraded, Down, Up};

    fn run(rise: u32, fall: u32, events: &[Event]) -> (State, usize) {
        let settings = HealthSettings { rise, fall, ..HealthSettings::default() };
        let mut now = SystemTime::UNIX_EPOCH;
        let mut health = Health::new(&settings, now);
        let mut changes = 0;
        let took = Duration::from_millis(1);
        for event in events {
            let change = match event {
                Healthy => health.healthy(took, now),
                Unhealthy => health.unhealthy("cut", now),
                Late => health.late(took, "late", now),
                Answered => {
                    health.answered(took);
                    None
                }
                Pass(seconds) => {
                    now += Duration::from_secs(*seconds);
                    None
                }
            };
            changes += usize::from(change.is_some());
        }
        (health.state, changes)
    }

    #[test]
    fn states_follow_rise_and_fall() {
        // rise, fall, events, state, changes
        let cases: [(u32, u32, &[Event], State, usize); 12] = [
            (1, 2, &[], Connecting, 0),
            (1, 2, &[Healthy], Up, 1),
            // Never up: down at the first failure, and said once.
            (1, 2, &[Unhealthy, Unhealthy], Down, 1),
            (1, 2, &[Healthy, Unhealthy], Degraded, 2),
            (1, 2, &[Healthy, Unhealthy, Unhealthy], Down, 3),
            (1, 2, &[Healthy, Unhealthy, Healthy], Up, 3),
            (1, 1, &[Healthy, Unhealthy], Down, 2),
            // Two answers in a row are needed.
            (2, 2, &[Healthy, Unhealthy, Healthy], Down, 1),
            (2, 2, &[Unhealthy, Healthy, Healthy], Up, 2),
            // Five late questions in a row degrade; an answer in between starts anew.
            (1, 2, &[Healthy, Late, Late, Late, Late, Late], Degraded, 2),
            (1, 2, &[Healthy, Late, Late, Late, Late, Answered, Late], Up, 1),
            // What real questions say is not undone by the next health question, but by one after the probation.
            (1, 2, &[Healthy, Late, Late, Late, Late, Late, Healthy], Degraded, 2),
        ];
        for (i, (rise, fall, events, state, changes)) in cases.into_iter().enumerate() {
            assert_eq!(run(rise, fall, events), (state, changes), "case {i}");
        }
        assert_eq!(run(1, 2, &[Healthy, Late, Late, Late, Late, Late, Pass(6), Healthy]), (Up, 3));
    }

    #[test]
    fn latency_is_smoothed() {
        let now = SystemTime::UNIX_EPOCH;
        let mut health = Health::new(&HealthSettings::default(), now);
        health.healthy(Duration::from_millis(10), now);
        health.answered(Duration::from_millis(20));
        assert_eq!(health.latency, Some(Duration::from_millis(12)));
    }
}
