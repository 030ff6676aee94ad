//! The last picture on disk: a gateway that starts while the API is away tells from it.
//!
//! A file is a head (what it is, version, time, length and checksum of the rest) and the objects. It is replaced whole
//! (`strait_durable`). One that is damaged is set aside, so that whoever looks for the cause has it. While nothing changes
//! a small file beside it says until when it was current, so that not everything has to be written again.

mod codec;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use strait_durable::{beside, make_folder, replace};

use crate::Snapshot;

/// What the file begins with.
const MAGIC: &[u8; 16] = b"strait catalog\n\0";
/// How the rest is written; raised with every change of that.
const VERSION: u32 = 3;
/// Magic, version, seconds since 1970, length, checksum.
const HEAD_LEN: usize = MAGIC.len() + 4 + 8 + 8 + 4;
/// The largest file that is read, in octets: several million endpoints.
const MAX_FILE_LEN: u64 = 256 << 20;

/// What the file beside it is called that says until when it was current.
const CURRENT: &str = ".current";
/// The longest of those, in octets: a checksum and a time.
const MAX_CURRENT_LEN: u64 = 64;

/// Where the last picture is kept.
#[derive(Debug, Clone)]
pub struct CatalogFile {
    path: PathBuf,
}

/// What was on disk.
#[derive(Debug)]
pub struct Restored {
    /// The objects.
    pub snapshot: Snapshot,
    /// When they were last known to be current.
    pub saved: SystemTime,
}

/// What has been saved, told from what may have been saved before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saved {
    checksum: u32,
}

/// Why the last picture cannot be kept or had.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The file cannot be read.
    #[error("cannot read the catalog {}: {source}; it starts empty, and answers once the API has told everything", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file holds something else; it has been set aside, if that was possible.
    #[error("the catalog {} cannot be used: {what}; it is kept as {}, and the catalog starts empty and answers once the API has told everything", .path.display(), .aside.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
        /// Where it is now.
        aside: PathBuf,
    },
    /// The file cannot be replaced.
    #[error("cannot write the catalog {}: {step}: {source}; is the disk full or the folder read-only?", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What was being done.
        step: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl CatalogFile {
    /// The file at `path`, which need not exist yet; nor need its folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file by objects that were current at that time. When this returns, they survive a power cut. Waits for
    /// the disk.
    pub fn save(&self, snapshot: &Snapshot, current: SystemTime) -> Result<Saved, DiskError> {
        let failed = |step, source| DiskError::Write { path: self.path.clone(), step, source };
        make_folder(&self.path).map_err(|source| failed("making its folder", source))?;
        let (content, checksum) = encode(snapshot, current);
        replace(&self.path, &content).map_err(|(step, source)| failed(step.doing(), source))?;
        Ok(Saved { checksum })
    }

    /// Notes that what was saved is still current. Waits for the disk.
    pub fn note_current(&self, saved: Saved, current: SystemTime) -> Result<(), DiskError> {
        let path = beside(&self.path, CURRENT);
        let text = format!("{:08x} {}\n", saved.checksum, seconds_of(current));
        replace(&path, text.as_bytes()).map_err(|(step, source)| DiskError::Write { path, step: step.doing(), source })
    }

    /// What was saved last; none when nothing has been saved yet. Waits for the disk.
    pub fn load(&self) -> Result<Option<Restored>, DiskError> {
        let failed = |source| DiskError::Read { path: self.path.clone(), source };
        let mut bytes = Vec::new();
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        file.take(MAX_FILE_LEN + 1).read_to_end(&mut bytes).map_err(failed)?;
        let (mut restored, saved) = decode(&bytes).map_err(|what| self.set_aside(what))?;
        if let Some(current) = self.noted_current(saved) {
            restored.saved = restored.saved.max(current);
        }
        Ok(Some(restored))
    }

    /// Until when what was saved is noted to have been current. What cannot be read says nothing, and does no harm.
    fn noted_current(&self, saved: Saved) -> Option<SystemTime> {
        let mut text = String::new();
        let file = File::open(beside(&self.path, CURRENT)).ok()?;
        file.take(MAX_CURRENT_LEN).read_to_string(&mut text).ok()?;
        let (checksum, seconds) = text.strip_suffix('\n')?.split_once(' ')?;
        // One of another file may lie there: of that before, when both could not be written.
        let is_its = u32::from_str_radix(checksum, 16).ok()? == saved.checksum;
        is_its.then(|| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds.parse().ok()?))).flatten()
    }

    /// Moves the damaged file out of the way of the next one.
    fn set_aside(&self, what: &'static str) -> DiskError {
        let aside = beside(&self.path, ".damaged");
        match std::fs::rename(&self.path, &aside) {
            Ok(()) => DiskError::Damaged { path: self.path.clone(), what, aside },
            Err(source) => DiskError::Write { path: self.path.clone(), step: "setting the damaged file aside", source },
        }
    }
}

fn seconds_of(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The content of a file, and its checksum.
fn encode(snapshot: &Snapshot, current: SystemTime) -> (Vec<u8>, u32) {
    let body = codec::encode(snapshot);
    let mut bytes = Vec::with_capacity(HEAD_LEN + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&seconds_of(current).to_be_bytes());
    bytes.extend_from_slice(&(body.len() as u64).to_be_bytes());
    let checksum = crc32(&[&bytes, &body]);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    bytes.extend_from_slice(&body);
    (bytes, checksum)
}

fn decode(bytes: &[u8]) -> Result<(Restored, Saved), &'static str> {
    let head = bytes.get(..HEAD_LEN).ok_or("it is shorter than its head")?;
    let (head, checksum) = head.split_at(HEAD_LEN - 4);
    let rest = head.strip_prefix(MAGIC).ok_or("it does not begin as a catalog does")?;
    let (version, rest) = rest.split_first_chunk::<4>().ok_or("it is shorter than its head")?;
    if u32::from_be_bytes(*version) != VERSION {
        return Err("it is of another version of this program");
    }
    let (seconds, rest) = rest.split_first_chunk::<8>().ok_or("it is shorter than its head")?;
    let body = &bytes[HEAD_LEN..];
    if bytes.len() as u64 > MAX_FILE_LEN || rest != (body.len() as u64).to_be_bytes() {
        return Err("its length is not the one it says");
    }
    let saved = Saved { checksum: crc32(&[head, body]) };
    if checksum != saved.checksum.to_be_bytes() {
        return Err("its checksum does not match");
    }
    let snapshot = codec::decode(body).ok_or("its objects cannot be read")?;
    // A time beyond what the system can hold was never written by us.
    let current = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::from_be_bytes(*seconds)));
    Ok((Restored { snapshot, saved: current.ok_or("its time is out of range")? }, saved))
}

/// The CRC-32 of ISO 3309 over the pieces one after the other.
fn crc32(pieces: &[&[u8]]) -> u32 {
    let step = |crc: u32, octet: &u8| CRC_TABLE[usize::from(crc as u8 ^ octet)] ^ crc >> 8;
    !pieces.iter().copied().flatten().fold(!0, step)
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let (mut crc, mut bit) = (at as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { 0xedb8_8320 ^ crc >> 1 } else { crc >> 1 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests;
