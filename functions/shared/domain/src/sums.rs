//! `SHA256SUMS`: what `sha256sum -c` reads.

use crate::names::Sha256;

/// The file's text, sorted by name. The names are those that GitHub answered; what
/// [`parse`] reads as an escape is escaped.
pub fn render(files: &[(String, Sha256)]) -> String {
    let mut files: Vec<&(String, Sha256)> = files.iter().collect();
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    let line = |(name, sum): &(String, Sha256)| {
        let escaped = escape(name);
        let mark = if escaped == *name { "" } else { "\\" };
        format!("{mark}{sum}  {escaped}\n")
    };
    files.into_iter().map(line).collect()
}

/// Reads a file of sums as GNU coreutils and BSD write it: `<sum>  <name>`,
/// `<sum> *<name>`, or `SHA256 (<name>) = <sum>`; a name with a line break or a backslash
/// is escaped by a backslash before the sum
/// ([GNU coreutils: md5sum invocation](https://www.gnu.org/software/coreutils/manual/html_node/md5sum-invocation.html)).
/// A fault names the line.
pub fn parse(text: &str) -> Result<Vec<(String, Sha256)>, String> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(n, line)| line_of(line).ok_or_else(|| format!("line {} is no SHA-256 sum", n + 1)))
        .collect()
}

fn line_of(line: &str) -> Option<(String, Sha256)> {
    let (escaped, line) = match line.strip_prefix('\\') {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (name, sum) = match line.strip_prefix("SHA256 (") {
        Some(rest) => rest.rsplit_once(") = ")?,
        None => {
            let (sum, rest) = line.split_once(' ')?;
            let name = rest.strip_prefix(' ').or_else(|| rest.strip_prefix('*'))?;
            (name, sum)
        }
    };
    let sum = Sha256::parse(&sum.to_ascii_lowercase()).ok()?;
    let name = if escaped {
        unescape(name)?
    } else {
        name.to_owned()
    };
    (!name.is_empty()).then_some((name, sum))
}

fn escape(name: &str) -> String {
    let name = name.replace('\\', r"\\");
    name.replace('\n', r"\n").replace('\r', r"\r")
}

fn unescape(name: &str) -> Option<String> {
    let mut plain = String::new();
    let mut rest = name.chars();
    while let Some(c) = rest.next() {
        plain.push(match c {
            '\\' => match rest.next()? {
                'n' => '\n',
                'r' => '\r',
                '\\' => '\\',
                _ => return None,
            },
            c => c,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_usual_tools_write_is_read() {
        let sum = Sha256::of(b"1");
        let upper = sum.as_str().to_uppercase();
        let text = format!(
            "{sum}  a b\n{sum} *bin\n\nSHA256 (dir/c (1)) = {upper}\n\\{sum}  line\\nbreak\\\\\n"
        );
        let names: Vec<String> = parse(&text).unwrap().into_iter().map(|(n, _)| n).collect();
        assert_eq!(names, ["a b", "bin", "dir/c (1)", "line\nbreak\\"]);
    }

    #[test]
    fn a_line_that_is_no_sum_is_named() {
        let sum = Sha256::of(b"1");
        for bad in [
            "nonsense",
            &format!("{sum}"),
            &format!("{sum} x"),
            &format!("{sum}  "),
            &format!("{}  x", &sum.as_str()[1..]),
            &format!("\\{sum}  a\\x"),
        ] {
            let error = parse(&format!("{sum}  a\n{bad}\n")).unwrap_err();
            assert_eq!(error, "line 2 is no SHA-256 sum", "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_rendered_is_read(names in prop::collection::btree_set("[a-zA-Z0-9._-]{1,20}|(?s).{1,20}", 0..8)) {
            let files: Vec<(String, Sha256)> =
                names.iter().map(|n| (n.clone(), Sha256::of(n.as_bytes()))).collect();
            prop_assert_eq!(parse(&render(&files)).unwrap(), files);
        }
    }

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
