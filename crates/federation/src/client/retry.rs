//! Streams that are to stand for ever: tried at one gateway after another, at growing distances.

use std::future::Future;
use std::time::{Duration, Instant};

use rand::RngExt;
use strait_link::EndpointUrl;

/// A stream that lasted this long worked.
const STEADY: Duration = Duration::from_secs(10);

/// The first wait is this part of the longest.
const FIRST: u32 = 10;

/// How an attempt ended, and why.
pub(crate) enum Ended {
    /// The stream had begun.
    AfterFirst(String),
    /// It had not.
    Before(String),
}

/// What is tried.
pub(crate) trait Stream {
    /// Follows a stream to that gateway until its end; `failures` are those in a row before.
    fn attempt(&mut self, url: &EndpointUrl, failures: u32) -> impl Future<Output = Ended> + Send;

    /// Notes a failure; `failures` are those in a row before.
    fn failed(&self, url: &EndpointUrl, error: &str, failures: u32);
}

/// Tries the endpoints in turn, for ever, and waits `longest` at most in between.
pub(crate) async fn keep_trying(endpoints: &[EndpointUrl], longest: Duration, stream: &mut impl Stream) {
    let mut failures = 0_u32;
    for url in endpoints.iter().cycle() {
        let begun = Instant::now();
        match stream.attempt(url, failures).await {
            // A stream that worked for a while is resumed at once, at the next gateway if there is one.
            Ended::AfterFirst(error) if begun.elapsed() >= STEADY => {
                failures = 0;
                stream.failed(url, &error, failures);
            }
            // One that breaks again and again is not: two may be fighting over one place.
            Ended::AfterFirst(error) | Ended::Before(error) => {
                stream.failed(url, &error, failures);
                failures = failures.saturating_add(1);
            }
        }
        tokio::time::sleep(back_off(failures, longest)).await;
    }
}

/// Doubles from the first wait on; the upper half is random, so that the clients of a gateway do not come back all at
/// once.
fn back_off(failures: u32, longest: Duration) -> Duration {
    let ceiling = (longest / FIRST).saturating_mul(1 << failures.min(4)).min(longest);
    ceiling.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_between_tries_grows_to_the_longest_and_no_further() {
        for (failures, ceiling) in [(0, 100), (1, 200), (3, 800), (4, 1000), (u32::MAX, 1000)] {
            let wait = back_off(failures, Duration::from_secs(1)).as_millis();
            assert!((ceiling / 2..=ceiling).contains(&wait), "{failures} failures: {wait} ms");
        }
    }
}
