//! What a commit's message says: its kind, what it is about, which pull request it
//! came by ([Conventional Commits](https://www.conventionalcommits.org/en/v1.0.0/)).

/// What kind of change a commit is, in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Whoever uses it must change something.
    Breaking,
    /// `feat`.
    Feature,
    /// `fix`.
    Fix,
    /// `perf`.
    Performance,
    /// `docs`.
    Documentation,
    /// `build`, `chore`, `ci`, `refactor`, `style`, `test`.
    Maintenance,
    /// Every other.
    Other,
}

impl Kind {
    /// One word, for templates.
    pub fn name(self) -> &'static str {
        match self {
            Self::Breaking => "breaking",
            Self::Feature => "feature",
            Self::Fix => "fix",
            Self::Performance => "performance",
            Self::Documentation => "documentation",
            Self::Maintenance => "maintenance",
            Self::Other => "other",
        }
    }

    /// The heading of its group.
    pub fn title(self) -> &'static str {
        match self {
            Self::Breaking => "Breaking changes",
            Self::Feature => "Features",
            Self::Fix => "Fixes",
            Self::Performance => "Performance",
            Self::Documentation => "Documentation",
            Self::Maintenance => "Maintenance",
            Self::Other => "Other changes",
        }
    }

    fn of_type(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "feat" | "feature" => Self::Feature,
            "fix" | "bugfix" | "hotfix" => Self::Fix,
            "perf" => Self::Performance,
            "docs" | "doc" => Self::Documentation,
            "build" | "chore" | "ci" | "deps" | "refactor" | "style" | "test" | "tests" => {
                Self::Maintenance
            }
            _ => return None,
        })
    }
}

/// A message, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What kind of change it is.
    pub kind: Kind,
    /// The part that it is about.
    pub scope: Option<String>,
    /// The first line without what is told by the others.
    pub subject: String,
    /// The pull request at its end, as `(#12)`.
    pub pull: Option<u64>,
}

impl Message {
    /// Reads a commit's whole message.
    pub fn read(message: &str) -> Self {
        let line = message.lines().next().unwrap_or_default().trim();
        let (line, pull) = match pull(line) {
            Some((rest, number)) => (rest, Some(number)),
            None => (line, None),
        };
        let breaks = message
            .lines()
            .skip(1)
            .any(|l| l.starts_with("BREAKING CHANGE:") || l.starts_with("BREAKING-CHANGE:"));
        let (kind, scope, subject) = match conventional(line) {
            Some((kind, scope, subject)) => (kind, scope, subject),
            None => (Kind::Other, None, line),
        };
        let subject = match subject {
            "" => "(no message)",
            subject => subject,
        };
        Self {
            kind: if breaks { Kind::Breaking } else { kind },
            scope: scope.map(str::to_owned),
            subject: subject.to_owned(),
            pull,
        }
    }
}

/// `Subject (#12)`: the subject and 12.
fn pull(line: &str) -> Option<(&str, u64)> {
    let (rest, number) = line.strip_suffix(')')?.rsplit_once("(#")?;
    let digits = number.bytes().all(|b| b.is_ascii_digit());
    let number = number.parse().ok().filter(|_| digits)?;
    Some((rest.trim_end(), number))
}

/// `type(scope)!: subject`, where the type is a known one, or breaks something.
fn conventional(line: &str) -> Option<(Kind, Option<&str>, &str)> {
    let (head, subject) = line.split_once(':')?;
    let subject = subject.trim();
    let (head, breaks) = match head.strip_suffix('!') {
        Some(head) => (head, true),
        None => (head, false),
    };
    let (name, scope) = match head.strip_suffix(')').and_then(|h| h.split_once('(')) {
        Some((name, scope)) => (name, Some(scope.trim())),
        None => (head, None),
    };
    let is_word = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let kind = match Kind::of_type(name) {
        _ if !is_word || subject.is_empty() => return None,
        _ if breaks => Kind::Breaking,
        Some(kind) => kind,
        None => return None,
    };
    Some((kind, scope.filter(|scope| !scope.is_empty()), subject))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_are_read() {
        let cases = [
            ("feat: pruning", Kind::Feature, None, "pruning", None),
            (
                "Fix(net): retry (#12)",
                Kind::Fix,
                Some("net"),
                "retry",
                Some(12),
            ),
            (
                "perf(db)!: no index",
                Kind::Breaking,
                Some("db"),
                "no index",
                None,
            ),
            ("api!: v2", Kind::Breaking, None, "v2", None),
            (
                "fix: x\n\nBREAKING CHANGE: y",
                Kind::Breaking,
                None,
                "x",
                None,
            ),
            ("docs: how", Kind::Documentation, None, "how", None),
            (
                "chore(deps): bump",
                Kind::Maintenance,
                Some("deps"),
                "bump",
                None,
            ),
            ("Add blocks (#7)", Kind::Other, None, "Add blocks", Some(7)),
            (
                "Note: a type that is none",
                Kind::Other,
                None,
                "Note: a type that is none",
                None,
            ),
            ("feat:", Kind::Other, None, "feat:", None),
            ("see (#x)", Kind::Other, None, "see (#x)", None),
            ("", Kind::Other, None, "(no message)", None),
            ("(#3)", Kind::Other, None, "(no message)", Some(3)),
        ];
        for (message, kind, scope, subject, pull) in cases {
            let read = Message::read(message);
            let want = Message {
                kind,
                scope: scope.map(str::to_owned),
                subject: subject.to_owned(),
                pull,
            };
            assert_eq!(read, want, "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn every_message_is_read(message in "(?s).{0,80}|[a-z]{1,8}(\\([a-z]*\\))?!?:.{0,20}(\\(#[0-9]{1,25}\\))?") {
            prop_assert!(!Message::read(&message).subject.is_empty());
        }
    }
}
