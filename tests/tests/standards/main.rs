//! What every answer is held to, by RFC and section.
//!
//! One battery of cases runs over every road on which a name can be asked: the agent over UDP and TCP
//! for a zone in its configuration, a zone file, an upstream and a peer; a gateway over DNS over TLS
//! and both kinds of gRPC. Further cases look at what the agent does with upstreams and peers that lie.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic with its cause is the report")]
#![allow(clippy::print_stderr, reason = "the road on which a case fails is told to whoever runs the tests")]

mod aliases;
mod answers;
mod bench;
mod cache;
mod carrier;
mod edns;
mod mapping;
mod questions;
mod streams;
mod trust;
mod upstream;
