//! Order, parallel groups and the critical path of a dependency graph, in time
//! linear in its edges.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use serde::Serialize;

/// What a graph says before anything is built.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Every component after all that it requires; by name within a group.
    pub order: Vec<String>,
    /// Components that could build side by side: shown, never waited for.
    pub groups: Vec<Vec<String>>,
    /// A longest chain of dependencies, first to last.
    pub critical_path: Vec<String>,
}

/// Components that require each other in a circle; the first stands last again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Cycle(pub Vec<String>);

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the components form a cycle: {}", self.0.join(" → "))
    }
}

/// Plans `component → what it requires`. Requirements that are no keys are ignored.
pub fn plan(requires: &BTreeMap<String, Vec<String>>) -> Result<Plan, Cycle> {
    let mut graph = DiGraph::<&str, ()>::with_capacity(requires.len(), requires.len() * 3);
    let nodes: BTreeMap<&str, NodeIndex> = requires
        .keys()
        .map(|name| (name.as_str(), graph.add_node(name.as_str())))
        .collect();
    for (name, dependencies) in requires {
        for dependency in dependencies {
            if let (Some(&from), Some(&to)) =
                (nodes.get(dependency.as_str()), nodes.get(name.as_str()))
            {
                graph.update_edge(from, to, ());
            }
        }
    }
    // Strongly connected components come dependents first; one of several nodes,
    // or one with an edge to itself, is a cycle.
    let mut order = Vec::with_capacity(requires.len());
    for component in tarjan_scc(&graph) {
        let node = component[0];
        if component.len() > 1 || graph.contains_edge(node, node) {
            return Err(Cycle(cycle_path(&graph, &component)));
        }
        order.push(node);
    }
    order.reverse();
    let mut depth = vec![0_usize; graph.node_count()];
    let mut before = vec![None; graph.node_count()];
    for &node in &order {
        for dependency in graph.neighbors_directed(node, petgraph::Incoming) {
            let candidate = depth[dependency.index()] + 1;
            let earlier: Option<NodeIndex> = before[node.index()];
            let same_but_first_by_name = candidate == depth[node.index()]
                && earlier.is_some_and(|e| graph[dependency] < graph[e]);
            if candidate > depth[node.index()] || same_but_first_by_name {
                depth[node.index()] = candidate;
                before[node.index()] = Some(dependency);
            }
        }
    }
    let mut groups: Vec<Vec<String>> = Vec::new();
    for (name, node) in &nodes {
        let level = depth[node.index()];
        groups.resize(groups.len().max(level + 1), Vec::new());
        groups[level].push((*name).to_owned());
    }
    let mut critical_path = Vec::new();
    let mut at = groups
        .last()
        .and_then(|group| group.first())
        .and_then(|name| nodes.get(name.as_str()))
        .copied();
    while let Some(node) = at {
        critical_path.push(graph[node].to_owned());
        at = before[node.index()];
    }
    critical_path.reverse();
    Ok(Plan {
        order: groups.iter().flatten().cloned().collect(),
        groups,
        critical_path,
    })
}

/// These names and all that requires them, however far, of `name, what it requires`.
pub fn with_dependents<'a>(
    names: impl IntoIterator<Item = &'a str>,
    requires: impl IntoIterator<Item = (&'a str, &'a [String])>,
) -> BTreeSet<&'a str> {
    let mut dependents: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, required) in requires {
        for dependency in required {
            dependents.entry(dependency).or_default().push(name);
        }
    }
    let mut found = BTreeSet::new();
    let mut left: Vec<&str> = names.into_iter().collect();
    while let Some(name) = left.pop() {
        if found.insert(name) {
            left.extend(dependents.get(name).into_iter().flatten());
        }
    }
    found
}

/// Walks one circle within a strongly connected component, from its first name.
fn cycle_path(graph: &DiGraph<&str, ()>, component: &[NodeIndex]) -> Vec<String> {
    let inside: BTreeSet<NodeIndex> = component.iter().copied().collect();
    let Some(start) = component.iter().copied().min_by_key(|&node| graph[node]) else {
        return Vec::new();
    };
    // Breadth first from `start` back to itself, against the edges, so that the
    // path reads "a requires b requires … requires a".
    let mut came_from = BTreeMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        let mut next: Vec<NodeIndex> = graph
            .neighbors_directed(node, petgraph::Incoming)
            .filter(|n| inside.contains(n))
            .collect();
        next.sort_by_key(|&n| graph[n]);
        for neighbour in next {
            if neighbour == start {
                let mut path = vec![start, node];
                let mut at = node;
                while let Some(&earlier) = came_from.get(&at) {
                    path.push(earlier);
                    at = earlier;
                }
                path.reverse();
                return path.into_iter().map(|n| graph[n].to_owned()).collect();
            }
            if let std::collections::btree_map::Entry::Vacant(entry) = came_from.entry(neighbour) {
                entry.insert(node);
                queue.push_back(neighbour);
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;
