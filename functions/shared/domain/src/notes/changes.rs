//! What is new: the commits of every repository as one list, grouped by kind.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::commits::{Kind, Message};
use super::facts::{Change, Changes, Compared, Group, Release};
use super::gather::short;
use crate::names::RepoName;

/// More than GitHub's limit of a release's text has room for.
const MOST_LISTED: usize = 5_000;
/// More names make no sentence.
const MOST_NAMED: usize = 20;

/// A commit between two others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The commit.
    pub sha: String,
    /// Its whole message.
    pub message: String,
    /// When it was committed.
    pub at: Option<Timestamp>,
    /// How many parents it has: a merge has several.
    pub parents: usize,
}

/// A component then and now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Its name; several where they share a repository and both commits.
    pub component: String,
    /// Its repository now.
    pub repository: RepoName,
    /// The commit that it was built at then; none where it is new.
    pub base: Option<String>,
    /// The commit that it is built at now.
    pub head: String,
    /// What GitHub said.
    pub outcome: Outcome,
}

/// What GitHub says of what lies between two commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: they are the same, or there is nothing to compare with.
    NotAsked,
    /// Commits.
    Commits {
        /// Those that were read, the oldest first.
        read: Vec<Commit>,
        /// How many there are.
        total: u64,
        /// How many of then are not part of it now.
        behind: u64,
    },
    /// One of the two is not there any more.
    Gone,
    /// Why it could not be compared.
    Unknown(String),
}

/// What the release is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since {
    /// The last published release before this one.
    pub version: String,
    /// Its page.
    pub url: String,
    /// Its components that are none any more; nothing where what it was built from is
    /// not known.
    pub removed: Option<Vec<String>>,
}

/// The changes since another release, if there is one. `web` is GitHub's address for
/// people.
pub fn changes(since: Option<&Since>, comparisons: &[Comparison], web: &str) -> Changes {
    let Some(since) = since else {
        return Changes {
            remarks: vec!["No earlier release is published to compare with.".into()],
            ..Changes::default()
        };
    };
    let release = Release {
        version: since.version.clone(),
        url: since.url.clone(),
    };
    let Some(removed) = &since.removed else {
        return Changes {
            remarks: vec![format!(
                "What {} was built from is not known here, so that its changes are not listed.",
                since.version
            )],
            since: Some(release),
            ..Changes::default()
        };
    };
    Changes {
        since: Some(release),
        groups: groups(comparisons, web),
        compared: comparisons
            .iter()
            .filter_map(|c| compared(c, web))
            .collect(),
        remarks: remarks(since, removed, comparisons),
        ..Changes::default()
    }
}

fn groups(comparisons: &[Comparison], web: &str) -> Vec<Group> {
    let mut seen = BTreeSet::new();
    let mut commits: Vec<(&Comparison, (usize, &Commit))> = Vec::new();
    for comparison in comparisons {
        if let Outcome::Commits { read, .. } = &comparison.outcome {
            let own = read.iter().enumerate().filter(|(_, c)| c.parents < 2);
            let new = own.filter(|(_, commit)| seen.insert(commit.sha.as_str()));
            commits.extend(new.map(|commit| (comparison, commit)));
        }
    }
    // The newest first, over all repositories; of one second as GitHub has them.
    commits.sort_by(|(one, (a_at, a)), (other, (b_at, b))| {
        let by_name = || one.component.cmp(&other.component);
        let by_place = || b_at.cmp(a_at);
        b.at.cmp(&a.at).then_with(by_name).then_with(by_place)
    });
    let mut groups: BTreeMap<Kind, Group> = BTreeMap::new();
    for (n, (comparison, (_, commit))) in commits.into_iter().enumerate() {
        let message = Message::read(&commit.message);
        let kind = message.kind;
        let group = groups.entry(kind).or_insert_with(|| Group {
            kind: kind.name().to_owned(),
            title: kind.title().to_owned(),
            changes: Vec::new(),
            left_out: 0,
        });
        if n < MOST_LISTED {
            group.changes.push(change(comparison, commit, message, web));
        } else {
            group.left_out += 1;
        }
    }
    groups.into_values().collect()
}

fn change(comparison: &Comparison, commit: &Commit, message: Message, web: &str) -> Change {
    let page = format!("{web}/{}", comparison.repository);
    Change {
        component: comparison.component.clone(),
        scope: message.scope,
        subject: message.subject,
        commit: commit.sha.clone(),
        short_commit: short(&commit.sha),
        commit_url: format!("{page}/commit/{}", commit.sha),
        pull: message.pull,
        pull_url: message.pull.map(|number| format!("{page}/pull/{number}")),
    }
}

/// What was asked for, unless one of its ends is gone: then GitHub has no page of it.
fn compared(comparison: &Comparison, web: &str) -> Option<Compared> {
    let base = comparison.base.as_ref()?;
    let head = &comparison.head;
    let (commits, unread) = match &comparison.outcome {
        Outcome::Commits { read, total, .. } => {
            (Some(*total), total.saturating_sub(read.len() as u64))
        }
        Outcome::Unknown(_) => (None, 0),
        Outcome::Gone | Outcome::NotAsked => return None,
    };
    Some(Compared {
        component: comparison.component.clone(),
        from: short(base),
        to: short(head),
        url: format!("{web}/{}/compare/{base}...{head}", comparison.repository),
        commits,
        unread,
    })
}

fn remarks(since: &Since, removed: &[String], comparisons: &[Comparison]) -> Vec<String> {
    let Since { version, .. } = since;
    let mut remarks = Vec::new();
    let new: Vec<&str> = comparisons
        .iter()
        .filter(|c| c.base.is_none())
        .map(|c| c.component.as_str())
        .collect();
    if !new.is_empty() {
        remarks.push(format!("New since {version}: {}.", named(&new)));
    }
    if !removed.is_empty() {
        let removed: Vec<&str> = removed.iter().map(String::as_str).collect();
        remarks.push(format!("No longer part of it: {}.", named(&removed)));
    }
    for comparison in comparisons {
        let (Some(base), head) = (&comparison.base, &comparison.head) else {
            continue;
        };
        let (name, base, head) = (&comparison.component, short(base), short(head));
        match &comparison.outcome {
            Outcome::Commits { behind, .. } if *behind > 0 => {
                let commits = if *behind == 1 { "commit" } else { "commits" };
                remarks.push(format!(
                    "{name}: {behind} {commits} of {version} are not part of it any more."
                ));
            }
            Outcome::Gone => remarks.push(format!(
                "{name}: GitHub does not know {base} of {version} and {head} together any more, so that the changes between them are not listed."
            )),
            Outcome::Unknown(why) => remarks.push(format!(
                "{name}: the changes from {base} to {head} are not listed: {why}."
            )),
            Outcome::Commits { .. } | Outcome::NotAsked => {}
        }
    }
    let same = |c: &Comparison| c.base.as_ref() == Some(&c.head);
    if remarks.is_empty() && comparisons.iter().all(same) {
        remarks.push(format!(
            "Every component is built at the same commit as in {version}."
        ));
    }
    remarks
}

/// `a, b and 3 more`.
fn named(names: &[&str]) -> String {
    let shown = names.iter().take(MOST_NAMED).copied().collect::<Vec<_>>();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(sha: &str, second: i64, message: &str) -> Commit {
        Commit {
            sha: sha.repeat(10),
            message: message.into(),
            at: Timestamp::from_second(second).ok(),
            parents: 1,
        }
    }

    fn comparison(component: &str, read: Vec<Commit>) -> Comparison {
        let total = read.len() as u64;
        let outcome = Outcome::Commits {
            read,
            total,
            behind: 0,
        };
        Comparison {
            component: component.into(),
            repository: RepoName::new(&format!("o/{component}")).unwrap(),
            base: Some("b".repeat(40)),
            head: "c".repeat(40),
            outcome,
        }
    }

    fn since(removed: Option<Vec<String>>) -> Since {
        Since {
            version: "v0.1.0".into(),
            url: "https://e/o/a/releases/tag/v0.1.0".into(),
            removed,
        }
    }

    fn told(comparisons: &[Comparison]) -> Changes {
        changes(Some(&since(Some(Vec::new()))), comparisons, "https://e")
    }

    #[test]
    fn one_list_over_all_repositories_is_grouped_by_kind() {
        let merge = Commit {
            parents: 2,
            ..commit("dddd", 9, "Merge pull request #12 from a/b")
        };
        let a = vec![
            commit("aaaa", 1, "feat: old"),
            commit("bbbb", 3, "fix!: breaks"),
            merge,
        ];
        let again = commit("bbbb", 3, "fix!: breaks");
        let b = vec![commit("cccc", 2, "feat(net): new (#7)"), again];
        let told = told(&[comparison("a", a), comparison("b", b)]);
        let groups: Vec<(&str, Vec<&str>)> = told
            .groups
            .iter()
            .map(|g| {
                (
                    &g.title[..],
                    g.changes.iter().map(|c| &c.subject[..]).collect(),
                )
            })
            .collect();
        let want = [
            ("Breaking changes", vec!["breaks"]),
            ("Features", vec!["new", "old"]),
        ];
        assert_eq!(groups, want);
        let new = &told.groups[1].changes[0];
        assert_eq!(
            (new.component.as_str(), new.scope.as_deref()),
            ("b", Some("net"))
        );
        assert_eq!(new.pull_url.as_deref(), Some("https://e/o/b/pull/7"));
        assert!(new.commit_url.starts_with("https://e/o/b/commit/cccc"));
        assert!(told.remarks.is_empty(), "{:?}", told.remarks);
        let page = format!(
            "https://e/o/a/compare/{}...{}",
            "b".repeat(40),
            "c".repeat(40)
        );
        assert_eq!(told.compared[0].url, page);
        assert_eq!(
            (told.compared[0].commits, told.compared[0].unread),
            (Some(3), 0)
        );
    }

    #[test]
    fn what_cannot_be_compared_is_a_sentence() {
        let with = |name: &str, outcome: Outcome| Comparison {
            outcome,
            ..comparison(name, Vec::new())
        };
        let behind = Outcome::Commits {
            read: Vec::new(),
            total: 0,
            behind: 2,
        };
        let new = Comparison {
            base: None,
            ..with("fresh", Outcome::NotAsked)
        };
        let all = [
            with("back", behind),
            with("gone", Outcome::Gone),
            with("late", Outcome::Unknown("it took too long".into())),
            new,
        ];
        let told = changes(Some(&since(Some(vec!["old".into()]))), &all, "https://e");
        assert_eq!(
            told.remarks,
            [
                "New since v0.1.0: fresh.",
                "No longer part of it: old.",
                "back: 2 commits of v0.1.0 are not part of it any more.",
                "gone: GitHub does not know bbbbbbb of v0.1.0 and ccccccc together any more, so that the changes between them are not listed.",
                "late: the changes from bbbbbbb to ccccccc are not listed: it took too long.",
            ]
        );
        let pages: Vec<&str> = told.compared.iter().map(|c| c.component.as_str()).collect();
        assert_eq!(pages, ["back", "late"]);
    }

    #[test]
    fn without_anything_to_compare_with_there_is_one_sentence() {
        let first = changes(None, &[], "https://e");
        assert_eq!((first.since, first.remarks.len()), (None, 1));
        let unknown = changes(Some(&since(None)), &[], "https://e");
        assert!(unknown.remarks[0].starts_with("What v0.1.0 was built from is not known"));
        let same = Comparison {
            base: Some("c".repeat(40)),
            outcome: Outcome::NotAsked,
            ..comparison("a", Vec::new())
        };
        let told = told(&[same]);
        assert_eq!(
            told.remarks,
            ["Every component is built at the same commit as in v0.1.0."]
        );
        assert!(told.groups.is_empty() && told.compared.is_empty());
    }

    #[test]
    fn commits_that_are_too_many_are_counted() {
        let many = |n: usize| {
            (0..n)
                .map(|i| commit(&format!("{i:04}"), 0, "fix: x"))
                .collect()
        };
        let mut one = comparison("a", many(MOST_LISTED + 7));
        if let Outcome::Commits { total, .. } = &mut one.outcome {
            *total += 100;
        }
        let told = told(&[one]);
        let group = &told.groups[0];
        assert_eq!((group.changes.len(), group.left_out), (MOST_LISTED, 7));
        assert_eq!(told.compared[0].unread, 100);
        let names: Vec<String> = (0..30).map(|n| n.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(named(&names).ends_with("19 and 10 more"));
    }
}
