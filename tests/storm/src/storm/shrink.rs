//! Makes a plan smaller that goes wrong, as long as it still does in the same way.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use storm_oracle::What;

use super::plan::Plan;
use super::world::Played;

/// How many smaller plans are tried.
const TRIES: usize = 120;
/// For how long.
const TIME: Duration = Duration::from_secs(600);

/// The smallest plan found that still goes wrong in one of the ways of `played`, as `play`
/// plays it.
pub fn shrink(
    plan: &Plan,
    played: &Played,
    play: impl Fn(Plan) -> Result<Played, String>,
    mut tell: impl FnMut(&Plan),
) -> Plan {
    let wrong: Vec<What> = played.findings.iter().map(|f| f.what).collect();
    let (mut tries, began) = (TRIES, Instant::now());
    let mut still = |candidate: &Plan| {
        if tries == 0 || began.elapsed() > TIME {
            return None;
        }
        tries -= 1;
        let played = play(candidate.clone()).ok()?;
        let fails = played.findings.iter().any(|f| wrong.contains(&f.what));
        fails.then_some(played)
    };
    let mut smallest = Plan {
        only: Some(played.drawn.clone()),
        ..plan.clone()
    };
    if still(&smallest).is_none() {
        // It went wrong by chance that is not the plan's.
        return plan.clone();
    }
    loop {
        let candidates = without_one(&smallest);
        let found = candidates.into_iter().find_map(|candidate| {
            let played = still(&candidate)?;
            // Of the faults only those that came up again.
            let only = candidate.only.as_ref();
            let only = only.map(|only| only.intersection(&played.drawn).cloned().collect());
            Some(Plan { only, ..candidate })
        });
        let Some(smaller) = found else {
            return smallest;
        };
        tell(&smaller);
        smallest = smaller;
    }
}

/// Plans without one version, a half, a quarter or a few of the faults, or a component.
fn without_one(plan: &Plan) -> Vec<Plan> {
    let mut smaller = Vec::new();
    if plan.versions.len() > 1 {
        for index in 0..plan.versions.len() {
            let mut without = plan.clone();
            without.versions.remove(index);
            smaller.push(without);
        }
    }
    let faults: Vec<&String> = plan.only.iter().flatten().collect();
    for parts in [2, 4, 16, 64] {
        let size = faults.len().div_ceil(parts);
        if size == 0 || parts > 2 && size == faults.len().div_ceil(parts / 2) {
            continue;
        }
        for part in faults.chunks(size) {
            let mut only: BTreeSet<String> = plan.only.clone().unwrap_or_default();
            only.retain(|fault| !part.contains(&fault));
            let only = Some(only);
            smaller.push(Plan {
                only,
                ..plan.clone()
            });
        }
    }
    for component in plan.components.iter().rev() {
        smaller.extend(without_component(plan, &component.name));
    }
    smaller
}

/// The plan without a component; what requires it does so no more.
fn without_component(plan: &Plan, name: &str) -> Option<Plan> {
    let releases = format!("{}/{name}", super::plan::OWNER);
    if plan.components.len() < 2 || plan.release_repository == releases {
        return None;
    }
    let mut without = plan.clone();
    without.components.retain(|c| c.name != name);
    for component in &mut without.components {
        component.requires.retain(|required| required != name);
    }
    Some(without)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_smaller_plan_lacks_something() {
        let mut plan = Plan::draw(7, 4);
        plan.only = Some((0..40).map(|n| format!("fault {n}")).collect());
        let size = |plan: &Plan| {
            let faults = plan.only.as_ref().map_or(0, BTreeSet::len);
            plan.versions.len() + plan.components.len() + faults
        };
        let smaller = without_one(&plan);
        assert!(smaller.len() > plan.versions.len() + plan.components.len());
        assert!(smaller.iter().all(|smaller| size(smaller) < size(&plan)));
        let without = without_component(&plan, "c00");
        let requires = |plan: &Plan| {
            let mut all = plan.components.iter().flat_map(|c| &c.requires);
            all.any(|name| name == "c00")
        };
        assert!(requires(&plan) && !without.is_some_and(|plan| requires(&plan)));
    }
}
