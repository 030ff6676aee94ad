//! The charts: linted, rendered over a matrix of values, read by Kubernetes' own types, and their configurations by the
//! programs. `helm` does the rendering; where it is missing the tests say so.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic with its cause is the report")]

mod configuration;
mod monitoring;
mod objects;
mod scripts;
mod security;
mod values;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use strait_tests::program::{repository, run};
use strait_tests::tool;

/// The version of Kubernetes that is rendered for.
const KUBERNETES: &str = "1.33.0";
const NAMESPACE: &str = "strait-system";

/// A chart of the repository, and `helm` to render it.
struct Chart {
    name: &'static str,
    helm: PathBuf,
}

impl Chart {
    /// Both charts; none where there is no `helm`.
    fn all() -> Vec<Self> {
        let Some(helm) = tool("helm") else { return Vec::new() };
        ["gateway", "node-agent"].map(|name| Self { name, helm: helm.clone() }).into()
    }

    fn folder(&self) -> PathBuf {
        repository().join("charts").join(self.name)
    }

    fn helm(&self, arguments: &[&str]) -> Output {
        run(Command::new(&self.helm).args(arguments).args(["--kube-version", KUBERNETES]))
    }

    /// The files of `ci/`, and that of the example: every one a set of values that must do.
    fn matrix(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            std::fs::read_dir(self.folder().join("ci")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.push(repository().join("examples/two-clusters-kubernetes").join(format!("{}.yaml", self.name)));
        files.sort();
        assert!(files.len() >= 5, "{files:?}");
        files
    }

    /// Renders; an error is what helm says.
    fn render(&self, values: &[&str]) -> Result<Vec<Value>, String> {
        let folder = self.folder();
        let chart = folder.to_string_lossy();
        let output = self.helm(&[&["template", "strait", &chart, "--namespace", NAMESPACE], values].concat());
        match output.status.success() {
            true => Ok(documents(&String::from_utf8(output.stdout).unwrap())),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    #[track_caller]
    fn render_file(&self, file: &Path) -> Vec<Value> {
        self.render(&["--values", &file.to_string_lossy()])
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }
}

/// Every chart with every file of its matrix, rendered.
fn rendered() -> Vec<(String, Vec<Value>)> {
    let of_chart = |chart: &Chart| {
        let name = |file: &Path| format!("{}/{}", chart.name, file.file_name().unwrap().to_string_lossy());
        chart.matrix().iter().map(|file| (name(file), chart.render_file(file))).collect::<Vec<_>>()
    };
    Chart::all().iter().flat_map(of_chart).collect()
}

/// The documents of a YAML stream.
fn documents(text: &str) -> Vec<Value> {
    let documents = format!("\n{text}").split("\n---").map(str::to_owned).collect::<Vec<_>>();
    let parsed = documents.iter().filter(|text| !text.trim().is_empty());
    parsed
        .map(|text| serde_saphyr::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error}\n{text}")))
        .filter(|value| !value.is_null())
        .collect()
}

/// The one object of a kind.
#[track_caller]
fn the<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let object = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "several {kind}");
    object
}

/// The templates of pods in an object, and every container in them.
fn pod_specs(objects: &[Value]) -> impl Iterator<Item = (&Value, &Value)> {
    objects
        .iter()
        .filter(|object| object["spec"]["template"]["spec"].is_object())
        .map(|object| (object, &object["spec"]["template"]["spec"]))
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers"].into_iter().filter_map(|key| pod[key].as_array()).flatten()
}

/// A list of a JSON document; an absent one is empty.
fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}
