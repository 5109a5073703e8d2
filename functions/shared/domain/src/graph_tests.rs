use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Plan, plan};

fn graph(edges: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    edges
        .iter()
        .map(|(name, requires)| {
            (
                (*name).to_owned(),
                requires.iter().map(|r| (*r).to_owned()).collect(),
            )
        })
        .collect()
}

fn six() -> Plan {
    plan(&graph(&[
        ("consensus", &[]),
        ("sdk", &[]),
        ("protocol", &["consensus"]),
        ("node", &["protocol", "consensus"]),
        ("bllvm", &["node"]),
        ("commons", &["sdk"]),
    ]))
    .unwrap()
}

#[test]
fn groups_are_what_could_build_side_by_side() {
    let expected: [&[&str]; 4] = [
        &["consensus", "sdk"],
        &["commons", "protocol"],
        &["node"],
        &["bllvm"],
    ];
    assert_eq!(six().groups, expected);
}

#[test]
fn the_critical_path_is_a_longest_chain() {
    assert_eq!(
        six().critical_path,
        ["consensus", "protocol", "node", "bllvm"]
    );
}

#[test]
fn a_cycle_is_written_out() {
    let cycle = plan(&graph(&[
        ("a", &["b"]),
        ("b", &["c"]),
        ("c", &["a"]),
        ("d", &["a"]),
    ]))
    .unwrap_err();
    assert_eq!(
        cycle.to_string(),
        "the components form a cycle: a → b → c → a"
    );
}

#[test]
fn a_component_that_requires_itself_is_a_cycle() {
    let cycle = plan(&graph(&[("a", &["a"])])).unwrap_err();
    assert_eq!(cycle.0, ["a", "a"]);
}

#[test]
fn an_empty_graph_has_an_empty_plan() {
    assert_eq!(plan(&BTreeMap::new()).unwrap(), Plan::default());
}

/// Edges only from later to earlier names: no cycle.
fn acyclic() -> impl Strategy<Value = BTreeMap<String, Vec<String>>> {
    proptest::collection::vec(
        proptest::collection::vec(any::<proptest::sample::Index>(), 0..4),
        1..40,
    )
    .prop_map(|nodes| {
        nodes
            .iter()
            .enumerate()
            .map(|(n, picks)| {
                let requires = if n == 0 {
                    Vec::new()
                } else {
                    picks
                        .iter()
                        .map(|p| format!("c{:03}", p.index(n)))
                        .collect()
                };
                (format!("c{n:03}"), requires)
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn every_component_comes_after_what_it_requires(requires in acyclic()) {
        let plan = plan(&requires).unwrap();
        prop_assert_eq!(plan.order.len(), requires.len());
        let place = |name: &String| plan.order.iter().position(|n| n == name).unwrap();
        let group = |name: &String| plan.groups.iter().position(|g| g.contains(name)).unwrap();
        for (name, dependencies) in &requires {
            for dependency in dependencies {
                prop_assert!(place(dependency) < place(name));
                prop_assert!(group(dependency) < group(name));
            }
        }
        prop_assert_eq!(plan.critical_path.len(), plan.groups.len());
        for pair in plan.critical_path.windows(2) {
            prop_assert!(requires[&pair[1]].contains(&pair[0]));
        }
    }

    #[test]
    fn a_planted_cycle_is_found_and_is_one(mut requires in acyclic()) {
        requires.entry("x".into()).or_default().push("z".into());
        requires.entry("y".into()).or_default().push("x".into());
        requires.entry("z".into()).or_default().push("y".into());
        let cycle = plan(&requires).unwrap_err().0;
        prop_assert_eq!(cycle.first(), cycle.last());
        for pair in cycle.windows(2) {
            prop_assert!(requires[&pair[0]].contains(&pair[1]) || requires[&pair[1]].contains(&pair[0]));
        }
    }
}
