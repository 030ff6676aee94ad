//! Why changes do not come.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use kube::core::Status;

use super::objects::Collection;
use crate::Kind;

/// How much of what a server says of an error is told, in characters.
const MAX_TOLD: usize = 300;

/// Why changes of a kind do not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchFault {
    /// The way to the API server is not known, or what proves who asks cannot be read.
    #[error("no way to the API server: {0}")]
    Access(String),
    /// The API server does not know who asks.
    #[error(
        "the API server does not know who asks (401): is the token or client certificate valid, and of this cluster?"
    )]
    Unauthorized,
    /// Whoever asks may not.
    #[error(
        "the API server forbids it (403): allow the verb {verb:?} on the resource {resource:?} of API group {group:?} in a Role or ClusterRole that is bound to this gateway"
    )]
    Forbidden {
        /// As in a role.
        verb: &'static str,
        /// As in a role.
        resource: &'static str,
        /// As in a role; empty for the core group.
        group: &'static str,
    },
    /// The API server does not know the resource.
    #[error(
        "the API server does not serve {resource}.{group}: install its definition (gatewayctl crds | kubectl apply -f -)"
    )]
    NotServed {
        /// As in a role.
        resource: &'static str,
        /// As in a role.
        group: &'static str,
    },
    /// The API server refuses for another reason.
    #[error("the API server refuses to {verb} {resource}: {code}: {message}")]
    Refused {
        /// What was asked.
        verb: &'static str,
        /// Of what.
        resource: &'static str,
        /// The HTTP status.
        code: u16,
        /// What it says.
        message: String,
    },
    /// There is no connection, or it broke.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
    /// Nothing was heard for so long.
    #[error("the API server has said nothing for {0:?}: is the network between cut, or the server overloaded?")]
    Silent(Duration),
    /// What was received cannot be understood.
    #[error("what the API server says of {resource} cannot be read: {what}")]
    Unusable {
        /// Of which resource.
        resource: &'static str,
        /// What is wrong.
        what: String,
    },
}

impl WatchFault {
    /// The fault that a reply of that status is.
    pub(crate) fn refused(verb: &'static str, collection: Collection, code: u16, message: &str) -> Self {
        let Collection { resource, group, .. } = collection;
        match code {
            401 => Self::Unauthorized,
            403 => Self::Forbidden { verb, resource, group },
            404 if verb == "list" || verb == "watch" => Self::NotServed { resource, group },
            _ => Self::Refused { verb, resource, code, message: message.chars().take(MAX_TOLD).collect() },
        }
    }

    /// The fault that an error of the client is.
    pub(crate) fn of(error: kube::Error, verb: &'static str, collection: Collection) -> Self {
        match error {
            kube::Error::Api(status) => {
                let Status { code, message, .. } = *status;
                Self::refused(verb, collection, code, &message)
            }
            kube::Error::Auth(error) => Self::Access(root_of(&error)),
            error => Self::Unreachable(root_of(&error)),
        }
    }

    /// Whether the history that a watch wants to go on from may be gone: what is there must be listed again. What says
    /// nothing about history leaves it alone, so that a server that comes back is not asked for everything by everyone.
    pub(crate) fn wants_list(&self) -> bool {
        match self {
            Self::Refused { code, .. } => !matches!(code, 429 | 502 | 503),
            Self::Unusable { .. } | Self::NotServed { .. } => true,
            Self::Access(_) | Self::Unauthorized | Self::Forbidden { .. } | Self::Unreachable(_) | Self::Silent(_) => {
                false
            }
        }
    }

    /// Every word of [`WatchFault::reason`].
    pub(crate) const REASONS: [&'static str; 8] =
        ["access", "unauthorized", "forbidden", "gone", "refused", "unreachable", "silent", "unusable"];

    /// What it is in a word, for metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Access(_) => "access",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::Refused { .. } if self.is_gone() => "gone",
            Self::Refused { .. } | Self::NotServed { .. } => "refused",
            Self::Unreachable(_) => "unreachable",
            Self::Silent(_) => "silent",
            Self::Unusable { .. } => "unusable",
        }
    }

    /// Whether it is that the history is gone (410), which happens and is no fault.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Refused { code: 410, .. })
    }

    /// Whether it is that whoever asks may not: waiting does not help.
    pub(crate) fn is_forbidden(&self) -> bool {
        matches!(self, Self::Forbidden { .. })
    }

    /// Whether it is that there is no such thing (404).
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::NotServed { .. } | Self::Refused { code: 404, .. })
    }

    /// Whether whoever knows of those learns something new: the log has one line for a server that is gone, not one for
    /// each kind, or for each try.
    pub(crate) fn is_news(&self, known: &BTreeMap<Kind, Self>) -> bool {
        !known.values().any(|fault| fault.is_like(self))
    }

    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Refused { code, .. }, Self::Refused { code: other, .. }) => code == other,
            (Self::Forbidden { .. }, Self::Forbidden { .. }) => self == other,
            (Self::Unusable { resource, .. }, Self::Unusable { resource: other, .. })
            | (Self::NotServed { resource, .. }, Self::NotServed { resource: other, .. }) => resource == other,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

/// What is at the bottom of an error.
pub(crate) fn root_of(error: &(dyn Error + 'static)) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string().chars().take(MAX_TOLD).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::objects::{Raw, RawService, RawSlice};

    fn refused(code: u16) -> WatchFault {
        WatchFault::refused("list", RawSlice::COLLECTION, code, "why")
    }

    #[test]
    fn the_log_has_a_line_for_a_cause_and_not_for_a_try() {
        let unreachable = |text: &str| WatchFault::Unreachable(text.to_owned());
        let known =
            [(Kind::Namespace, unreachable("refused")), (Kind::Service, refused(403)), (Kind::Endpoints, refused(500))];
        let known = BTreeMap::from(known);
        // (fault, whether it is news)
        let cases = [
            // Of another try, or of another kind, in other words.
            (unreachable("reset"), false),
            (refused(403), false),
            (refused(500), false),
            // Another cause, another verb, another resource, another refusal.
            (WatchFault::Silent(Duration::from_secs(1)), true),
            (WatchFault::refused("watch", RawSlice::COLLECTION, 403, ""), true),
            (WatchFault::refused("list", RawService::COLLECTION, 403, ""), true),
            (refused(503), true),
            (refused(401), true),
        ];
        for (fault, is_news) in cases {
            assert_eq!(fault.is_news(&known), is_news, "{fault}");
            assert!(fault.is_news(&BTreeMap::new()), "{fault}");
        }
    }

    #[test]
    fn history_is_asked_for_again_only_when_it_may_be_gone() {
        // (status of the reply, whether there must be a list)
        let cases = [
            // Expired.
            (410, true),
            // The version is one that the server has not reached: it was restored from an older state.
            (504, true),
            (400, true),
            (500, true),
            // It is busy, or not up yet.
            (429, false),
            (502, false),
            (503, false),
            // Who asks is the question.
            (401, false),
            (403, false),
        ];
        for (code, wants_list) in cases {
            assert_eq!(refused(code).wants_list(), wants_list, "{code}");
        }
        assert!(!WatchFault::Unreachable(String::new()).wants_list());
    }

    #[test]
    fn every_fault_has_a_word_that_is_listed() {
        let faults = [
            WatchFault::Access(String::new()),
            refused(401),
            refused(403),
            refused(410),
            refused(500),
            WatchFault::Unreachable(String::new()),
            WatchFault::Silent(Duration::from_secs(1)),
            WatchFault::Unusable { resource: "services", what: String::new() },
        ];
        assert_eq!(faults.map(|fault| fault.reason()), WatchFault::REASONS);
    }

    #[test]
    fn a_long_reply_is_not_told_whole() {
        let page = "<html>".repeat(1_000);
        assert!(WatchFault::refused("list", RawSlice::COLLECTION, 500, &page).to_string().len() < 400);
    }
}
