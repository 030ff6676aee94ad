//! Shutdown in order: lameduck, stop, drain.

use tokio_util::sync::CancellationToken;

/// The way down. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shutdown {
    lameduck: CancellationToken,
    stop: CancellationToken,
}

impl Shutdown {
    /// Fires when a signal asks to end: not ready any more, still answering.
    pub fn lameduck(&self) -> &CancellationToken {
        &self.lameduck
    }

    /// Fires after the lameduck time: take nothing new, finish what is in work.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }
}

/// SIGHUP, as often as it comes.
#[derive(Debug)]
pub struct Reload {}

impl Reload {
    /// Waits for the next one.
    pub async fn next(&mut self) {
        unimplemented!()
    }
}
