//! Who may connect: the trust store and the TLS configuration, made anew on every change of peers.

use std::sync::Arc;

use strait_config::OwnIdentity;
use strait_federation::{Federation, InboundBook};
use strait_identity::{ServerTls, TrustStore, server_config};
use strait_link::PeerLinks;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The trust in force.
pub(crate) struct Trust {
    /// For the next handshake.
    pub(crate) tls: Arc<ServerTls>,
    /// For live connections: those it no longer vouches for are cut.
    pub(crate) store: watch::Receiver<Arc<TrustStore>>,
}

/// Follows the federation's peers until `stop`: links to them, what they may ask, and whom to believe.
pub(crate) fn follow(
    federation: &Federation,
    identity: OwnIdentity,
    links: Arc<PeerLinks>,
    book: Arc<InboundBook>,
    stop: CancellationToken,
) -> Trust {
    let mut sets = federation.subscribe();
    let first = Arc::clone(&sets.borrow_and_update());
    let store = Arc::new(first.inbound_trust(&identity.trust_bundle));
    let tls = Arc::new(ServerTls::new(server_config(&identity.credentials, Arc::clone(&store))));
    let (sender, receiver) = watch::channel(store);
    book.apply(&first);
    links.apply(first.outbound().map(|peer| peer.link_target()));

    let trust = Trust { tls: Arc::clone(&tls), store: receiver };
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        while sets.changed().await.is_ok() {
            let set = Arc::clone(&sets.borrow_and_update());
            let store = Arc::new(set.inbound_trust(&identity.trust_bundle));
            // A fresh configuration has no session of the old trust to resume; the live connections
            // of a removed peer are cut by the listeners when the store changes.
            tls.replace(server_config(&identity.credentials, Arc::clone(&store)));
            book.apply(&set);
            sender.send_replace(store);
            links.apply(set.outbound().map(|peer| peer.link_target()));
        }
    }));
    trust
}
