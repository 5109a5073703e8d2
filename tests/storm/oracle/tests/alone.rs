//! That the oracle shares no code with what it judges.

#[test]
fn the_oracle_depends_on_nothing_of_this_workspace() {
    let manifest = include_str!("../Cargo.toml");
    let (_, after) = manifest.split_once("[dependencies]").expect("dependencies");
    let dependencies = after.split("\n[").next().expect("their lines").lines();
    let names: Vec<&str> = dependencies
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty())
        .collect();
    let expected = [
        "bytes",
        "hex",
        "jiff",
        "ring",
        "serde",
        "serde_json",
        "sha2",
    ];
    assert_eq!(names, expected);
}
