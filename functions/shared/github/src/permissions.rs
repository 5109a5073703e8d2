//! What each stage may do at GitHub: the one table, which an App's tokens are narrowed by,
//! and which the documents and the App's manifest show.

use std::fmt;

/// Whose calls they are: a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Plan.
    Plan,
    /// Dispatch.
    Dispatch,
    /// Poll.
    Poll,
    /// Collect.
    Collect,
    /// Publish.
    Publish,
    /// Settle.
    Settle,
}

impl Work {
    /// In the order of the table's columns.
    pub const ALL: [Self; 6] = [
        Self::Plan,
        Self::Dispatch,
        Self::Poll,
        Self::Collect,
        Self::Publish,
        Self::Settle,
    ];
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// How far a permission goes; write includes read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// `read`.
    Read,
    /// `write`.
    Write,
}

impl Access {
    /// In GitHub's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// Of GitHub's word; some permissions have `admin` beyond these.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "read" => Some(Self::Read),
            "write" | "admin" => Some(Self::Write),
            _ => None,
        }
    }
}

/// A permission in repositories, and who needs it.
#[derive(Debug)]
pub struct Permission {
    /// As GitHub's API names it.
    pub name: &'static str,
    /// A release goes without it, unless it is needed for what `why` says.
    pub optional: bool,
    /// By stage, in the order of [`Work::ALL`].
    of: [Option<Access>; Work::ALL.len()],
    /// What for.
    pub why: &'static str,
}

impl Permission {
    /// How far a stage needs it.
    pub fn of(&self, work: Work) -> Option<Access> {
        self.of[work as usize]
    }

    /// How far a token needs it that serves every stage.
    pub fn most(&self) -> Option<Access> {
        self.of.into_iter().flatten().max()
    }
}

const NONE: Option<Access> = None;
const READ: Option<Access> = Some(Access::Read);
const WRITE: Option<Access> = Some(Access::Write);

/// What the calls of each stage need by GitHub's documentation
/// ([permissions required for GitHub Apps](https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps)).
/// Plan writes contents: drafts are shown to nobody else, and a published release that
/// starts a train becomes a draft.
#[rustfmt::skip]
pub const PERMISSIONS: [Permission; 5] = [
    Permission {
        name: "metadata",
        optional: false,
        //   Plan, Dispatch, Poll, Collect, Publish, Settle
        of: [READ, READ, READ, READ, READ, READ],
        why: "repositories; GitHub adds it by itself",
    },
    Permission {
        name: "contents",
        optional: false,
        of: [WRITE, WRITE, NONE, NONE, WRITE, NONE],
        why: "manifest, commits, workflow files; `repository_dispatch`; drafts, the release and its assets, the components' tags",
    },
    Permission {
        name: "actions",
        optional: false,
        of: [READ, WRITE, WRITE, READ, READ, WRITE],
        why: "workflows, `workflow_dispatch`, runs and their artifacts; run again and cancel",
    },
    Permission {
        name: "administration",
        optional: true,
        of: [READ, NONE, NONE, NONE, NONE, NONE],
        why: "optional: whether what is published can still be changed, for the release's record",
    },
    Permission {
        name: "workflows",
        optional: true,
        of: [NONE, NONE, NONE, NONE, WRITE, NONE],
        why: "only where the release's commit differs from the default branch under `.github/workflows/`: GitHub makes no release of it otherwise",
    },
];

/// The table as the README shows it.
pub fn table() -> String {
    let stages = Work::ALL.map(|work| work.to_string()).join(" | ");
    let mut table = format!("| permission | {stages} | for |\n");
    table.push_str(&"| --- ".repeat(Work::ALL.len() + 2));
    table.push_str("|\n");
    for permission in &PERMISSIONS {
        let (first, rest) = permission.name.split_at(1);
        table.push_str(&format!("| {}{rest} |", first.to_uppercase()));
        for work in Work::ALL {
            let access = permission.of(work).map_or("", Access::as_str);
            table.push_str(&format!(" {access} |"));
        }
        table.push_str(&format!(" {} |\n", permission.why));
    }
    table
}
