//! `gatewayctl config check`: is a configuration file one that its program would start with?

use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;
use strait_config::Kind;

use crate::cli::{Failure, Outcome};
use crate::output::Output;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check a file, and every file it points to
    Check {
        /// The file
        file: PathBuf,
        /// Whose configuration it is [default: what its keys tell]
        #[arg(long, value_enum, value_name = "PROGRAM")]
        kind: Option<Program>,
    },
}

/// A program with a configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Program {
    Gateway,
    NodeAgent,
}

impl From<Program> for Kind {
    fn from(program: Program) -> Self {
        match program {
            Program::Gateway => Self::Gateway,
            Program::NodeAgent => Self::NodeAgent,
        }
    }
}

/// What was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Findings {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    valid: bool,
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl ConfigCommand {
    /// Checks, and writes what was found.
    pub(crate) fn run(self, output: &mut Output<impl Write>) -> Result<Outcome, Failure> {
        let Self::Check { file, kind } = self;
        let file_name = file.display().to_string();
        let findings = match strait_config::check(&file, kind.map(Kind::from)) {
            Ok(loaded) => Findings {
                file: file_name,
                kind: Some(loaded.config.to_string()),
                valid: true,
                errors: Vec::new(),
                warnings: loaded.warnings.iter().map(ToString::to_string).collect(),
            },
            Err(errors) => Findings {
                file: file_name,
                kind: None,
                valid: false,
                errors: errors.diagnostics().iter().map(ToString::to_string).collect(),
                warnings: Vec::new(),
            },
        };
        output.write(&findings, text)?;
        Ok(if findings.valid { Outcome::Done } else { Outcome::Failed })
    }
}

fn text(findings: &Findings) -> String {
    let mut parts: Vec<String> = findings.errors.iter().chain(&findings.warnings).cloned().collect();
    parts.push(match (&findings.kind, findings.errors.len()) {
        (Some(kind), _) => format!("{}: fine, a configuration of {kind}", findings.file),
        (None, 1) => format!("{}: 1 error", findings.file),
        (None, count) => format!("{}: {count} errors", findings.file),
    });
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(kind: Option<&str>, errors: &[&str], warnings: &[&str]) -> Findings {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let kind = kind.map(str::to_owned);
        Findings {
            file: "a.yaml".into(),
            valid: kind.is_some(),
            kind,
            errors: owned(errors),
            warnings: owned(warnings),
        }
    }

    #[test]
    fn the_verdict_comes_last_and_counts() {
        let cases = [
            (findings(Some("gateway"), &[], &[]), "a.yaml: fine, a configuration of gateway"),
            (findings(Some("gateway"), &[], &["w"]), "w\n\na.yaml: fine, a configuration of gateway"),
            (findings(None, &["e"], &[]), "e\n\na.yaml: 1 error"),
            (findings(None, &["e", "f"], &[]), "e\n\nf\n\na.yaml: 2 errors"),
        ];
        for (findings, expected) in cases {
            assert_eq!(text(&findings), expected);
        }
    }
}
