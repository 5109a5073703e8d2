//! Manifests and their plans.

use std::collections::{BTreeMap, BTreeSet};

use commons_domain::graph::Plan;
use commons_domain::manifest::{Component, Manifest};
use commons_domain::names::RepoName;

/// A manifest is refused in sentences of one line each, or gives a plan that holds what
/// its components require.
pub fn manifest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Manifest::parse(text) {
        Ok(manifest) => {
            let components = manifest.components();
            assert!(!components.is_empty());
            for (name, component) in components {
                assert_eq!(*name, component.name);
                is_sound(component, components);
            }
            in_order(&manifest.plan(), components);
            for name in components.keys() {
                let found = manifest.with_dependents(&BTreeSet::from([name.clone()]));
                assert_eq!(found, dependents(name, components));
            }
        }
        Err(faults) => {
            assert!(!faults.0.is_empty());
            for fault in &faults.0 {
                assert!(
                    !fault.is_empty() && !fault.contains(char::is_control),
                    "{fault:?}"
                );
            }
        }
    }
}

/// A name that is a part of keys, and can be required; a repository; requirements that
/// are there.
fn is_sound(component: &Component, components: &BTreeMap<String, Component>) {
    let name = &component.name;
    assert!(RepoName::new(&format!("owner/{name}")).is_ok(), "{name:?}");
    assert!(component.repository("owner").is_ok());
    let required: BTreeSet<&String> = component.requires.iter().collect();
    assert_eq!(
        required.len(),
        component.requires.len(),
        "one is named twice"
    );
    assert!(required.iter().all(|name| components.contains_key(*name)));
    assert!(!required.contains(name), "{name} requires itself");
}

/// The order and the groups hold all components once, each after what it requires, and
/// the critical path is a chain through all groups.
fn in_order(plan: &Plan, components: &BTreeMap<String, Component>) {
    let all: BTreeSet<&String> = plan.order.iter().collect();
    assert!(all.len() == plan.order.len() && all.into_iter().eq(components.keys()));
    assert!(plan.groups.iter().flatten().eq(&plan.order));
    let place: BTreeMap<&String, usize> = plan
        .groups
        .iter()
        .enumerate()
        .flat_map(|(place, group)| group.iter().map(move |name| (name, place)))
        .collect();
    for component in components.values() {
        let before = component.requires.iter().map(|name| place[name] + 1).max();
        assert_eq!(
            place[&component.name],
            before.unwrap_or(0),
            "{}",
            component.name
        );
    }
    assert_eq!(plan.critical_path.len(), plan.groups.len());
    for pair in plan.critical_path.windows(2) {
        assert!(components[&pair[1]].requires.contains(&pair[0]));
    }
}

/// The component, and whatever requires one of those that were found, until no more is.
fn dependents(name: &str, components: &BTreeMap<String, Component>) -> BTreeSet<String> {
    let mut found = BTreeSet::from([name.to_owned()]);
    loop {
        let more = components
            .values()
            .filter(|c| c.requires.iter().any(|r| found.contains(r)));
        let more: BTreeSet<String> = more.map(|c| c.name.clone()).collect();
        let known = found.len();
        found.extend(more);
        if found.len() == known {
            return found;
        }
    }
}
