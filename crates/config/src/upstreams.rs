//! `upstreams`, `forward`, `clusterDns`: ordinary DNS servers.

use std::time::Duration;

/// One server's budget before the next is asked.
pub const UPSTREAM_TRY_BUDGET: Duration = Duration::from_millis(700);
