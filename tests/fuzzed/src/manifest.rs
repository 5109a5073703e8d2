//! Manifests and their plans.

use std::collections::{BTreeMap, BTreeSet};

use commons_domain::graph::Plan;
use commons_domain::manifest::{Component, Faults, Manifest};
use commons_domain::names::RepoName;

/// A manifest is refused in sentences of one line each, or gives a plan that holds what
/// its components require.
///
/// The bytes are read as they are, and once more as a graph: a fuzzer that has to write
/// TOML seldom writes more than two components.
pub fn manifest(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        check(&Manifest::parse(text));
    }
    is_planned(&drawn(data));
}

fn check(parsed: &Result<Manifest, Faults>) {
    match parsed {
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

type Graph = BTreeMap<String, BTreeSet<String>>;

/// Each pair of bytes is a component and what it requires.
fn drawn(data: &[u8]) -> Graph {
    let name = |byte: &u8| char::from(b'a' + byte % 16).to_string();
    let mut graph = Graph::new();
    for pair in data.chunks(2).take(64) {
        let requires = graph.entry(name(&pair[0])).or_default();
        requires.extend(pair.get(1).map(name));
    }
    let required: Vec<String> = graph.values().flatten().cloned().collect();
    for name in required {
        graph.entry(name).or_default();
    }
    graph
}

/// A graph is planned, unless there is a cycle in it: then one is told, and is one.
fn is_planned(graph: &Graph) {
    if graph.is_empty() {
        return;
    }
    let mut text = "[versions]\n".to_owned();
    for (name, requires) in graph {
        let requires: Vec<String> = requires.iter().map(|r| format!("\"{r}=1.0.0\"")).collect();
        let requires = requires.join(", ");
        text += &format!("{name} = {{ version = \"1.0.0\", requires = [{requires}] }}\n");
    }
    let parsed = Manifest::parse(&text);
    check(&parsed);
    assert_eq!(parsed.is_err(), has_cycle(graph), "{text}");
    match parsed {
        Ok(manifest) => {
            let read = manifest.components().iter();
            let read = read.map(|(n, c)| (n.clone(), c.requires.iter().cloned().collect()));
            assert!(read.eq(graph.clone()));
        }
        Err(faults) => {
            let cycle = faults.to_string();
            let cycle = cycle
                .strip_prefix("the components form a cycle: ")
                .expect("a cycle");
            let cycle: Vec<&str> = cycle.split(" → ").collect();
            assert!(cycle.len() > 1 && cycle.first() == cycle.last());
            for pair in cycle.windows(2) {
                assert!(graph[pair[0]].contains(pair[1]), "{cycle:?}");
            }
        }
    }
}

/// Whether something is left when all that requires nothing is taken out, again and again.
fn has_cycle(graph: &Graph) -> bool {
    let mut left = graph.clone();
    loop {
        let free: BTreeSet<String> = left
            .iter()
            .filter(|(_, r)| r.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        if free.is_empty() {
            return !left.is_empty();
        }
        left.retain(|name, _| !free.contains(name));
        for requires in left.values_mut() {
            requires.retain(|name| !free.contains(name));
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
