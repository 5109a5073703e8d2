//! Which artifacts of a run are taken.

use std::collections::BTreeMap;

use commons_github::Artifact;
use globset::{Glob, GlobSet, GlobSetBuilder};

/// Of each name the newest: re-runs leave older ones behind. Only names that the
/// globs match, where there are any.
pub fn choose(artifacts: &[Artifact], globs: &[String]) -> Result<Vec<Artifact>, globset::Error> {
    let wanted = compile(globs)?;
    let mut newest: BTreeMap<&str, &Artifact> = BTreeMap::new();
    for artifact in artifacts
        .iter()
        .filter(|a| globs.is_empty() || wanted.is_match(&a.name))
    {
        let entry = newest.entry(&artifact.name).or_insert(artifact);
        if (artifact.created_at, artifact.id) > (entry.created_at, entry.id) {
            *entry = artifact;
        }
    }
    Ok(newest.into_values().cloned().collect())
}

fn compile(globs: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        set.add(Glob::new(glob)?);
    }
    set.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn artifact(id: u64, name: &str, created_at: &str) -> Artifact {
        serde_json::from_value(json!({
            "id": id, "name": name, "size_in_bytes": 1, "expired": false,
            "created_at": created_at, "expires_at": null, "digest": null,
        }))
        .unwrap()
    }

    fn ids(artifacts: &[Artifact], globs: &[&str]) -> Vec<u64> {
        let globs: Vec<String> = globs.iter().map(|g| (*g).to_owned()).collect();
        choose(artifacts, &globs)
            .unwrap()
            .iter()
            .map(|a| a.id)
            .collect()
    }

    #[test]
    fn the_newest_of_each_name_is_taken_whatever_its_id() {
        let all = [
            artifact(9, "a", "2026-01-01T00:00:00Z"),
            artifact(3, "a", "2026-01-02T00:00:00Z"),
            artifact(5, "b", "2026-01-01T00:00:00Z"),
        ];
        assert_eq!(ids(&all, &[]), [3, 5]);
    }

    #[test]
    fn globs_choose_by_name() {
        let all = [
            artifact(1, "bllvm-linux", "2026-01-01T00:00:00Z"),
            artifact(2, "test-report", "2026-01-01T00:00:00Z"),
        ];
        assert_eq!(ids(&all, &["bllvm-*"]), [1]);
        assert_eq!(ids(&all, &["nothing"]), [0_u64; 0]);
    }
}
