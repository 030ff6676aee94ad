//! Shell scripts of the repository: `bash` reads them, and `shellcheck` finds no fault.

use std::path::PathBuf;
use std::process::Command;

use strait_tests::program::{repository, run};
use strait_tests::tool;

/// Every tracked file that says it is for bash, and every one of the charts and examples that is not tracked yet.
fn scripts() -> Vec<PathBuf> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(repository());
    let names = String::from_utf8(run(&mut git).stdout).unwrap();
    let paths = names.split('\0').filter(|name| !name.is_empty()).map(|name| repository().join(name));
    let is_script = |path: &PathBuf| std::fs::read(path).is_ok_and(|text| text.starts_with(b"#!/usr/bin/env bash\n"));
    paths.filter(is_script).collect()
}

#[test]
fn shells_take_them() {
    let scripts = scripts();
    assert!(scripts.len() >= 4, "{scripts:?}");
    for script in &scripts {
        let output = run(Command::new("bash").arg("-n").arg(script));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let Some(shellcheck) = tool("shellcheck") else { return };
    let output = run(Command::new(shellcheck).args(["--severity=warning", "--"]).args(&scripts));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
