//! Which server is asked first, how long it is waited for, and who comes next.
//!
//! Every server has a smoothed latency. The fastest of those that answer is asked, and every so often another one, so
//! that a server that has become faster is found.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::server::Server;

/// Tries of one question at one server (RFC 9520 3.1).
pub(super) const TRIES_PER_SERVER: usize = 3;
/// Tries of one question in all: a bound on what one client's question can set off.
pub(super) const MAX_TRIES: usize = 8;
/// One question out of so many goes to another server than the fastest.
const EXPLORE: u32 = 32;
/// A server is as fast as the fastest if it is slower by no more than a quarter and this: the order of the list decides.
const ABOUT: Duration = Duration::from_micros(500);
/// A sample counts for an eighth (RFC 6298 2), or more when the last one is long ago: a half after two seconds.
const GAINS: (f64, f64) = (0.125, 0.5);
const FULL_GAIN_AFTER: Duration = Duration::from_secs(2);

/// How long a server takes to answer, smoothed as RFC 6298 2 has it.
pub(super) struct Latency {
    born: Instant,
    /// Microseconds, mean and deviation; all ones while nothing is known.
    smoothed: AtomicU64,
    /// When the last sample came, in microseconds since `born`.
    sampled: AtomicU64,
}

const UNKNOWN: u64 = u64::MAX;

impl Latency {
    pub(super) fn new() -> Self {
        Self { born: Instant::now(), smoothed: AtomicU64::new(UNKNOWN), sampled: AtomicU64::new(0) }
    }

    /// Takes note of an answer after `sample`, or of none within that time. Of two that come at once one may be lost.
    pub(super) fn note(&self, sample: Duration, now: Instant) {
        let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let at = u64::try_from(now.saturating_duration_since(self.born).as_micros()).unwrap_or(u64::MAX);
        let since = at.saturating_sub(self.sampled.swap(at, Ordering::Relaxed));
        let sample = f64::from(micros(sample));
        let (mean, deviation) = match self.read() {
            None => (sample, sample / 2.0),
            Some((mean, deviation)) => {
                let age = Duration::from_micros(since).as_secs_f64() / FULL_GAIN_AFTER.as_secs_f64();
                let gain = (GAINS.1 * age).clamp(GAINS.0, GAINS.1);
                let off = sample - mean;
                (mean + gain * off, deviation + gain * (off.abs() - deviation))
            }
        };
        // Both fit 32 bits, since every sample does; all ones would take an hour.
        self.smoothed.store((mean as u64) << 32 | deviation as u64, Ordering::Relaxed);
    }

    /// Nothing is known any more.
    pub(super) fn forget(&self) {
        self.smoothed.store(UNKNOWN, Ordering::Relaxed);
    }

    fn read(&self) -> Option<(f64, f64)> {
        let smoothed = self.smoothed.load(Ordering::Relaxed);
        let parts = (f64::from((smoothed >> 32) as u32), f64::from(smoothed as u32));
        (smoothed != UNKNOWN).then_some(parts)
    }

    /// The smoothed latency, once there is one.
    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.read().map(|(mean, _)| Duration::from_secs_f64(mean / 1e6))
    }

    /// How long an answer may take that is not late: the mean and four deviations, within bounds.
    pub(super) fn patience(&self, min: Duration, max: Duration) -> Duration {
        let expected = self.read().map(|(mean, deviation)| Duration::from_secs_f64((mean + 4.0 * deviation) / 1e6));
        expected.map_or(max, |expected| expected.max(min).min(max))
    }
}

/// Who is asked first.
pub(super) struct First<'a> {
    pub(super) server: &'a Arc<Server>,
    /// After this time another server is asked as well.
    pub(super) patience: Duration,
}

/// Chooses who is asked first; none when there is nobody.
pub(super) fn first(servers: &[Arc<Server>]) -> Option<First<'_>> {
    let fastest = match servers {
        [] => return None,
        [only] => only,
        _ => fastest(servers).unwrap_or(&servers[0]),
    };
    let patience = fastest.patience();
    if servers.len() > 1 && rand::random_ratio(1, EXPLORE) {
        let others = || servers.iter().filter(|server| !server.is_dead() && !Arc::ptr_eq(server, fastest));
        let count = others().count();
        if let Some(server) = (count > 0).then(|| others().nth(rand::random_range(0..count))).flatten() {
            // Whoever asks pays for this no more than when the fastest is late.
            return Some(First { server, patience: patience.min(server.patience()) });
        }
    }
    Some(First { server: fastest, patience })
}

/// The first of the list that is as fast as any. A server of which nothing is known yet counts as fast.
fn fastest(servers: &[Arc<Server>]) -> Option<&Arc<Server>> {
    let alive = || servers.iter().filter(|server| !server.is_dead());
    let latency = |server: &Arc<Server>| server.latency.smoothed().unwrap_or_default();
    let least = alive().map(latency).min()?;
    alive().find(|server| latency(server) <= least + least / 4 + ABOUT)
}

/// Who is asked after the first, one after the other: those that answer, the fastest before the others; those that have
/// not answered of late; the former again. With everyone dead, each gets one try.
pub(super) fn plan<'a>(servers: &'a [Arc<Server>], first: &Arc<Server>) -> Vec<&'a Arc<Server>> {
    let (dead, mut alive): (Vec<_>, Vec<_>) = servers.iter().partition(|server| server.is_dead());
    alive.sort_by_key(|server| server.latency.smoothed());
    let again = alive.iter().cycle().take(alive.len() * (TRIES_PER_SERVER - 1));
    let others = alive.iter().chain(&dead).filter(|server| !Arc::ptr_eq(server, first));
    others.chain(again).take(MAX_TRIES - 1).copied().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
