//! One run: where things are, how long and how often, and what is nonsense rather than a figure.

use std::time::Duration;

use anyhow::ensure;

use crate::contender::{Contender, Place, Sample};

/// A share of the questions; over it a figure says nothing about a server.
const MAX_LOSS: f64 = 0.001;

/// One run of the benchmark.
pub(crate) struct Bench {
    pub(crate) place: Place,
    /// How often everything is measured.
    pub(crate) rounds: usize,
    /// How long each measurement takes.
    pub(crate) time: Duration,
    /// How long names run out and come again before memory is read.
    pub(crate) churn: Duration,
    /// Is loss an error, rather than a figure in the table?
    pub(crate) strict: bool,
    /// How long the soak lasts.
    pub(crate) soak: Duration,
}

impl Bench {
    /// Says what was measured, and fails on nonsense: no answers at all, wrong ones of ours, and where that is asked for,
    /// questions lost by us. How fast it was is never an error.
    pub(crate) fn check(&self, contender: &Contender, sample: &Sample) -> anyhow::Result<()> {
        let (name, outcome) = (&contender.name, &sample.outcome);
        eprintln!(
            "{name}: {:.0} q/s, {:.2} µs per query, {} sent, {} lost, {} wrong",
            outcome.rate(),
            sample.cpu_per_query(),
            outcome.sent,
            outcome.lost,
            outcome.wrong
        );
        ensure!(outcome.answered > 0, "{name} answers nothing");
        if name.starts_with("strait") {
            ensure!(outcome.wrong == 0, "{name} gives {} wrong answers to {} questions", outcome.wrong, outcome.sent);
            let tolerable = !self.strict || outcome.loss() < MAX_LOSS;
            ensure!(tolerable, "{name} loses {} of {} questions", outcome.lost, outcome.sent);
        }
        Ok(())
    }
}
