//! Hosts files: read at start, and again when they change.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use strait_config::HostsSettings;
use strait_resolve::zone::HostsData;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// The names of the files of `settings`, followed until `stop`. A bad line is logged and left out.
pub(crate) fn follow(settings: &HostsSettings, stop: CancellationToken) -> Arc<ArcSwap<HostsData>> {
    let files = settings.files.clone();
    let ttl = settings.ttl;
    let mut seen = stamps(&files);
    let data = Arc::new(ArcSwap::from_pointee(load(&files, ttl)));
    let current = Arc::clone(&data);
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let watched = files.clone();
            let Ok(now) = tokio::task::spawn_blocking(move || stamps(&watched)).await else { return };
            if now != seen {
                seen = now;
                let changed = files.clone();
                let Ok(newer) = tokio::task::spawn_blocking(move || load(&changed, ttl)).await else { return };
                current.store(Arc::new(newer));
            }
        }
    }));
    data
}

fn load(files: &[PathBuf], ttl: u32) -> HostsData {
    let (data, problems) = HostsData::load(files, ttl);
    for problem in problems {
        tracing::warn!(%problem, "left out of the hosts files");
    }
    tracing::info!(names = data.len(), "hosts files read");
    data
}

/// Length and time of change of each file; none for one that cannot be read.
fn stamps(files: &[PathBuf]) -> Vec<Option<(u64, SystemTime)>> {
    let stamp = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.len(), metadata.modified().ok()?))
    };
    files.iter().map(stamp).collect()
}
