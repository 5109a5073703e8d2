//! Where the files came from, as verifiers read it: an
//! [in-toto statement](https://github.com/in-toto/attestation/blob/v1.1.0/spec/v1/statement.md)
//! with [SLSA provenance v1](https://slsa.dev/spec/v1.0/provenance) for each component that
//! contributes files, in the terms of the
//! [GitHub Actions workflow build type](https://actions.github.io/buildtypes/workflow/v1).

use serde_json::{Value, json};

use super::manifest::ReleaseManifest;
use crate::build::Build;

/// A statement, as JSON without line breaks, for each component that has files, in the
/// release manifest's order. `web` is GitHub's address for people.
pub fn statements(
    manifest: &ReleaseManifest,
    builds: &[Build],
    web: &str,
) -> Result<Vec<String>, serde_json::Error> {
    let statements = builds.iter().filter_map(|build| {
        let subjects = subjects(manifest, &build.component);
        (!subjects.is_empty()).then(|| statement(manifest, build, subjects, web))
    });
    statements
        .map(|value| serde_json::to_string(&value))
        .collect()
}

fn subjects(manifest: &ReleaseManifest, component: &str) -> Vec<Value> {
    let assets = manifest.assets.iter();
    assets
        .filter(|asset| asset.component == component)
        .map(|asset| json!({ "name": asset.name, "digest": { "sha256": asset.sha256 } }))
        .collect()
}

fn statement(manifest: &ReleaseManifest, build: &Build, subjects: Vec<Value>, web: &str) -> Value {
    let repository = format!("{web}/{}", build.repository);
    let path = &build.workflow_path;
    let reference = git_ref(build);
    let run = build.collected.as_ref();
    let (run_id, attempt) = run.map_or((0, 0), |c| (c.workflow_run_id, c.run_attempt));
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://actions.github.io/buildtypes/workflow/v1",
                "externalParameters": {
                    "workflow": {
                        "ref": reference,
                        "repository": repository,
                        "path": path,
                    },
                },
                "internalParameters": {
                    "github": { "event_name": build.spec.trigger.event() },
                    "release": {
                        "version": manifest.version,
                        "repository": format!("{web}/{}", manifest.repository),
                        "component": build.component,
                    },
                },
                "resolvedDependencies": [{
                    "uri": format!("git+{repository}@{reference}"),
                    "digest": { "gitCommit": build.pin },
                }],
            },
            "runDetails": {
                "builder": { "id": format!("{repository}/{path}@{reference}") },
                "metadata": {
                    "invocationId": format!("{repository}/actions/runs/{run_id}/attempts/{attempt}"),
                    "startedOn": build.started_at,
                    "finishedOn": build.completed_at,
                },
            },
        },
    })
}

/// The full name of what was built: `workflow_dispatch` builds a tag, the other a branch.
fn git_ref(build: &Build) -> String {
    let kind = match build.spec.trigger {
        crate::manifest::Trigger::WorkflowDispatch => "tags",
        crate::manifest::Trigger::RepositoryDispatch => "heads",
    };
    format!("refs/{kind}/{}", build.git_ref)
}
