//! Shortening, in an order: changes, then files, then components; of each as much stays
//! as there is room for. What is left out is counted, and listed elsewhere: changes at
//! GitHub, files in `SHA256SUMS`.

use super::facts::{Facts, Section};
use super::template::{Engine, Fault};

/// What stands where a template's text is longer than it may be although it lists nothing.
const CUT: &str = "\n\n… cut here: GitHub takes no longer text.\n";

/// How much of each list is shown, at most.
#[derive(Debug, Clone, Copy)]
struct Shown([usize; 3]);

/// The text of these facts, at most `room` characters long.
pub(super) fn fit(engine: &Engine<'_>, facts: &Facts, room: usize) -> Result<String, Fault> {
    let whole = [
        longest_list_of_changes(facts),
        facts.artifacts.len(),
        facts.components.len(),
    ];
    let rendered = |shown: Shown| engine.render(&shortened(facts, shown));
    let fits = |text: &str| text.chars().count() <= room;
    let mut shown = Shown(whole);
    let mut text = rendered(shown)?;
    for (part, all) in whole.into_iter().enumerate() {
        if fits(&text) {
            return Ok(text);
        }
        shown.0[part] = 0;
        text = rendered(shown)?;
        if !fits(&text) {
            continue;
        }
        // `least` fits, `most` does not.
        let (mut least, mut most) = (0, all);
        while most > least + 1 {
            shown.0[part] = least.midpoint(most);
            let longer = rendered(shown)?;
            if fits(&longer) {
                least = shown.0[part];
                text = longer;
            } else {
                most = shown.0[part];
            }
        }
    }
    Ok(if fits(&text) { text } else { cut(&text, room) })
}

fn longest_list_of_changes(facts: &Facts) -> usize {
    let changes = &facts.changes;
    let groups = changes.groups.iter().map(|group| group.changes.len());
    let others = [changes.compared.len(), changes.remarks.len()];
    groups.chain(others).max().unwrap_or_default()
}

/// The facts with no more of each list than that; what is left out is counted.
fn shortened(facts: &Facts, Shown([changes, artifacts, components]): Shown) -> Facts {
    let mut short = facts.clone();
    for group in &mut short.changes.groups {
        group.left_out += shorten(&mut group.changes, changes);
    }
    short.changes.compared_left_out += shorten(&mut short.changes.compared, changes);
    short.changes.remarks_left_out += shorten(&mut short.changes.remarks, changes);
    short.artifacts_left_out += shorten(&mut short.artifacts, artifacts);
    let mut room = artifacts;
    for section in &mut short.sections {
        section.artifacts.truncate(room);
        room -= section.artifacts.len();
    }
    let is_empty = |section: &Section| section.artifacts.is_empty();
    short.sections.retain(|section| !is_empty(section));
    short.components_left_out += shorten(&mut short.components, components);
    short
}

/// Keeps the first ones; how many go.
fn shorten<T>(list: &mut Vec<T>, most: usize) -> usize {
    let gone = list.len().saturating_sub(most);
    list.truncate(most);
    gone
}

/// Whole lines from its beginning, and that there were more; nothing where not even that
/// has room.
fn cut(text: &str, room: usize) -> String {
    let Some(room) = room.checked_sub(CUT.chars().count()) else {
        return String::new();
    };
    let end = text
        .char_indices()
        .nth(room)
        .map_or(text.len(), |(at, _)| at);
    let end = text[..end].rfind('\n').unwrap_or_default();
    format!("{}{CUT}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::super::{LONGEST_BODY, Template, render};
    use super::*;
    use proptest::prelude::*;

    /// The sample with so many components, files, changes per group and comparisons.
    fn many(components: usize, files: usize, changes: usize, wide: usize) -> Facts {
        fn repeat<T: Clone>(list: &mut Vec<T>, n: usize, each: impl Fn(&mut T, usize)) {
            let first = list[0].clone();
            *list = (0..n)
                .map(|i| (first.clone(), i))
                .map(|(mut one, i)| {
                    each(&mut one, i);
                    one
                })
                .collect();
        }
        let mut facts = sample();
        let long = "é|".repeat(wide);
        repeat(&mut facts.components, components, |c, n| {
            c.name = format!("{long}{n}")
        });
        repeat(&mut facts.artifacts, files, |a, n| a.name = format!("{n}"));
        // As many sections as there are files.
        repeat(&mut facts.sections, files, |s, n| {
            s.title = format!("{long}{n}");
            s.artifacts[0].name = format!("{n}");
        });
        for group in &mut facts.changes.groups {
            repeat(&mut group.changes, changes, |c, _| {
                c.subject.clone_from(&long)
            });
        }
        repeat(&mut facts.changes.compared, components, |_, _| {});
        repeat(&mut facts.changes.remarks, components, |r, _| {
            r.clone_from(&long)
        });
        facts
    }

    fn length(text: &str) -> usize {
        text.chars().count()
    }

    #[test]
    fn what_fits_stays_whole() {
        let text = render(None, &many(3, 5, 7, 1)).unwrap();
        assert!(!text.contains(" more"), "{text}");
    }

    #[test]
    fn the_largest_release_fits_and_names_what_it_left_out() {
        let facts = many(10_000, 1_000, 500, 100);
        let text = render(None, &facts).unwrap();
        assert!(length(&text) <= LONGEST_BODY, "{}", length(&text));
        assert!(length(&text) > LONGEST_BODY * 9 / 10, "{}", length(&text));
        for told in ["… and 500 more", "… and 1000 more", "openssl dgst"] {
            assert!(text.contains(told), "{told} is not in: {}", &text[..3_000]);
        }
        assert!(!text.contains("cut here"));
    }

    #[test]
    fn changes_go_first_then_files_then_components() {
        let facts = many(20, 20, 2_000, 20);
        let text = render(None, &facts).unwrap();
        assert!(length(&text) <= LONGEST_BODY && length(&text) > LONGEST_BODY * 9 / 10);
        let shown = |of: &str| text.contains(of);
        assert!(shown("| [`19`]") && !shown("more files") && !shown("more components"));
        let facts = many(20, 1_000, 2_000, 100);
        let text = render(None, &facts).unwrap();
        assert!(text.contains("… and 2000 more") && text.contains("more files"));
        assert!(!text.contains("more components"));
    }

    #[test]
    fn a_template_that_is_too_long_by_itself_is_cut_at_a_line() {
        let template = Template {
            path: "t".into(),
            text: "é\n".repeat(LONGEST_BODY),
        };
        let text = render(Some(&template), &sample()).unwrap();
        assert!(length(&text) <= LONGEST_BODY && text.ends_with(CUT));
        assert!(text.trim_end_matches(CUT).ends_with('é'));
        assert_eq!(cut("a\nb\nc", 10), "");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn it_fits_whatever_there_is(
            components in 1..3_000_usize,
            files in 1..1_000_usize,
            changes in 1..1_500_usize,
            wide in 0..120_usize,
            room in prop_oneof![Just(LONGEST_BODY), 0..LONGEST_BODY],
        ) {
            let engine = Engine::new(None).unwrap();
            let facts = many(components, files, changes, wide);
            let text = fit(&engine, &facts, room).unwrap();
            prop_assert!(length(&text) <= room);
            // Where there is room for anything, the built-in template is never cut.
            prop_assert!(room < 5_000 || !text.contains("cut here"));
        }
    }
}
