//! What tests want of an API server, be it ours ([`KubeApi`]) or a real one ([`RealApi`]).
//!
//! A test of what follows from objects takes a [`StartApi`] and runs over both, by `over_each_api_server!`.
//! Without `KUBEBUILDER_ASSETS` those over a real one are ignored, and the harness says so.

use serde_json::{Value, json};

use crate::{ApiWeather, Collection, KubeApi, RealApi, Role, Seen};

/// How a test begins with an API server that has no objects of its own.
pub type StartApi = fn() -> Box<dyn ApiServer>;

/// An API server. Dropped, it is gone.
pub trait ApiServer: Send + Sync {
    /// Where it listens.
    fn url(&self) -> String;

    /// A kubeconfig that leads there, with what proves to be `who`.
    fn kubeconfig(&self, who: &str) -> String;

    /// Serves a collection from now on, as when its resource definition has been installed.
    fn serve(&self, collection: Collection);

    /// Serves it no more; its objects are gone.
    fn withdraw(&self, collection: Collection);

    /// Puts an object there, in place of what was there. An empty namespace is for those without one.
    fn apply(&self, collection: &Collection, namespace: &str, name: &str, object: Value) -> Value;

    /// Puts many there, at once where that can be.
    fn apply_all(&self, objects: Vec<(Collection, String, String, Value)>) {
        for (collection, namespace, name, object) in objects {
            self.apply(&collection, &namespace, &name, object);
        }
    }

    /// Takes an object away, which must be there.
    fn delete(&self, collection: &Collection, namespace: &str, name: &str);

    /// The object as it is now.
    fn get(&self, collection: &Collection, namespace: &str, name: &str) -> Option<Value>;

    /// Names of the objects of a collection.
    fn names(&self, collection: &Collection) -> Vec<String>;

    /// Changes the weather, also for connections that stand.
    fn set(&self, weather: ApiWeather);

    /// Forgets its history: whoever asks to watch from what was is answered 410.
    fn forget_history(&self);

    /// Ends the watches that stand.
    fn cut_watches(&self);

    /// From now on each of these may do what its role says, and whoever else had a kubeconfig is not known any more.
    fn allow_only(&self, roles: Vec<(&'static str, Role)>);

    /// What those with kubeconfigs have asked of it so far.
    fn seen(&self) -> Vec<Seen>;
}

/// The fake one.
pub fn ours() -> Box<dyn ApiServer> {
    Box::new(KubeApi::start())
}

/// A real one.
pub fn a_real_one() -> Box<dyn ApiServer> {
    Box::new(RealApi::start())
}

/// Tests that take a [`StartApi`], over each kind of API server.
#[macro_export]
macro_rules! over_each_api_server {
    (async $($name:ident),* $(,)?) => {
        mod over_ours {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::api_server::ours).await;
            })*
        }

        mod over_a_real_one {
            $(#[tokio::test]
            #[ignore = "needs KUBEBUILDER_ASSETS"]
            async fn $name() {
                super::$name($crate::api_server::a_real_one).await;
            })*
        }
    };
    ($($name:ident),* $(,)?) => {
        mod over_ours {
            $(#[test]
            fn $name() {
                super::$name($crate::api_server::ours);
            })*
        }

        mod over_a_real_one {
            $(#[test]
            #[ignore = "needs KUBEBUILDER_ASSETS"]
            fn $name() {
                super::$name($crate::api_server::a_real_one);
            })*
        }
    };
}

impl ApiServer for KubeApi {
    fn url(&self) -> String {
        Self::url(self)
    }

    fn kubeconfig(&self, who: &str) -> String {
        Self::kubeconfig(self, who)
    }

    fn serve(&self, collection: Collection) {
        Self::serve(self, collection);
    }

    fn withdraw(&self, collection: Collection) {
        Self::withdraw(self, collection);
    }

    fn apply(&self, collection: &Collection, namespace: &str, name: &str, object: Value) -> Value {
        Self::apply(self, collection, namespace, name, object)
    }

    fn apply_all(&self, objects: Vec<(Collection, String, String, Value)>) {
        Self::apply_all(self, objects);
    }

    #[track_caller]
    fn delete(&self, collection: &Collection, namespace: &str, name: &str) {
        Self::delete(self, collection, namespace, name);
    }

    fn get(&self, collection: &Collection, namespace: &str, name: &str) -> Option<Value> {
        Self::get(self, collection, namespace, name)
    }

    fn names(&self, collection: &Collection) -> Vec<String> {
        Self::names(self, collection)
    }

    fn set(&self, weather: ApiWeather) {
        Self::set(self, weather);
    }

    fn forget_history(&self) {
        Self::forget_history(self);
    }

    fn cut_watches(&self) {
        Self::cut_watches(self);
    }

    fn allow_only(&self, roles: Vec<(&'static str, Role)>) {
        Self::allow_only(self, roles);
    }

    fn seen(&self) -> Vec<Seen> {
        Self::seen(self)
    }
}

/// A kubeconfig with one context, `test`, whose namespace is `strait-system`.
pub fn kubeconfig(cluster: &Value, user: &Value) -> String {
    let context = json!({ "cluster": "test", "user": "test", "namespace": "strait-system" });
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{ "name": "test", "cluster": cluster }],
        "users": [{ "name": "test", "user": user }],
        "contexts": [{ "name": "test", "context": context }],
    })
    .to_string()
}
