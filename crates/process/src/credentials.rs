//! Our own certificate, read again when its files change.

use std::time::Duration;

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use strait_identity::{Credentials, moment};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// Follows the files of `credentials` until `stop`. Connections made after a change use the new
/// pair; a bad pair changes nothing and is logged once.
pub fn watch_credentials(
    credentials: Credentials,
    registry: &Registry,
    stop: CancellationToken,
) -> Result<(), prometheus::Error> {
    let mut watch = Watch { metrics: Metrics::new(registry)?, credentials, last_error: String::new() };
    watch.metrics.in_force(&watch.credentials);
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            watch.look().await;
        }
    }));
    Ok(())
}

struct Watch {
    credentials: Credentials,
    metrics: Metrics,
    last_error: String,
}

impl Watch {
    async fn look(&mut self) {
        let reloading = self.credentials.clone();
        let outcome = tokio::task::spawn_blocking(move || reloading.reload()).await;
        let error = match outcome {
            Ok(Ok(false)) => String::new(),
            Ok(Ok(true)) => {
                self.replaced();
                String::new()
            }
            Ok(Err(error)) => error.to_string(),
            Err(stopping) => stopping.to_string(),
        };
        if !error.is_empty() {
            self.metrics.reloads.with_label_values(&["failed"]).inc();
            if error != self.last_error {
                tracing::error!(
                    error,
                    "the certificate files cannot be used; the certificate from before stays in force"
                );
            }
        }
        self.last_error = error;
    }

    fn replaced(&self) {
        let not_after = self.credentials.not_after();
        tracing::info!(id = %self.credentials.id(), not_after = moment(not_after), "certificate replaced");
        self.metrics.in_force(&self.credentials);
        self.metrics.reloads.with_label_values(&["replaced"]).inc();
    }
}

struct Metrics {
    not_before: IntGauge,
    not_after: IntGauge,
    reloads: IntCounterVec,
}

impl Metrics {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let not_before = IntGauge::new(
            "strait_certificate_not_before_timestamp_seconds",
            "When the certificate in force began, seconds since 1970-01-01 UTC.",
        )?;
        let not_after = IntGauge::new(
            "strait_certificate_not_after_timestamp_seconds",
            "When the certificate in force ends, seconds since 1970-01-01 UTC.",
        )?;
        let reloads = IntCounterVec::new(
            Opts::new(
                "strait_certificate_reloads_total",
                "Looks at the certificate files that found a change: replaced, or failed and so not in force.",
            ),
            &["result"],
        )?;
        for result in ["replaced", "failed"] {
            reloads.with_label_values(&[result]);
        }
        registry.register(Box::new(not_before.clone()))?;
        registry.register(Box::new(not_after.clone()))?;
        registry.register(Box::new(reloads.clone()))?;
        Ok(Self { not_before, not_after, reloads })
    }

    fn in_force(&self, credentials: &Credentials) {
        self.not_before.set(credentials.not_before());
        self.not_after.set(credentials.not_after());
    }
}
