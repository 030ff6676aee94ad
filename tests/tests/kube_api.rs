//! The fake API server itself: what the tests of whatever speaks to one rely on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use strait_tests::{ApiWeather, Collection, KubeApi, Role, patience};

/// A connection to the server.
struct Http(BufReader<TcpStream>);

impl Http {
    fn to(api: &KubeApi) -> Self {
        let stream = TcpStream::connect(api.url().trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        Self(BufReader::new(stream))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Sends a request; the status and the headers of the reply.
    fn send(&mut self, method: &str, path: &str, token: &str, body: &str) -> (u16, Vec<String>) {
        let head = format!("{method} {path} HTTP/1.1\r\nauthorization: Bearer {token}\r\n");
        let all = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        self.0.get_mut().write_all(all.as_bytes()).unwrap();
        let status = self.line().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = std::iter::from_fn(|| Some(self.line()).filter(|line| !line.is_empty())).collect();
        (status, headers)
    }

    /// A whole reply.
    fn ask(&mut self, method: &str, path: &str, token: &str, body: &str) -> (u16, Value) {
        let (status, headers) = self.send(method, path, token, body);
        let length = headers.iter().find_map(|header| header.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn get(&mut self, path: &str) -> (u16, Value) {
        self.ask("GET", path, "", "")
    }

    /// The next event of a watch that is no bookmark; none at its end.
    fn event(&mut self) -> Option<Value> {
        loop {
            let length = usize::from_str_radix(&self.line(), 16).unwrap();
            let mut chunk = vec![0; length + 2];
            self.0.read_exact(&mut chunk).unwrap();
            if length == 0 {
                return None;
            }
            let event: Value = serde_json::from_slice(&chunk[..length]).unwrap();
            if event["type"] != "BOOKMARK" {
                return Some(event);
            }
        }
    }
}

fn services() -> Collection {
    Collection::core("services")
}

#[test]
fn lists_come_in_pages_and_are_of_one_moment() {
    let api = KubeApi::start();
    for name in ["a", "b", "c"] {
        api.apply(&services(), "shop", name, json!({ "spec": {} }));
    }
    let mut http = Http::to(&api);
    let (status, first) = http.get("/api/v1/services?limit=2");
    assert_eq!((status, first["items"].as_array().unwrap().len()), (200, 2));
    api.delete(&services(), "shop", "c");
    let next = format!("/api/v1/services?limit=2&continue={}", first["metadata"]["continue"].as_str().unwrap());
    // Twice, as after a reply that got lost.
    for _ in 0..2 {
        let (_, second) = http.get(&next);
        assert_eq!(second["items"][0]["metadata"]["name"], "c");
        assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
        assert!(second["metadata"]["continue"].is_null());
    }
}

#[test]
fn a_watch_goes_on_from_a_version_until_its_history_is_forgotten() {
    let api = KubeApi::start();
    let version = api.apply(&services(), "shop", "a", json!({}))["metadata"]["resourceVersion"].clone();
    let path = format!("/api/v1/services?watch=true&resourceVersion={}", version.as_str().unwrap());
    api.apply(&services(), "shop", "a", json!({ "spec": { "clusterIP": "10.0.0.1" } }));
    let mut http = Http::to(&api);
    assert_eq!(http.send("GET", &path, "", "").0, 200);
    assert_eq!(http.event().unwrap()["type"], "MODIFIED");
    api.delete(&services(), "shop", "a");
    assert_eq!(http.event().unwrap()["type"], "DELETED");
    api.cut_watches();
    assert_eq!(http.event(), None);
    api.forget_history();
    assert_eq!(http.send("GET", &path, "", "").0, 200);
    assert_eq!(http.event().unwrap()["object"]["code"], 410);
}

#[test]
fn a_token_may_do_what_its_role_says() {
    let api = KubeApi::start();
    api.allow_only([("t", Role(vec![("list", "services".to_owned())]))]);
    let mut http = Http::to(&api);
    assert_eq!(http.ask("GET", "/api/v1/services", "t", "").0, 200);
    assert_eq!(http.ask("GET", "/api/v1/pods", "t", "").0, 403);
    assert_eq!(http.ask("POST", "/api/v1/namespaces/shop/services", "t", "{}").0, 403);
    assert_eq!(http.ask("GET", "/api/v1/services", "another", "").0, 401);
    let seen: Vec<_> = api.seen().into_iter().map(|seen| (seen.verb, seen.status)).collect();
    assert_eq!(seen, [("list", 200), ("list", 403), ("create", 403), ("list", 401)]);
}

#[test]
fn objects_are_written_under_the_version_that_was_read() {
    let api = KubeApi::start();
    let mut http = Http::to(&api);
    let path = "/api/v1/namespaces/shop/services";
    let object = json!({ "metadata": { "name": "a" }, "spec": { "x": 1 } }).to_string();
    let (status, created) = http.ask("POST", path, "", &object);
    assert_eq!((status, &created["metadata"]["generation"]), (201, &json!(1)));
    assert_eq!(http.ask("POST", path, "", &object).0, 409);
    let one = format!("{path}/a");
    let (_, patched) = http.ask("PATCH", &one, "", r#"{"spec":{"x":2}}"#);
    assert_eq!(patched["metadata"]["generation"], 2);
    // What was read before the patch is too old.
    assert_eq!(http.ask("PUT", &one, "", &created.to_string()).0, 409);
    assert_eq!(http.ask("PUT", &one, "", &patched.to_string()).0, 200);
    // The status has a door of its own.
    let mut both = http.get(&one).1;
    both["status"] = json!({ "ready": true });
    both["spec"] = json!({ "x": 3 });
    let (_, after) = http.ask("PUT", &format!("{one}/status"), "", &both.to_string());
    assert_eq!((&after["spec"]["x"], &after["status"]["ready"]), (&json!(2), &json!(true)));
    assert_eq!(http.ask("DELETE", &one, "", "").0, 200);
    assert_eq!(http.get(&one).0, 404);
}

#[test]
fn what_is_not_served_is_not_found_and_a_server_that_is_gone_says_nothing() {
    let api = KubeApi::start();
    let exports = Collection::new("multicluster.x-k8s.io", "v1alpha1", "serviceexports");
    let path = "/apis/multicluster.x-k8s.io/v1alpha1/serviceexports";
    let mut http = Http::to(&api);
    assert_eq!(http.get(path).0, 404);
    api.serve(exports.clone());
    assert_eq!(http.get(path).0, 200);
    api.withdraw(exports);
    assert_eq!(http.get(path).0, 404);
    api.set(ApiWeather::Gone);
    assert_eq!(http.line(), "");
    assert_eq!(Http::to(&api).line(), "");
    api.set(ApiWeather::Fair);
    assert_eq!(Http::to(&api).get("/version").0, 200);
}
