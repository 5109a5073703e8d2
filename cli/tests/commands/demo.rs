//! `commons demo`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use local_cloud::{FUNCTIONS, Profile};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{commons, stderr, stdout};

/// The environment and the functions, before what needs no network is cut off.
fn prepare() {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        local_cloud::ensure_venv(&|_| {}).await.unwrap();
        local_cloud::build(Profile::Dev, &FUNCTIONS, &|_| {})
            .await
            .unwrap();
    });
}

/// A demo on a machine whose settings would lead elsewhere if they were read.
pub(crate) fn demo(arguments: &[&str]) -> Command {
    prepare();
    let nowhere = "http://127.0.0.1:1";
    let mut command = commons(&["demo"]);
    command
        .args(arguments)
        .env("AWS_ENDPOINT_URL", nowhere)
        .env("AWS_PROFILE", "no-such-profile")
        .env("AWS_ACCESS_KEY_ID", "123456789012")
        .env("AWS_REGION", "mars-north-1")
        .env("GITHUB_TOKEN", "wrong");
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "all_proxy",
    ] {
        command.env(name, nowhere);
    }
    command
}

pub(crate) fn report(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) fn builds(report: &Value) -> BTreeMap<&str, &Value> {
    let builds = report["builds"].as_array().unwrap().iter();
    builds
        .map(|b| (b["component"].as_str().unwrap(), b))
        .collect()
}

fn time(build: &Value, name: &str) -> Timestamp {
    let text = build[name].as_str().unwrap();
    assert!(text.ends_with('Z'), "{text} is not UTC");
    text.parse().unwrap()
}

#[test]
fn a_release_arrives_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (out, json) = (
        folder.path().join("new/out"),
        folder.path().join("report.json"),
    );
    let output = demo(&["--version", "v1.2.3-rc.1", "--out", out.to_str().unwrap()])
        .arg("--json")
        .arg(&json)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );

    let said = format!(
        "{}{}",
        stdout(&output),
        std::fs::read_to_string(&json).unwrap()
    );
    assert!(!said.contains("simulated-"), "the token is told");
    let report = report(&json);
    assert_eq!(report["version"], "v1.2.3-rc.1");
    assert_eq!(report["status"], "published");
    let builds = builds(&report);
    assert_eq!(builds.len(), 6);
    for (name, build) in &builds {
        assert_eq!(build["status"], "collected", "{name}");
        assert_eq!(build["attempts"], 1, "{name}");
        assert_eq!(build["matched_by"], "nonce", "{name}");
        assert!(
            build["run_id"].is_u64() && build["error"].is_null(),
            "{name}"
        );
        assert!(
            time(build, "completed_at") > time(build, "dispatched_at"),
            "{name}"
        );
        for required in build["requires"].as_array().unwrap() {
            let green = time(builds[required.as_str().unwrap()], "completed_at");
            assert!(
                time(build, "dispatched_at") >= green,
                "{name} before {required}"
            );
        }
    }
    assert!(report["max_state_payload_bytes"].as_u64().unwrap() < 4096);
    // Each child alone passes through seven states.
    assert!(report["state_transitions"].as_u64().unwrap() > 6 * 7);
    assert!(report["makespan_seconds"].as_f64() >= report["critical_path_seconds"].as_f64());
    assert_eq!(
        report["github_calls"]["POST /repos/{owner}/{repo}/dispatches"],
        6
    );

    let assets = report["assets"].as_array().unwrap();
    assert!(assets.len() >= 8, "{}", assets.len());
    let manifest = include_str!("../../../tests/fixtures/versions.toml");
    let manifest = commons_domain::manifest::Manifest::parse(manifest).unwrap();
    for binary in manifest.components().values().flat_map(|c| &c.binaries) {
        assert!(
            assets.iter().any(|asset| asset["name"] == binary.as_str()),
            "{binary}"
        );
        assert!(out.join(binary).is_file(), "{binary}");
    }
    let sums = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
        .current_dir(&out)
        .output()
        .unwrap();
    assert!(sums.status.success(), "{}", stderr(&sums));
    let listed = std::fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    assert_eq!(
        listed.lines().count(),
        assets.len() - 2,
        "all but themselves and their signature"
    );

    let timeline = std::fs::read_to_string(out.join("timeline.txt")).unwrap();
    let lines: Vec<&str> = timeline.lines().collect();
    assert!(lines[0].starts_with("generation 1: owner arn:aws:states:"));
    assert!(lines[1].ends_with(r#"started with {"version":"v1.2.3-rc.1"}"#));
    assert!(
        lines
            .last()
            .unwrap()
            .contains("published and verified: http")
    );
    for (name, build) in &builds {
        let claimed = format!("claimed run {}, known by its nonce", build["run_id"]);
        let told = |line: &&str| line.contains(&format!("  {name} ")) && line.ends_with(&claimed);
        assert_eq!(lines.iter().filter(|line| told(line)).count(), 1, "{name}");
    }
    assert!(!timeline.contains("simulated-"), "the token is told");
}

#[test]
fn a_failing_component_publishes_nothing_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let out = folder.path().to_str().unwrap();
    let mut demo = demo(&["--fail", "bllvm-protocol", "--out", out]);
    demo.arg("--json").arg(&json);
    let began = Instant::now();
    let output = demo.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "{:?}",
        began.elapsed()
    );
    let why = stderr(&output);
    let lines: Vec<&str> = why.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 1, "{why}");
    assert!(lines[0].contains("bllvm-protocol is failure"), "{why}");
    assert!(lines[0].ends_with("nothing was published"), "{why}");

    let report = report(&json);
    assert_eq!(report["status"], "failed");
    assert!(report["assets"].as_array().unwrap().is_empty());
    assert!(report["release_url"].is_null() && report["makespan_seconds"].is_null());
    let builds = builds(&report);
    assert_eq!(builds["bllvm-protocol"]["status"], "failure");
    assert_eq!(builds["bllvm-protocol"]["attempts"], 4);
    for name in ["bllvm-consensus", "bllvm-sdk", "bllvm-commons"] {
        assert_eq!(builds[name]["status"], "collected", "{name}");
    }
    for name in ["bllvm-node", "bllvm"] {
        assert_eq!(builds[name]["status"], "blocked", "{name}");
        assert!(builds[name]["dispatched_at"].is_null(), "{name}");
    }
    let timeline = std::fs::read_to_string(folder.path().join("timeline.txt")).unwrap();
    for words in [
        "its failed jobs are run again, retry 3 of 3, not before ",
        "blocked by bllvm-protocol, which ended as failure",
        "the lease is released",
    ] {
        assert!(timeline.contains(words), "{words} is not in {timeline}");
    }
}

/// The ports that a demo printed and that are still open, and the processes whose
/// environment names one of them: the local cloud and its functions.
fn left_of(printed: &[String]) -> Vec<String> {
    let ports: Vec<u16> = printed
        .iter()
        .flat_map(|line| line.split("http://127.0.0.1:").skip(1))
        .map(|rest| {
            rest.chars()
                .take_while(char::is_ascii_digit)
                .collect::<String>()
        })
        .map(|digits| digits.parse().unwrap())
        .collect();
    assert!(!ports.is_empty(), "no address was printed: {printed:?}");
    let mut left: Vec<String> = ports
        .iter()
        .filter(|port| std::net::TcpStream::connect(("127.0.0.1", **port)).is_ok())
        .map(|port| format!("port {port}"))
        .collect();
    for process in std::fs::read_dir("/proc").unwrap() {
        let folder = process.unwrap().path();
        // Not a process, or gone in this moment.
        let Ok(environment) = std::fs::read(folder.join("environ")) else {
            continue;
        };
        let environment = String::from_utf8_lossy(&environment);
        let names = |port: &u16| {
            environment
                .split('\0')
                .any(|v| v == format!("AWS_ENDPOINT_URL=http://127.0.0.1:{port}"))
        };
        if ports.iter().any(names) {
            left.push(folder.display().to_string());
        }
    }
    left
}

fn assert_gone(printed: &[String]) {
    let began = Instant::now();
    loop {
        let left = left_of(printed);
        if left.is_empty() {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(3), "{left:?} is left");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn interrupt(signal: Signal) -> (Output, Vec<String>) {
    let mut child = demo(&["--keep"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut printed = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // In the middle of it: builds run, functions are warm.
    for line in lines.by_ref() {
        let line = line.unwrap();
        let building = line.ends_with("building");
        printed.push(line);
        if building {
            break;
        }
    }
    // The server, its port, and warm functions.
    assert!(left_of(&printed).len() > 2, "{:?}", left_of(&printed));
    kill_process(Pid::from_child(&child), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(lines);
    (output, printed)
}

#[test]
fn an_interrupt_leaves_nothing_behind() {
    let (output, printed) = interrupt(Signal::INT);
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert_gone(&printed);
}

#[test]
fn the_cloud_dies_with_a_killed_demo() {
    let (_, printed) = interrupt(Signal::KILL);
    assert_gone(&printed);
}

#[test]
fn the_lines_that_keep_prints_tell_of_the_release_and_start_another() {
    let Some(aws) = integration::tools::aws() else {
        return;
    };
    let mut demo = demo(&["--keep"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut printed = Vec::new();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let line = loop {
        let line = lines.next().expect("a line for the AWS CLI").unwrap();
        printed.push(line.clone());
        if line.contains("stepfunctions start-execution") {
            break line;
        }
    };
    let timeline = printed
        .iter()
        .find(|line| line.contains("cargo commons timeline "))
        .expect("a line for the timeline");
    let command = timeline.replace("cargo commons", env!("CARGO_BIN_EXE_commons"));
    let told = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert!(told.status.success(), "{}", stderr(&told));
    let (text, last) = (stdout(&told), "published and verified: http");
    assert!(text.lines().last().unwrap().contains(last), "{text}");
    for (there, elsewhere, why) in [
        ("v0.1.0", "v9.9.9", "has no release BTCDecoded/bllvm/v9.9.9"),
        ("--table ", "--table no-", "there is no table no-"),
    ] {
        let command = command.replace(there, elsewhere);
        let told = Command::new("sh").args(["-c", &command]).output().unwrap();
        assert_eq!(told.status.code(), Some(1), "{}", stdout(&told));
        let sentence = stderr(&told);
        assert!(sentence.contains(why), "{sentence}");
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
    }
    let verify = printed
        .iter()
        .find(|line| line.contains("cargo commons verify "));
    let command = verify.expect("a line that verifies").trim();
    let command = command.replace("cargo commons", env!("CARGO_BIN_EXE_commons"));
    let told = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert!(told.status.success(), "{}{}", stdout(&told), stderr(&told));
    assert!(stdout(&told).contains("v0.1.0 of BTCDecoded/bllvm is verified"));
    for (there, elsewhere, code, why) in [
        ("v0.1.0", "v9.9.9", 2, "answers 404"),
        ("v0.1.0", "0.1.0", 2, "neither v<semver>"),
    ] {
        let command = command.replace(there, elsewhere);
        let told = Command::new("sh").args(["-c", &command]).output().unwrap();
        assert_eq!(told.status.code(), Some(code), "{}", stdout(&told));
        let sentence = stderr(&told);
        assert!(sentence.contains(why), "{sentence}");
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
    }
    let home = tempfile::tempdir().unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", aws.parent().unwrap().display());
    let started = Command::new("sh")
        .args(["-c", &line])
        .env_clear()
        .env("PATH", path)
        .env("HOME", home.path())
        .output()
        .unwrap();
    assert!(started.status.success(), "{}", stderr(&started));
    assert!(
        stdout(&started).contains("executionArn"),
        "{}",
        stdout(&started)
    );
    kill_process(Pid::from_child(&demo), Signal::INT).unwrap();
    demo.wait().unwrap();
    assert_gone(&printed);
    // The demo's token begins so.
    assert!(!printed.iter().any(|line| line.contains("simulated-")));
}

#[test]
fn bad_input_has_a_sentence_each_and_starts_nothing() {
    let output = commons(&[
        "demo",
        "--version",
        "one",
        "--fail",
        "nobody",
        "--speed",
        "0",
    ])
    .output()
    .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let text = stderr(&output);
    assert_eq!(text.lines().count(), 3, "{text}");
    for word in ["'one'", "nobody", "--speed 0"] {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
}
