//! A Kubernetes API server with a large cluster in it, whose endpoints change as often as a part wants: lists in pages,
//! watches, nothing else. What it says is put together beforehand, so that it costs little beside what reads it.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How often a watch is told how far it is.
const BOOKMARKS: Duration = Duration::from_secs(5);

/// The cluster: how much there is of everything.
pub(crate) const SERVICES: usize = 10_000;
pub(crate) const NAMESPACES: usize = 100;
pub(crate) const ENDPOINTS: usize = 10;

/// The server. It lives as long as the process.
pub(crate) struct KubeApi {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    namespaces: Vec<String>,
    services: Vec<String>,
    slices: Mutex<Slices>,
    version: AtomicU64,
    first_octet: Mutex<Option<Instant>>,
}

/// The endpoints as they are now, and who watches them.
struct Slices {
    objects: Vec<String>,
    watches: Vec<TcpStream>,
}

impl KubeApi {
    /// A server with that cluster.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let namespace = |number: usize| object(json!({ "name": format!("n{number}") }), "Namespace", &json!({}));
        let slices = Slices { objects: (0..SERVICES).map(|number| slice(number, 0, 1)).collect(), watches: Vec::new() };
        let shared = Arc::new(Shared {
            namespaces: (0..NAMESPACES).map(namespace).collect(),
            services: (0..SERVICES).map(service).collect(),
            slices: Mutex::new(slices),
            version: AtomicU64::new(1),
            first_octet: Mutex::default(),
        });
        let api = Self { address: listener.local_addr()?, shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A client that has gone ends its thread.
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        let shared = Arc::clone(&api.shared);
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(BOOKMARKS);
                shared.slices().tell(&shared.bookmark());
            }
        });
        Ok(api)
    }

    /// The name of a service below `svc`.
    pub(crate) fn name(number: usize) -> String {
        format!("s{number}.n{}", number % NAMESPACES)
    }

    /// A service without an address of its own, so that its endpoints are its addresses; every tenth is such a one.
    pub(crate) fn is_headless(number: usize) -> bool {
        number.is_multiple_of(10)
    }

    /// The address of the first endpoint of a service in its `state`.
    pub(crate) fn endpoint(number: usize, state: u32) -> Ipv4Addr {
        Ipv4Addr::from(0x0a80_0000 | (number as u32 * 61 + state * 7_919) & 0x7f_ffff)
    }

    /// Puts the endpoints of a service into another state, and tells whoever watches. Waits while they do not read.
    pub(crate) fn change(&self, number: usize, state: u32) {
        let version = self.shared.version.fetch_add(1, Ordering::Relaxed) + 1;
        let object = slice(number, state, version);
        let mut slices = self.shared.slices();
        slices.tell(&event("MODIFIED", &object));
        slices.objects[number] = object;
    }

    /// When the first octet of an answer left since it was asked last.
    pub(crate) fn take_first_octet(&self) -> Option<Instant> {
        self.shared.first_octet.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Shared {
    fn slices(&self) -> MutexGuard<'_, Slices> {
        self.slices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one connection to its end.
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reading = BufReader::new(stream.try_clone()?);
        while let Some(target) = request(&mut reading)? {
            self.first_octet.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            let argument = |key: &str| {
                query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned)
            };
            let plural = path.rsplit('/').next().unwrap_or_default();
            if argument("watch").is_some() {
                stream.write_all(
                    b"HTTP/1.1 200 -\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
                )?;
                if plural == "endpointslices" {
                    self.slices().watches.push(stream);
                    return Ok(());
                }
                // Nothing else changes.
                self.keep_up(&mut stream)?;
                return Ok(());
            }
            let at = argument("continue").and_then(|token| token.parse().ok()).unwrap_or(0);
            let limit = argument("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
            let page = match plural {
                "namespaces" => self.page(&self.namespaces, at, limit),
                "services" => self.page(&self.services, at, limit),
                _ => self.page(&self.slices().objects, at, limit),
            };
            let head =
                format!("HTTP/1.1 200 -\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", page.len());
            stream.write_all(head.as_bytes())?;
            stream.write_all(page.as_bytes())?;
        }
        Ok(())
    }

    fn page(&self, objects: &[String], at: usize, limit: usize) -> String {
        let rest = objects.get(at..).unwrap_or_default();
        let page = &rest[..limit.min(rest.len())];
        let next = if page.len() < rest.len() { (at + page.len()).to_string() } else { String::new() };
        let version = self.version.load(Ordering::Relaxed);
        format!(r#"{{"metadata":{{"resourceVersion":"{version}","continue":"{next}"}},"items":[{}]}}"#, page.join(","))
    }

    /// A watch on which nothing happens.
    fn keep_up(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        loop {
            std::thread::sleep(BOOKMARKS);
            stream.write_all(&self.bookmark())?;
        }
    }

    /// How far a watch is.
    fn bookmark(&self) -> Vec<u8> {
        let version = self.version.load(Ordering::Relaxed).to_string();
        event("BOOKMARK", &json!({ "metadata": { "resourceVersion": version } }).to_string())
    }
}

impl Slices {
    /// Watches whose reader has gone are forgotten.
    fn tell(&mut self, event: &[u8]) {
        self.watches.retain_mut(|watch| watch.write_all(event).is_ok());
    }
}

/// The target of the next request; none when there is no more. Bodies are not sent to what this serves.
fn request(reading: &mut BufReader<TcpStream>) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    if reading.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    while line.trim_end() != "" {
        line.clear();
        reading.read_line(&mut line)?;
    }
    Ok(Some(target))
}

/// A line of a watch, as a chunk.
fn event(kind: &str, object: &str) -> Vec<u8> {
    let line = format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n");
    format!("{:x}\r\n{line}\r\n", line.len()).into_bytes()
}

/// An object with what every real one carries and nobody here reads.
fn object(metadata: Value, kind: &str, rest: &Value) -> String {
    let mut object = rest.clone();
    let manager = json!({ "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "time": "2026-01-01T00:00:00Z", "fieldsV1": { "f:metadata": { "f:labels": { ".": {}, "f:app": {} }, "f:ownerReferences": { ".": {} } } } });
    object["kind"] = json!(kind);
    object["metadata"] = metadata;
    object["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000000");
    object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    object["metadata"]["managedFields"] = json!([manager]);
    object.to_string()
}

fn service(number: usize) -> String {
    let address = Ipv4Addr::from(0x0a60_0000 | number as u32);
    let ip = if KubeApi::is_headless(number) { "None".to_owned() } else { address.to_string() };
    let spec = json!({ "type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "ipFamilies": ["IPv4"],
        "ports": [{ "name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080 }], "selector": { "app": format!("s{number}") } });
    let metadata = json!({ "name": format!("s{number}"), "namespace": format!("n{}", number % NAMESPACES), "resourceVersion": "1" });
    object(metadata, "Service", &json!({ "spec": spec }))
}

fn slice(number: usize, state: u32, version: u64) -> String {
    let endpoint = |place: usize| {
        let address = match place {
            0 => KubeApi::endpoint(number, state),
            _ => Ipv4Addr::from(0x0ac0_0000 | (number * ENDPOINTS + place) as u32),
        };
        json!({ "addresses": [address.to_string()], "conditions": { "ready": true, "serving": true, "terminating": false },
            "nodeName": format!("node-{}", number % 500), "zone": "z1",
            "targetRef": { "kind": "Pod", "namespace": format!("n{}", number % NAMESPACES), "name": format!("s{number}-{place}") } })
    };
    // One that is headless has one, whose address is the answer.
    let count = if KubeApi::is_headless(number) && state > 0 { 1 } else { ENDPOINTS };
    let metadata = json!({ "name": format!("s{number}-a"), "namespace": format!("n{}", number % NAMESPACES), "resourceVersion": version.to_string(),
        "labels": { "kubernetes.io/service-name": format!("s{number}"), "app": format!("s{number}") } });
    let rest = json!({ "addressType": "IPv4", "endpoints": (0..count).map(endpoint).collect::<Vec<_>>(),
        "ports": [{ "name": "http", "protocol": "TCP", "port": 8080 }] });
    object(metadata, "EndpointSlice", &rest)
}
