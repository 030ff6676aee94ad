//! The admin socket of a gateway or a node-agent: a Unix socket that is its owner's alone from its first moment.
//!
//! It is made in a folder that nobody else can enter, given mode 0600 there, and then renamed into
//! place; so there is no moment at which another user could connect.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use strait_durable::{folder_of, make_folder};
use strait_proto::v1::admin_client::AdminClient;
use strait_proto::v1::cache_client::CacheClient;
use strait_proto::v1::probe_client::ProbeClient;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Server};
use tracing::{info, warn};

/// The longest path of a Unix socket, in octets, without the final zero (unix(7)).
const MAX_PATH: usize = 107;

/// Why the admin socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another daemon answers there.
    #[error("a daemon answers on {} already; stop it, or give this one its own `socket`", .0.display())]
    InUse(PathBuf),
    /// Something else is there.
    #[error("{} exists and is not a socket; remove it, or give the daemon another `socket`", .0.display())]
    NotASocket(PathBuf),
    /// The path does not fit.
    #[error("the path {} is too long for a Unix socket: at most {} octets, with room for a temporary name; use a shorter `socket`", .0.display(), MAX_PATH)]
    TooLong(PathBuf),
    /// The system says no.
    #[error("cannot make the admin socket {}: {source}; its folder must be one that this user can write to, or can make", .path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Why there is no connection to an admin socket.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no socket.
    #[error("there is no socket {}; is the gateway (or node-agent) running? Name its socket with --socket (the `socket` of its configuration)", .0.display())]
    Missing(PathBuf),
    /// Something else is there.
    #[error("{} is not a socket; name the admin socket of the gateway (or node-agent) with --socket (the `socket` of its configuration)", .0.display())]
    NotASocket(PathBuf),
    /// Nobody answers.
    #[error("nobody answers on {}: the daemon that made it is gone; start it", .0.display())]
    Stale(PathBuf),
    /// Not for this user.
    #[error("no permission for {}: the socket is for the user the daemon runs as; become that user (sudo -u ..., or kubectl exec into its container)", .0.display())]
    Permission(PathBuf),
    /// Anything else.
    #[error("cannot connect to {}: {reason}; is it the admin socket of a gateway or node-agent?", .path.display())]
    Failed {
        /// The socket.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The admin socket, bound but not yet served. Its file goes when this does.
#[derive(Debug)]
pub struct AdminSocket {
    listener: Arc<UnixListener>,
    file: SocketFile,
}

impl AdminSocket {
    /// Makes the socket, mode 0600. One that a dead daemon has left is replaced; one that somebody
    /// answers on is an error.
    pub async fn bind(path: &Path) -> Result<Self, SocketError> {
        let system = |source| SocketError::System { path: path.to_owned(), source };
        if let Ok(there) = std::fs::symlink_metadata(path) {
            if !there.file_type().is_socket() {
                return Err(SocketError::NotASocket(path.to_owned()));
            }
            if UnixStream::connect(path).await.is_ok() {
                return Err(SocketError::InUse(path.to_owned()));
            }
        }
        let folder = PrivateFolder::create(path).map_err(system)?;
        let temporary = folder.0.join("s");
        if path.as_os_str().len().max(temporary.as_os_str().len()) > MAX_PATH {
            return Err(SocketError::TooLong(path.to_owned()));
        }
        let listener = UnixListener::bind(&temporary).map_err(system)?;
        std::fs::set_permissions(&temporary, Permissions::from_mode(0o600)).map_err(system)?;
        std::fs::rename(&temporary, path).map_err(system)?;
        let file = SocketFile::at(path).map_err(system)?;
        Ok(Self { listener: Arc::new(listener), file })
    }

    /// Serves until `stop`, lets calls in work finish, and removes the socket.
    pub async fn serve(self, services: Routes, stop: CancellationToken) {
        info!(socket = %self.file.path.display(), "admin socket ready");
        self.serve_on(services, &stop).await;
    }

    /// Serves these until `done` has its outcome, which is the caller's then, and the socket still there.
    pub async fn serve_while<T>(&self, services: Routes, done: impl Future<Output = T>) -> T {
        let stop = CancellationToken::new();
        let finish = async {
            let outcome = done.await;
            stop.cancel();
            outcome
        };
        tokio::join!(self.serve_on(services, &stop), finish).1
    }

    async fn serve_on(&self, services: Routes, stop: &CancellationToken) {
        let connections = futures_util::stream::unfold(Arc::clone(&self.listener), |listener| async move {
            Some((listener.accept().await.map(|(stream, _)| stream), listener))
        });
        let served =
            Server::builder().add_routes(services).serve_with_incoming_shutdown(connections, stop.cancelled()).await;
        if let Err(error) = served {
            warn!(
                error = strait_link::chain(&error),
                "the admin socket is closed; gatewayctl cannot reach this daemon"
            );
        }
    }
}

/// A folder beside the socket that only this user can enter; gone when dropped.
struct PrivateFolder(PathBuf);

impl PrivateFolder {
    fn create(socket: &Path) -> io::Result<Self> {
        make_folder(socket)?;
        let folder = Self(folder_of(socket).join(format!(".strait-{}", std::process::id())));
        // In a container every daemon has the same process id: clear what a killed one has left.
        folder.clear();
        DirBuilder::new().mode(0o700).create(&folder.0)?;
        Ok(folder)
    }

    fn clear(&self) {
        let _ = std::fs::remove_file(self.0.join("s"));
        let _ = std::fs::remove_dir(&self.0);
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The socket's file, removed when dropped if it is still ours.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), inode: inode(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|inode| inode == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Connects to a gateway's admin socket.
pub async fn connect_admin(path: &Path) -> Result<AdminClient<Channel>, ConnectError> {
    connect(path).await.map(AdminClient::new)
}

/// Connects to the admin socket of a gateway or a node-agent, for its answer cache.
pub async fn connect_cache(path: &Path) -> Result<CacheClient<Channel>, ConnectError> {
    connect(path).await.map(CacheClient::new)
}

/// Connects to the admin socket of a gateway or a node-agent, for its readiness.
pub async fn connect_probe(path: &Path) -> Result<ProbeClient<Channel>, ConnectError> {
    connect(path).await.map(ProbeClient::new)
}

async fn connect(path: &Path) -> Result<Channel, ConnectError> {
    // Once by hand: the system's own error says best what is wrong.
    UnixStream::connect(path).await.map_err(|error| explain(path, &error))?;
    let target = path.to_owned();
    let connector = tower::service_fn(move |_: http::Uri| {
        let target = target.clone();
        async move { Ok::<_, io::Error>(TokioIo::new(UnixStream::connect(target).await?)) }
    });
    // The connector knows where to go; the URI only fills the :authority of requests.
    let channel = Endpoint::from_static("http://gateway.strait").connect_with_connector(connector).await;
    channel.map_err(|error| ConnectError::Failed { path: path.to_owned(), reason: strait_link::chain(&error) })
}

fn explain(path: &Path, error: &io::Error) -> ConnectError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => ConnectError::Missing(path),
        // The system says the same of a file that is no socket.
        io::ErrorKind::ConnectionRefused if !is_socket(&path) => ConnectError::NotASocket(path),
        io::ErrorKind::ConnectionRefused => ConnectError::Stale(path),
        io::ErrorKind::PermissionDenied => ConnectError::Permission(path),
        _ => ConnectError::Failed { path, reason: error.to_string() },
    }
}

fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.file_type().is_socket())
}

#[cfg(test)]
mod tests;
