//! Load generators: how questions are sent, and what is kept of the answers.

pub(crate) mod api;
pub(crate) mod tls;
pub(crate) mod udp;
mod window;

use std::time::Duration;

pub(crate) use window::{Taken, Window};

/// What came of a load.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Questions sent.
    pub(crate) sent: u64,
    /// Right answers.
    pub(crate) answered: u64,
    /// Answers with another rcode or other data.
    pub(crate) wrong: u64,
    /// Questions without any answer.
    pub(crate) lost: u64,
    /// From the first question to the last answer.
    pub(crate) elapsed: Duration,
    /// From each question to its answer, when that was asked for.
    pub(crate) latencies: Vec<Duration>,
}

impl Outcome {
    /// Right answers per second.
    pub(crate) fn rate(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64()
    }

    /// The part of the questions that got no right answer.
    pub(crate) fn loss(&self) -> f64 {
        (self.lost + self.wrong) as f64 / self.sent.max(1) as f64
    }

    /// The latency that so great a part of the answers did not exceed.
    pub(crate) fn quantile(&self, part: f64) -> Option<Duration> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let place = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
        sorted.get(place).copied()
    }
}
