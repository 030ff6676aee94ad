//! What both daemons have: admin address, health, cache, deadlines, logs.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use strait_link::HealthSettings;
use strait_resolve::{CacheSettings, QueryLogFilter, StaleSettings};

use crate::files::{Output, OutputKind};
use crate::section::{Located, Problem, Section};
use crate::units::{self, Show};

const DEADLINE: Duration = Duration::from_secs(3);
const LAMEDUCK: Duration = Duration::from_secs(5);

/// Below, one lost packet is an outage; above, clients have long given up.
const DEADLINES: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(30);
/// An orchestrator kills after its own grace period, seldom more than ten minutes.
const LAMEDUCKS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(600);
/// Below, health questions are a load; above, a dead endpoint goes unnoticed.
const INTERVALS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(30);
const THRESHOLDS: RangeInclusive<u32> = 1..=100;
/// Below, a cache of a few answers is worse than none.
const CACHE_SIZES: RangeInclusive<u64> = 64 << 10..=64 << 30;
/// A raised TTL keeps what its owner has withdrawn.
const MIN_TTLS: RangeInclusive<u32> = 0..=3_600;
/// RFC 8767 4: a week is what resolvers cap at.
const MAX_TTLS: RangeInclusive<u32> = 1..=604_800;
/// RFC 2308 5: values over a day are problematic.
const MAX_NEGATIVE_TTLS: RangeInclusive<u32> = 0..=86_400;
/// RFC 9520 3.2: at least 1 s, at most 5 min.
const FAILURE_TTLS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);
/// RFC 8767 5: 1 to 3 days are suggested; over a week nobody's data is of use.
const STALE_FOR: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(604_800);
/// RFC 8767 5: 1.8 s is suggested, just under what a client's resolver waits.
const STALE_AFTER: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(30);
/// RFC 8767 5: 30 s is suggested.
const STALE_RECHECKS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);
const PREFETCH_HITS: RangeInclusive<u32> = 0..=100;

/// Settings that mean the same to both daemons.
#[derive(Debug, Clone)]
pub struct DaemonSettings {
    /// Where `/metrics`, `/livez` and `/readyz` are; none turns them off.
    pub admin: Option<SocketAddr>,
    /// How the health of peers' endpoints is judged.
    pub health: HealthSettings,
    /// Bounds of the answer cache.
    pub cache: CacheSettings,
    /// A client waits no longer for an answer.
    pub deadline: Duration,
    /// From not being ready any more to the end of listening.
    pub lameduck: Duration,
    /// Whether another daemon of the same user may listen on the same addresses, to take over.
    pub hand_over: HandOver,
    /// The query log.
    pub query_log: QueryLogSettings,
    /// The log.
    pub log: LogSettings,
}

/// Whether addresses are shared with who takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOver {
    /// They are ours alone.
    Off,
    /// Another daemon of the same user, with the same setting, may listen there as well.
    On,
}

pub(crate) const HAND_OVERS: &[(&str, HandOver)] = &[("false", HandOver::Off), ("true", HandOver::On)];

impl Show for HandOver {
    fn show(&self) -> String {
        HAND_OVERS
            .iter()
            .find(|(_, hand_over)| hand_over == self)
            .map_or_else(String::new, |(word, _)| (*word).to_owned())
    }
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

const FORMATS: &[(&str, Format)] = &[("text", Format::Text), ("json", Format::Json)];

impl Show for Format {
    fn show(&self) -> String {
        FORMATS.iter().find(|(_, format)| format == self).map_or_else(String::new, |(word, _)| (*word).to_owned())
    }
}

/// Which questions are logged, how and where.
#[derive(Debug, Clone)]
pub struct QueryLogSettings {
    /// Which.
    pub filter: QueryLogFilter,
    /// How.
    pub format: Format,
    /// The file appended to; standard output without.
    pub file: Option<PathBuf>,
}

const FILTERS: &[(&str, QueryLogFilter)] =
    &[("off", QueryLogFilter::Off), ("all", QueryLogFilter::All), ("errors", QueryLogFilter::Errors)];

impl Show for QueryLogFilter {
    fn show(&self) -> String {
        FILTERS.iter().find(|(_, filter)| filter == self).map_or_else(String::new, |(word, _)| (*word).to_owned())
    }
}

/// What is logged to standard error, and how.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// A level, or `tracing` directives: `info`, `info,strait_link=debug`.
    pub level: String,
    /// How.
    pub format: Format,
}

impl DaemonSettings {
    /// Reads the keys both daemons have; `admin_port` is the port of an `admin` without one.
    pub(crate) fn read(root: &mut Section<'_>, admin_port: u16) -> (Self, Option<Located<SocketAddr>>) {
        let admin = root.get("admin", units::address(admin_port));
        let settings = Self {
            admin: admin.as_ref().map(|admin| admin.value),
            health: nested(root, "health", health),
            cache: nested(root, "cache", cache),
            deadline: root.or("deadline", DEADLINE, units::duration(DEADLINES)),
            lameduck: root.or("lameduck", LAMEDUCK, units::duration(LAMEDUCKS)),
            hand_over: HandOver::Off,
            query_log: nested(root, "queryLog", query_log),
            log: nested(root, "log", log),
        };
        (settings, admin)
    }
}

/// Reads a section all of whose keys have defaults.
fn nested<T>(root: &mut Section<'_>, key: &'static str, read: impl Fn(&mut Section<'_>) -> T) -> T {
    let mut section = root.section(key).unwrap_or_else(|| Section::empty(root.cx, root.at.clone()));
    let value = read(&mut section);
    root.show(key, section.close());
    value
}

fn health(section: &mut Section<'_>) -> HealthSettings {
    let default = HealthSettings::default();
    let health = HealthSettings {
        interval: section.or("interval", default.interval, units::duration(INTERVALS)),
        timeout: section.or("timeout", default.timeout, units::duration(TIMEOUTS)),
        rise: section.or("rise", default.rise, units::count(THRESHOLDS)),
        fall: section.or("fall", default.fall, units::count(THRESHOLDS)),
    };
    if health.timeout > health.interval {
        let (timeout, interval) = (health.timeout.show(), health.interval.show());
        let message = format!("`health`: the timeout, {timeout}, is longer than the interval, {interval}");
        section.cx.error(&section.at, message, "a health question must end before the next begins");
    }
    health
}

fn cache(section: &mut Section<'_>) -> CacheSettings {
    let default = CacheSettings::default();
    let failure_ttl = section.or("failureTtl", default.failure_ttl, units::duration(FAILURE_TTLS));
    let longest = default.max_failure_ttl.max(failure_ttl);
    let cache = CacheSettings {
        size: section.or("size", default.size, units::size_or_zero(CACHE_SIZES)),
        min_ttl: section.or("minTtl", default.min_ttl, units::ttl(MIN_TTLS)),
        max_ttl: section.or("maxTtl", default.max_ttl, units::ttl(MAX_TTLS)),
        max_negative_ttl: section.or("maxNegativeTtl", default.max_negative_ttl, units::ttl(MAX_NEGATIVE_TTLS)),
        failure_ttl,
        max_failure_ttl: section.or("maxFailureTtl", longest, units::duration(FAILURE_TTLS)),
        stale: StaleSettings {
            keep_for: section.or("staleFor", default.stale.keep_for, units::duration(STALE_FOR)),
            client_timer: section.or("staleAfter", default.stale.client_timer, units::duration(STALE_AFTER)),
            recheck: section.or("staleRecheck", default.stale.recheck, units::duration(STALE_RECHECKS)),
        },
        prefetch_hits: {
            let hits = section.or("prefetchHits", u32::from(default.prefetch_hits), units::count(PREFETCH_HITS));
            u8::try_from(hits).unwrap_or(u8::MAX)
        },
    };
    if cache.failure_ttl > cache.max_failure_ttl {
        let (first, longest) = (cache.failure_ttl.show(), cache.max_failure_ttl.show());
        let message = format!("`cache`: failureTtl, {first}, is over maxFailureTtl, {longest}");
        section.cx.error(&section.at, message, "make failureTtl the smaller one");
    }
    if cache.min_ttl > cache.max_ttl {
        let message = format!("`cache`: minTtl, {} s, is over maxTtl, {} s", cache.min_ttl, cache.max_ttl);
        section.cx.error(&section.at, message, "make minTtl the smaller one");
    }
    cache
}

fn query_log(section: &mut Section<'_>) -> QueryLogSettings {
    let file = section.path("file");
    let settings = QueryLogSettings {
        filter: section.or("filter", QueryLogFilter::default(), units::word(FILTERS)),
        format: section.or("format", Format::Text, units::word(FORMATS)),
        file: file.as_ref().map(|file| file.value.clone()),
    };
    if let (Some(file), true) = (file, settings.filter != QueryLogFilter::Off) {
        let Located { value: path, at } = file;
        section.cx.writes(Output { key: "file", path, at, kind: OutputKind::File });
    }
    if let (Some(at), QueryLogFilter::Off) = (section.key_at("file"), settings.filter) {
        section.cx.warning(&at, "`file` has no effect: `filter` is off", "set `filter: all` or `filter: errors`");
    }
    settings
}

fn log(section: &mut Section<'_>) -> LogSettings {
    LogSettings {
        level: section.or("level", "info".to_owned(), directives),
        format: section.or("format", Format::Text, units::word(FORMATS)),
    }
}

/// `level` or `target=level`, separated by commas. A bare word that is no level would be taken for a target and turn
/// on everything under it, so it is refused.
fn directives(text: &str) -> Result<String, Problem> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    const HELP: &str = "write off, error, warn, info, debug or trace; or directives such as info,strait_link=debug";
    for directive in text.split(',').map(str::trim) {
        let (target, level) = directive.split_once('=').unwrap_or(("all", directive));
        let target_char = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b':';
        if target.is_empty() || !target.bytes().all(target_char) {
            return Err(Problem::new(format!("{target:?} is not a log target"), HELP));
        }
        if !LEVELS.contains(&level) {
            return Err(Problem::new(format!("{level:?} is not a log level"), HELP));
        }
    }
    Ok(text.to_owned())
}
