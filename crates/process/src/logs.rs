//! Structured logs to standard error.

use std::io::{self, IsTerminal};

use strait_config::{Format, LogSettings};
use tracing_subscriber::EnvFilter;

/// Libraries that say more than an operator wants, unless `level` asks for less anyway; a directive in `level`
/// that names one wins.
const QUIET: [&str; 8] = [
    "hickory_proto=warn",
    "hickory_resolver=warn",
    "hickory_net=warn",
    "h2=warn",
    "hyper=warn",
    "hyper_util=warn",
    "rustls=warn",
    "tower=warn",
];

/// Why logs cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up logs: {0}")]
pub struct LogError(String);

/// Sets up logs for the whole process.
pub fn init_logs(settings: &LogSettings) -> Result<(), LogError> {
    let builder = tracing_subscriber::fmt().with_env_filter(filter(&settings.level)?).with_writer(io::stderr);
    let done = match settings.format {
        Format::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    done.map_err(|error| LogError(error.to_string()))
}

fn filter(level: &str) -> Result<EnvFilter, LogError> {
    let less = level.split(',').any(|directive| ["error", "off"].contains(&directive.trim()));
    let directives = if less { level.to_owned() } else { QUIET.join(",") + "," + level };
    EnvFilter::try_new(directives).map_err(|error| LogError(format!("{level:?}: {error}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_directive_for_a_quiet_library_wins() {
        let shown = filter("info,h2=debug").unwrap().to_string();
        assert!(shown.contains("h2=debug") && !shown.contains("h2=warn"), "{shown}");
        assert!(shown.contains("rustls=warn"), "{shown}");
    }

    #[test]
    fn nobody_says_more_than_asked_for() {
        for level in ["error", "off", "error,strait_link=debug"] {
            let shown = filter(level).unwrap().to_string();
            assert!(!shown.contains("h2=warn"), "{level}: {shown}");
        }
    }

    #[test]
    fn a_bad_level_is_an_error() {
        assert!(filter("info,strait_link=loud").unwrap_err().to_string().contains("strait_link=loud"));
    }
}
