//! The daemons as an operator meets them: command line, admin pages, readiness, the way down, query log, changed files.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic with its cause is the report")]

mod admin;
mod cache;
mod certificates;
mod command_line;
mod files;
mod hand_over;
mod listening;
mod node_address;
mod query_log;
mod shutdown;

use std::net::SocketAddr;
use std::path::PathBuf;

use strait_tests::{Folder, Program, ask, free_address, lines};

/// A node-agent that knows `api.static.example` by itself.
struct Node {
    folder: Folder,
    dns: SocketAddr,
    program: Program,
}

/// A configuration for [`Node`]: `more` are further lines.
fn configuration(dns: SocketAddr, admin: SocketAddr, more: &str) -> String {
    format!(
        "node: node-1\nlisten: [\"{dns}\"]\nadmin: \"{admin}\"\n\
         zones: [{{ name: static.example, records: [{{ name: api, type: A, value: 192.0.2.1 }}] }}]\n{more}\n"
    )
}

impl Node {
    /// Starts one whose files lie in `folder`.
    #[track_caller]
    fn start_in(folder: Folder, more: &str) -> Self {
        let (dns, admin) = (free_address(), free_address());
        let config = folder.write("agent.yaml", configuration(dns, admin, more));
        let program = Program::daemon("node-agent", &config, admin);
        Self { folder, dns, program }
    }

    /// Starts one that goes down without a lameduck time.
    #[track_caller]
    fn start(more: &str) -> Self {
        Self::start_in(Folder::new(), &format!("lameduck: 0s\n{more}"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    #[track_caller]
    fn resolve(&self, name: &str) -> Vec<String> {
        lines(&ask(self.dns, name, "A"))
    }

    #[track_caller]
    fn knows_its_own_names(&self) {
        assert_eq!(self.resolve("api.static.example"), ["api.static.example. A 192.0.2.1"]);
    }
}
