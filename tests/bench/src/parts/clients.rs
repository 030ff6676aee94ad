//! Clients over DNS over TLS: few and many connections, questions pipelined on each.

use std::sync::Arc;

use crate::bench::Bench;
use crate::load::tls::TlsLoad;
use crate::names::Names;
use crate::parts::rounds::{cost_table, rounds};
use crate::pki::Pki;
use crate::report::Section;
use crate::rivals::{self, PEER_ZONE};
use crate::strait::{self, Scheme};

/// How many connections there are at a time.
const CONNECTIONS: [usize; 3] = [1, 100, 1_000];

/// Questions on their way at least, over all connections.
const OUTSTANDING: usize = 100;

/// Names that are asked for.
const NAMES: usize = 10_000;

/// Runs the part.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<Section> {
    let place = &bench.place;
    let pki = Pki::make(place)?;
    let mut contenders = vec![
        strait::gateway(place, &pki, Scheme::Tls)?.wait_tcp()?.called("strait gateway"),
        rivals::unbound_tls(place, &pki)?.wait_tcp()?,
        rivals::dnsdist_tls(place, &pki)?.wait_tcp()?,
    ];
    for contender in &mut contenders {
        contender.names = Names::known("t", NAMES, PEER_ZONE);
    }

    let (ours, theirs) = (pki.agent_client()?, pki.plain_client()?);
    let mut section = Section { title: "Clients over DNS over TLS".into(), ..Section::default() };
    for connections in CONNECTIONS {
        let rows = rounds(bench, &mut contenders, |contender| {
            let load = TlsLoad {
                server: contender.server,
                name: pki.server_name(),
                config: Arc::clone(if contender.admin.is_some() { &ours } else { &theirs }),
                connections,
                outstanding: OUTSTANDING.max(connections),
                time: bench.time,
            };
            contender.measure_tls(&load)
        })?;
        let mut table = cost_table(&rows, &["unbound"]);
        table.headings[0] = format!("{connections} connections");
        section.tables.push(table);
    }
    section.notes.push("The gateway asks every client for a certificate; the others ask for none.".into());
    Ok(section)
}
