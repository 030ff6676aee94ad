//! How long a peer's connection may last: while its certificate is believed and runs.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::CertificateDer;
use strait_identity::{Identity, TrustStore};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::metrics::Closed;

/// The clock is read at least this often, for it may be set while a connection lasts.
const CLOCK_CHECK: Duration = Duration::from_secs(60);

/// Resolves when the connection must end at once, whatever it is doing, and says why.
///
/// TLS judges a certificate once; a connection may outlive the trust it was made under, so every change
/// of trust judges it again: a peer removed, or its CA replaced.
pub(crate) async fn over(
    identity: Arc<Identity>,
    certificates: Vec<CertificateDer<'static>>,
    mut trust: watch::Receiver<Arc<TrustStore>>,
    abort: CancellationToken,
) -> Closed {
    tokio::select! {
        () = trust_removed(&certificates, &mut trust) => Closed::TrustRemoved,
        () = expired(identity.not_after) => Closed::CertificateExpired,
        () = abort.cancelled() => Closed::Drained,
    }
}

async fn trust_removed(certificates: &[CertificateDer<'_>], trust: &mut watch::Receiver<Arc<TrustStore>>) {
    if trust.wait_for(|store| store.still_believes(certificates).is_err()).await.is_err() {
        // Nobody is left to change the trust: what is in force stays so.
        std::future::pending::<()>().await;
    }
}

async fn expired(not_after: i64) {
    loop {
        let left = remaining(not_after, SystemTime::now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(CLOCK_CHECK)).await;
    }
}

/// From `now` until after the second that a certificate names as its last.
fn remaining(not_after: i64, now: SystemTime) -> Duration {
    let end = u64::try_from(not_after).map_or(Duration::ZERO, |s| Duration::from_secs(s.saturating_add(1)));
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    end.saturating_sub(now)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rustls_pki_types::pem::PemObject;
    use strait_identity::{CertificateAuthority, LeafRequest};

    use super::*;
    use crate::testkit::{authority, bundle, bundle_of, eventually, soon};

    fn identity(not_after: i64) -> Arc<Identity> {
        Arc::new(Identity { id: "spiffe://cluster-a.example.com/gateway".parse().unwrap(), not_after })
    }

    fn certificates(authority: &CertificateAuthority) -> Vec<CertificateDer<'static>> {
        let id = "spiffe://cluster-a.example.com/gateway".parse().unwrap();
        let lifetime = Duration::from_secs(3600);
        let issued = authority.issue(&LeafRequest { id, dns_names: vec![], addresses: vec![], lifetime }).unwrap();
        vec![CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap()]
    }

    fn in_seconds(seconds: i64) -> i64 {
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap() + seconds
    }

    #[tokio::test]
    async fn ends_when_the_trust_domain_goes_and_not_when_another_does() {
        let a = authority("cluster-a.example.com");
        let (sender, trust) =
            watch::channel(Arc::new(TrustStore::new([bundle(&a), bundle_of("cluster-b.example.com")])));
        let over = tokio::spawn(over(identity(in_seconds(3600)), certificates(&a), trust, CancellationToken::new()));
        sender.send_replace(Arc::new(TrustStore::new([bundle(&a)])));
        tokio::task::yield_now().await;
        assert!(!over.is_finished());
        sender.send_replace(Arc::default());
        assert_eq!(soon(over).await.unwrap(), Closed::TrustRemoved);
    }

    /// As after a CA's key was lost: the trust domain stays, its old CA goes.
    #[tokio::test]
    async fn ends_when_the_ca_is_replaced_and_not_while_both_are_believed() {
        let (old, new) = (authority("cluster-a.example.com"), authority("cluster-a.example.com"));
        let (sender, trust) = watch::channel(Arc::new(TrustStore::new([bundle(&old)])));
        let over = tokio::spawn(over(identity(in_seconds(3600)), certificates(&old), trust, CancellationToken::new()));
        sender.send_replace(Arc::new(TrustStore::new([bundle(&old), bundle(&new)])));
        tokio::task::yield_now().await;
        assert!(!over.is_finished());
        sender.send_replace(Arc::new(TrustStore::new([bundle(&new)])));
        assert_eq!(soon(over).await.unwrap(), Closed::TrustRemoved);
    }

    #[tokio::test]
    async fn stays_when_nobody_can_change_the_trust_any_more() {
        let a = authority("cluster-a.example.com");
        let (sender, trust) = watch::channel(Arc::new(TrustStore::new([bundle(&a)])));
        let abort = CancellationToken::new();
        let over = tokio::spawn(over(identity(in_seconds(3600)), certificates(&a), trust, abort.clone()));
        drop(sender);
        tokio::task::yield_now().await;
        assert!(!over.is_finished());
        abort.cancel();
        assert_eq!(soon(over).await.unwrap(), Closed::Drained);
    }

    #[tokio::test]
    async fn ends_with_the_certificate() {
        let a = authority("cluster-a.example.com");
        let (_sender, trust) = watch::channel(Arc::new(TrustStore::new([bundle(&a)])));
        let over = tokio::spawn(over(identity(in_seconds(1)), certificates(&a), trust, CancellationToken::new()));
        eventually(|| over.is_finished()).await;
        assert_eq!(over.await.unwrap(), Closed::CertificateExpired);
    }

    #[test]
    fn the_last_second_counts() {
        let at = |s| UNIX_EPOCH + Duration::from_secs(s);
        assert_eq!(remaining(100, at(98)), Duration::from_secs(3));
        assert_eq!(remaining(100, at(101)), Duration::ZERO);
        assert_eq!(remaining(-1, at(0)), Duration::ZERO);
        // Certificates without an end (RFC 5280 4.1.2.5) last as long as a clock can tell.
        assert!(remaining(i64::MAX, at(0)) > Duration::from_secs(1 << 40));
    }
}
