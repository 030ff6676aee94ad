//! A second witness: the same servers asked by `dnsperf`, a generator of other people.

use std::path::Path;

use anyhow::Context;

use crate::bench::Bench;
use crate::contender::Contender;
use crate::figures::Digits;
use crate::program::output;
use crate::report::Table;
use crate::rivals::find;

/// Asks every contender for `names` once around the clock, and tabulates what dnsperf says and what it cost.
pub(crate) fn table(bench: &Bench, contenders: &[Contender], names: &[String]) -> anyhow::Result<Table> {
    let file = bench.place.folder("dnsperf")?.join("names");
    let lines: String = names.iter().map(|name| format!("{name} A\n")).collect();
    std::fs::write(&file, lines).with_context(|| format!("{}: cannot be written", file.display()))?;
    let mut table = Table::new(&["asked by dnsperf", "CPU per query, µs", "q/s", "lost"]);
    for contender in contenders {
        let before = contender.cpu()?;
        let said = ask(bench, contender, &file)?;
        let cpu: f64 = contender.cpu()?.iter().zip(&before).map(|(now, before)| now.since(before).as_secs_f64()).sum();
        let completed = figure(&said, "Queries completed:")?;
        anyhow::ensure!(completed > 0.0, "dnsperf gets no answer of {}:\n{said}", contender.name);
        table.rows.push(vec![
            contender.name.clone(),
            Digits(cpu * 1e6 / completed, 2).to_string(),
            Digits(figure(&said, "Queries per second:")?, 0).to_string(),
            Digits(figure(&said, "Queries lost:")?, 0).to_string(),
        ]);
    }
    Ok(table)
}

fn ask(bench: &Bench, contender: &Contender, names: &Path) -> anyhow::Result<String> {
    let (dnsperf, names, port) = (find("dnsperf")?, names.display().to_string(), contender.server.port().to_string());
    let seconds = bench.time.as_secs().max(1).to_string();
    let server = contender.server.ip().to_string();
    // One thread with as many sockets and questions on their way as our generator.
    let load = ["-T", "1", "-c", "4", "-q", "128", "-l", &seconds, "-d", &names];
    output(&[[dnsperf.as_str(), "-s", &server, "-p", &port].as_slice(), &load].concat())
}

/// The number behind a heading of dnsperf's statistics.
fn figure(said: &str, heading: &str) -> anyhow::Result<f64> {
    let line = said.lines().find_map(|line| line.trim().strip_prefix(heading));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("dnsperf does not say {heading:?}:\n{said}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn statistics_are_read() -> anyhow::Result<()> {
        let said = "Statistics:\n\n  Queries completed:    97 (97.00%)\n  Queries lost:         3 (3.00%)\n";
        assert_eq!(super::figure(said, "Queries completed:")?, 97.0);
        assert_eq!(super::figure(said, "Queries lost:")?, 3.0);
        assert!(super::figure(said, "Queries per second:").is_err());
        Ok(())
    }
}
