//! What lies between two commits.

use commons_domain::names::RepoName;
use jiff::Timestamp;
use serde::Deserialize;

use crate::client::PER_PAGE;
use crate::{ComparedCommit, Comparison, Error, GitHub};

/// A page of the answer.
#[derive(Deserialize)]
struct Page {
    behind_by: u64,
    total_commits: u64,
    commits: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    sha: String,
    commit: Inner,
    parents: Vec<Parent>,
}

#[derive(Deserialize)]
struct Inner {
    message: String,
    committer: Option<Person>,
}

#[derive(Deserialize)]
struct Person {
    date: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Parent {}

impl From<Item> for ComparedCommit {
    fn from(item: Item) -> Self {
        Self {
            sha: item.sha,
            message: item.commit.message,
            committed_at: item.commit.committer.and_then(|person| person.date),
            parents: item.parents.len(),
        }
    }
}

impl GitHub {
    /// `GET …/compare/{base}...{head}` of two commits: the first page and the last ones,
    /// at most `most_pages` of 100 commits, since GitHub has the oldest first. 404 where
    /// one of the two is not there, or they have nothing in common.
    pub async fn compare(
        &self,
        repository: &RepoName,
        base: &str,
        head: &str,
        most_pages: usize,
    ) -> Result<Comparison, Error> {
        let path = format!("/repos/{repository}/compare/{base}...{head}");
        let page = async |number: usize| -> Result<Page, Error> {
            self.get(&format!("{path}?per_page={PER_PAGE}&page={number}"))
                .await
        };
        let first = page(1).await?;
        let (total, behind) = (first.total_commits, first.behind_by);
        let last = usize::try_from(total)
            .unwrap_or(usize::MAX)
            .div_ceil(PER_PAGE);
        let mut pages = vec![first];
        for number in (2.max((last + 2).saturating_sub(most_pages)))..=last {
            pages.push(page(number).await?);
        }
        let commits = pages.into_iter().flat_map(|page| page.commits);
        Ok(Comparison {
            total_commits: total,
            behind_by: behind,
            commits: commits.map(ComparedCommit::from).collect(),
        })
    }
}
