//! `bench collect`: rounds of everything that is compared with something, so that what is
//! compared stands side by side, then the large artifact and the kill.

use std::path::PathBuf;

use serde_json::json;

use crate::figures::{Bar, Figure, line, median, table};
use crate::killed::{self, Twice};
use crate::prepare::{CLEAN, LARGE};
use crate::world::{Measured, World, cores, report};
use crate::{aws, tools, usage};
use commons_collect::AT_A_TIME;

/// Rounds that count.
const ROUNDS: usize = 3;
/// Rounds at most, where the machine is not quiet.
const MOST_ROUNDS: usize = 9;
/// What others may have of the cores while it collects in a round that is quiet.
const QUIET: f64 = 0.1;
const STAGES: [&str; 5] = ["download", "digest", "inflate", "hash", "upload"];
const MB: f64 = 1e6;

/// One round, in seconds where nothing else is said.
struct Round {
    load: f64,
    stages: Vec<Measured>,
    collect: Measured,
    twice: Twice,
    work: f64,
    unzip_and_hash: f64,
    in_sequence: f64,
}

impl Round {
    async fn measure(world: &World) -> Result<Self, String> {
        let load = usage::load()?;
        let artifacts = world.of_run(CLEAN);
        let mut stages = Vec::new();
        for stage in STAGES {
            stages.push(world.measure(stage, CLEAN).await?);
        }
        let before = killed::sent(world).await?;
        let collect = world.measure("collect", CLEAN).await?;
        let twice = killed::clean(&artifacts, &before, &killed::sent(world).await?);
        let (source, sink) = (&world.source.address, &world.sink.address);
        Ok(Self {
            load,
            stages,
            collect,
            twice,
            in_sequence: tools::in_sequence(&artifacts, source, sink, world.folder()).await?,
            work: world.measure("work", CLEAN).await?.seconds,
            unzip_and_hash: tools::unzip_and_hash(&artifacts).await?,
        })
    }

    fn slowest(&self) -> f64 {
        self.stages.iter().map(|s| s.seconds).fold(0.0, f64::max)
    }

    fn cpu(&self) -> f64 {
        self.stages.iter().map(|stage| stage.cpu).sum()
    }

    /// What no collector of these stages could be faster than.
    fn floor(&self) -> f64 {
        self.slowest().max(self.cpu() / cores())
    }

    fn tell(&self, number: usize, unpacked: f64) {
        println!(
            "round {number}, load {:.1}: seconds, and of CPU with source and sink",
            self.load
        );
        let stages = STAGES.iter().zip(&self.stages);
        for (name, took) in stages.chain([(&"collect", &self.collect)]) {
            println!(
                "  {name:9} {:6.2} s {:6.2} s of CPU {:6.0} MB/s unpacked; others had {:.0} % of the cores",
                took.seconds,
                took.cpu,
                unpacked / MB / took.seconds,
                100.0 * took.others,
            );
        }
        println!(
            "  hash and inflate {:.2} s beside {:.2} s of unzip -p | sha256sum; \
             in sequence {:.2} s",
            self.work, self.unzip_and_hash, self.in_sequence
        );
    }
}

/// Measures, and prints the table; whether all bars hold.
pub async fn collect() -> Result<bool, String> {
    tools::check()?;
    println!("making the artifacts: 4 of 256 MB unpacked, and one of 5 GB");
    let world = World::start().await?;
    let unpacked: u64 = world.of_run(CLEAN).iter().map(|a| a.archive.unpacked).sum();
    let unpacked = unpacked as f64;
    let rounds = quietest(&world, unpacked).await?;
    let large = world.measure("collect", LARGE).await?;
    let size: u64 = world.of_run(LARGE).iter().map(|a| a.archive.size).sum();
    println!(
        "the large artifact, {:.1} GB packed: {:.1} s",
        size as f64 / 1e9,
        large.seconds
    );
    let killed = killed::once(&world).await?;
    match local_cloud(&world).await {
        Ok(seconds) => println!(
            "into the local cloud, for information: {seconds:.1} s, {:.0} MB/s unpacked",
            unpacked / MB / seconds
        ),
        Err(why) => println!("into the local cloud: not measured: {why}"),
    }
    let figures = figures(&rounds, &large, &killed);
    println!("\n{}\n", table(&figures));
    let of_all = |of: &dyn Fn(&Round) -> f64| median(rounds.iter().map(of));
    let more = json!({
        "cores": cores(),
        "load": rounds.iter().map(|round| round.load).collect::<Vec<_>>(),
        "artifacts_at_a_time": AT_A_TIME,
        "collect_seconds": of_all(&|round| round.collect.seconds),
        "collect_cpu_seconds": of_all(&|round| round.collect.cpu),
        "stages_cpu_seconds": of_all(&|round| round.cpu()),
        "slowest_stage_seconds": of_all(&|round| round.slowest()),
        "others": of_all(&|round| round.collect.others),
        "large_seconds": large.seconds,
    });
    println!("{}", line(&figures, &more));
    Ok(figures.iter().all(Figure::holds))
}

/// The rounds in which others had least of the cores, while it collected.
async fn quietest(world: &World, unpacked: f64) -> Result<Vec<Round>, String> {
    let mut rounds: Vec<Round> = Vec::new();
    let mut quiet = 0;
    for number in 1..=MOST_ROUNDS {
        let round = Round::measure(world).await?;
        round.tell(number, unpacked);
        if round.collect.others <= QUIET {
            quiet += 1;
        }
        rounds.push(round);
        if quiet == ROUNDS {
            break;
        }
    }
    if quiet < ROUNDS {
        println!("the machine was never quiet for {ROUNDS} rounds: its wall times say little");
    }
    rounds.sort_by(|a, b| a.collect.others.total_cmp(&b.collect.others));
    rounds.truncate(ROUNDS);
    Ok(rounds)
}

fn figures(rounds: &[Round], large: &Measured, killed: &Twice) -> Vec<Figure> {
    let of_all = |of: &dyn Fn(&Round) -> f64| median(rounds.iter().map(of));
    let clean = rounds.iter().map(|round| round.twice.bytes).max();
    let clean = clean.unwrap_or_default();
    let allowed = rounds.iter().all(|round| round.twice.allowed);
    vec![
        Figure::ratio(
            "overlap",
            "wall time ÷ max(slowest stage alone, CPU of all stages ÷ cores)",
            of_all(&|round| round.collect.seconds / round.floor()),
            Bar::Most(1.25),
        ),
        Figure::ratio(
            "hash_and_inflate",
            "throughput of hash + inflate alone ÷ unzip -p | sha256sum",
            of_all(&|round| round.unzip_and_hash / round.work),
            Bar::Least(1.8),
        ),
        Figure::ratio(
            "in_sequence",
            "throughput ÷ curl, unzip, sha256sum, curl in sequence",
            of_all(&|round| round.in_sequence / round.collect.seconds),
            Bar::Least(2.5),
        ),
        Figure {
            name: "peak_bytes",
            what: "peak RSS, 5 GB artifact".into(),
            value: large.peak as f64,
            shown: format!("{:.0} MB", large.peak as f64 / MB),
            bar: Bar::Most(200.0 * MB),
            told: "≤ 200 MB".into(),
        },
        Figure {
            name: "read_twice_out_of_order",
            what: "bytes read twice, clean run".into(),
            value: f64::from(u8::from(!allowed)),
            shown: format!("{:.1} KB", clean as f64 / 1e3),
            bar: Bar::Most(0.0),
            told: "central directories only".into(),
        },
        Figure {
            name: "read_twice_out_of_order_killed",
            what: "bytes read twice, killed once".into(),
            value: f64::from(u8::from(!killed.allowed)),
            shown: format!(
                "{:.0} MB, of {} in flight; {} had come",
                killed.bytes as f64 / MB,
                killed.in_flight,
                killed.came
            ),
            bar: Bar::Most(0.0),
            told: "plus artifacts in flight".into(),
        },
    ]
}

/// Seconds into the local cloud.
async fn local_cloud(world: &World) -> Result<f64, String> {
    if let Err(missing) = local_cloud::check_prerequisites() {
        return Err(missing.to_string());
    }
    let toolchain = local_cloud::ensure_venv(&|step| println!("{step}")).await;
    let toolchain = toolchain.map_err(|error| error.to_string())?;
    let log: PathBuf = world.folder().join("local-cloud.log");
    let options = local_cloud::Options { log, auth: false };
    let cloud = local_cloud::LocalCloud::start(&toolchain, options).await;
    let cloud = cloud.map_err(|error| error.to_string())?;
    let s3 = aws::client(cloud.endpoint());
    let created = s3.create_bucket().bucket(aws::BUCKET).send().await;
    created.map_err(|error| format!("no bucket: {}", error.into_service_error()))?;
    let process = world.begin("collect", CLEAN, &world.release(), cloud.endpoint())?;
    let report = report("collect", process).await?;
    cloud.stop();
    Ok(report.took.seconds)
}
