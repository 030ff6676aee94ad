//! File descriptors: a program takes as many as it may have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What "unlimited" and larger limits count for; Linux gives a process no more than this by default (`fs.nr_open`).
const MOST: u64 = 1 << 20;

/// Raises the soft limit of open files to the hard limit. The result is what the process may have now.
pub(crate) fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let (soft, hard) = (current.unwrap_or(MOST).min(MOST), maximum.unwrap_or(MOST).min(MOST));
    if soft >= hard {
        return soft;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(hard), maximum }) {
        Ok(()) => {
            tracing::debug!(from = soft, to = hard, "the limit of open files is raised");
            hard
        }
        Err(error) => {
            tracing::warn!(limit = soft, wanted = hard, %error, "the limit of open files cannot be raised");
            soft
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_limit() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let half = maximum.unwrap_or(MOST).min(MOST) / 2;
        assert!(setrlimit(Resource::Nofile, Rlimit { current: Some(half), maximum }).is_ok());
        let may = raise();
        assert_eq!(may, maximum.unwrap_or(MOST).min(MOST));
        assert_eq!(getrlimit(Resource::Nofile).current, Some(may));
    }
}
