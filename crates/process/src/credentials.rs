//! Our own certificate, read again when its files change.

use std::time::Duration;

use strait_identity::Credentials;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// Follows the files of `credentials` until `stop`. Connections made after a change use the new
/// pair; a bad pair changes nothing and is logged once.
pub fn watch_credentials(credentials: Credentials, stop: CancellationToken) {
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_error = String::new();
        loop {
            ticks.tick().await;
            let reloading = credentials.clone();
            let outcome = tokio::task::spawn_blocking(move || reloading.reload()).await;
            let error = match outcome {
                Ok(Ok(changed)) => {
                    if changed {
                        tracing::info!(id = %credentials.id(), not_after = credentials.not_after(), "certificate replaced");
                    }
                    String::new()
                }
                Ok(Err(error)) => error.to_string(),
                Err(stopping) => stopping.to_string(),
            };
            if !error.is_empty() && error != last_error {
                tracing::error!(error, "the certificate files cannot be used; the certificate from before stays in force");
            }
            last_error = error;
        }
    }));
}
