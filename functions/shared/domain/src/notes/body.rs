//! A release's whole text: ours stands between two comments, which are not shown; what
//! people wrote around them stays as it is.

use super::template::{Engine, Fault, Template};
use super::{Facts, LONGEST_BODY, fit};

/// Before our text.
const BEGIN: &str = "<!-- bllvm-commons: what follows is replaced -->";
/// After it.
const END: &str = "<!-- bllvm-commons: what follows stays -->";

/// The text of a release whose text is `theirs` now: what it says of itself in place of
/// what it said before, or at the end. The whole is at most [`LONGEST_BODY`] characters;
/// only our part is shortened for that, and left out where there is no room for it.
pub fn body(theirs: &str, template: Option<&Template>, facts: &Facts) -> Result<String, Fault> {
    let (before, after) = around(theirs);
    let frame = with(before, "", after).chars().count();
    let room = LONGEST_BODY.saturating_sub(frame);
    let ours = fit::fit(&Engine::new(template)?, facts, room)?;
    Ok(match ours.trim() {
        "" => theirs.to_owned(),
        ours => with(before, ours, after),
    })
}

/// The text of a draft that is not finished.
pub fn unfinished(version: &str) -> String {
    with("", &format!("{version} is being assembled."), "")
}

/// What people wrote before and after our text: the last that stands between two
/// comments. Everything is before it where there is none.
fn around(text: &str) -> (&str, &str) {
    let mut end = text.len();
    while let Some(begin) = text[..end].rfind(BEGIN) {
        let inside = begin + BEGIN.len();
        if let Some(length) = text[inside..].find(END) {
            return (&text[..begin], &text[inside + length + END.len()..]);
        }
        end = begin;
    }
    (text, "")
}

fn with(before: &str, ours: &str, after: &str) -> String {
    // A template of others may show a text that holds what ends ours.
    let ours = ours
        .replace(BEGIN, &BEGIN.replace('<', "&lt;"))
        .replace(END, &END.replace('<', "&lt;"));
    let apart = match before {
        "" => "",
        before if before.ends_with("\n\n") || before.ends_with("\r\n\r\n") => "",
        before if before.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    format!("{before}{apart}{BEGIN}\n\n{ours}\n\n{END}{after}")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use proptest::prelude::*;

    fn plain(text: &str) -> Template {
        Template {
            path: "t".into(),
            text: text.into(),
        }
    }

    #[test]
    fn what_people_wrote_stays_and_ours_is_replaced() {
        let first = body("Hello.\r\n", Some(&plain("one")), &sample()).unwrap();
        assert_eq!(first, format!("Hello.\r\n\n{BEGIN}\n\none\n\n{END}"));
        let edited = format!("{first}\n\nBye.\n");
        let second = body(&edited, Some(&plain("two")), &sample()).unwrap();
        assert_eq!(second, edited.replace("one", "two"));
        let alone = body(&unfinished("v1.0.0"), Some(&plain("x")), &sample()).unwrap();
        assert_eq!(alone, format!("{BEGIN}\n\nx\n\n{END}"));
    }

    #[test]
    fn a_comment_without_its_other_is_theirs() {
        let text = format!("{BEGIN} a {BEGIN} ours {END} b");
        assert_eq!(around(&text), (&format!("{BEGIN} a ")[..], " b"));
        let text = format!("{END} a {BEGIN} b");
        assert_eq!(around(&text), (&text[..], ""));
        let text = format!("{BEGIN} ours {END} {BEGIN}");
        assert_eq!(around(&text), ("", &format!(" {BEGIN}")[..]));
    }

    #[test]
    fn what_ends_our_text_is_none_within_it() {
        let sly = plain(&format!("a {END} b {BEGIN} c"));
        let once = body("theirs", Some(&sly), &sample()).unwrap();
        assert_eq!(body(&once, Some(&sly), &sample()).unwrap(), once);
        assert_eq!(around(&once), ("theirs\n\n", ""));
    }

    #[test]
    fn theirs_is_never_shortened() {
        let length = |text: &str| text.chars().count();
        for written in [124_000, 124_880, 124_999, 125_000, 130_000] {
            let theirs = "é".repeat(written);
            let whole = body(&theirs, None, &sample()).unwrap();
            assert!(whole.starts_with(&theirs));
            assert!(length(&whole) <= LONGEST_BODY.max(written), "{written}");
        }
        let full = "x".repeat(LONGEST_BODY);
        assert_eq!(body(&full, None, &sample()).unwrap(), full);
    }

    proptest! {
        #[test]
        fn a_second_time_changes_nothing(before in "(?s).{0,40}", after in "(?s).{0,40}", ours in "[^{}]{1,40}") {
            let template = plain(&ours);
            let once = body(&before, Some(&template), &sample()).unwrap();
            prop_assert!(once.starts_with(&before));
            let edited = format!("{once}{after}");
            let twice = body(&edited, Some(&template), &sample()).unwrap();
            prop_assert_eq!(twice, edited);
        }
    }
}
