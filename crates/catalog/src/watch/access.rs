//! The way to an API server: where it is, who asks, and connections that are found dead.
//!
//! The client's own stack of layers is not used: it logs every failure as an error, and asks again by itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::ConfigExt;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError, NamedCluster};
use kube::{Client, Config};
use tower::{BoxError, ServiceBuilder};

use super::fault::{WatchFault, root_of};

/// How long a connection may take to be made: less than the time within which answers are current again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection on which nothing comes for so long is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// How often, and how many times it may leave that open.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_TRIES: u32 = 3;

/// How the API server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiAccess {
    /// As a pod of the cluster: by its service account.
    InCluster,
    /// As a kubeconfig says.
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The context; the current one when none is named.
        context: Option<String>,
    },
}

impl ApiAccess {
    /// A client with no connections. What there is to know is read for each, as tokens and certificates are replaced.
    pub(crate) async fn client(&self) -> Result<Client, WatchFault> {
        let config = match self {
            Self::InCluster => Config::incluster().map_err(|error| WatchFault::Access(root_of(&error)))?,
            Self::Kubeconfig { path, context } => from_kubeconfig(path, context.clone()).await?,
        };
        connect(config).map_err(|error| WatchFault::Access(root_of(&error)))
    }
}

async fn from_kubeconfig(path: &Path, context: Option<String>) -> Result<Config, WatchFault> {
    let unusable = |why: String| WatchFault::Access(format!("{}: {why}", path.display()));
    let failed = |error: KubeconfigError| unusable(root_of(&error));
    let file = path.to_owned();
    let read = tokio::task::spawn_blocking(move || Kubeconfig::read_from(file)).await;
    let read = read.map_err(|error| unusable(root_of(&error)))?.map_err(failed)?;
    let has_proxy = |named: &NamedCluster| named.cluster.as_ref().is_some_and(|cluster| cluster.proxy_url.is_some());
    if read.clusters.iter().any(has_proxy) {
        return Err(unusable("proxy-url is not supported; name the API server itself".to_owned()));
    }
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(read, &options).await.map_err(failed)
}

fn connect(config: Config) -> kube::Result<Client> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE_EVERY));
    tcp.set_keepalive_retries(Some(KEEPALIVE_TRIES));
    let tls = config.rustls_https_connector_with_connector(tcp)?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(tls));
    Ok(Client::new(service, config.default_namespace))
}
