//! The node's resolver: answers static and local zones, caches, forwards the rest, asks peer clusters.

mod addresses;
mod app;
mod hosts;
mod peers;
mod routes;

use std::process::ExitCode;

fn main() -> ExitCode {
    strait_process::run(
        env!("CARGO_PKG_VERSION"),
        "The node's resolver: answers static and local zones, caches, forwards the rest, asks peer clusters.",
        app::run,
    )
}
