//! Dependency graphs that are drawn by chance, and what a release of one cannot be faster
//! than.

use fastrand::Rng;
use github_simulator::{Repository, fixture_repositories};

/// Where the manifest is, and the release goes.
pub const RELEASE_REPOSITORY: &str = "bench/product";
/// How long every run waits for a runner.
const QUEUED: f64 = 5.0;
/// The median of what a run takes after that.
const MEDIAN: f64 = 600.0;

/// Components, numbered: each requires only what stands before it.
#[derive(Debug, Clone)]
pub struct Graph {
    requires: Vec<Vec<usize>>,
    /// From the dispatch of each to the end of its run.
    seconds: Vec<f64>,
}

impl Graph {
    /// 5 to 30 components, each with 0 to 2 requirements of those before it; what runs take
    /// is lognormal with σ = 1.
    pub fn draw(dice: &mut Rng) -> Self {
        let components = dice.usize(5..=30);
        let requires = (0..components).map(|component| {
            let many = dice.usize(0..=2).min(component);
            let mut required = dice.choose_multiple(0..component, many);
            required.sort_unstable();
            required
        });
        Self {
            requires: requires.collect(),
            seconds: (0..components)
                .map(|_| QUEUED + MEDIAN * normal(dice).exp())
                .collect(),
        }
    }

    /// How many components it has.
    pub fn len(&self) -> usize {
        self.seconds.len()
    }

    /// Seconds of the longest path by what runs take: nothing is faster.
    pub fn critical_path(&self) -> f64 {
        let mut ends: Vec<f64> = Vec::new();
        for (required, seconds) in self.requires.iter().zip(&self.seconds) {
            let begins = required.iter().map(|r| ends[*r]).fold(0.0, f64::max);
            ends.push(begins + seconds);
        }
        ends.into_iter().fold(0.0, f64::max)
    }

    /// Seconds where every component waits for all of the level before: the sum of the
    /// longest of each level.
    pub fn level_by_level(&self) -> f64 {
        let mut of: Vec<usize> = Vec::new();
        let mut longest: Vec<f64> = Vec::new();
        for (required, seconds) in self.requires.iter().zip(&self.seconds) {
            let level = required.iter().map(|r| of[*r] + 1).max().unwrap_or(0);
            of.push(level);
            longest.resize(longest.len().max(level + 1), 0.0);
            longest[level] = longest[level].max(*seconds);
        }
        longest.into_iter().sum()
    }

    /// The organisation: the last component has a file, so that there is something to
    /// publish, and a run of each takes what was drawn.
    pub fn repositories(&self) -> Result<Vec<Repository>, String> {
        let made = fixture_repositories(&self.manifest(), RELEASE_REPOSITORY);
        let mut repositories = made.map_err(|error| format!("a drawn manifest: {error}"))?;
        for (component, seconds) in self.seconds.iter().enumerate() {
            let name = format!("bench/{}", name(component));
            let Some(repository) = repositories.iter_mut().find(|r| r.name == name) else {
                return Err(format!("the manifest lacks {name}"));
            };
            let script = &mut repository.script;
            script.queue_seconds = QUEUED;
            script.run_seconds = seconds - QUEUED;
            for (_, content) in script.artifacts.iter_mut().flat_map(|a| &mut a.files) {
                *content = b"what is built".to_vec();
            }
        }
        Ok(repositories)
    }

    fn manifest(&self) -> String {
        let mut manifest = String::from("[versions]\n");
        for (component, required) in self.requires.iter().enumerate() {
            let requires: Vec<String> = required
                .iter()
                .map(|r| format!("\"{}=0.1.0\"", name(*r)))
                .collect();
            let binaries = match component + 1 == self.len() {
                true => ", binaries = [\"product\"]",
                false => "",
            };
            manifest += &format!(
                "{} = {{ version = \"0.1.0\", timeout_minutes = 1440, requires = [{}]{binaries} }}\n",
                name(component),
                requires.join(", ")
            );
        }
        manifest
    }
}

fn name(component: usize) -> String {
    format!("c{component:02}")
}

/// Of the standard normal distribution, by Box and Muller.
fn normal(dice: &mut Rng) -> f64 {
    let (one, two) = (1.0 - dice.f64(), dice.f64());
    (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * two).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diamond_is_as_long_as_its_longest_path_or_its_longest_of_each_level() {
        let graph = Graph {
            requires: vec![vec![], vec![], vec![0], vec![1], vec![2, 3]],
            seconds: vec![10.0, 1.0, 2.0, 20.0, 5.0],
        };
        assert_eq!(graph.critical_path(), 26.0);
        assert_eq!(graph.level_by_level(), 35.0);
    }

    #[test]
    fn graphs_are_drawn_as_they_are_told_to_be() {
        let mut dice = Rng::with_seed(1);
        let graphs: Vec<Graph> = (0..500).map(|_| Graph::draw(&mut dice)).collect();
        for graph in &graphs {
            assert!((5..=30).contains(&graph.len()));
            assert!(graph.requires.iter().all(|required| required.len() <= 2));
            assert!(graph.critical_path() <= graph.level_by_level());
        }
        let repositories = graphs[0].repositories().unwrap();
        assert_eq!(repositories.len(), graphs[0].len() + 1);
        let logs = graphs.iter().flat_map(|g| &g.seconds);
        let logs: Vec<f64> = logs.map(|s| ((s - QUEUED) / MEDIAN).ln()).collect();
        let many = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / many;
        let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / many;
        assert!(mean.abs() < 0.05, "{mean}");
        assert!((variance.sqrt() - 1.0).abs() < 0.05, "{variance}");
    }
}
