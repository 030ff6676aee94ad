//! What is known of a peer's endpoints now.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::EndpointUrl;

/// The state of an endpoint, or of a peer as a whole (its best endpoint's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Not yet known.
    Connecting,
    /// Answers.
    Up,
    /// Answers, but failing or slow of late; for a peer: some endpoints are down.
    Degraded,
    /// Does not answer.
    Down,
}

impl State {
    /// The word in metrics, logs and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One endpoint.
#[derive(Debug, Clone)]
pub struct EndpointStatus {
    /// Which.
    pub url: EndpointUrl,
    /// Its state.
    pub state: State,
    /// Since when.
    pub since: SystemTime,
    /// Smoothed time of answers to health questions and to real ones, once there was one.
    pub latency: Option<Duration>,
    /// The last failure and when.
    pub last_error: Option<(String, SystemTime)>,
}

/// A peer's endpoints.
#[derive(Debug, Clone)]
pub struct PeerStatus {
    /// The whole.
    pub state: State,
    /// Each.
    pub endpoints: Vec<EndpointStatus>,
}
