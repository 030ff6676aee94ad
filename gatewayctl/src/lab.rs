//! `gatewayctl lab`: two clusters on this machine, made of the real programs, peered in both directions.
//!
//! ```text
//! cluster-a                                              cluster-b
//! node-agent ═══ DNS over TLS (tls://) ════════════════► gateway ──► cluster DNS
//! cluster DNS ◄── gateway ◄════ gRPC (grpc://) ═════════ node-agent
//! ```
//!
//! [`LabArgs::show`] names the steps in order. Only the cluster DNS of each cluster is played, by `cluster_dns`;
//! everything else is what an operator would start and type, and is printed as such.

mod cluster;
mod cluster_dns;
mod folder;
mod ports;
mod program;
mod question;
mod say;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Parser;
use strait_federation::connect_admin;
use strait_proto::v1::ListPeersRequest;
use tokio::signal::unix::{SignalKind, signal};

use cluster::{Cluster, Road};
use cluster_dns::ClusterDns;
use folder::Folder;
use ports::Ports;
use program::{Programs, Running};
use say::say;

use crate::pki::PkiCommand;

/// How long the links may take to stand.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether they stand.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What the lab is to be.
#[derive(Debug, clap::Args)]
pub(crate) struct LabArgs {
    /// Ask, show, and exit: 0 when every answer is right, 1 otherwise
    #[arg(long)]
    once: bool,
    /// How the clusters ask each other; both: cluster-a by DNS over TLS, cluster-b by gRPC
    #[arg(long, value_enum, default_value_t = Transport::Both)]
    transport: Transport,
    /// Leave the folder with configurations, certificates and logs behind
    #[arg(long)]
    keep: bool,
    /// Folder to work in, new or empty [default: a new one for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The roads between the clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Transport {
    Dot,
    Grpc,
    Both,
}

impl Transport {
    /// How cluster-a asks cluster-b, and how cluster-b asks cluster-a.
    fn roads(self) -> [Road; 2] {
        match self {
            Self::Dot => [Road::Tls, Road::Tls],
            Self::Grpc => [Road::Grpc, Road::Grpc],
            Self::Both => [Road::Tls, Road::Grpc],
        }
    }
}

impl LabArgs {
    /// Runs until Ctrl-C, SIGTERM or SIGHUP, or until it has shown everything; ends what it started and removes what
    /// it wrote in every case.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let programs = Programs::find()?;
        let folder = Folder::create(self.dir.as_deref(), self.keep)?;
        let outcome = tokio::select! {
            // Signals are listened to before anything is made.
            biased;
            stopped = stop_signal() => stopped,
            outcome = self.show(&programs, folder.path()) => outcome,
        };
        let removed = folder.finish();
        outcome.and(removed)
    }

    /// The steps. Dropping this ends every program.
    async fn show(&self, programs: &Programs, folder: &Path) -> anyhow::Result<()> {
        say(format_args!("Two clusters on this machine, in {}", folder.display()))?;
        let mut ports = Ports::default();
        let clusters = make_clusters(programs, folder, &mut ports)?;
        let _cluster_dns = play_cluster_dns(&clusters, &mut ports)?;
        drop(ports);
        let mut running = start_programs(programs, &clusters)?;
        tokio::select! {
            died = running.first_death() => Err(died),
            shown = self.peer_and_ask(programs, &clusters) => shown,
        }
    }

    async fn peer_and_ask(&self, programs: &Programs, clusters: &[Cluster; 2]) -> anyhow::Result<()> {
        let [a, b] = clusters;
        let [a_to_b, b_to_a] = self.transport.roads();
        let directions = [(a, b, a_to_b), (b, a, b_to_a)];
        for cluster in clusters {
            wait_for("its gateway's socket", || async { connect_admin(&cluster.socket()).await.is_ok() })
                .await
                .with_context(|| cluster.name.to_owned())?;
        }
        add_peers(programs, &directions).await?;
        wait_for_links(programs, &directions).await?;
        ask_across(&directions).await?;
        if self.once {
            return Ok(());
        }
        print_what_to_try(programs, &directions, self.keep)?;
        std::future::pending().await
    }
}

/// One way of a peering: who asks whom, and how.
type Direction<'a> = (&'a Cluster, &'a Cluster, Road);

fn make_clusters(programs: &Programs, folder: &Path, ports: &mut Ports) -> anyhow::Result<[Cluster; 2]> {
    let clusters = [Cluster::plan("cluster-a", 1, folder, ports)?, Cluster::plan("cluster-b", 2, folder, ports)?];
    say("\nCertificates: a CA of its own for each cluster")?;
    for cluster in &clusters {
        for line in cluster.pki_lines() {
            say(format_args!("  $ {}", programs.line(&line)))?;
            run_pki(&line)?;
        }
        cluster.write_configurations()?;
    }
    Ok(clusters)
}

/// Runs a `pki` line in this process, without what it prints.
fn run_pki(line: &[String]) -> anyhow::Result<()> {
    #[derive(clap::Parser)]
    struct Line {
        #[command(subcommand)]
        command: PkiCommand,
    }
    Line::try_parse_from(line)?.command.run_to(&mut std::io::sink())
}

fn play_cluster_dns(clusters: &[Cluster; 2], ports: &mut Ports) -> anyhow::Result<Vec<ClusterDns>> {
    say("\nCluster DNS: played by this process, each knows its own services only")?;
    let mut played = Vec::new();
    for cluster in clusters {
        let (name, port) = (cluster.name, cluster.ports.cluster_dns);
        let started = ClusterDns::start(ports.take(port)?, &cluster.zone_text());
        played.push(started.with_context(|| format!("{name}: its cluster DNS cannot be played on 127.0.0.1:{port}"))?);
        say(format_args!("  {name}: 127.0.0.1:{port}, web.shop.svc.cluster.local and others"))?;
    }
    Ok(played)
}

fn start_programs(programs: &Programs, clusters: &[Cluster; 2]) -> anyhow::Result<Running> {
    say("\nPrograms")?;
    let mut running = Running::default();
    for cluster in clusters {
        running.start(&programs.gateway, &cluster.gateway_configuration(), cluster.name)?;
        running.start(&programs.node_agent, &cluster.node_agent_configuration(), cluster.name)?;
    }
    Ok(running)
}

async fn add_peers(programs: &Programs, directions: &[Direction<'_>]) -> anyhow::Result<()> {
    say("\nPeering: one command in each cluster")?;
    for (asker, asked, road) in directions {
        programs.gatewayctl_shown(&asker.peer_add(asked, *road)).await?;
    }
    Ok(())
}

async fn wait_for_links(programs: &Programs, directions: &[Direction<'_>]) -> anyhow::Result<()> {
    let started = Instant::now();
    for (asker, asked, _) in directions {
        let what = format!("the links of {} to {}", asker.name, asked.name);
        wait_for(&what, || is_up(asker, asked)).await?;
    }
    say(format_args!("\nLinks: up after {} ms", started.elapsed().as_millis()))?;
    say("  (A refusal shown below is from before the second command: a gateway believes nobody it was not told of.)")?;
    for (asker, ..) in directions {
        programs.gatewayctl_shown(&asker.gatewayctl(&["peer", "list"])).await?;
    }
    Ok(())
}

/// Whether both the gateway and the node-agent of `asker` reach `asked`.
async fn is_up(asker: &Cluster, asked: &Cluster) -> bool {
    let Ok(mut admin) = connect_admin(&asker.socket()).await else { return false };
    let Ok(peers) = admin.list_peers(ListPeersRequest {}).await else { return false };
    let peers = peers.into_inner().peers;
    let gateway_up = peers.iter().filter_map(|peer| peer.outbound.as_ref()).any(|outbound| outbound.state == "up");
    let first = asked.questions().into_iter().next();
    gateway_up
        && match first {
            Some(question) => question.ask(asker.agent()).await.is_ok_and(|reply| question.check(&reply).is_ok()),
            None => false,
        }
}

async fn ask_across(directions: &[Direction<'_>]) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    for (asker, asked, road) in directions {
        say(format_args!("\n{} asks {} over {road}", asker.name, asked.name))?;
        for question in asked.questions() {
            say(format_args!("  $ {}", question.dig(asker.agent())))?;
            let reply = question.ask(asker.agent()).await.with_context(|| question.dig(asker.agent()))?;
            say(reply.indented())?;
            if let Err(difference) = question.check(&reply) {
                say(format_args!("  ^ wrong: {difference}"))?;
                wrong.push(format!("{} asks {} for {}: {difference}", asker.name, asked.name, question.name));
            }
        }
    }
    match wrong.as_slice() {
        [] => say("\nEvery answer is right."),
        _ => bail!("wrong answers:\n  {}", wrong.join("\n  ")),
    }
}

fn print_what_to_try(programs: &Programs, directions: &[Direction<'_>], keep: bool) -> anyhow::Result<()> {
    say("\nTry, in another terminal:")?;
    for (asker, asked, _) in directions {
        let questions = asked.questions();
        for question in questions.iter().take(2) {
            say(format_args!("  {}", question.dig(asker.agent())))?;
        }
        let web = questions.first().map_or("", |question| &question.name);
        for words in [
            &["peer", "list"][..],
            &["peer", "show", asked.name],
            &["query", web, "A", "--via", "peer", "--peer", asked.name],
        ] {
            say(format_args!("  {}", programs.line(&asker.gatewayctl(words))))?;
        }
        for (port, program) in [(asker.ports.agent_admin, "node-agent"), (asker.ports.gateway_admin, "gateway")] {
            say(format_args!(
                "  curl -s http://127.0.0.1:{port}/metrics | grep ^strait_  # {program} of {}",
                asker.name
            ))?;
        }
    }
    match keep {
        true => say("\nCtrl-C ends it; the folder with configurations, certificates and logs stays."),
        false => say("\nCtrl-C ends it and removes everything."),
    }
}

/// Looks again and again until `is_so`, within the lab's patience.
async fn wait_for<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) -> anyhow::Result<()> {
    let looking = async {
        while !is_so().await {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.with_context(|| {
        format!("{what}: not there after {} s; run again with --keep and read the logs", PATIENCE.as_secs())
    })
}

async fn stop_signal() -> anyhow::Result<()> {
    let listen = |kind| signal(kind).context("signals cannot be listened to");
    let (mut interrupt, mut terminate, mut hangup) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
