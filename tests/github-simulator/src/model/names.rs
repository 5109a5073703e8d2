//! Asset names as GitHub rewrites them.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// The name that an uploaded file gets: no diacritics, a run of characters
/// outside `[A-Za-z0-9-_+@.]` becomes one `.`, and a leading dot gets `default`
/// before it.
pub(crate) fn asset_name(given: &str) -> String {
    let mut name = String::with_capacity(given.len());
    let mut replaced = false;
    for char in given.nfd().filter(|char| !is_combining_mark(*char)) {
        if char.is_ascii_alphanumeric() || "-_+@.".contains(char) {
            name.push(char);
            replaced = false;
        } else if !replaced {
            name.push('.');
            replaced = true;
        }
    }
    if name.starts_with('.') {
        name.insert_str(0, "default");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::asset_name;

    #[test]
    fn names_are_rewritten() {
        for (given, expected) in [
            ("bllvm-0.1.0.tar.gz", "bllvm-0.1.0.tar.gz"),
            ("key manager (linux).zip", "key.manager.linux..zip"),
            ("résumé.txt", "resume.txt"),
            (".env", "default.env"),
            ("a+b@c_d", "a+b@c_d"),
            ("日本", "default."),
        ] {
            assert_eq!(asset_name(given), expected, "{given}");
        }
    }
}
