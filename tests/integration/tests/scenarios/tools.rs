//! What people have at hand works on what we stand in for: `gh` reads the release from
//! the simulator, the `aws` CLI starts an execution on the local cloud.

use std::path::Path;
use std::process::{Command, Output};

use integration::{RELEASE_REPOSITORY, World, tools};
use serde_json::Value;
use tokio::net::{TcpStream, UnixListener};

/// `gh` speaks plain HTTP to a socket, whatever the host: here to the simulator.
async fn listen(socket: &Path, simulator: String) {
    let listener = UnixListener::bind(socket).unwrap();
    loop {
        let (mut from, _) = listener.accept().await.unwrap();
        let mut to = TcpStream::connect(&simulator).await.unwrap();
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
    }
}

async fn run(mut command: Command) -> Output {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[tokio::test]
async fn gh_views_and_downloads_the_release() {
    let Some(gh) = tools::gh() else { return };
    let world = World::start().await;
    world.github.create_tag(RELEASE_REPOSITORY, "v0.1.0");
    let execution = world.first_execution().await;
    world.ended(&execution).await;

    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("gh.sock");
    let simulator = world.github.api_url().replace("http://", "");
    let proxy = tokio::spawn({
        let socket = socket.clone();
        async move { listen(&socket, simulator).await }
    });
    let config = format!("http_unix_socket: {}\n", socket.display());
    std::fs::write(home.path().join("config.yml"), config).unwrap();
    let downloads = home.path().join("downloads");
    std::fs::create_dir(&downloads).unwrap();
    let gh = |arguments: &[&str]| {
        let mut command = Command::new(&gh);
        command
            .args(arguments)
            .args(["--repo", RELEASE_REPOSITORY])
            .current_dir(&downloads)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", home.path())
            .env("GH_CONFIG_DIR", home.path())
            .env("GH_NO_UPDATE_NOTIFIER", "1")
            .env("GH_TOKEN", github_simulator::Settings::default().token);
        command
    };

    let fields = "tagName,isDraft,isPrerelease,assets";
    let viewed = run(gh(&["release", "view", "v0.1.0", "--json", fields])).await;
    let viewed: Value = serde_json::from_slice(&viewed.stdout).unwrap();
    assert_eq!(viewed["tagName"], "v0.1.0");
    assert_eq!(
        (&viewed["isDraft"], &viewed["isPrerelease"]),
        (&false.into(), &false.into())
    );
    let release = world.github.releases(RELEASE_REPOSITORY).remove(0);
    let names = |assets: Vec<&str>| assets.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let shown = viewed["assets"].as_array().unwrap().iter();
    let shown = names(shown.map(|a| a["name"].as_str().unwrap()).collect());
    let there = names(release.assets.iter().map(|a| a.name.as_str()).collect());
    assert_eq!(shown, there);

    run(gh(&["release", "download", "v0.1.0"])).await;
    for asset in &release.assets {
        let bytes = std::fs::read(downloads.join(&asset.name)).unwrap();
        assert!(bytes == asset.content, "{} differs", asset.name);
    }
    let mut sums = Command::new("sha256sum");
    sums.args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(&downloads);
    run(sums).await;
    proxy.abort();
    world.stop().await;
}

#[tokio::test]
async fn the_aws_cli_starts_and_describes_an_execution() {
    let Some(cli) = tools::aws() else { return };
    let world = World::start().await;
    let home = tempfile::tempdir().unwrap();
    let aws = |arguments: &[&str]| {
        let mut command = Command::new(&cli);
        command
            .args(["stepfunctions", "--endpoint-url", world.endpoint()])
            .args(arguments)
            .args(["--output", "json"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", home.path())
            .env("AWS_ACCESS_KEY_ID", world.account.id())
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .env("AWS_DEFAULT_REGION", "us-east-1");
        command
    };
    let json = |output: Output| serde_json::from_slice::<Value>(&output.stdout).unwrap();

    let start = aws(&[
        "start-execution",
        "--state-machine-arn",
        &world.stack.state_machine_arn,
        "--input",
        r#"{"version": "v0.1.0"}"#,
    ]);
    let started = json(run(start).await);
    let arn = started["executionArn"].as_str().unwrap();
    world.ended(arn).await;
    let described = json(run(aws(&["describe-execution", "--execution-arn", arn])).await);
    assert_eq!(described["status"], "SUCCEEDED", "{described}");
    let release = &world.items("v0.1.0", "release").await[0];
    assert_eq!(release["status"], "published");
    world.stop().await;
}
