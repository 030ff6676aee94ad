//! Who is told our addresses, and what becomes of those of peers.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use strait_identity::Identity;
use strait_proto::v1;
use strait_proto::v1::peering_server::Peering;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request};

use super::file::{AddressFile, Advertised};
use super::service::MAX_STREAMS;
use super::*;
use crate::testkit::{addresses, eventually, home, peer};
use crate::{Directions, Federation, FileStore, OnExisting, PeerRecord};

async fn federation(folder: &tempfile::TempDir) -> Federation {
    Federation::open(FileStore::open(folder.path().join("peers.json")).unwrap(), home()).await.unwrap()
}

fn request(id: Option<&str>) -> Request<v1::WatchAddressesRequest> {
    let mut request = Request::new(v1::WatchAddressesRequest {});
    if let Some(id) = id {
        let identity = Identity { id: id.parse().unwrap(), not_after: i64::MAX };
        request.extensions_mut().insert(Arc::new(identity));
    }
    request
}

#[tokio::test]
async fn addresses_are_told_to_gateways_of_peers_alone() {
    let folder = tempfile::tempdir().unwrap();
    let federation = federation(&folder).await;
    federation.add(peer("cluster-b"), OnExisting::Refuse).await.unwrap();
    let asked_only = PeerRecord { directions: Directions::OutboundOnly, ..peer("cluster-c") };
    federation.add(asked_only, OnExisting::Refuse).await.unwrap();
    let own = ["10.96.0.0/16".parse().unwrap()];
    let service = PeeringService::new(federation, &own, Some("a".to_owned()), CancellationToken::new());
    // (who asks, whether it is told)
    let cases = [
        (Some("spiffe://cluster-b.example.com/gateway"), Ok(())),
        (Some("spiffe://cluster-b.example.com/node-agent/n1"), Err(Code::PermissionDenied)),
        // We ask it; it may not ask us.
        (Some("spiffe://cluster-c.example.com/gateway"), Err(Code::PermissionDenied)),
        (Some("spiffe://cluster-d.example.com/gateway"), Err(Code::PermissionDenied)),
        (Some("spiffe://cluster-a.example.com/node-agent/n1"), Err(Code::PermissionDenied)),
        (None, Err(Code::Unauthenticated)),
    ];
    for (who, expected) in cases {
        let told = service.watch_addresses(request(who)).await;
        assert_eq!(told.as_ref().map(|_| ()).map_err(|status| status.code()), expected, "{who:?}");
        if let Ok(told) = told {
            let first = told.into_inner().next().await.unwrap().unwrap();
            assert_eq!((first.ranges, &*first.cluster_id), (vec!["10.96.0.0/16".to_owned()], "a"), "{who:?}");
        }
    }
}

#[tokio::test]
async fn streams_of_one_peer_are_bounded_and_their_places_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let federation = federation(&folder).await;
    federation.add(peer("cluster-b"), OnExisting::Refuse).await.unwrap();
    federation.add(peer("cluster-c"), OnExisting::Refuse).await.unwrap();
    let service = PeeringService::new(federation, &[], None, CancellationToken::new());
    let (b, c) = (Some("spiffe://cluster-b.example.com/gateway"), Some("spiffe://cluster-c.example.com/gateway"));
    let mut streams = Vec::new();
    for _ in 0..MAX_STREAMS {
        streams.push(service.watch_addresses(request(b)).await.unwrap());
    }
    assert_eq!(service.watch_addresses(request(b)).await.unwrap_err().code(), Code::ResourceExhausted);
    // That is nothing to others.
    assert!(service.watch_addresses(request(c)).await.is_ok());
    streams.clear();
    eventually("a place is free", || async { service.watch_addresses(request(b)).await.is_ok() }).await;
}

#[tokio::test]
async fn what_was_kept_counts_as_long_as_the_peer_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let federation = federation(&folder).await;
    federation.add(peer("cluster-b"), OnExisting::Refuse).await.unwrap();
    federation.add(peer("cluster-c"), OnExisting::Refuse).await.unwrap();
    let state = folder.path().join("peers.json");
    let file = AddressFile::new(&folder.path().join("peers.json.addresses"));
    let advertised = |trust_domain: &str, range: &str| Advertised {
        trust_domain: trust_domain.parse().unwrap(),
        ranges: Arc::from([range.parse().unwrap()]),
    };
    let kept = BTreeMap::from([
        ("cluster-b".parse().unwrap(), advertised("cluster-b.example.com", "10.96.0.0/16")),
        // That was another cluster of this name.
        ("cluster-c".parse().unwrap(), advertised("elsewhere.example.com", "10.97.0.0/16")),
        ("cluster-d".parse().unwrap(), advertised("cluster-d.example.com", "10.98.0.0/16")),
    ]);
    file.save(&kept).unwrap();

    let addresses = addresses(&federation, &["10.10.0.0/16"], &state);
    let snapshots = addresses.snapshots();
    let told = || {
        let set = snapshots.borrow().clone();
        set.addresses().iter().map(|(range, owners)| (range.to_string(), owners.clone())).collect::<Vec<_>>()
    };
    let own = ("10.10.0.0/16".to_owned(), Owners::Own);
    let its = ("10.96.0.0/16".to_owned(), Owners::Peer("cluster-b".parse().unwrap()));
    // What is told first is whole.
    assert_eq!(told(), [own.clone(), its]);
    assert_eq!(addresses.report("cluster-b").unwrap().accepted, ["10.96.0.0/16"]);
    assert_eq!(addresses.report("cluster-c"), None);

    federation.remove("cluster-b").await.unwrap();
    eventually("its addresses are gone", || async { told() == [own.clone()] }).await;
    eventually("and kept no more", || async { file.load().unwrap().is_empty() }).await;
}

#[test]
fn what_agents_are_told_reads_back_the_same() {
    let owners = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<_>>();
    let map = AddressMap::new([
        ("10.10.0.0/16".parse().unwrap(), Owners::Own),
        ("10.96.0.0/16".parse().unwrap(), Owners::Disputed(owners(&["b", "c"]))),
        ("10.96.0.0/12".parse().unwrap(), Owners::Peer("b".parse().unwrap())),
    ]);
    let told: Vec<v1::AddressRange> = (&map).into();
    assert_eq!(AddressMap::try_from(told).unwrap(), map);
    let entry = |range: &str, owner: &str| v1::AddressRange { range: range.to_owned(), owners: vec![owner.to_owned()] };
    for bad in [entry("10.0.0.0/33", "b"), entry("0.0.0.0/0", "b"), entry("10.0.0.0/8", "B b")] {
        assert!(AddressMap::try_from(vec![bad.clone()]).is_err(), "{bad:?}");
    }
    let many = vec![entry("10.0.0.0/8", "b"); map::MAX_ENTRIES + 1];
    assert!(AddressMap::try_from(many).is_err());
}
