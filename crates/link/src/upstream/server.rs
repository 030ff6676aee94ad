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

/// Failures in a row after which a server is put behind the others. The last of them is one that was listened to until its
/// question's deadline, or that the system told of.
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

    /// Asks once, now. The question has until `deadline`; the first look at the outcome is until `until`.
    pub(super) fn ask<'a>(&'a self, ask: &'a Ask, now: Instant, until: Instant, deadline: Instant) -> Attempt<'a> {
        self.metrics.asked();
        Attempt::new(self, ask, now, until, deadline)
    }

    /// Asks for our own sake, which does not count among the questions. The server itself takes note of the outcome. It is
    /// listened to as long as for a question, so that a slow server is not taken for a dead one.
    pub(super) async fn probe(&self, ask: &Ask) {
        let now = Instant::now();
        let deadline = now + self.settings.deadline;
        let _ = Attempt::new(self, ask, now, deadline, deadline).outcome(deadline).await;
    }

    /// Asks over the connection, which is not trusted with further questions if it has brought nothing until `overdue`. The
    /// caller bounds the time.
    pub(super) async fn ask_link(&self, ask: &Ask, padding: Padding, overdue: Instant) -> Result<Answer, TryError> {
        let wire = encode(0, ask, &ask.question.name, &ask.path, padding);
        let response = self.link.ask(&wire, overdue).await?;
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

    /// It has not answered within its budget, and was not listened to any longer. That puts it in doubt; whether it is
    /// silent or only slow is found out by those who listen to the end.
    pub(super) fn overdue(&self, now: Instant) {
        self.latency.note(self.settings.max_try_budget, now);
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// It has not answered to the end, or not with anything of use.
    pub(super) fn failed(&self, error: &TryError, now: Instant) {
        match error {
            // Our own limit says nothing about the server.
            TryError::Full(_) => return,
            // The server is there. What it says about a name may be up to whoever owns the name, and must not decide
            // whether others are asked here.
            TryError::BadAnswer(_) => self.alive(),
            TryError::Timeout | TryError::Connection(_) => self.silent(error),
        }
        self.latency.note(self.settings.max_try_budget, now);
    }

    fn silent(&self, error: &TryError) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures >= FALL && !self.dead.swap(true, Ordering::Relaxed) {
            self.metrics.state(State::Down);
            warn!(zone = self.settings.name, upstream = %self.address, cause = %error,
                "upstream does not answer; it is asked last until it does");
        }
    }
}
