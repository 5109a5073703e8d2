//! `versions.toml` as it was built: the manifest as people wrote it, with the commit of
//! every component.

use toml_edit::{DocumentMut, Item, value};

use crate::build::Build;

/// The manifest's text with every build's pin as its `git_commit`; comments and order stay.
/// A fault is one sentence.
pub fn resolved(text: &str, builds: &[Build]) -> Result<String, String> {
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error| format!("the manifest is not TOML: {error}"))?;
    for build in builds {
        let entry = document
            .get_mut("versions")
            .and_then(|versions| versions.get_mut(&build.component))
            .and_then(Item::as_table_like_mut)
            .ok_or_else(|| format!("the manifest has no component '{}'", build.component))?;
        entry.insert("git_commit", value(&build.pin));
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn commits_are_filled_in_and_the_rest_stays() {
        let build = fixture::dispatched("", "n", 0);
        let text = "# ours\n[versions]\na = { version = \"0.1.0\", git_commit = \"\" } # here\n";
        let inline = resolved(text, std::slice::from_ref(&build)).unwrap();
        assert_eq!(
            inline,
            "# ours\n[versions]\na = { version = \"0.1.0\", git_commit = \"p\" } # here\n"
        );
        let table = resolved(
            "[versions.a]\nversion = \"0.1.0\"\n",
            std::slice::from_ref(&build),
        );
        assert_eq!(
            table.unwrap(),
            "[versions.a]\nversion = \"0.1.0\"\ngit_commit = \"p\"\n"
        );
        let other = resolved("[versions]\nb = { version = \"0.1.0\" }\n", &[build]);
        assert_eq!(other.unwrap_err(), "the manifest has no component 'a'");
    }
}
