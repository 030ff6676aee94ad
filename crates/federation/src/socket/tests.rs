#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use prometheus::Registry;
use strait_proto::v1;

use super::*;
use crate::testkit::{addresses, home};
use crate::{
    AdminBackend, AdminService, AdminSettings, AgentBook, Federation, FileStore, InboundBook, QueryFailure,
    QueryOutcome,
};

struct NoLinks;

impl AdminBackend for NoLinks {
    fn outbound(&self, _: &str) -> Option<strait_link::PeerStatus> {
        None
    }

    fn query<'a>(
        &'a self,
        _: bytes::Bytes,
        peer: Option<&'a str>,
    ) -> strait_resolve::BoxFuture<'a, Result<QueryOutcome, QueryFailure>> {
        let unknown = QueryFailure::UnknownPeer(peer.unwrap_or_default().to_owned());
        Box::pin(async move { Err(unknown) })
    }
}

async fn service(folder: &Path) -> AdminService {
    let registry = Registry::new();
    let federation = Federation::open(FileStore::open(folder.join("peers.json")).unwrap(), home()).await.unwrap();
    AdminService::new(AdminSettings {
        version: "0.0.0".to_owned(),
        cluster: "a".to_owned(),
        addresses: addresses(&federation, &[], &folder.join("peers.json")),
        federation,
        inbound: InboundBook::new(&registry).unwrap(),
        agents: AgentBook::new(&registry).unwrap(),
        backend: Arc::new(NoLinks),
    })
}

#[tokio::test]
async fn the_socket_is_its_owners_alone_serves_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.sock");
    let socket = AdminSocket::bind(&path).await.unwrap();
    assert_eq!(std::fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["gateway.sock"], "nothing else is left in the folder");
    let stop = CancellationToken::new();
    let serving = tokio::spawn(socket.serve(Routes::new(service(folder.path()).await.into_server()), stop.clone()));
    let mut client = connect_admin(&path).await.unwrap();
    assert_eq!(client.status(v1::StatusRequest {}).await.unwrap().into_inner().cluster, "a");
    drop(client);
    stop.cancel();
    serving.await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_is_replaced_only_when_nobody_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.sock");
    let alive = AdminSocket::bind(&path).await.unwrap();
    let error = AdminSocket::bind(&path).await.unwrap_err().to_string();
    let expected = "stop it, or give this one its own `socket`";
    assert_eq!(error, format!("a daemon answers on {} already; {expected}", path.display()));
    drop(alive);
    // A killed gateway's socket: the file without anyone behind it.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    AdminSocket::bind(&path).await.unwrap();
}

#[tokio::test]
async fn what_a_killed_gateway_left_does_not_stop_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join(format!(".strait-{}", std::process::id()));
    std::fs::create_dir(&left).unwrap();
    drop(std::os::unix::net::UnixListener::bind(left.join("s")).unwrap());
    AdminSocket::bind(&folder.path().join("gateway.sock")).await.unwrap();
}

#[tokio::test]
async fn a_place_that_cannot_be_a_socket_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    let error = AdminSocket::bind(&file).await.unwrap_err().to_string();
    let expected = "exists and is not a socket; remove it, or give the daemon another `socket`";
    assert_eq!(error, format!("{} {expected}", file.display()));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");

    let missing = folder.path().join("missing/too/gateway.sock");
    let error = AdminSocket::bind(&missing).await.unwrap_err().to_string();
    let expected =
        "No such file or directory (os error 2); its folder must be one that this user can write to, or can make";
    assert_eq!(error, format!("cannot make the admin socket {}: {expected}", missing.display()));

    let long = folder.path().join("x".repeat(120));
    let error = AdminSocket::bind(&long).await.unwrap_err();
    assert!(matches!(error, SocketError::TooLong(path) if path == long));
}

#[tokio::test]
async fn a_connection_that_fails_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.sock");
    let error = connect_admin(&path).await.unwrap_err().to_string();
    let expected =
        "is the gateway (or node-agent) running? Name its socket with --socket (the `socket` of its configuration)";
    assert_eq!(error, format!("there is no socket {}; {expected}", path.display()));
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let error = connect_admin(&path).await.unwrap_err().to_string();
    let expected = "the daemon that made it is gone; start it";
    assert_eq!(error, format!("nobody answers on {}: {expected}", path.display()));
    // The system says "refused" of a file that is no socket too; no gateway has made it.
    let file = folder.path().join("gateway.yaml");
    std::fs::write(&file, "").unwrap();
    let error = connect_admin(&file).await.unwrap_err().to_string();
    let expected = "is not a socket; name the admin socket of the gateway (or node-agent) with --socket (the `socket` of its configuration)";
    assert_eq!(error, format!("{} {expected}", file.display()));
    // The tests may run as root, who is refused nothing.
    let refused = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    assert!(explain(&path, &refused).to_string().starts_with("no permission for "));
}
