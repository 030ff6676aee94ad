//! What listeners ask of a resolver.

use crate::{BoxFuture, Origin};

/// What can be said about a packet at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Now {
    /// The reply has been appended.
    Reply,
    /// There will be no reply.
    Nothing,
    /// Work is needed: call [`Respond::respond`].
    Later,
}

/// What a listener needs.
pub trait Respond: Send + Sync + 'static {
    /// Answers what needs no waiting: refusals, static names, cached names. Never blocks.
    fn respond_now(&self, packet: &[u8], origin: &Origin, reply: &mut Vec<u8>) -> Now;

    /// Answers, also what [`Respond::respond_now`] left for later. None: no reply.
    fn respond<'a>(&'a self, packet: &'a [u8], origin: &'a Origin) -> BoxFuture<'a, Option<Vec<u8>>>;
}
