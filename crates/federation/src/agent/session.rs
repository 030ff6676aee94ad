//! One stream to a gateway, from its first report to its end.

use std::sync::Arc;
use std::time::Duration;

use strait_link::EndpointUrl;
use strait_proto::v1;
use strait_proto::v1::distribution_client::DistributionClient;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tracing::{info, warn};

use super::{REPORT_INTERVAL, Subscriber, SubscriptionStatus};
use crate::client::Ended;
use crate::distribution::MAX_SNAPSHOT_LEN;
use crate::peers::{Generation, PeerSet};

/// From the call to the first peers.
const FIRST_SNAPSHOT_WITHIN: Duration = Duration::from_secs(5);

/// Subscribes over `channel` and applies what comes, until the stream ends.
pub(super) async fn follow(subscriber: &mut Subscriber, url: &EndpointUrl, channel: Channel) -> Ended {
    let (reports, stream) = mpsc::channel(4);
    // The channel is new and has room.
    let _ = reports.try_send(report(subscriber, None));
    let mut client = DistributionClient::new(channel).max_decoding_message_size(MAX_SNAPSHOT_LEN);
    let opened = timeout(FIRST_SNAPSHOT_WITHIN, async {
        let mut snapshots = client.watch(ReceiverStream::new(stream)).await?.into_inner();
        let first = snapshots.message().await?;
        Ok::<_, tonic::Status>((snapshots, first))
    });
    let (mut snapshots, first) = match opened.await {
        Ok(Ok((snapshots, Some(first)))) => (snapshots, first),
        Ok(Ok((_, None))) => return Ended::Before("the gateway closed the stream".to_owned()),
        Ok(Err(status)) => return Ended::Before(told(&status)),
        Err(_) => return Ended::Before("the gateway sent nothing within 5 s".to_owned()),
    };
    info!(gateway = %url, generation = first.generation, "subscribed at this cluster's gateway");
    subscriber.shown.set(SubscriptionStatus { gateway: Some(url.clone()), last_error: String::new() });
    let mut rejected = accept(subscriber, first).await;

    let mut life = interval(REPORT_INTERVAL);
    life.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // Says at once what was made of the first peers, and then every interval.
            _ = life.tick() => {}
            changed = subscriber.applied.changed() => if changed.is_err() {
                return Ended::AfterFirst("the subscription was dropped".to_owned());
            },
            snapshot = snapshots.message() => match snapshot {
                Ok(Some(snapshot)) => rejected = accept(subscriber, snapshot).await,
                Ok(None) => return Ended::AfterFirst("the gateway closed the stream".to_owned()),
                Err(status) => return Ended::AfterFirst(told(&status)),
            },
        }
        // A slow gateway gets the next report instead.
        let _ = reports.try_send(report(subscriber, rejected.clone()));
    }
}

/// Takes a snapshot over: in force first, then on disk. An error says why it cannot be.
async fn accept(subscriber: &Subscriber, snapshot: v1::Snapshot) -> Option<String> {
    let generation = snapshot.generation;
    let known = subscriber.peers.borrow().clone();
    let zones = known.as_ref().map(|known| Arc::clone(known.zones())).unwrap_or_default();
    // Away from the threads that answer questions: zones may take a while to build.
    let read = tokio::task::spawn_blocking(move || PeerSet::from_snapshot(snapshot, &zones)).await;
    let set = match read {
        Ok(Ok(set)) => Arc::new(set),
        Err(_) => return Some(format!("generation {generation}: the node-agent is stopping")),
        Ok(Err(error)) => {
            warn!(generation, %error, "the gateway's peers cannot be used; the last ones stay in force");
            return Some(format!("generation {generation}: {error}"));
        }
    };
    if known.as_deref() == Some(&*set) {
        return None;
    }
    if let Some(known) = known.filter(|known| is_older(set.generation(), known.generation())) {
        warn!(known = %known.generation(), generation,
            "the gateway's generation is lower than the last one here; it was restored, or its state is gone");
    }
    info!(generation, peers = set.len(), zones = set.zones().len(), "peers received");
    subscriber.peers.send_replace(Some(Arc::clone(&set)));
    let store = Arc::clone(&subscriber.store);
    let saved = tokio::task::spawn_blocking(move || store.save(&set)).await;
    if let Ok(Err(error)) = saved {
        warn!(generation, %error, "the peers are in force, but a restart will not find them");
    }
    None
}

/// Whether one generation came before the other, as far as that can be told.
fn is_older(generation: Generation, known: Generation) -> bool {
    generation.is_counted() && known.is_counted() && generation < known
}

fn report(subscriber: &mut Subscriber, rejected: Option<String>) -> v1::AgentReport {
    let applied = subscriber.applied.borrow_and_update().clone();
    v1::AgentReport {
        node: subscriber.settings.node.clone(),
        applied_generation: applied.generation.0,
        error: rejected.unwrap_or(applied.error),
    }
}

fn told(status: &tonic::Status) -> String {
    format!("the gateway said {:?}: {}", status.code(), status.message())
}
