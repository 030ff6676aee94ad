//! Every example, as its README says: its commands are run, and its questions get what `expected.txt` says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use strait_tests::program::{binary, repository, run};
use strait_tests::tools::skip;
use strait_tests::{Folder, OrdinaryServer, Program, eventually, lines, query, tool, until};

/// An example in a folder of its own, with what its README has started.
struct Example {
    name: &'static str,
    folder: Folder,
    programs: Vec<Program>,
}

impl Example {
    /// Copies the example, so that nothing is written into the repository.
    fn copy(name: &'static str) -> Self {
        let folder = Folder::new();
        copy(&repository().join("examples").join(name), &folder.path("."));
        Self { name, folder, programs: Vec::new() }
    }

    /// Runs the blocks of the README that are marked so.
    fn run(&mut self) {
        for line in marked_lines(&self.folder.read("README.md"), "<!-- run -->") {
            let words: Vec<String> =
                line.trim_end_matches('&').split_whitespace().map(|word| self.here(word)).collect();
            let (program, arguments) = words.split_first().unwrap();
            match program.strip_prefix("target/debug/") {
                Some(program) => self.run_program(program, arguments),
                // The kit has built them.
                None => assert_eq!(line, "cargo build --workspace", "{}: the test cannot run this line", self.name),
            }
        }
    }

    /// A path in the repository as a path in the copy.
    fn here(&self, word: &str) -> String {
        let here = self.folder.path("");
        word.replace(
            &format!("examples/{}/", self.name),
            &format!("{}/", here.display().to_string().trim_end_matches('/')),
        )
    }

    /// A daemon is started and waited for, `gatewayctl` is run to its end.
    fn run_program(&mut self, program: &str, arguments: &[String]) {
        if program == "gatewayctl" {
            let output = run(Command::new(binary(program)).args(arguments));
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            return;
        }
        let config = Path::new(arguments.last().unwrap());
        self.programs.push(Program::daemon(program, config, admin_address(config)));
    }

    /// Asks every question of `expected.txt`. Blanks count as one: dig pads with tabs.
    fn check(&self) {
        let readme = self.folder.read("README.md");
        for (command, expected) in questions(&self.folder.read("expected.txt")) {
            assert!(readme.contains(&command), "{}: the README does not show: {command}", self.name);
            let output = run(Command::new("sh").args(["-c", &command]));
            let actual: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(squeeze).collect();
            assert_eq!(actual, expected, "{}: {command}", self.name);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        // What somebody made by trying the example is not part of it.
        let made = ["pki", "state", "peers.json", "gateway.sock"].iter().any(|made| entry.file_name() == *made);
        match entry.file_type().unwrap().is_dir() {
            _ if made => {}
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// The lines of the code blocks that follow a marker.
fn marked_lines(text: &str, marker: &str) -> Vec<String> {
    let blocks = text.split(marker).skip(1).map(|after| after.split("```").nth(1).expect("a block follows the marker"));
    blocks.flat_map(|block| block.lines().skip(1)).map(str::to_owned).collect()
}

/// The commands after `$ `, each with the lines below it.
fn questions(text: &str) -> Vec<(String, Vec<String>)> {
    let parts = text.split("$ ").skip(1).map(|part| part.split_once('\n').expect("a command is a line"));
    parts
        .map(|(command, output)| {
            (command.to_owned(), output.lines().filter(|line| !line.is_empty()).map(squeeze).collect())
        })
        .collect()
}

fn squeeze(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `admin: ADDRESS` of a configuration.
fn admin_address(config: &Path) -> SocketAddr {
    let text = std::fs::read_to_string(config).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("admin: ")).expect("the example has an admin address");
    line.trim().parse().unwrap()
}

#[test]
fn dnsmasq_replacement() {
    if tool("dig").is_none() {
        return;
    }
    let mut example = Example::copy("dnsmasq-replacement");
    example.run();
    example.check();
    example.programs[0].wait_log(&["console.apps.ocp.example.com", "NOERROR"]);

    // The saved upstreams change while the program runs. A resolv.conf knows no ports, hence an address of its own.
    let upstream: SocketAddr = "127.53.0.53:53".parse().unwrap();
    let zone = "@ 60 IN SOA ns h 1 2 3 4 5\nwww 60 IN A 198.51.100.80\n";
    let Ok(_server) = OrdinaryServer::start_at(upstream, &[("example.org.", zone)]) else {
        return skip("port 53 may not be bound");
    };
    example.folder.write("resolv.conf", format!("nameserver {}\n", upstream.ip()));
    let agent = "127.0.0.1:25310".parse().unwrap();
    eventually("the new upstream to be asked", || {
        let answer = strait_tests::ask_udp(agent, &query("www.example.org", "A")).ok()?;
        (lines(&answer) == ["www.example.org. A 198.51.100.80"]).then_some(())
    });
}

#[test]
fn coredns_static_pod() {
    if tool("dig").is_none() || tool("curl").is_none() {
        return;
    }
    let mut example = Example::copy("coredns-static-pod");
    example.run();
    example.check();
}

#[test]
fn static_pods() {
    if tool("dig").is_none() {
        return;
    }
    let mut example = Example::copy("static-pods");
    example.run();
    example.check();
}

#[test]
fn two_cluster_forward() {
    if tool("dig").is_none() {
        return;
    }
    let mut example = Example::copy("two-cluster-forward");
    example.run();
    for (agent, name) in [(25330, "cluster-b"), (25340, "cluster-a")] {
        let agent = SocketAddr::from(([127, 0, 0, 1], agent));
        let question = query(&format!("web.shop.svc.{name}.example.com"), "A");
        until(&format!("the link to {name}"), || {
            strait_tests::ask_udp(agent, &question).is_ok_and(|answer| answer.answers.len() == 1)
        });
    }
    example.check();
}

/// Examples that no test starts would rot.
#[test]
fn every_example_is_tested() {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(repository().join("examples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let names: Vec<_> = folders.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    // The last one takes two clusters: tests/tests/charts renders its values, and has its script read.
    let tested =
        ["coredns-static-pod", "dnsmasq-replacement", "static-pods", "two-cluster-forward", "two-clusters-kubernetes"];
    assert_eq!(names, tested);
}
