//! What a rehearsal came to: for people, as JSON, and on disk.

use std::collections::BTreeMap;
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use commons_domain::names::Sha256;
use jiff::Timestamp;
use local_cloud::Error;
use serde::Serialize;
use serde_json::Value;

use super::Wanted;
use super::rehearsal::Rehearsal;

/// The JSON report.
#[derive(Serialize)]
pub struct Report {
    version: String,
    status: String,
    release_url: Option<String>,
    builds: Vec<Build>,
    assets: Vec<Asset>,
    makespan_seconds: Option<f64>,
    critical_path_seconds: f64,
    state_transitions: u64,
    max_state_payload_bytes: u64,
    github_calls: BTreeMap<String, u64>,
    #[serde(skip)]
    error: Option<String>,
}

#[derive(Serialize)]
struct Build {
    component: String,
    status: String,
    run_id: Option<u64>,
    matched_by: Option<String>,
    attempts: u64,
    requires: Vec<String>,
    dispatched_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    error: Option<String>,
}

#[derive(Serialize)]
struct Asset {
    name: String,
    size: u64,
    sha256: String,
}

fn text(item: &Value, name: &str) -> Option<String> {
    item[name]["S"].as_str().map(str::to_owned)
}

fn time(item: &Value, name: &str) -> Option<Timestamp> {
    text(item, name).and_then(|text| text.parse().ok())
}

fn number(item: &Value, name: &str) -> Option<u64> {
    item[name]["N"].as_str().and_then(|text| text.parse().ok())
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    (to.as_millisecond() - from.as_millisecond()) as f64 / 1000.0
}

impl Report {
    /// Reads the table, the histories and GitHub.
    pub async fn gather(
        rehearsal: &Rehearsal,
        wanted: &Wanted,
        execution: &str,
    ) -> Result<Self, Error> {
        let releases = rehearsal.items(&wanted.version, "release").await?;
        let release = releases.first().cloned().unwrap_or_default();
        let builds: Vec<Build> = rehearsal
            .items(&wanted.version, "build#")
            .await?
            .iter()
            .map(|item| Build {
                component: text(item, "component").unwrap_or_default(),
                status: text(item, "status").unwrap_or_default(),
                run_id: number(item, "workflow_run_id"),
                matched_by: text(item, "matched_by"),
                attempts: number(item, "attempt").unwrap_or_default(),
                requires: item["requires"]["L"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|r| r["S"].as_str().map(str::to_owned))
                    .collect(),
                dispatched_at: time(item, "dispatched_at"),
                started_at: time(item, "started_at"),
                completed_at: time(item, "completed_at"),
                error: text(item, "error"),
            })
            .collect();
        let published = rehearsal
            .github
            .releases(&rehearsal.repository)
            .into_iter()
            .find(|r| r.tag_name == wanted.version.as_str() && !r.draft);
        let assets = published
            .into_iter()
            .flat_map(|release| release.assets)
            .map(|asset| Asset {
                sha256: Sha256::of(&asset.content).to_string(),
                name: asset.name,
                size: asset.size,
            })
            .collect();
        let transitions = rehearsal.account.transitions(execution).await?;
        let status = text(&release, "status").unwrap_or_else(|| "failed".into());
        let ended = time(&release, "completed_at").filter(|_| status == "published");
        Ok(Self {
            version: wanted.version.to_string(),
            release_url: text(&release, "html_url"),
            makespan_seconds: time(&release, "created_at")
                .zip(ended)
                .map(|(from, to)| seconds(from, to)),
            critical_path_seconds: critical_path(&builds),
            state_transitions: transitions.count,
            max_state_payload_bytes: transitions.max_payload_bytes,
            github_calls: rehearsal.github.calls(),
            error: text(&release, "error"),
            status,
            builds,
            assets,
        })
    }

    /// Writes the JSON.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let json = serde_json::to_string_pretty(self).map_err(|error| Error(error.to_string()))?;
        std::fs::write(path, json + "\n")
            .map_err(|error| Error(format!("{}: {error}", path.display())))
    }

    /// Prints it for people; whether the release is published.
    pub fn print(&self, wanted: &Wanted) -> bool {
        if self.status != "published" {
            let why = self
                .error
                .as_deref()
                .unwrap_or("the execution ended before it planned anything");
            eprintln!(
                "\n{} is {}: {why}; nothing was published",
                self.version, self.status
            );
            return false;
        }
        println!(
            "\n{} is published: {}\n",
            self.version,
            self.release_url.as_deref().unwrap_or_default()
        );
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["asset", "bytes", "SHA-256"]);
        for asset in &self.assets {
            table.add_row([&asset.name, &asset.size.to_string(), &asset.sha256]);
        }
        if let Some(bytes) = table.column_mut(1) {
            bytes.set_cell_alignment(CellAlignment::Right);
        }
        println!("{table}\n");
        println!(
            "makespan {:.1} s beside a critical path of {:.1} s; {} state transitions, largest payload of a state {} bytes",
            self.makespan_seconds.unwrap_or_default(),
            self.critical_path_seconds,
            self.state_transitions,
            self.max_state_payload_bytes
        );
        println!("\nTry next:");
        if let Some(first) = wanted.manifest.plan().order.first() {
            println!(
                "  cargo commons demo --fail {first}    what requires it is blocked, nothing is published"
            );
        }
        println!(
            "  cargo commons demo --out target/release    the assets on disk, their sums checked"
        );
        println!("  cargo commons demo --keep    everything stays up for the AWS CLI");
        true
    }

    /// Downloads every asset as a person would, and checks the sums.
    pub async fn download(&self, rehearsal: &Rehearsal, out: &Path) -> Result<bool, Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .map_err(|error| Error(error.to_string()))?;
        let page = format!(
            "{}/{}/releases/download/{}",
            rehearsal.github.html_url(),
            rehearsal.repository,
            self.version
        );
        for asset in &self.assets {
            let failed = |error: &dyn std::fmt::Display| Error(format!("{}: {error}", asset.name));
            let answer = http
                .get(format!("{page}/{}", asset.name))
                .send()
                .await
                .map_err(|error| failed(&error))?;
            let answer = answer.error_for_status().map_err(|error| failed(&error))?;
            let bytes = answer.bytes().await.map_err(|error| failed(&error))?;
            std::fs::write(out.join(&asset.name), &bytes).map_err(|error| failed(&error))?;
        }
        check_sums(out)
    }
}

/// What `sha256sum -c SHA256SUMS` would say.
fn check_sums(out: &Path) -> Result<bool, Error> {
    let read = |name: &str| {
        std::fs::read(out.join(name)).map_err(|error| Error(format!("{name}: {error}")))
    };
    let sums = String::from_utf8(read("SHA256SUMS")?)
        .map_err(|error| Error(format!("SHA256SUMS: {error}")))?;
    let mut whole = !sums.is_empty();
    for line in sums.lines() {
        let (sum, name) = line
            .split_once("  ")
            .ok_or_else(|| Error(format!("SHA256SUMS has the line '{line}'")))?;
        let right = Sha256::of(&read(name)?).as_str() == sum;
        println!("{name}: {}", if right { "OK" } else { "FAILED" });
        whole &= right;
    }
    Ok(whole)
}

/// The longest chain of builds, each from its dispatch to its green.
fn critical_path(builds: &[Build]) -> f64 {
    fn until(build: &Build, builds: &[Build], known: &mut BTreeMap<String, f64>) -> f64 {
        if let Some(length) = known.get(&build.component) {
            return *length;
        }
        let own = build
            .dispatched_at
            .zip(build.completed_at)
            .map_or(0.0, |(from, to)| seconds(from, to));
        let before = builds
            .iter()
            .filter(|other| build.requires.contains(&other.component))
            .map(|other| until(other, builds, known))
            .fold(0.0, f64::max);
        known.insert(build.component.clone(), own + before);
        own + before
    }
    let mut known = BTreeMap::new();
    builds
        .iter()
        .map(|build| until(build, builds, &mut known))
        .fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_checked_file_by_file() {
        let out = tempfile::tempdir().unwrap();
        std::fs::write(out.path().join("a"), b"1").unwrap();
        std::fs::write(
            out.path().join("SHA256SUMS"),
            format!("{}  a\n", Sha256::of(b"1")),
        )
        .unwrap();
        assert!(check_sums(out.path()).unwrap());
        std::fs::write(out.path().join("a"), b"2").unwrap();
        assert!(!check_sums(out.path()).unwrap());
    }
}
