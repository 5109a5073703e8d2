use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::Index;

use super::Manifest;

/// Components, each with what it requires: only earlier ones, so that there is no cycle.
fn graph() -> impl Strategy<Value = BTreeMap<String, Vec<String>>> {
    let picks = prop::collection::vec(any::<Index>(), 0..4);
    prop::collection::btree_map("[A-Za-z0-9_-]{1,12}", picks, 1..20).prop_map(|drawn| {
        // Two names of one repository, but for case, are another test's.
        let mut picks: BTreeMap<String, Vec<Index>> = BTreeMap::new();
        for (name, drawn) in drawn {
            picks.insert(name.to_lowercase(), drawn);
        }
        picks.remove("develop");
        let names: Vec<String> = picks.keys().cloned().collect();
        let of = |(place, picks): (usize, &Vec<Index>)| {
            let mut required: Vec<String> = picks
                .iter()
                .filter(|_| place > 0)
                .map(|pick| names[pick.index(place)].clone())
                .collect();
            required.sort();
            required.dedup();
            (names[place].clone(), required)
        };
        picks.values().enumerate().map(of).collect()
    })
}

fn text(graph: &BTreeMap<String, Vec<String>>) -> String {
    let mut text = "[versions]\n".to_owned();
    for (name, requires) in graph {
        let requires: Vec<String> = requires.iter().map(|r| format!("\"{r}=0.1.0\"")).collect();
        let requires = requires.join(", ");
        writeln!(
            text,
            "{name} = {{ version = \"0.1.0\", requires = [{requires}] }}"
        )
        .unwrap();
    }
    text
}

/// A whole manifest or a part of one, with anything between.
fn nearly() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        graph().prop_map(|graph| text(&graph)),
        "\\PC{0,20}",
        "(?s).{0,5}",
        "\"(\\\\n|\\\\u0000|\\\\u202e|[a-z/.=]){0,4}\" = \\{ version = \"(\\\\n|[0-9.]){0,4}\" \\}\n",
        "(requires|binaries|artifacts) = \\[\"(\\\\r|[*\\[a-z/]){0,4}\"\\]\n",
        Just("[versions]\n".to_owned()),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_planned(graph in graph()) {
        prop_assume!(!graph.is_empty());
        let manifest = Manifest::parse(&text(&graph)).unwrap();
        let read: BTreeMap<String, Vec<String>> = manifest
            .components()
            .iter()
            .map(|(name, component)| (name.clone(), component.requires.clone()))
            .collect();
        prop_assert_eq!(&read, &graph);
        let order = manifest.plan().order;
        prop_assert_eq!(order.len(), graph.len());
        let place = |name: &String| order.iter().position(|n| n == name).unwrap();
        for (name, requires) in &graph {
            prop_assert!(requires.iter().all(|required| place(required) < place(name)));
        }
    }

    #[test]
    fn any_text_is_a_manifest_or_is_refused_in_lines(text in nearly()) {
        if let Err(faults) = Manifest::parse(&text) {
            prop_assert!(!faults.0.is_empty());
            for fault in faults.0 {
                prop_assert!(!fault.is_empty() && !fault.contains(char::is_control), "{:?}", fault);
            }
        }
    }
}
