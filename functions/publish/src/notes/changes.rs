//! What is new since the last published release: each component's repository is asked
//! for what lies between its two commits. Notes hold no release up: what GitHub cannot
//! compare is told in a sentence, and so is what it does not answer for long.

use std::collections::BTreeMap;

use commons_domain::build::Build;
use commons_domain::names::RepoName;
use commons_domain::notes::{Changes, Commit, Comparison, Outcome, Since, changes};
use commons_domain::release::Release;
use commons_domain::times::BLIND_AFTER;
use commons_github::Error;
use commons_runtime::{Stage, ago};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::previous::{self, Previous};
use crate::limits::Pause;

/// Comparisons that are asked for at a time.
const AT_A_TIME: usize = 4;
/// Comparisons that are asked for at all: a tenth of what GitHub answers in an hour.
const MOST_COMPARED: usize = 500;
/// Pages of each, of 100 commits.
const MOST_PAGES: usize = 4;

/// The changes since the last published release. `web` is GitHub's address for people.
pub async fn since_the_last(
    stage: &Stage,
    release: &Release,
    builds: &[Build],
    web: &str,
) -> Result<Changes, Pause> {
    let Some(Previous { release: at, pins }) = previous::find(stage, release).await? else {
        return Ok(changes(None, &[], web));
    };
    let removed = pins.as_ref().map(|pins| {
        let gone = |name: &&String| !builds.iter().any(|build| build.component == **name);
        pins.keys().filter(gone).cloned().collect()
    });
    let since = Since {
        version: at.tag_name,
        url: at.html_url,
        removed,
    };
    let comparisons = match &pins {
        Some(pins) => compared(stage, release, to_compare(builds, pins)).await?,
        None => Vec::new(),
    };
    Ok(changes(Some(&since), &comparisons, web))
}

/// Every component then and now, by name; those of one repository and the same commits
/// as one.
fn to_compare(builds: &[Build], pins: &BTreeMap<String, String>) -> Vec<Comparison> {
    let mut together: BTreeMap<(&RepoName, Option<&String>, &String), Vec<&str>> = BTreeMap::new();
    for build in builds {
        let base = pins.get(&build.component);
        let names = together.entry((&build.repository, base, &build.pin));
        names.or_default().push(&build.component);
    }
    let mut all: Vec<Comparison> = together
        .into_iter()
        .map(|((repository, base, head), mut names)| {
            names.sort_unstable();
            Comparison {
                component: names.join(", "),
                repository: repository.clone(),
                base: base.cloned(),
                head: head.clone(),
                outcome: Outcome::NotAsked,
            }
        })
        .collect();
    all.sort_by(|one, other| one.component.cmp(&other.component));
    all
}

/// Asks GitHub for those that are to be compared.
async fn compared(
    stage: &Stage,
    release: &Release,
    comparisons: Vec<Comparison>,
) -> Result<Vec<Comparison>, Pause> {
    let mut asked = 0;
    let looks: Vec<_> = comparisons
        .into_iter()
        .map(|comparison| {
            let differs = |base: &String| *base != comparison.head;
            let base = comparison.base.clone().filter(differs);
            asked += usize::from(base.is_some());
            one(stage, release, comparison, base, asked <= MOST_COMPARED)
        })
        .collect();
    stream::iter(looks).buffered(AT_A_TIME).try_collect().await
}

async fn one(
    stage: &Stage,
    release: &Release,
    comparison: Comparison,
    base: Option<String>,
    room: bool,
) -> Result<Comparison, Pause> {
    let outcome = match base {
        None => Outcome::NotAsked,
        Some(_) if !room => {
            Outcome::Unknown(format!("more than {MOST_COMPARED} components changed"))
        }
        Some(base) => ask(stage, release, &comparison, &base).await?,
    };
    Ok(Comparison {
        outcome,
        ..comparison
    })
}

async fn ask(
    stage: &Stage,
    release: &Release,
    comparison: &Comparison,
    base: &str,
) -> Result<Outcome, Pause> {
    let Comparison {
        repository, head, ..
    } = comparison;
    match stage
        .github
        .compare(repository, base, head, MOST_PAGES)
        .await
    {
        Ok(between) => Ok(Outcome::Commits {
            read: between
                .commits
                .into_iter()
                .map(|commit| Commit {
                    sha: commit.sha,
                    message: commit.message,
                    at: commit.committed_at,
                    parents: commit.parents,
                })
                .collect(),
            total: between.total_commits,
            behind: between.behind_by,
        }),
        Err(Error::NotFound { .. }) => Ok(Outcome::Gone),
        Err(error @ (Error::Unauthorized { .. } | Error::RateLimited { .. })) => Err(error.into()),
        Err(error) if error.is_cannot_see() => {
            // GitHub takes too long for some, every time: it is not waited for to the end.
            let unseen = release.unseen_since.map(|since| ago(stage, since));
            if unseen.is_none_or(|unseen| unseen < BLIND_AFTER / 2) {
                return Err(error.into());
            }
            tracing::warn!(%error, "the changes are not listed");
            Ok(Outcome::Unknown("GitHub does not answer".into()))
        }
        Err(error) => {
            tracing::warn!(%error, "the changes are not listed");
            Ok(Outcome::Unknown("GitHub cannot compare them".into()))
        }
    }
}
