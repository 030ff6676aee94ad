//! The parts of the benchmark, each asked for by its name.

mod catalog;
mod clients;
mod cold;
mod dnsperf;
mod hits;
mod hops;
mod instructions;
mod memory;
mod overload;
mod rounds;
mod soak;
mod start;
mod statics;

use crate::bench::Bench;
use crate::report::Section;

/// A part of the benchmark.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&Bench) -> anyhow::Result<Section>,
}

/// Every part, in the order of the report.
pub(crate) const PARTS: &[Part] = &[
    Part { name: "hits", about: "cached answers over UDP", run: hits::run },
    Part { name: "static", about: "static answers over UDP", run: statics::run },
    Part { name: "cold-udp", about: "new names, one upstream over UDP", run: cold::run },
    Part { name: "hops", about: "new names, through two programs over TLS; busy, and one at a time", run: hops::run },
    Part { name: "clients", about: "clients over DNS over TLS, with 1, 100 and 1,000 connections", run: clients::run },
    Part { name: "memory", about: "memory with ten thousand names, and after churn", run: memory::run },
    Part { name: "start", about: "from the start to the first static answer", run: start::run },
    Part { name: "overload", about: "three times as many questions as can be answered", run: overload::run },
    Part { name: "catalog", about: "a gateway with ten thousand Kubernetes services, and changes", run: catalog::run },
    Part { name: "soak", about: "minutes of steady load: memory and descriptors", run: soak::run },
    Part { name: "instructions", about: "instructions of an answer, counted by callgrind", run: instructions::run },
];
