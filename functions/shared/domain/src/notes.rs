//! What a release says of itself: its components and its files.

use std::fmt::Write as _;

use crate::build::Build;
use crate::names::Sha256;

/// One published file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its name on GitHub.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Its sum.
    pub sha256: Sha256,
    /// Who built it.
    pub component: String,
}

/// Markdown with a table of components (repository, commit, run, duration) and one
/// of artifacts (size, sum). `web` is GitHub's address for people.
pub fn render(version: &str, builds: &[Build], artifacts: &[Artifact], web: &str) -> String {
    let mut text = format!(
        "## Components of {version}\n\n| component | version | repository | commit | run | duration |\n| --- | --- | --- | --- | --- | --- |\n"
    );
    for build in builds {
        let repository = &build.repository;
        let pin = &build.pin;
        let short = pin.get(..12).unwrap_or(pin);
        let run = build.workflow_run_id.unwrap_or_default();
        let duration = match (build.started_at, build.completed_at) {
            (Some(start), Some(end)) => duration(end.as_second() - start.as_second()),
            _ => "–".into(),
        };
        let _ = writeln!(
            text,
            "| {} | {} | [{repository}]({web}/{repository}) | [`{short}`]({web}/{repository}/commit/{pin}) | [{run}]({web}/{repository}/actions/runs/{run}) | {duration} |",
            build.component, build.spec.version
        );
    }
    let _ = write!(
        text,
        "\n## Artifacts\n\nCheck them all with `sha256sum -c SHA256SUMS`.\n\n| file | size | component | SHA-256 |\n| --- | --- | --- | --- |\n"
    );
    for artifact in artifacts {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | `{}` |",
            artifact.name, artifact.size, artifact.component, artifact.sha256
        );
    }
    text
}

fn duration(seconds: i64) -> String {
    match seconds.max(0) {
        s if s >= 3600 => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
        s if s >= 60 => format!("{} min {:02} s", s / 60, s % 60),
        s => format!("{s} s"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn durations_are_read_by_people() {
        assert_eq!(
            [5, 65, 3700].map(super::duration),
            ["5 s", "1 min 05 s", "1 h 01 min"]
        );
    }
}
