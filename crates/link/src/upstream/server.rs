//! One upstream server: how it is asked, and whether it is believed to be alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use strait_resolve::Ask;
use strait_wire::{Answer, CheckError};
use tracing::{info, warn};

use super::address::UpstreamServer;
use super::attempt::{Attempt, TryError};
use super::choice::Latency;
use super::udp::{Ports, UdpRoad};
use super::warm::{Limits, Transport, WarmLink};
use crate::metrics::{Kind, LinkMetrics, Reason, ServerMetrics};
use crate::question::{Padding, encode};
use crate::{State, UpstreamSettings};

/// Failures in a row after which a server is put behind the others.
const FALL: u32 = 3;

/// One upstream server of a group.
pub(super) struct Server {
    pub(super) address: UpstreamServer,
    pub(super) settings: Arc<UpstreamSettings>,
    pub(super) udp: Option<UdpRoad>,
    link: Arc<WarmLink>,
    pub(super) metrics: Arc<ServerMetrics>,
    pub(super) latency: Latency,
    failures: AtomicU32,
    dead: AtomicBool,
}

impl Server {
    pub(super) fn new(
        address: UpstreamServer,
        settings: &Arc<UpstreamSettings>,
        tls: &Arc<ClientConfig>,
        ports: &Arc<Ports>,
        metrics: &Arc<LinkMetrics>,
    ) -> Arc<Self> {
        let metrics = metrics.server(Kind::Upstream, &settings.name, &address);
        metrics.state(State::Up);
        let (transport, udp) = match &address {
            UpstreamServer::Plain(at) => {
                (Transport::Tcp, Some(UdpRoad::new(*at, Arc::clone(ports), Arc::clone(&metrics))))
            }
            UpstreamServer::Tls { server_name, .. } => {
                (Transport::Tls { config: Arc::clone(tls), server_name: server_name.clone() }, None)
            }
        };
        let limits = if udp.is_some() { Limits::TCP } else { Limits::TLS };
        let link = WarmLink::new(address.address(), transport, limits, Arc::clone(&metrics));
        Arc::new(Self {
            address,
            settings: Arc::clone(settings),
            udp,
            link,
            metrics,
            latency: Latency::new(),
            failures: AtomicU32::new(0),
            dead: AtomicBool::new(false),
        })
    }

    /// Whether it has failed too often in a row, and not answered since.
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Whether it has not answered the last time.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.failures.load(Ordering::Relaxed) > 0
    }

    /// After this time an answer is late.
    pub(super) fn patience(&self) -> Duration {
        self.latency.patience(self.settings.min_try_budget, self.settings.max_try_budget)
    }

    /// Asks once. The question has until `deadline`, and the server the budget of a try; the first look at the outcome
    /// is until `until`.
    pub(super) fn ask<'a>(&'a self, ask: &'a Ask, until: Instant, deadline: Instant) -> Attempt<'a> {
        self.metrics.asked();
        Attempt::new(self, ask, until, deadline)
    }

    /// Asks for our own sake, which does not count among the questions. The server itself takes note of the outcome.
    pub(super) async fn probe(&self, ask: &Ask, budget: Duration) {
        let deadline = Instant::now() + budget;
        let _ = Attempt::new(self, ask, deadline, deadline).end().await;
    }

    /// Asks over the connection. The caller bounds the time.
    pub(super) async fn ask_link(&self, ask: &Ask, padding: Padding) -> Result<Answer, TryError> {
        let wire = encode(0, ask, &ask.question.name, &ask.path, padding);
        let response = self.link.ask(&wire).await?;
        let answer = self.check(&response, ask)?;
        match answer.is_truncated() {
            true => Err(TryError::BadAnswer("truncated although not over UDP".to_owned())),
            false => Ok(answer),
        }
    }

    /// What of a response is believed.
    pub(super) fn check(&self, response: &[u8], ask: &Ask) -> Result<Answer, CheckError> {
        let (answer, dropped) = Answer::check(response, &ask.question, &self.settings.zone)?;
        if dropped > 0 {
            self.metrics.dropped.inc_by(dropped as u64);
        }
        Ok(answer)
    }

    /// It has answered.
    pub(super) fn alive(&self) {
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if self.is_dead() && self.dead.swap(false, Ordering::Relaxed) {
            // What it was like before says nothing now.
            self.latency.forget();
            self.metrics.state(State::Up);
            info!(zone = self.settings.name, upstream = %self.address, "upstream answers again");
        }
    }

    /// It has answered a question with a refusal. However quick that is, it is of no use.
    pub(super) fn refused(&self, reason: Reason) {
        self.metrics.failed(reason);
        self.latency.note(self.settings.max_try_budget, Instant::now());
    }

    /// It has not answered, or not with anything of use.
    pub(super) fn failed(&self, error: &TryError) {
        match error {
            // Our own limit says nothing about the server.
            TryError::Full(_) => return,
            // The server is there. What it says about a name may be up to whoever owns the name, and must not decide
            // whether others are asked here.
            TryError::BadAnswer(_) => return self.alive(),
            TryError::Timeout | TryError::Connection(_) => {}
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures >= FALL && !self.dead.swap(true, Ordering::Relaxed) {
            self.metrics.state(State::Down);
            warn!(zone = self.settings.name, upstream = %self.address, cause = %error,
                "upstream does not answer; it is asked last until it does");
        }
    }
}
