//! The repository checks itself: imports go one way, and what may import what is written down here.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every package of the workspace with the packages of the workspace it may depend on, lowest layer first.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("strait-wire", &[]),
    ("strait-proto", &[]),
    ("strait-datagram", &[]),
    ("strait-durable", &[]),
    ("strait-identity", &[]),
    ("strait-resolve", &["strait-wire", "strait-identity"]),
    ("strait-serve", &["strait-wire", "strait-datagram", "strait-identity", "strait-proto", "strait-resolve"]),
    ("strait-link", &["strait-wire", "strait-identity", "strait-proto", "strait-resolve"]),
    (
        "strait-federation",
        &[
            "strait-wire",
            "strait-durable",
            "strait-identity",
            "strait-proto",
            "strait-resolve",
            "strait-serve",
            "strait-link",
        ],
    ),
    ("strait-catalog", &["strait-wire", "strait-durable", "strait-resolve", "strait-federation"]),
    ("strait-config", &["strait-wire", "strait-identity", "strait-resolve", "strait-link"]),
    ("strait-process", &["strait-datagram", "strait-identity", "strait-config", "strait-resolve"]),
    ("gateway", PROGRAM),
    ("node-agent", PROGRAM),
    ("gatewayctl", PROGRAM),
    ("strait-bench", &["strait-wire", "strait-datagram", "strait-resolve", "strait-catalog"]),
];

/// What the programs may depend on: every library.
const PROGRAM: &[&str] = &[
    "strait-wire",
    "strait-proto",
    "strait-identity",
    "strait-resolve",
    "strait-process",
    "strait-serve",
    "strait-link",
    "strait-federation",
    "strait-catalog",
    "strait-config",
];

/// Crates from outside that only some packages may import (parse at the edge, own types inside).
const ONLY_IN: &[(&str, &[&str])] = &[
    ("serde-saphyr", &["strait-config", "gatewayctl"]),
    ("serde", &["strait-catalog", "strait-config", "strait-federation", "gatewayctl"]),
    ("kube", &["strait-catalog"]),
    ("k8s-openapi", &["strait-catalog"]),
    ("hickory-server", &["gatewayctl"]),
    ("hickory-resolver", &["strait-link"]),
    ("axum", &["strait-process"]),
    ("libc", &["strait-datagram"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Package name to the names of its ordinary (not development, not build) dependencies.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names = |package: &serde_json::Value| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        dependencies.filter(|d| d["kind"].is_null()).map(|d| d["name"].as_str().unwrap().to_owned()).collect()
    };
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages.map(|p| (p["name"].as_str().unwrap().to_owned(), names(p))).filter(|(n, _)| n != "strait-tests").collect()
}

#[test]
fn imports_between_crates_go_one_way() {
    let actual = dependencies();
    let ours: BTreeSet<&str> = actual.keys().map(String::as_str).collect();
    let listed: BTreeSet<&str> = MAY_IMPORT.iter().map(|(name, _)| *name).collect();
    assert_eq!(ours, listed, "MAY_IMPORT and the workspace list different packages");
    for (name, allowed) in MAY_IMPORT {
        let imports = actual[*name].iter().map(String::as_str).filter(|d| ours.contains(d));
        let wrong: Vec<_> = imports.filter(|d| !allowed.contains(d)).collect();
        assert!(wrong.is_empty(), "{name} must not depend on {wrong:?}; see docs/architecture.md, crate map");
    }
    // The table itself only points downwards.
    for (at, (name, allowed)) in MAY_IMPORT.iter().enumerate() {
        for below in *allowed {
            let place = MAY_IMPORT.iter().position(|(n, _)| n == below).expect("a listed package");
            assert!(place < at, "MAY_IMPORT lets {name} import {below}, which stands above it");
        }
    }
}

#[test]
fn outside_crates_stay_at_their_edge() {
    let actual = dependencies();
    for (outside, homes) in ONLY_IN {
        let users: Vec<_> =
            actual.iter().filter(|(_, deps)| deps.contains(*outside)).map(|(n, _)| n.as_str()).collect();
        let wrong: Vec<_> = users.iter().filter(|user| !homes.contains(user)).collect();
        assert!(wrong.is_empty(), "{outside} is imported by {wrong:?}; only {homes:?} may");
        assert!(!users.is_empty(), "{outside} is listed but nobody imports it");
    }
}

/// Every tracked file with its text; binary files are left out.
fn tracked_texts() -> Vec<(String, String)> {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().expect("git runs");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).unwrap();
    let text = |name: &str| Some((name.to_owned(), std::fs::read_to_string(root().join(name)).ok()?));
    names.split('\0').filter(|n| !n.is_empty()).filter_map(text).collect()
}

#[test]
fn links_in_the_documentation_lead_somewhere() {
    let mut broken = Vec::new();
    for (name, text) in tracked_texts().iter().filter(|(name, _)| name.ends_with(".md")) {
        let folder = root().join(name).parent().unwrap().to_owned();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap();
            if !path.is_empty() && !path.contains("://") && !folder.join(path).exists() {
                broken.push(format!("{name}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

/// What stands between backquotes in a document.
fn quoted(document: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn what_the_architecture_names_is_there() {
    let sources: String =
        tracked_texts().into_iter().filter(|(name, _)| name.ends_with(".rs")).map(|(_, t)| t).collect();
    let mut missing = Vec::new();
    for word in quoted("docs/architecture.md") {
        let is_path = ["crates/", "gateway/", "node-agent/", "gatewayctl/", "tests/", "docs/"]
            .iter()
            .any(|p| word.starts_with(p));
        let is_constant = word.len() > 3 && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        // Names of tests have several words.
        let is_test = word.matches('_').count() >= 2
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let there = match () {
            () if is_path => root().join(&word).exists(),
            () if is_test => sources.contains(&format!("fn {word}(")),
            () if is_constant => sources.contains(&format!("const {word}: ")),
            () => true,
        };
        if !there {
            missing.push(word);
        }
    }
    assert!(missing.is_empty(), "docs/architecture.md names what is not there: {missing:#?}");
}

#[test]
fn unsafe_code_is_in_one_file() {
    let home = "crates/datagram/src/system.rs";
    let is_unsafe =
        |line: &str| line.contains("unsafe {") || line.contains("unsafe fn") || line.contains("unsafe impl");
    let sources =
        tracked_texts().into_iter().filter(|(name, _)| name.ends_with(".rs") && !name.ends_with("structure.rs"));
    let with: Vec<_> = sources.filter(|(_, text)| text.lines().any(is_unsafe)).map(|(name, _)| name).collect();
    assert_eq!(with, [home]);
    // Each package takes the lints of the workspace, which forbid it, or its own, which deny it but where it is allowed.
    for (name, text) in tracked_texts().iter().filter(|(name, _)| name.ends_with("/Cargo.toml")) {
        let own =
            if name == "crates/datagram/Cargo.toml" { "unsafe_code = \"deny\"" } else { "[lints]\nworkspace = true" };
        assert!(text.contains(own) || name.starts_with("tests/fuzz/"), "{name} does not have {own}");
    }
}

#[test]
fn nothing_is_left_undone_in_the_source() {
    let marks = [concat!("unimple", "mented!("), concat!("to", "do!("), concat!("TO", "DO"), concat!("FIX", "ME")];
    let mut found = Vec::new();
    for (name, text) in tracked_texts() {
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "left undone:\n{}", found.join("\n"));
}
