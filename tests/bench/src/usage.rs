//! What a process and the machine use.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// What something took.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Took {
    /// Seconds on the wall.
    pub seconds: f64,
    /// Seconds of CPU of this process.
    pub cpu: f64,
    /// Seconds that the machine's cores were busy meanwhile, by whomever.
    pub busy: f64,
}

/// Since when something is measured.
pub struct Watch {
    began: Instant,
    cpu: f64,
    busy: f64,
}

impl Watch {
    /// From now on.
    pub fn start() -> Result<Self, String> {
        Ok(Self {
            busy: busy()?,
            cpu: cpu(),
            began: Instant::now(),
        })
    }

    /// What this process took since.
    pub fn stop(&self) -> Result<Took, String> {
        Ok(Took {
            seconds: self.began.elapsed().as_secs_f64(),
            cpu: cpu() - self.cpu,
            busy: busy()? - self.busy,
        })
    }
}

/// Seconds of CPU that this process has used.
pub fn cpu() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// Bytes of memory that this process has had at most.
pub fn peak() -> Result<u64, String> {
    peak_of(&read("/proc/self/status")?)
}

/// The same of the processes of a function in the local cloud at this address; 0 where
/// there is none.
pub fn peak_of_function(name: &str, endpoint: &str) -> Result<u64, String> {
    let processes = std::fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
    let mut peak = 0;
    for process in processes.flatten() {
        // Others' processes are not read, and some are gone by now.
        let Ok(environment) = std::fs::read(process.path().join("environ")) else {
            continue;
        };
        let environment = String::from_utf8_lossy(&environment);
        let has = |name: &str, text: &str| {
            let variables = environment
                .split('\0')
                .filter_map(|line| line.split_once('='));
            variables
                .into_iter()
                .any(|(key, value)| key == name && value.contains(text))
        };
        if has("AWS_LAMBDA_FUNCTION_NAME", name)
            && has("AWS_ENDPOINT_URL", endpoint)
            && let Ok(status) = std::fs::read_to_string(process.path().join("status"))
        {
            peak = peak.max(peak_of(&status)?);
        }
    }
    Ok(peak)
}

fn peak_of(status: &str) -> Result<u64, String> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes
        .map(|kilobytes| kilobytes * 1024)
        .ok_or_else(|| "a process's status has no VmHWM".into())
}

/// Seconds that the machine's cores were busy since it started.
fn busy() -> Result<f64, String> {
    let stat = read("/proc/stat")?;
    let ticks: Option<Vec<u64>> = stat
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("cpu "))
        .and_then(|line| line.split_whitespace().map(|n| n.parse().ok()).collect());
    match ticks.as_deref() {
        // user, nice, system, idle, iowait, irq, softirq, steal
        Some([user, nice, system, _, _, irq, softirq, ..]) => {
            let ticks = user + nice + system + irq + softirq;
            // The kernel tells in hundredths of a second, on every architecture of ours.
            Ok(ticks as f64 / 100.0)
        }
        _ => Err("/proc/stat has no line of all cores".into()),
    }
}

/// Processes that ran or wanted to, over the last minute.
pub fn load() -> Result<f64, String> {
    let load = read("/proc/loadavg")?;
    let first = load.split_whitespace().next();
    first
        .and_then(|first| first.parse().ok())
        .ok_or_else(|| "/proc/loadavg has no number".into())
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_cpu_and_memory() {
        let watch = Watch::start().unwrap();
        let filled = vec![1_u8; 50_000_000];
        let sum: u64 = filled.iter().map(|n| u64::from(*n)).sum();
        assert_eq!(sum, 50_000_000);
        assert!(watch.stop().unwrap().cpu > 0.0);
        assert!(peak().unwrap() > 50_000_000);
        assert!(busy().unwrap() > 0.0);
        assert!(load().unwrap() >= 0.0);
    }
}
