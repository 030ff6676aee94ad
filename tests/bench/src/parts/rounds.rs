//! Rounds: every contender in turn, again and again, so that what the machine does meanwhile touches all of them alike.

use crate::bench::Bench;
use crate::contender::{Contender, Sample};
use crate::figures::{Digits, Figures};
use crate::report::{Bound, Table, Verdict};

/// A contender's samples, one for each round.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) samples: Vec<Sample>,
}

/// Measures every contender in every round.
pub(crate) fn rounds(
    bench: &Bench,
    contenders: &mut [Contender],
    mut measure: impl FnMut(&mut Contender) -> anyhow::Result<Sample>,
) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<Row> =
        contenders.iter().map(|contender| Row { name: contender.name.clone(), samples: Vec::new() }).collect();
    let count = contenders.len();
    for round in 0..bench.rounds {
        // Each begins with another, and every other one goes backwards: nobody always comes behind the same one.
        let step = |step: usize| if round % 2 == 0 { step } else { count - 1 - step };
        for at in (0..count).map(|at| (round + step(at)) % count) {
            let sample = measure(&mut contenders[at])?;
            bench.check(&contenders[at], &sample)?;
            rows[at].samples.push(sample);
        }
    }
    Ok(rows)
}

impl Row {
    /// Microseconds on a core for each answer.
    pub(crate) fn cpu(&self) -> Figures {
        Figures::new(self.samples.iter().map(Sample::cpu_per_query))
    }

    /// Answers per second.
    pub(crate) fn rate(&self) -> Figures {
        Figures::new(self.samples.iter().map(|sample| sample.outcome.rate()))
    }

    /// Microseconds that so great a part of the answers did not exceed.
    pub(crate) fn latency(&self, part: f64) -> Figures {
        let quantile =
            |sample: &Sample| sample.outcome.quantile(part).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6);
        Figures::new(self.samples.iter().map(quantile))
    }

    /// MiB resident, at most.
    pub(crate) fn memory(&self) -> f64 {
        self.samples.iter().map(|sample| sample.memory).max().unwrap_or(0) as f64 / f64::from(1 << 20)
    }

    /// Per cent of the questions without a right answer, over all rounds.
    pub(crate) fn loss(&self) -> f64 {
        let sum = |count: fn(&Sample) -> u64| self.samples.iter().map(count).sum::<u64>() as f64;
        100.0 * sum(|sample| sample.outcome.lost + sample.outcome.wrong) / sum(|sample| sample.outcome.sent).max(1.0)
    }
}

/// The row of that name.
pub(crate) fn row<'a>(rows: &'a [Row], name: &str) -> Option<&'a Row> {
    rows.iter().find(|row| row.name == name)
}

/// CPU per query against each anchor that is there, rate, loss and memory of every row.
pub(crate) fn cost_table(rows: &[Row], anchors: &[&str]) -> Table {
    let anchors: Vec<&Row> = anchors.iter().filter_map(|name| row(rows, name)).collect();
    let mut table = Table::new(&["server", "CPU per query, µs"]);
    table.headings.extend(anchors.iter().map(|anchor| format!("× {}", anchor.name)));
    table.headings.extend(["q/s", "loss, %", "RSS, MiB"].map(str::to_owned));
    for row in rows {
        let mut cells = vec![row.name.clone(), row.cpu().shown(2)];
        cells.extend(anchors.iter().map(|anchor| row.cpu().over(&anchor.cpu()).shown(2)));
        cells.extend([
            Digits(row.rate().median(), 0).to_string(),
            Digits(row.loss(), 3).to_string(),
            Digits(row.memory(), 1).to_string(),
        ]);
        table.rows.push(cells);
    }
    table
}

/// What an answer without a miss is to cost: little more than the echo, and less than unbound.
pub(crate) fn hit_verdicts(rows: &[Row], work: &str) -> Vec<Verdict> {
    let Some(strait) = row(rows, "strait") else { return Vec::new() };
    [("echo", Bound::AtMost(1.10, "× echo")), ("unbound", Bound::AtMost(0.80, "× unbound"))]
        .into_iter()
        .filter_map(|(anchor, bound)| {
            let compared = strait.cpu().over(&row(rows, anchor)?.cpu());
            let measured = format!("{:.2} µs of CPU per query", strait.cpu().median());
            Some(Verdict { work: work.to_owned(), measured, compared, bound, decimals: 2 })
        })
        .collect()
}
