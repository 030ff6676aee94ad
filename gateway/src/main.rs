//! Answers peer clusters for this cluster's names; keeps peers and delegations.

mod admin;
mod app;
mod catalog;
mod home;
mod members;
mod reverse;
mod state;
mod trust;

use std::process::ExitCode;

fn main() -> ExitCode {
    strait_process::run(
        env!("CARGO_PKG_VERSION"),
        "Answers peer clusters for this cluster's names; keeps peers and delegations.",
        app::run,
    )
}
