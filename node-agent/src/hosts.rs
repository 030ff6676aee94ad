//! Hosts files: read at start, and again when they change.
//!
//! A change also makes the resolver forget what it has cached: an upstream's answer for a name would
//! hide the new entry until its TTL ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use strait_config::HostsSettings;
use strait_resolve::Resolver;
use strait_resolve::zone::HostsData;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// The hosts files and the names they gave when they were last read.
#[derive(Clone)]
pub(crate) struct HostsFiles {
    files: Vec<PathBuf>,
    ttl: u32,
    seen: Vec<Stamp>,
    /// Whether a file has vanished, and that has been said.
    missing: bool,
    data: Arc<ArcSwap<HostsData>>,
}

/// Length and time of change of a file; none for one that cannot be read.
type Stamp = Option<(u64, SystemTime)>;

impl HostsFiles {
    /// Reads the files. A bad line is logged and left out.
    pub(crate) fn read(settings: &HostsSettings) -> Self {
        // The stamps first: a change in between is seen at the next look.
        let seen = stamps(&settings.files);
        let data = Arc::new(ArcSwap::from_pointee(load(&settings.files, settings.ttl)));
        Self { files: settings.files.clone(), ttl: settings.ttl, seen, missing: false, data }
    }

    /// The names, always as last read.
    pub(crate) fn data(&self) -> Arc<ArcSwap<HostsData>> {
        Arc::clone(&self.data)
    }

    /// Looks at the files until `stop`.
    pub(crate) fn follow(mut self, resolver: Arc<Resolver>, stop: CancellationToken) {
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            let mut ticks = tokio::time::interval(INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let mut looking = self.clone();
                let looked = tokio::task::spawn_blocking(move || (looking.look(), looking)).await;
                let Ok((changed, after)) = looked else { return };
                self = after;
                if changed {
                    resolver.flush_all();
                }
            }
        }));
    }

    /// Reads the files again if one was touched, and says whether they give other names now. While one that was there
    /// cannot be read, the names from before stay: whoever writes it anew may have removed it first.
    fn look(&mut self) -> bool {
        let now = stamps(&self.files);
        let gone =
            self.files.iter().zip(self.seen.iter().zip(&now)).find(|(_, stamps)| matches!(stamps, (Some(_), None)));
        if let Some((file, _)) = gone {
            if !self.missing {
                tracing::warn!(file = %file.display(), "a hosts file cannot be read any more; its last names stay in force");
            }
            self.missing = true;
            return false;
        }
        self.missing = false;
        if now == self.seen {
            return false;
        }
        self.seen = now;
        let newer = load(&self.files, self.ttl);
        let changed = newer != **self.data.load();
        self.data.store(Arc::new(newer));
        changed
    }
}

fn load(files: &[PathBuf], ttl: u32) -> HostsData {
    let (data, problems) = HostsData::load(files, ttl);
    for problem in problems {
        tracing::warn!(%problem, "left out of the hosts files");
    }
    tracing::info!(names = data.len(), "hosts files read");
    data
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.len(), metadata.modified().ok()?))
    };
    files.iter().map(stamp).collect()
}
