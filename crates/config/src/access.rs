//! `kubeconfig` and `context`: how the Kubernetes API is reached. How it is spoken to is not known here.

use std::path::PathBuf;

use crate::context::Context;
use crate::document::{self, Key, Node, Value};
use crate::files::NamedFile;
use crate::section::{Located, Section};

/// How the Kubernetes API is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KubernetesAccess {
    /// Where the API server is and who asks; none: this pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; none: its current one.
    pub context: Option<String>,
}

/// The same, whose kubeconfig has not been read yet.
#[derive(Debug, Default)]
pub(crate) struct AccessDraft {
    kubeconfig: Option<NamedFile>,
    context: Option<Located<String>>,
}

impl AccessDraft {
    /// Reads both keys.
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let kubeconfig = section.path("kubeconfig").map(|path| NamedFile { key: "kubeconfig", path });
        let context = section.get("context", |text| Ok(text.to_owned()));
        if let (Some(context), false) = (&context, section.has("kubeconfig")) {
            let help =
                "add `kubeconfig: FILE`, or remove it: without a kubeconfig the service account of this pod counts";
            section.cx.error(&context.at, "`context` needs `kubeconfig`", help);
        }
        Self { kubeconfig, context }
    }

    /// Looks into the kubeconfig; notes what is wrong with it.
    pub(crate) fn resolve(self, cx: &Context) -> Option<KubernetesAccess> {
        let Self { kubeconfig, context } = self;
        let kubeconfig = match kubeconfig {
            Some(file) => {
                let text = file.read(cx)?;
                check_kubeconfig(cx, &file, &text, context.as_ref());
                Some(file.path.value)
            }
            None => None,
        };
        Some(KubernetesAccess { kubeconfig, context: context.map(|context| context.value) })
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
