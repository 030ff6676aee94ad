//! What peers have advertised last, on disk: a gateway that starts while they are away goes on with it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strait_durable::{beside, make_folder, replace};
use strait_identity::TrustDomain;
use strait_resolve::{IpNet, MAX_RANGES};
use tracing::warn;

use crate::convert::texts;
use crate::peers::{MAX_PEERS, PeerName};

/// The version of the format that is written, and the only one that is read.
const VERSION: u64 = 1;

/// What a peer has advertised, and who it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Advertised {
    pub(super) trust_domain: TrustDomain,
    pub(super) ranges: Arc<[IpNet]>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressFileError {
    /// Its folder cannot be made, or it cannot be read or set aside.
    #[error("cannot use {}, which keeps the addresses of peers: {source}; its folder must be one that this user can write to", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It cannot be replaced.
    #[error("cannot write {}, which keeps the addresses of peers: {step}: {source}; is the disk full or the folder read-only?", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What was being done.
        step: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

/// The file.
#[derive(Debug, Clone)]
pub(super) struct AddressFile {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u64,
    peers: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    name: String,
    trust_domain: String,
    ranges: Vec<String>,
}

impl AddressFile {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// What is in it. A damaged file is set aside and said: the peers tell it all again.
    pub(super) fn load(&self) -> Result<BTreeMap<PeerName, Advertised>, AddressFileError> {
        let unusable = |source| AddressFileError::Unusable { path: self.path.clone(), source };
        make_folder(&self.path).map_err(unusable)?;
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(source) => return Err(unusable(source)),
        };
        parse(&bytes).or_else(|error| {
            let aside = beside(&self.path, ".damaged");
            std::fs::rename(&self.path, &aside).map_err(unusable)?;
            warn!(file = %self.path.display(), error, kept_as = %aside.display(),
                "the addresses of peers on disk are damaged; waiting for the peers to tell them again");
            Ok(BTreeMap::new())
        })
    }

    /// Replaces it.
    pub(super) fn save(&self, advertised: &BTreeMap<PeerName, Advertised>) -> Result<(), AddressFileError> {
        let entry = |(name, advertised): (&PeerName, &Advertised)| Entry {
            name: name.to_string(),
            trust_domain: advertised.trust_domain.to_string(),
            ranges: texts(&advertised.ranges),
        };
        let document = Document { version: VERSION, peers: advertised.iter().map(entry).collect() };
        // Strings and numbers in structs and lists always have a JSON form.
        let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
        text.push('\n');
        replace(&self.path, text.as_bytes()).map_err(|(step, source)| AddressFileError::Write {
            path: self.path.clone(),
            step: step.doing(),
            source,
        })
    }
}

fn parse(bytes: &[u8]) -> Result<BTreeMap<PeerName, Advertised>, String> {
    let document: Document = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if document.version != VERSION {
        return Err(format!("version {} is not known here", document.version));
    }
    if document.peers.len() > MAX_PEERS {
        return Err(format!("more than {MAX_PEERS} peers"));
    }
    document.peers.into_iter().map(read).collect()
}

fn read(entry: Entry) -> Result<(PeerName, Advertised), String> {
    let name = entry.name.parse().map_err(|error| format!("{error}"))?;
    let trust_domain = entry.trust_domain.parse().map_err(|error| format!("{error}"))?;
    let ranges = read_ranges(&entry.ranges).map_err(|error| format!("peer {}: {error}", entry.name))?;
    Ok((name, Advertised { trust_domain, ranges }))
}

/// The ranges of a list, as long as one may be.
pub(super) fn read_ranges(texts: &[String]) -> Result<Arc<[IpNet]>, String> {
    if texts.len() > MAX_RANGES {
        return Err(format!("{} ranges of addresses, more than {MAX_RANGES}", texts.len()));
    }
    let read = |text: &String| text.parse::<IpNet>().map(|range| range.canonical()).map_err(|error| error.to_string());
    texts.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn advertised() -> BTreeMap<PeerName, Advertised> {
        let ranges = ["10.96.0.0/12", "fd00:b::/108"].map(|range| range.parse().unwrap());
        let advertised =
            Advertised { trust_domain: "cluster-b.example.com".parse().unwrap(), ranges: Arc::from(ranges) };
        BTreeMap::from([("cluster-b".parse().unwrap(), advertised)])
    }

    #[test]
    fn what_is_saved_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = AddressFile::new(&folder.path().join("state/addresses"));
        assert!(file.load().unwrap().is_empty());
        file.save(&advertised()).unwrap();
        assert_eq!(file.load().unwrap(), advertised());
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        let good = {
            let folder = tempfile::tempdir().unwrap();
            let file = AddressFile::new(&folder.path().join("addresses"));
            file.save(&advertised()).unwrap();
            std::fs::read_to_string(&file.path).unwrap()
        };
        let long = format!("\"ranges\": [{}", "\"10.0.0.0/8\",".repeat(MAX_RANGES));
        for bad in [
            String::new(),
            good.replace("\"version\": 1", "\"version\": 2"),
            good.replace("10.96.0.0/12", "10.96.0.0/33"),
            good.replace("\"cluster-b\"", "\"Cluster B\""),
            good.replace("\"ranges\": [", &long),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let file = AddressFile::new(&folder.path().join("addresses"));
            std::fs::write(&file.path, &bad).unwrap();
            assert!(file.load().unwrap().is_empty(), "{bad}");
            assert_eq!(std::fs::read_to_string(folder.path().join("addresses.damaged")).unwrap(), bad);
        }
    }
}
