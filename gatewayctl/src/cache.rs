//! `gatewayctl cache`: what a gateway or a node-agent has cached, and having it forget.

use std::io::Write;

use serde::Serialize;
use strait_proto::v1;
use strait_proto::v1::flush_cache_request::What;
use strait_wire::Name;

use crate::admin::{Gateway, answer};
use crate::cli::{Failure, Outcome};
use crate::output::{Output, printable, table};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum CacheCommand {
    /// How much is cached, by zone
    Show,
    /// Forget answers; those still on their way are not kept either
    Flush(FlushArgs),
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct FlushArgs {
    /// Answers to questions for this name, or that hold records of it
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,
    /// Answers to questions for this name or one below it, or that hold records of such
    #[arg(long, value_name = "ZONE")]
    zone: Option<Name>,
    /// Every answer
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Serialize)]
struct CacheView {
    entries: u64,
    bytes: u64,
    size: u64,
    zones: Vec<ZoneView>,
}

#[derive(Debug, Serialize)]
struct ZoneView {
    zone: String,
    entries: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Flushed {
    entries: u64,
}

impl CacheCommand {
    /// Does it at the daemon behind the socket.
    pub(crate) async fn run(self, daemon: &Gateway, output: &mut Output<impl Write>) -> Result<Outcome, Failure> {
        let mut client = daemon.connect_cache().await?;
        match self {
            Self::Show => {
                let cache = CacheView::from(answer(client.show(v1::ShowCacheRequest {})).await?);
                output.write(&cache, text)?;
            }
            Self::Flush(args) => {
                let request = v1::FlushCacheRequest { what: Some(args.what()) };
                let flushed = Flushed { entries: answer(client.flush(request)).await?.entries };
                output.write(&flushed, |flushed| match flushed.entries {
                    1 => "1 answer flushed".to_owned(),
                    entries => format!("{entries} answers flushed"),
                })?;
            }
        }
        Ok(Outcome::Done)
    }
}

impl FlushArgs {
    /// One of the three is there: the command line says so.
    fn what(self) -> What {
        match (self.name, self.zone) {
            (Some(name), _) => What::Name(name.to_string()),
            (None, Some(zone)) => What::Zone(zone.to_string()),
            (None, None) => What::All(self.all),
        }
    }
}

impl From<v1::ShowCacheResponse> for CacheView {
    fn from(shown: v1::ShowCacheResponse) -> Self {
        let v1::ShowCacheResponse { entries, bytes, size, zones } = shown;
        let zone =
            |zone: v1::CachedZone| ZoneView { zone: printable(&zone.zone), entries: zone.entries, bytes: zone.bytes };
        Self { entries, bytes, size, zones: zones.into_iter().map(zone).collect() }
    }
}

fn text(cache: &CacheView) -> String {
    let CacheView { entries, bytes, size, zones } = cache;
    if *size == 0 {
        return "the cache is turned off (cache.size: 0)".to_owned();
    }
    let head = format!("answers  {entries}\noctets   {bytes} of {size}\n");
    if zones.is_empty() {
        return head;
    }
    let rows = zones.iter().map(|zone| [zone.zone.clone(), zone.entries.to_string(), zone.bytes.to_string()]);
    format!("{head}\n{}", table(["ZONE", "ANSWERS", "OCTETS"], rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_shown_by_zone() {
        let zone = |zone: &str, entries, bytes| v1::CachedZone { zone: zone.to_owned(), entries, bytes };
        let shown = v1::ShowCacheResponse {
            entries: 12,
            bytes: 6_000,
            size: 1 << 20,
            zones: vec![zone(".", 10, 5_000), zone("example.com.", 2, 1_000)],
        };
        let expected = "\
answers  12
octets   6000 of 1048576

ZONE          ANSWERS  OCTETS
.             10       5000
example.com.  2        1000
";
        assert_eq!(text(&shown.into()), expected);
    }

    #[test]
    fn an_empty_cache_and_one_that_is_off_say_so() {
        let shown = v1::ShowCacheResponse { size: 100, ..Default::default() };
        assert_eq!(text(&shown.into()), "answers  0\noctets   0 of 100\n");
        assert!(text(&v1::ShowCacheResponse::default().into()).contains("turned off"));
    }
}
