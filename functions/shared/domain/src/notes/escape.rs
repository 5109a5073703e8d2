//! Text of others in Markdown: a commit's subject is read as the words that it is. It
//! makes no table, link or tag, calls nobody, and refers to no issue of the repository
//! that it is shown in.

/// Longer text is cut, in characters.
const LONGEST: usize = 200;

/// One line of Markdown that GitHub shows as this text.
///
/// ```
/// use commons_domain::notes::text;
/// assert_eq!(text("a | b"), r"a \| b");
/// assert_eq!(text("<b>"), "&lt;b&gt;");
/// ```
pub fn text(plain: &str) -> String {
    let mut words = plain
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty());
    let mut line = words.next().unwrap_or_default().to_owned();
    for word in words {
        line.push(' ');
        line.push_str(word);
    }
    if line.chars().count() > LONGEST {
        line = line.chars().take(LONGEST - 1).collect();
        line.push('…');
    }
    let mut markdown = String::with_capacity(line.len() + 8);
    // What makes a list or a heading does so at the beginning of a line only.
    let digits = line.chars().take_while(char::is_ascii_digit).count();
    let mut next = line.chars().skip(1);
    for (at, c) in line.chars().enumerate() {
        let alone = next.next().is_none_or(|next| next == ' ');
        match c {
            '<' => markdown.push_str("&lt;"),
            '>' => markdown.push_str("&gt;"),
            '&' => markdown.push_str("&amp;"),
            // GitHub looks for these in the text that is shown, where a backslash is gone;
            // a space without width parts them from what follows.
            '@' | '#' => {
                markdown.push(c);
                markdown.push_str("&#8203;");
            }
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => {
                markdown.push('\\');
                markdown.push(c);
            }
            '-' | '+' | '=' | ':' if at == 0 => {
                markdown.push('\\');
                markdown.push(c);
            }
            '.' | ')' if alone && at == digits && digits > 0 => {
                markdown.push('\\');
                markdown.push(c);
            }
            // Turns the text that follows around.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c => markdown.push(c),
        }
    }
    markdown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_of_it_is_markdown() {
        for (plain, markdown) in [
            ("Faster sync", "Faster sync"),
            ("a|b", r"a\|b"),
            ("use `x` and *y*", r"use \`x\` and \*y\*"),
            ("<script>", "&lt;script&gt;"),
            ("thanks @octocat", "thanks @&#8203;octocat"),
            ("closes #12", "closes #&#8203;12"),
            ("# no heading", "#&#8203; no heading"),
            ("one\n\n| two |\r\n", r"one \| two \|"),
            ("- item", r"\- item"),
            ("a - b", "a - b"),
            ("1. item", r"1\. item"),
            ("1.", r"1\."),
            ("0.1.0", "0.1.0"),
            ("[x](https://e)", r"\[x\](https://e)"),
            ("a\u{202e}b", "ab"),
            ("&amp;", "&amp;amp;"),
        ] {
            assert_eq!(text(plain), markdown, "{plain:?}");
        }
        assert_eq!(text(&"é".repeat(500)).chars().count(), LONGEST);
    }

    proptest! {
        #[test]
        fn it_is_one_line_without_a_tag_a_cell_or_a_call(plain in ".*|[@#|<>`\n a-b]{0,40}") {
            let markdown = text(&plain);
            prop_assert!(!markdown.contains(['\n', '\r', '<', '>']));
            let mut before = '\0';
            let mut escaped = false;
            for (at, c) in markdown.char_indices() {
                escaped = before == '\\' && !escaped;
                let rest = &markdown[at + c.len_utf8()..];
                match c {
                    '|' | '`' | '[' | '*' | '_' => prop_assert!(escaped, "{markdown}"),
                    '@' => prop_assert!(rest.starts_with("&#8203;"), "{markdown}"),
                    _ => {}
                }
                before = c;
            }
        }
    }
}
