//! `backend.kubernetes`: names from the Kubernetes API. How the API is spoken to is not known here.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::context::Context;
use crate::document::{self, Key, Node, Value};
use crate::files::{NamedFile, Output, OutputKind};
use crate::section::{Located, Section};
use crate::units::{self, Show};

/// As the cluster DNS that most clusters have.
const TTL: u32 = 5;
/// A longer one keeps names of what is gone.
const TTLS: RangeInclusive<u32> = 0..=3_600;
/// A restart of the API server is shorter.
const STALE_AFTER: Duration = Duration::from_secs(60);
/// Below, every cut of a connection is an alarm; above, nobody learns of it in time.
const STALE_AFTERS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
/// The file of the last catalog, in the folder of the gateway's state.
const SNAPSHOT: &str = "catalog";

/// Names from the Kubernetes API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesSettings {
    /// Where the API server is and who asks; none: this pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; none: its current one.
    pub context: Option<String>,
    /// The TTL of every record, in seconds.
    pub ttl: u32,
    /// Which names pods have.
    pub pods: PodNames,
    /// The last catalog on disk.
    pub snapshot: PathBuf,
    /// What has not been known to be current for so long is stale.
    pub stale_after: Duration,
}

/// Which names pods have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodNames {
    /// None.
    Off,
    /// Every address of an existing namespace has one.
    Insecure,
    /// The addresses of pods have one.
    Verified,
}

const POD_NAMES: &[(&str, PodNames)] =
    &[("off", PodNames::Off), ("insecure", PodNames::Insecure), ("verified", PodNames::Verified)];

impl Show for PodNames {
    fn show(&self) -> String {
        POD_NAMES.iter().find(|(_, names)| names == self).map_or_else(String::new, |(word, _)| (*word).to_owned())
    }
}

/// The same, whose kubeconfig has not been read yet.
#[derive(Debug)]
pub(crate) struct KubernetesDraft {
    kubeconfig: Option<NamedFile>,
    context: Option<Located<String>>,
    /// Without the kubeconfig and its context.
    settings: KubernetesSettings,
}

impl KubernetesDraft {
    /// Reads `kubernetes`; none when it is left out or refused.
    pub(crate) fn read(backend: &mut Section<'_>, state: &Path) -> Option<Self> {
        let mut section = backend.section("kubernetes")?;
        let kubeconfig = section.path("kubeconfig").map(|path| NamedFile { key: "kubeconfig", path });
        let context = section.get("context", |text| Ok(text.to_owned()));
        if let (Some(context), false) = (&context, section.has("kubeconfig")) {
            let help =
                "add `kubeconfig: FILE`, or remove it: without a kubeconfig the service account of this pod counts";
            section.cx.error(&context.at, "`context` needs `kubeconfig`", help);
        }
        let beside = state.with_file_name(SNAPSHOT);
        let settings = KubernetesSettings {
            kubeconfig: None,
            context: None,
            ttl: section.or("ttl", TTL, units::ttl(TTLS)),
            pods: section.or("pods", PodNames::Off, units::word(POD_NAMES)),
            snapshot: section.path_or("snapshot", &beside.to_string_lossy()),
            stale_after: section.or("staleAfter", STALE_AFTER, units::duration(STALE_AFTERS)),
        };
        let at = section.key_at("snapshot").unwrap_or(section.at.clone());
        if settings.snapshot == state {
            section.cx.error(&at, "`snapshot` is the file of `state`", "name another file");
        }
        let path = settings.snapshot.clone();
        section.cx.writes(Output { key: "snapshot", path, at, kind: OutputKind::FileAndFolder });
        backend.show("kubernetes", section.close());
        Some(Self { kubeconfig, context, settings })
    }

    /// Looks into the kubeconfig; notes what is wrong with it.
    pub(crate) fn resolve(self, cx: &Context) -> Option<KubernetesSettings> {
        let Self { kubeconfig, context, settings } = self;
        let kubeconfig = match kubeconfig {
            Some(file) => {
                let text = file.read(cx)?;
                check_kubeconfig(cx, &file, &text, context.as_ref());
                Some(file.path.value)
            }
            None => None,
        };
        Some(KubernetesSettings { kubeconfig, context: context.map(|context| context.value), ..settings })
    }
}

/// That it is a kubeconfig with the context. Whether that leads anywhere is seen at the start.
fn check_kubeconfig(cx: &Context, file: &NamedFile, text: &str, context: Option<&Located<String>>) {
    const HELP: &str = "name the file that kubectl would use with --kubeconfig";
    let shown = file.path.value.display();
    let refuse = |what: String| cx.error(&file.path.at, format!("`kubeconfig`: {shown}: {what}"), HELP);
    let entries = match document::read(text) {
        Ok(Node { value: Value::Map(entries), .. }) => entries,
        Ok(_) => return refuse("it is not a kubeconfig: it is no mapping".to_owned()),
        Err(error) => return refuse(format!("it is not YAML: {}", error.message)),
    };
    let Some(Value::List(contexts)) = value_of(&entries, "contexts") else {
        return refuse("it is not a kubeconfig: it has no `contexts`".to_owned());
    };
    let names = contexts.iter().filter_map(|context| match &context.value {
        Value::Map(entries) => text_of(entries, "name"),
        _ => None,
    });
    let names: Vec<&str> = names.collect();
    match (context, text_of(&entries, "current-context").filter(|current| !current.is_empty())) {
        (Some(wanted), _) if !names.contains(&wanted.value.as_str()) => {
            let message = format!("`context`: {shown} has no context {:?}", wanted.value);
            cx.error(&wanted.at, message, format!("write one of: {}", names.join(", ")));
        }
        (None, None) => refuse("it has no `current-context`; say which counts with `context`".to_owned()),
        (None, Some(current)) if !names.contains(&current) => {
            refuse(format!("its current context, {current:?}, is not among its `contexts`"));
        }
        _ => {}
    }
}

fn value_of<'a>(entries: &'a [(Key, Node)], key: &str) -> Option<&'a Value> {
    entries.iter().find(|(candidate, _)| candidate.text == key).map(|(_, node)| &node.value)
}

fn text_of<'a>(entries: &'a [(Key, Node)], key: &str) -> Option<&'a str> {
    match value_of(entries, key)? {
        Value::Scalar(text) => Some(text),
        _ => None,
    }
}
