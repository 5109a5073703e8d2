//! What a release carries beside its files, checked with the tools that people have.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use commons_domain::documents::{
    PROVENANCE, RELEASE_MANIFEST, SIGNATURE, SUMS, VERSIONS, dsse::Envelope,
};
use commons_domain::manifest::Manifest;
use commons_domain::names::Sha256;
use commons_publish::Next;
use commons_runtime::StageError;
use github_simulator::{FaultKind, ReleaseView};
use integration::{COMPONENTS, StageWorld, tools};
use serde_json::Value;

use super::publish::{ASSETS, complete, completed, whole};

const RELEASE: &str = "/repos/{owner}/{repo}/releases/{release_id}";

async fn signed() -> StageWorld {
    completed(StageWorld::start().await.signed().await).await
}

async fn published(world: &StageWorld) -> ReleaseView {
    assert_eq!(world.publish().await.unwrap().next, Next::Published);
    whole(world).await
}

fn content<'a>(release: &'a ReleaseView, name: &str) -> &'a [u8] {
    let asset = release.assets.iter().find(|asset| asset.name == name);
    &asset.unwrap_or_else(|| panic!("no {name}")).content
}

/// Downloads everything, as a person does.
fn download(release: &ReleaseView, to: &Path) {
    for asset in &release.assets {
        std::fs::write(to.join(&asset.name), &asset.content).unwrap();
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.output().unwrap().status.success()
}

#[tokio::test]
async fn people_s_own_tools_verify_a_release() {
    let Some(openssl) = tools::openssl() else {
        return;
    };
    let world = signed().await;
    let release = published(&world).await;
    let folder = tempfile::tempdir().unwrap();
    download(&release, folder.path());
    std::fs::write(
        folder.path().join("key.pem"),
        world.public_key().await.pem(),
    )
    .unwrap();
    let verifies = || {
        let arguments = "dgst -sha256 -verify key.pem -signature SHA256SUMS.sig SHA256SUMS";
        succeeds(
            Command::new(&openssl)
                .args(arguments.split(' '))
                .current_dir(&folder),
        )
    };
    let sums = || {
        let arguments = ["--check", "--strict", SUMS];
        succeeds(
            Command::new("sha256sum")
                .args(arguments)
                .current_dir(&folder),
        )
    };
    assert!(verifies() && sums());
    let text = std::fs::read_to_string(folder.path().join(SUMS)).unwrap();
    assert_eq!(
        text.lines().count(),
        release.assets.len() - 2,
        "all but itself and its signature"
    );

    std::fs::write(folder.path().join(VERSIONS), "other").unwrap();
    assert!(verifies() && !sums(), "a file that was changed");
    std::fs::write(folder.path().join(SUMS), text.replace('a', "b")).unwrap();
    assert!(!verifies(), "sums that were changed");
}

#[tokio::test]
async fn another_library_verifies_the_provenance() {
    let Some(python) = tools::secure_systems_lib() else {
        return;
    };
    let world = signed().await;
    let release = published(&world).await;
    let folder = tempfile::tempdir().unwrap();
    download(&release, folder.path());
    let script = r#"
import json, sys
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
pem, path = sys.argv[1:]
load_pem_public_key(pem.encode())
for line in open(path):
    envelope = Envelope.from_dict(json.loads(line))
    keyid = next(iter(envelope.signatures))
    key = SSlibKey(keyid, "ecdsa", "ecdsa-sha2-nistp256", {"public": pem})
    envelope.verify([key], 1)
    print(envelope.payload.decode())
"#;
    let pem = world.public_key().await.pem();
    let open = |path: &Path| {
        let mut command = Command::new(&python);
        command
            .args(["-c", script, &pem])
            .arg(path)
            .output()
            .unwrap()
    };
    let file = folder.path().join(PROVENANCE);
    let output = open(&file);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let output = String::from_utf8(output.stdout).unwrap();
    let statements: Vec<Value> = output
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();

    // Every file that was built is the subject of one statement, which names its commit.
    let mut subjects = BTreeMap::new();
    for statement in &statements {
        assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
        assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
        let definition = &statement["predicate"]["buildDefinition"];
        let component = &definition["internalParameters"]["release"]["component"];
        let build = world.build(component.as_str().unwrap()).await;
        let source = &definition["resolvedDependencies"][0];
        assert_eq!(source["digest"]["gitCommit"], build.pin.as_str());
        let run = &statement["predicate"]["runDetails"]["metadata"]["invocationId"];
        let ends = format!(
            "/actions/runs/{}/attempts/1",
            build.workflow_run_id.unwrap()
        );
        assert!(run.as_str().unwrap().ends_with(&ends), "{run}");
        for subject in statement["subject"].as_array().unwrap() {
            let name = subject["name"].as_str().unwrap().to_owned();
            let sum = subject["digest"]["sha256"].as_str().unwrap();
            let sum = Sha256::parse(sum).unwrap();
            assert_eq!(Sha256::of(content(&release, &name)), sum);
            assert!(subjects.insert(name, sum).is_none(), "once");
        }
    }
    assert_eq!(subjects.len(), release.assets.len() - 5);

    let mut envelopes: Vec<Envelope> = content(&release, PROVENANCE)
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let other = envelopes[1].payload.clone();
    envelopes[0].payload = other;
    std::fs::write(&file, serde_json::to_vec(&envelopes[0]).unwrap()).unwrap();
    assert!(
        !open(&file).status.success(),
        "a statement that was exchanged"
    );
}

#[tokio::test]
async fn the_release_manifest_is_as_its_schema_says_and_names_every_file_s_origin() {
    let world = complete().await;
    let release = published(&world).await;
    let text = content(&release, RELEASE_MANIFEST);
    let manifest: Value = serde_json::from_slice(text).unwrap();
    let schema = include_str!("../../../../../docs/release-manifest.schema.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let faults: Vec<String> = validator
        .iter_errors(&manifest)
        .map(|e| e.to_string())
        .collect();
    assert_eq!(faults, [""; 0]);

    assert_eq!(manifest["version"], "v0.1.0");
    assert_eq!(manifest["commit"], release.target_commitish.as_str());
    let components = manifest["components"].as_array().unwrap();
    assert_eq!(components.len(), COMPONENTS.len());
    for component in components {
        let build = world.build(component["name"].as_str().unwrap()).await;
        assert_eq!(component["commit"], build.pin.as_str());
        assert_eq!(component["run_id"], build.workflow_run_id.unwrap());
    }
    let assets = manifest["assets"].as_array().unwrap();
    assert_eq!(assets.len(), release.assets.len() - 3);
    for asset in assets {
        let name = asset["name"].as_str().unwrap();
        let bytes = content(&release, name);
        assert_eq!(asset["size"], bytes.len());
        assert_eq!(asset["sha256"], Sha256::of(bytes).as_str());
        let build = world.build(asset["component"].as_str().unwrap()).await;
        assert_eq!(asset["commit"], build.pin.as_str());
        assert_eq!(asset["run_id"], build.workflow_run_id.unwrap());
        assert_eq!(asset["run_attempt"], build.run_attempt.unwrap());
        let artifact = &asset["artifact"];
        assert!(artifact["id"].as_u64().is_some() && artifact["digest"].is_string());
    }
}

#[tokio::test]
async fn the_manifest_is_published_with_every_commit() {
    let world = complete().await;
    let release = published(&world).await;
    let text = std::str::from_utf8(content(&release, VERSIONS)).unwrap();
    let manifest = Manifest::parse(text).unwrap();
    let original = Manifest::parse(integration::MANIFEST).unwrap();
    for name in COMPONENTS {
        let build = world.build(name).await;
        let resolved = &manifest.components()[name];
        assert_eq!(resolved.git_commit, build.pin);
        assert_eq!(resolved.requires, original.components()[name].requires);
    }
}

#[tokio::test]
async fn what_was_signed_once_is_not_sent_again() {
    let world = signed().await;
    // The last write is refused: everything is uploaded by then.
    world.fault("PATCH", RELEASE, FaultKind::Status(502, None));
    assert_eq!(world.publish().await.unwrap().next, Next::Again);
    let uploads = || world.github.calls()[&format!("POST {ASSETS}")];
    let before = uploads();
    let release = published(&world).await;
    assert_eq!(uploads(), before);
    assert_eq!(before as usize, release.assets.len());
    let signature = content(&release, SIGNATURE);
    assert!(
        world
            .public_key()
            .await
            .verifies(content(&release, SUMS), signature)
    );
}

#[tokio::test]
async fn a_key_that_cannot_sign_is_told_before_anything_is_dispatched() {
    let mut world = StageWorld::start().await.signed().await;
    let arn = world.stage.config.signing_key.clone().unwrap();
    let wrong =
        arn.rsplit_once('/').unwrap().0.to_owned() + "/00000000-0000-0000-0000-000000000000";
    world.sign_with(&wrong);
    let refused = world.plan_as(&world.execution("one")).await.unwrap_err();
    assert!(matches!(refused, StageError::Refused(_)), "{refused:?}");
    let told = refused.to_string();
    assert!(
        told.contains(&wrong) && told.contains("NotFoundException"),
        "{told}"
    );
}
