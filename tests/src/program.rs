//! The real programs as child processes: built once, logs kept, killed on drop.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crate::{eventually, patience, until};

/// The path of one of the programs, built from this very source.
pub fn binary(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(build).join(name)
}

/// Builds the programs into the folder the tests themselves were built into.
fn build() -> PathBuf {
    // <target>/<profile>/deps/<test>
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.parent().and_then(Path::parent).expect("tests lie in <profile>/deps").to_owned();
    let target = folder.parent().expect("profiles lie in the target folder");
    let mut cargo = Command::new(env!("CARGO"));
    // The whole workspace, so that dependencies have the features they were just built with.
    cargo.args(["build", "--quiet", "--workspace", "--bins"]);
    cargo.arg("--target-dir").arg(target).current_dir(repository());
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "the programs do not build:\n{}", String::from_utf8_lossy(&output.stderr));
    folder
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_owned()
}

/// A temporary folder for configurations, keys and state.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "it makes a folder on disk")]
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder can be made"))
    }

    /// The folder, or a path in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, with the folders it lies in.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("folders can be made");
        std::fs::write(&path, text).expect("a file can be written");
        path
    }

    /// The text of a file.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

/// A running program. Dropped, it is killed; when the test failed, its log is shown.
pub struct Program {
    name: String,
    child: Child,
    log: Arc<Mutex<String>>,
    admin: Option<SocketAddr>,
    /// Let go of, the program ends.
    leash: Option<ChildStdin>,
}

/// Runs a command until standard input ends, kills it then, and removes the folder that is named first. Who does so outlives
/// what ends a whole group of processes, such as Ctrl-C.
const LEASH: &str = r#"folder=$1; shift; exec 3<&0
"$@" 3<&- & child=$!
{ trap '' INT TERM HUP; cat <&3 >/dev/null; kill -9 $child; [ -z "$folder" ] || { sleep 0.1; rm -rf -- "$folder"; }; } 2>/dev/null &
exec 3<&-; wait $child"#;

impl Program {
    /// Starts one of our programs.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_command(name, Command::new(binary(name)).args(arguments))
    }

    /// Starts `node-agent` or `gateway` with a configuration and waits until it is ready.
    /// `admin` is the address of its admin HTTP as the configuration says.
    pub fn daemon(name: &str, config: &Path, admin: SocketAddr) -> Self {
        let mut program = Self::start(name, &["--config", &config.to_string_lossy()]);
        program.admin = Some(admin);
        program.wait_ready();
        program
    }

    /// Starts any command with its output kept.
    pub fn start_command(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let log = Arc::new(Mutex::new(String::new()));
        keep(child.stdout.take(), &log);
        keep(child.stderr.take(), &log);
        Self { name: name.to_owned(), child, log, admin: None, leash: None }
    }

    /// Starts any command, which ends with this process even where nothing is dropped, as it is with what is kept in
    /// statics. What is in `folder` goes with it.
    pub fn start_on_leash(name: &str, command: &Command, folder: Option<&Path>) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", LEASH, "leash"]).arg(folder.unwrap_or(Path::new("")));
        shell.arg(command.get_program()).args(command.get_args());
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let log = Arc::new(Mutex::new(String::new()));
        keep(child.stdout.take(), &log);
        keep(child.stderr.take(), &log);
        let leash = child.stdin.take();
        Self { name: name.to_owned(), child, log, admin: None, leash }
    }

    /// The same program, whose admin HTTP is at that address.
    #[must_use]
    pub fn with_admin(mut self, admin: SocketAddr) -> Self {
        self.admin = Some(admin);
        self
    }

    /// Waits until `/readyz` says so.
    #[track_caller]
    pub fn wait_ready(&mut self) {
        let name = self.name.clone();
        until(&format!("{name} to be ready"), || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{name} ended with {status} before it was ready");
            }
            matches!(self.get("/readyz"), Some((200, _)))
        });
    }

    /// The address of its admin HTTP.
    #[track_caller]
    pub fn admin(&self) -> SocketAddr {
        self.admin.expect("the program has an admin address")
    }

    /// Status and body of a page of the admin HTTP; none when nobody listens.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        http_get(self.admin(), path)
    }

    /// The value of the first metric whose line begins so: `strait_x_total{zone="a"`; 0 when there is none.
    pub fn metric(&self, begins: &str) -> f64 {
        let (_, page) = self.get("/metrics").unwrap_or_else(|| panic!("{} answers no HTTP", self.name));
        page.lines()
            .filter(|line| line.starts_with(begins))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Everything it has printed so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Waits for a line that holds all of `words`, and returns it.
    #[track_caller]
    pub fn wait_log(&self, words: &[&str]) -> String {
        eventually(&format!("a line of {} with {words:?}", self.name), || {
            self.log().lines().find(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned)
        })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name: `TERM`, `HUP`, `STOP`, `CONT`.
    pub fn signal(&self, signal: &str) {
        send_signal(signal, &self.id().to_string());
    }

    /// Kills it at once, as a crash would.
    pub fn kill(&mut self) {
        if self.leash.take().is_none() {
            // It may have ended by itself.
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let name = self.name.clone();
        eventually(&format!("{name} to end"), || self.child.try_wait().expect("a child can be waited for"))
    }

    /// Resident memory in octets.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").parse::<u64>().map_or(0, |kilobytes| kilobytes * 1024)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- log of {}:\n{}--- end of the log of {}", self.name, self.log(), self.name);
        }
    }
}

/// Runs `gatewayctl` to its end.
#[track_caller]
pub fn gatewayctl(arguments: &[&str]) -> Output {
    run(Command::new(binary("gatewayctl")).args(arguments))
}

/// Runs a command to its end, which must come within [`patience`].
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{shown}: {error}"));
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let end = std::time::Instant::now() + patience();
    let status = loop {
        match child.try_wait().expect("a child can be waited for") {
            Some(status) => break status,
            None if std::time::Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
            None => {
                let _ = child.kill();
                panic!("{shown} does not end");
            }
        }
    };
    let joined = |reader: std::thread::JoinHandle<Vec<u8>>| reader.join().expect("a reader ends");
    Output { status, stdout: joined(stdout), stderr: joined(stderr) }
}

/// Sends a signal to a process, or with `-` before the number to its group.
pub fn send_signal(signal: &str, to: &str) {
    // The shell's own `kill`: always there, and no unsafe code.
    let status = Command::new("sh").args(["-c", &format!("kill -s {signal} -- {to}")]).stderr(Stdio::null()).status();
    assert!(status.is_ok(), "there is no shell");
}

/// Status and body of an HTTP page; none when nobody answers.
pub fn http_get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    http(address, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"))
}

/// Status and body of what is answered to JSON that is posted; none when nobody answers.
pub fn http_post(address: SocketAddr, path: &str, json: &str) -> Option<(u16, String)> {
    let length = json.len();
    http(address, &format!("POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n{json}"))
}

fn http(address: SocketAddr, request: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(patience())).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

fn keep(pipe: Option<impl Read + Send + 'static>, log: &Arc<Mutex<String>>) {
    let (pipe, log) = (pipe.expect("output is piped"), Arc::clone(log));
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let mut log = log.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            log.push_str(&String::from_utf8_lossy(&line));
            log.push('\n');
        }
    });
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    let mut pipe = pipe.expect("output is piped");
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error counts.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}
