//! The charts of the repository, rendered by `helm`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::program::{repository, run};
use crate::tool;

/// The version of Kubernetes that is rendered for.
const KUBERNETES: &str = "1.33.0";
/// Whose release it is.
pub const NAMESPACE: &str = "strait-system";

/// A chart of the repository, and `helm` to render it.
pub struct Chart {
    /// `gateway` or `node-agent`.
    pub name: &'static str,
    helm: PathBuf,
}

impl Chart {
    /// One of them, for tests that cannot do without.
    #[track_caller]
    pub fn named(name: &str) -> Self {
        Self::all().into_iter().find(|chart| chart.name == name).expect("helm is installed, and there is such a chart")
    }

    /// Both charts; none where there is no `helm`.
    pub fn all() -> Vec<Self> {
        let Some(helm) = tool("helm") else { return Vec::new() };
        ["gateway", "node-agent"].map(|name| Self { name, helm: helm.clone() }).into()
    }

    /// Where it is.
    pub fn folder(&self) -> PathBuf {
        repository().join("charts").join(self.name)
    }

    /// Runs `helm`, for the version that is rendered for.
    pub fn helm(&self, arguments: &[&str]) -> Output {
        run(Command::new(&self.helm).args(arguments).args(["--kube-version", KUBERNETES]))
    }

    /// The files of `ci/`, and that of the example: every one a set of values that must do.
    pub fn matrix(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            std::fs::read_dir(self.folder().join("ci")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.push(repository().join("examples/two-clusters-kubernetes").join(format!("{}.yaml", self.name)));
        files.sort();
        assert!(files.len() >= 5, "{files:?}");
        files
    }

    /// Renders; an error is what helm says.
    pub fn render(&self, values: &[&str]) -> Result<Vec<Value>, String> {
        self.render_in(NAMESPACE, values)
    }

    /// Renders a release in another namespace.
    pub fn render_in(&self, namespace: &str, values: &[&str]) -> Result<Vec<Value>, String> {
        let folder = self.folder();
        let chart = folder.to_string_lossy();
        let output = self.helm(&[&["template", "strait", &chart, "--namespace", namespace], values].concat());
        match output.status.success() {
            true => Ok(documents(&String::from_utf8(output.stdout).unwrap())),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// Renders with a file of values.
    #[track_caller]
    pub fn render_file(&self, file: &Path) -> Vec<Value> {
        self.render(&["--values", &file.to_string_lossy()])
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }
}

/// Every chart with every file of its matrix, rendered.
pub fn rendered() -> Vec<(String, Vec<Value>)> {
    let of_chart = |chart: &Chart| {
        let name = |file: &Path| format!("{}/{}", chart.name, file.file_name().unwrap().to_string_lossy());
        chart.matrix().iter().map(|file| (name(file), chart.render_file(file))).collect::<Vec<_>>()
    };
    Chart::all().iter().flat_map(of_chart).collect()
}

/// The documents of a YAML stream.
pub fn documents(text: &str) -> Vec<Value> {
    let documents = format!("\n{text}").split("\n---").map(str::to_owned).collect::<Vec<_>>();
    let parsed = documents.iter().filter(|text| !text.trim().is_empty());
    parsed
        .map(|text| serde_saphyr::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error}\n{text}")))
        .filter(|value| !value.is_null())
        .collect()
}
