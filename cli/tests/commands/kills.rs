//! A demo whose functions are killed while they work: every release is published, whole.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::demo::{builds, demo, report};

/// How many demos, unless `DEMOS` says another number.
const DEMOS: u64 = 2;

/// The processes of functions whose cloud is at this address.
fn functions(endpoint: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap() {
        let folder = process.unwrap().path();
        let name = folder.file_name().and_then(|name| name.to_str());
        let pid: Option<i32> = name.and_then(|name| name.parse().ok());
        let read = |name: &str| std::fs::read(folder.join(name)).unwrap_or_default();
        let runs = String::from_utf8_lossy(&read("cmdline")).contains("/bootstrap");
        let variable = format!("AWS_ENDPOINT_URL={endpoint}");
        let environment = read("environ");
        let mut variables = environment.split(|byte| *byte == 0);
        if runs && variables.any(|v| v == variable.as_bytes()) {
            found.extend(pid);
        }
    }
    found
}

/// Runs one demo and kills functions by chance, one in ten twice a second, warm or not,
/// from the first build on: GitHub sends a tag once, and whoever kills the door then asks
/// for the release by hand. The kills.
fn demo_with_kills(seed: u64, json: &Path) -> u32 {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut child = demo(&["--json", json.to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (send, printed) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut all = String::new();
        for line in lines {
            let line = line.unwrap();
            all.push_str(&line);
            all.push('\n');
            // Nobody listens any more once the demo has ended.
            let _ = send.send(line);
        }
        all
    });
    let mut endpoint = String::new();
    for line in &printed {
        if let Some((_, address)) = line.split_once("the local cloud at ") {
            endpoint = address.to_owned();
        }
        if line.contains("waiting") {
            break;
        }
    }
    assert!(!endpoint.is_empty(), "no address was printed");
    let mut kills = 0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(chance.u64(100..900)));
        for pid in functions(&endpoint) {
            let pid = Pid::from_raw(pid).filter(|_| chance.u8(0..10) == 0);
            // It may be gone in this moment.
            kills += pid.map_or(0, |pid| u32::from(kill_process(pid, Signal::KILL).is_ok()));
        }
    };
    let printed = reader.join().unwrap();
    assert!(status.success(), "seed {seed}, {kills} kills:\n{printed}");
    kills
}

#[test]
fn a_release_is_published_whole_though_its_functions_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    let demos = std::env::var("DEMOS").map_or(DEMOS, |demos| demos.parse().unwrap());
    for seed in 0..demos {
        let json = folder.path().join(format!("{seed}.json"));
        let kills = demo_with_kills(seed, &json);
        let report = report(&json);
        assert_eq!(report["status"], "published", "seed {seed}");
        let attempts: u64 = builds(&report)
            .values()
            .map(|build| build["attempts"].as_u64().unwrap())
            .sum();
        let dispatches = &report["github_calls"]["POST /repos/{owner}/{repo}/dispatches"];
        println!("seed {seed}: {kills} kills, {attempts} attempts, {dispatches} dispatches");
        assert!(kills > 3, "seed {seed}: {kills} kills");
        assert_eq!(
            report["assets"].as_array().unwrap().len(),
            17 + commons_domain::documents::count(true),
            "seed {seed}"
        );
    }
}
