//! `SHA256SUMS`: what `sha256sum -c` reads.

use crate::names::Sha256;

/// The file's text, sorted by name. The names are those that GitHub answered.
pub fn render(files: &[(String, Sha256)]) -> String {
    let mut lines: Vec<String> = files
        .iter()
        .map(|(name, sum)| format!("{sum}  {name}\n"))
        .collect();
    lines.sort_by(|a, b| a[64..].cmp(&b[64..]));
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sums_two_spaces_and_names_sorted_by_name() {
        let text = render(&[
            ("b".into(), Sha256::of(b"1")),
            ("a".into(), Sha256::of(b"2")),
        ]);
        let names: Vec<&str> = text
            .lines()
            .map(|line| line.split_once("  ").unwrap().1)
            .collect();
        assert_eq!(names, ["a", "b"]);
        assert!(text.ends_with('\n'));
    }
}
