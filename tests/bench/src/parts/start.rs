//! From the start of a program to its first static answer.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::contender::Contender;
use crate::figures::Figures;
use crate::names::is_answer;
use crate::program::PATIENCE;
use crate::report::{Bound, Section, Table, Verdict};
use crate::{rivals, strait};

/// Names that each server has.
const NAMES: usize = 1_000;

/// How often a server is asked whether it is there yet.
const STEP: Duration = Duration::from_micros(500);

/// Runs the part.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<Section> {
    let mut section = Section { title: "From the start to the first static answer".into(), ..Section::default() };
    let mut table = Table::new(&["server", "ms"]);
    for start in
        [strait::local, rivals::unbound_local, rivals::dnsdist_local, rivals::knot_local, rivals::dnsmasq_local]
    {
        let mut contender = start(&bench.place, NAMES)?.wait()?;
        let times = (0..bench.rounds).map(|_| first_answer(&mut contender)).collect::<anyhow::Result<Vec<_>>>()?;
        let times = Figures::new(times.iter().map(|time| time.as_secs_f64() * 1e3));
        table.rows.push(vec![contender.name.clone(), times.shown(1)]);
        if contender.name == "strait" {
            section.verdicts.push(Verdict {
                work: "start → first static answer".into(),
                measured: format!("{:.1} ms", times.median()),
                compared: times,
                bound: Bound::AtMost(50.0, "ms"),
                decimals: 1,
            });
        }
    }
    section.tables.push(table);
    section.notes.push(format!("Each server has {NAMES} names of its own."));
    Ok(section)
}

/// Starts it again, and asks until it answers.
fn first_answer(contender: &mut Contender) -> anyhow::Result<Duration> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(contender.server)?;
    socket.set_read_timeout(Some(STEP))?;
    let question = contender.names.next().to_vec();
    let mut reply = [0; 4096];
    let start = contender.programs[0].restart()?;
    while start.elapsed() < PATIENCE {
        let step = Instant::now();
        // Until it listens, every question is refused by the system.
        if socket.send(&question).is_ok()
            && let Ok(length) = socket.recv(&mut reply)
            && is_answer(&question, &reply[..length])
        {
            return Ok(start.elapsed());
        }
        std::thread::sleep(STEP.saturating_sub(step.elapsed()));
    }
    anyhow::bail!("{} does not answer after {PATIENCE:?}:\n{}", contender.name, contender.programs[0].log_tail())
}
