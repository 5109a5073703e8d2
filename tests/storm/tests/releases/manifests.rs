//! Manifests that are larger than anybody's.

/// One component of a manifest, with more of its fields.
pub fn component(manifest: &mut String, name: &str, requires: &[String], more: &str) {
    let requires: Vec<String> = requires
        .iter()
        .map(|name| format!("\"{name}=0.1.0\""))
        .collect();
    let requires = requires.join(", ");
    *manifest += &format!(
        "{name} = {{ version = \"0.1.0\", git_tag = \"v0.1.0\", requires = [{requires}]{more} }}\n"
    );
}

/// So many components in layers of ten, each of which requires two of the layer before.
/// One of a layer has assets: GitHub takes 500 writes an hour, dispatches included.
pub fn wide(components: usize) -> String {
    let name = |index: usize| format!("c{index:03}");
    let mut manifest = String::from("[versions]\n");
    for index in 0..components {
        let requires: Vec<String> = match index.checked_sub(10) {
            Some(above) => vec![name(above), name(index / 10 * 10 - 10 + (index + 1) % 10)],
            None => Vec::new(),
        };
        let binaries = match index % 10 {
            0 => format!(", binaries = [\"{}\"]", name(index)),
            _ => String::new(),
        };
        component(&mut manifest, &name(index), &requires, &binaries);
    }
    manifest
}

/// A component, and so many levels of two that require both of the level before, and one
/// that requires the last two.
pub fn diamond(levels: usize) -> String {
    let mut manifest = String::from("[versions]\n");
    let mut above: Vec<String> = vec!["top".to_owned()];
    component(&mut manifest, "top", &[], "");
    for level in 0..levels {
        let both = ["left", "right"].map(|side| format!("{side}-{level:02}"));
        for name in &both {
            component(&mut manifest, name, &above, "");
        }
        above = both.to_vec();
    }
    component(&mut manifest, "bottom", &above, ", binaries = [\"bottom\"]");
    manifest
}
