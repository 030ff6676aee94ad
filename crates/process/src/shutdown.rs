//! Shutdown in order: lameduck, stop, drain.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{EXIT_FAILURE, Readiness};

/// The way down. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    lameduck: CancellationToken,
    stop: CancellationToken,
}

impl Shutdown {
    /// Follows SIGTERM and SIGINT. The first begins the way down; a second ends the process at once. SIGHUP, which
    /// would end a process by default, does nothing but say so.
    pub(crate) fn install(readiness: &Readiness, lameduck: Duration) -> io::Result<Self> {
        let shutdown = Self::default();
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut hang_up = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            while hang_up.recv().await.is_some() {
                tracing::warn!("SIGHUP: the configuration is read at start only; restart to change it");
            }
        });
        let (way_down, readiness) = (shutdown.clone(), readiness.clone());
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            tokio::select! {
                () = way_down.begin(&readiness, lameduck) => {}
                () = either(&mut terminate, &mut interrupt) => end_at_once(),
            }
            either(&mut terminate, &mut interrupt).await;
            end_at_once();
        });
        Ok(shutdown)
    }

    /// Not ready from now on, but answering for the time of `lameduck`; then stop.
    async fn begin(&self, readiness: &Readiness, lameduck: Duration) {
        readiness.gate("running").not_ready("shutting down");
        self.lameduck.cancel();
        tracing::info!(?lameduck, "shutting down: not ready any more, still answering");
        tokio::time::sleep(lameduck).await;
        tracing::info!("shutting down: finishing what is in work");
        self.stop.cancel();
    }

    /// Fires when a signal asks to end: not ready any more, still answering.
    pub fn lameduck(&self) -> &CancellationToken {
        &self.lameduck
    }

    /// Fires after the lameduck time: take nothing new, finish what is in work.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn end_at_once() {
    tracing::warn!("a second signal: ending at once");
    std::process::exit(i32::from(EXIT_FAILURE));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lameduck_comes_before_stop_and_readiness_before_both() {
        let (shutdown, readiness) = (Shutdown::default(), Readiness::default());
        readiness.gate("listening").ready();
        let way_down = shutdown.clone();
        let told = readiness.clone();
        let walking = tokio::spawn(async move { way_down.begin(&told, Duration::from_secs(5)).await });
        shutdown.lameduck().cancelled().await;
        assert!(!readiness.is_ready());
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert!(!shutdown.stop().is_cancelled(), "still answering");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(shutdown.stop().is_cancelled());
        assert!(walking.await.is_ok());
    }
}
