//! A release in the local cloud, from its tag until it is published: its files are made by
//! a run of the simulated GitHub, which takes them back as assets.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use github_simulator::{Artifact, Fault, FaultKind, Repository, Script, Settings, Simulator};
use jiff::Timestamp;
use local_cloud::{Account, LocalCloud, Options, STACK, Stack};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{aws, content, usage};

const VERSION: &str = "v0.1.0";
/// As many files Publish sends at once.
const AT_ONCE: usize = 4;
const REPOSITORY: &str = "bench/product";
const RELEASE: &str = "/repos/{owner}/{repo}/releases/{release_id}";
/// The workflow that components copy.
const WORKFLOW: &str = include_str!("../../../../docs/workflows/build.yml");
const WEBHOOK_SECRET: &str = "of the benchmark";
/// A release that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a release has.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    files: usize,
    bytes: usize,
}

/// 16 files of 64 MB.
pub const MANY: Shape = Shape {
    files: 16,
    bytes: 64_000_000,
};
/// One of 1.9 GB.
pub const LARGE: Shape = Shape {
    files: 1,
    bytes: 1_900_000_000,
};

/// What was measured of a release.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// From when publishing began until the release was published.
    pub seconds: f64,
    /// What was uploaded.
    pub bytes: u64,
    /// Bytes a second out of the bucket, alone.
    pub source: f64,
    /// Bytes a second into GitHub, alone.
    pub sink: f64,
    /// Writes to GitHub.
    pub writes: u32,
    /// Uploads among them.
    pub uploads: u32,
    /// Uploads after the last write was refused.
    pub again: u32,
    /// Bytes of memory that Publish has had at most.
    pub peak: u64,
}

impl Measured {
    /// The seconds that nothing is faster than: as long as the bytes take, and as long as the
    /// writes, which begin a second apart.
    pub fn bound(&self) -> f64 {
        let bytes = self.bytes as f64 / self.source.min(self.sink);
        bytes.max(f64::from(self.writes.saturating_sub(1)))
    }
}

/// Carries a release of this shape; with `twice` its last write is refused once.
pub async fn measure(functions: &Path, shape: Shape, twice: bool) -> Result<Measured, String> {
    let place = Place::start(functions, shape).await?;
    if twice {
        place.github.fault(Fault {
            method: "PATCH".into(),
            route: RELEASE.into(),
            repo: Some(REPOSITORY.into()),
            times: 1,
            kind: FaultKind::Status(502, None),
        });
    }
    let peak = place.release().await?;
    let seconds = place.published_after().await?;
    let requests = place.github.requests();
    let of_release = |path: &str| path.contains("/releases");
    let writes: Vec<_> = requests
        .iter()
        .filter(|request| request.method != "GET" && of_release(&request.path))
        .collect();
    let uploads = |writes: &[&github_simulator::Request]| {
        let uploads = writes
            .iter()
            .filter(|write| write.path.starts_with("/uploads/"));
        u32::try_from(uploads.count()).unwrap_or(u32::MAX)
    };
    let refused = writes.iter().position(|write| write.method == "PATCH");
    let refused = refused.ok_or("the release was not published by a PATCH")?;
    let sizes = place.github.releases(REPOSITORY);
    let assets = sizes.iter().flat_map(|release| &release.assets);
    Ok(Measured {
        seconds,
        bytes: assets.map(|asset| asset.size).sum(),
        source: place.source_alone().await?,
        sink: place.sink_alone(shape).await?,
        writes: u32::try_from(writes.len()).unwrap_or(u32::MAX),
        uploads: uploads(&writes),
        again: uploads(&writes[refused..]),
        peak,
    })
}

/// A local cloud and a simulated GitHub.
struct Place {
    cloud: LocalCloud,
    account: Account,
    stack: Stack,
    github: Simulator,
}

impl Place {
    async fn start(functions: &Path, shape: Shape) -> Result<Self, String> {
        let quiet = |_: &str| {};
        let toolchain = local_cloud::ensure_venv(&quiet).await;
        let toolchain = toolchain.map_err(|error| error.to_string())?;
        let log = toolchain.target.join("bench-publish.log");
        let cloud = LocalCloud::start(&toolchain, Options { log, auth: false }).await;
        let cloud = cloud.map_err(|error| error.to_string())?;
        let settings = Settings::default();
        let token = settings.token.clone();
        let github = Simulator::start(settings).await;
        let github = github.map_err(|error| error.to_string())?;
        github.add_repository(repository(shape));
        let account = cloud
            .account(local_cloud::ACCOUNT)
            .map_err(|error| error.to_string())?;
        let parameters = [
            ("ReleaseRepository", REPOSITORY.to_owned()),
            ("GitHubApiUrl", github.api_url()),
            ("GitHubToken", token),
            ("WebhookSecret", WEBHOOK_SECRET.to_owned()),
            ("PrivateTransfers", "true".to_owned()),
            ("PollSoonSeconds", "1".to_owned()),
        ];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value));
        let stack = account
            .deploy(STACK, &toolchain, functions, &BTreeMap::from(parameters))
            .await;
        let stack = stack.map_err(|error| error.to_string())?;
        github.set_webhook(&stack.webhook_url, WEBHOOK_SECRET);
        Ok(Self {
            cloud,
            account,
            stack,
            github,
        })
    }

    /// From the tag until the release is published; the bytes of memory that Publish has
    /// had at most.
    async fn release(&self) -> Result<u64, String> {
        self.github.create_tag(REPOSITORY, VERSION);
        let began = Instant::now();
        let mut peak = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            peak = peak.max(usage::peak_of_function(
                "PublishFunction",
                self.cloud.endpoint(),
            )?);
            let release = self.items("release").await?.pop();
            match release
                .as_ref()
                .and_then(|release| release["status"]["S"].as_str())
            {
                Some("published") if peak > 0 => return Ok(peak),
                Some("published") => return Err("Publish's process was not found".into()),
                Some("failed") => return Err(format!("the release failed: {release:?}")),
                _ if began.elapsed() > PATIENCE => {
                    return Err(format!("the release does not end: {release:?}"));
                }
                _ => {}
            }
        }
    }

    /// Seconds from when publishing began until it was published.
    async fn published_after(&self) -> Result<f64, String> {
        let events = self.items("event#").await?;
        let at = |status: &str| {
            let event = events
                .iter()
                .find(|event| event["to"]["S"] == status && event["what"]["S"] == "release");
            let sk = event.and_then(|event| event["sk"]["S"].as_str());
            let time = sk.and_then(|sk| sk.split('#').nth(1));
            let time = time.and_then(|time| time.parse::<Timestamp>().ok());
            time.ok_or_else(|| format!("no event tells when it was {status}"))
        };
        let took = at("published")?.duration_since(at("publishing")?);
        Ok(took.as_secs_f64())
    }

    /// The table's items of the release.
    async fn items(&self, kind: &str) -> Result<Vec<Value>, String> {
        let release = format!("{REPOSITORY}/{VERSION}");
        let items = self.account.items(&self.stack.table, &release, kind).await;
        items.map_err(|error| error.to_string())
    }

    /// Bytes a second of the collected files out of the bucket, as many at a time as
    /// Publish reads.
    async fn source_alone(&self) -> Result<f64, String> {
        let s3 = aws::client(self.cloud.endpoint());
        let bucket = &self.stack.bucket;
        let prefix = format!("{REPOSITORY}/{VERSION}/product/");
        let listed = s3
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .send()
            .await;
        let listed = listed.map_err(|error| format!("the bucket: {error}"))?;
        let keys = listed.contents().iter().filter_map(|object| object.key());
        let keys: Vec<String> = keys.map(str::to_owned).collect();
        let began = Instant::now();
        let read = async |key: String| -> Result<u64, String> {
            let object = s3.get_object().bucket(bucket).key(&key).send().await;
            let mut body = object.map_err(|error| format!("{key}: {error}"))?.body;
            let mut bytes = 0;
            while let Some(chunk) = body.next().await {
                bytes += chunk.map_err(|error| format!("{key}: {error}"))?.len() as u64;
            }
            Ok(bytes)
        };
        let read: Vec<u64> = stream::iter(keys.into_iter().map(read))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(read.iter().sum::<u64>() as f64 / began.elapsed().as_secs_f64())
    }

    /// Bytes a second into GitHub, as many at a time as Publish sends.
    async fn sink_alone(&self, shape: Shape) -> Result<f64, String> {
        let http = local_cloud::http_client().map_err(|error| error.to_string())?;
        let api = self.github.api_url();
        let token = Settings::default().token;
        let made = http
            .post(format!("{api}/repos/{REPOSITORY}/releases"))
            .bearer_auth(&token)
            .header("User-Agent", "bench")
            .json(&json!({ "tag_name": "v0.0.1", "draft": true }))
            .send()
            .await;
        let made: Value = match made {
            Ok(made) => made.json().await.map_err(|error| error.to_string())?,
            Err(error) => return Err(format!("a draft: {error}")),
        };
        let to = made["upload_url"]
            .as_str()
            .and_then(|url| url.split('{').next());
        let to = to.ok_or_else(|| format!("no draft: {made}"))?;
        let bytes = Bytes::from(content::noise(1, shape.bytes));
        let began = Instant::now();
        let send = async |n: usize| -> Result<(), String> {
            let sent = http
                .post(format!("{to}?name=n{n}"))
                .bearer_auth(&token)
                .header("User-Agent", "bench")
                .header("Content-Type", "application/octet-stream")
                .body(bytes.clone())
                .send()
                .await;
            let sent = sent.and_then(reqwest::Response::error_for_status);
            sent.map(drop)
                .map_err(|error| format!("an upload: {error}"))
        };
        let sends = stream::iter((0..shape.files).map(send)).buffer_unordered(AT_ONCE);
        sends.try_collect::<Vec<()>>().await?;
        Ok((shape.files * shape.bytes) as f64 / began.elapsed().as_secs_f64())
    }
}

/// The product's repository: its one component is built there, into these files.
fn repository(shape: Shape) -> Repository {
    let manifest = "[versions]\nproduct = { version = \"0.1.0\", artifacts = [\"*\"] }\n";
    let artifact = |n: usize| Artifact {
        name: format!("artifact-{n}"),
        files: vec![(format!("file-{n}"), content::noise(n as u64, shape.bytes))],
        ..Artifact::default()
    };
    Repository {
        name: REPOSITORY.into(),
        files: BTreeMap::from([
            ("versions.toml".into(), manifest.into()),
            (".github/workflows/build.yml".into(), WORKFLOW.into()),
        ]),
        script: Script {
            queue_seconds: 0.0,
            run_seconds: 1.0,
            artifacts: (0..shape.files).map(artifact).collect(),
            ..Script::default()
        },
        ..Repository::default()
    }
}
