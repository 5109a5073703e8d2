//! Runs and their artifacts.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse as _;
use serde_json::json;

use super::blob::blob_url;
use super::page::{paged, parameter};
use super::{Answer, By, Shared, Under, answer, name};
use crate::input::Storage;
use crate::model::Blob;
use crate::model::app::Caller;
use crate::model::refusal::Refusal;
use crate::model::run::Run;
use crate::render::time;
use crate::server::App;

/// A filtered list ends here, whatever `total_count` would be.
const SEARCH_CAP: usize = 1000;

/// Newest first; filtered if the query says so.
pub(super) async fn list(
    State(app): Shared,
    Path((owner, repo)): Path<(String, String)>,
    uri: Uri,
) -> Answer {
    let filter = Filter::of(&uri);
    app.with(|world, _| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        let all = repo.runs.len();
        let (known, cap) = if filter.is_empty() {
            (all, usize::MAX)
        } else {
            (repo.indexed.unwrap_or(all), SEARCH_CAP)
        };
        let runs: Vec<&Run> = repo.runs[..known]
            .iter()
            .rev()
            .filter(|run| filter.takes(run))
            .take(cap)
            .collect();
        let items = runs.iter().map(|run| render.run(repo, run));
        paged(&render.api, &uri, Some("workflow_runs"), runs.len(), items)
    })
}

/// The query's filters that are set.
#[derive(Debug, Default)]
struct Filter {
    event: Option<String>,
    status: Option<String>,
    branch: Option<String>,
    head_sha: Option<String>,
    actor: Option<String>,
    created: Option<String>,
}

impl Filter {
    fn of(uri: &Uri) -> Self {
        let get = |name| parameter(uri, name).filter(|value| !value.is_empty());
        Self {
            event: get("event"),
            status: get("status"),
            branch: get("branch"),
            head_sha: get("head_sha"),
            actor: get("actor"),
            created: get("created"),
        }
    }

    fn is_empty(&self) -> bool {
        [
            &self.event,
            &self.status,
            &self.branch,
            &self.head_sha,
            &self.actor,
            &self.created,
        ]
        .iter()
        .all(|filter| filter.is_none())
    }

    fn takes(&self, run: &Run) -> bool {
        let is = |filter: &Option<String>, value: &str| {
            filter.as_ref().is_none_or(|filter| filter == value)
        };
        // `status` takes conclusions too.
        let status = is(&self.status, run.status())
            || run
                .conclusion()
                .is_some_and(|conclusion| is(&self.status, conclusion));
        let created = time(run.created_at);
        status
            && is(&self.event, run.origin.event)
            && is(&self.branch, &run.origin.head_branch)
            && is(&self.head_sha, &run.origin.head_sha)
            && is(&self.actor, &run.origin.actor)
            && self
                .created
                .as_ref()
                .is_none_or(|range| within(range, &created))
    }
}

/// Whether a time is in a range of GitHub's search syntax: `>=a`, `>a`, `<=a`,
/// `<a`, `a..b` (either may be `*`) or a date. Times in UTC compare as text.
fn within(range: &str, time: &str) -> bool {
    if let Some((from, to)) = range.split_once("..") {
        return (from == "*" || time >= from) && (to == "*" || time <= to || time.starts_with(to));
    }
    if let Some(bound) = range.strip_prefix(">=") {
        time >= bound
    } else if let Some(bound) = range.strip_prefix("<=") {
        time <= bound || time.starts_with(bound)
    } else if let Some(bound) = range.strip_prefix('>') {
        time > bound && !time.starts_with(bound)
    } else if let Some(bound) = range.strip_prefix('<') {
        time < bound
    } else {
        time.starts_with(range)
    }
}

pub(super) async fn get(State(app): Shared, Path((owner, repo, id)): Under<u64>) -> Answer {
    app.with(|world, _| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        let run = repo
            .runs
            .iter()
            .find(|run| run.id == id)
            .ok_or_else(Refusal::not_found)?;
        answer(200, render.run(repo, run))
    })
}

pub(super) async fn jobs(
    State(app): Shared,
    Path((owner, repo, id)): Under<u64>,
    uri: Uri,
) -> Answer {
    app.with(|world, _| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        let run = repo
            .runs
            .iter()
            .find(|run| run.id == id)
            .ok_or_else(Refusal::not_found)?;
        let jobs = render.jobs(repo, run);
        paged(
            &render.api,
            &uri,
            Some("jobs"),
            jobs.len(),
            jobs.into_iter(),
        )
    })
}

pub(super) async fn rerun(
    State(app): Shared,
    Extension(caller): By,
    Path((owner, repo, id)): Under<u64>,
) -> Answer {
    start_again(&app, &caller, &name(&owner, &repo), id, false)
}

pub(super) async fn rerun_failed_jobs(
    State(app): Shared,
    Extension(caller): By,
    Path((owner, repo, id)): Under<u64>,
) -> Answer {
    start_again(&app, &caller, &name(&owner, &repo), id, true)
}

fn start_again(app: &App, caller: &Caller, name: &str, id: u64, failed_only: bool) -> Answer {
    app.with(|world, now| {
        let (login, speed) = (world.login_of(caller), world.speed);
        let run = world.repo(name)?.run(id).ok_or_else(Refusal::not_found)?;
        run.rerun(&login, failed_only, speed, now)
    })?;
    answer(201, json!({}))
}

pub(super) async fn cancel(State(app): Shared, Path((owner, repo, id)): Under<u64>) -> Answer {
    end(&app, &name(&owner, &repo), id, false)
}

pub(super) async fn force_cancel(
    State(app): Shared,
    Path((owner, repo, id)): Under<u64>,
) -> Answer {
    end(&app, &name(&owner, &repo), id, true)
}

fn end(app: &App, name: &str, id: u64, force: bool) -> Answer {
    app.with(|world, now| {
        let speed = world.speed;
        let run = world.repo(name)?.run(id).ok_or_else(Refusal::not_found)?;
        run.cancel(force, speed, now)
    })?;
    answer(202, json!({}))
}

/// The environment whose approval the run waits for, if it does.
pub(super) async fn pending_deployments(
    State(app): Shared,
    Path((owner, repo, id)): Under<u64>,
) -> Answer {
    app.with(|world, _| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        let run = repo.run(id).ok_or_else(Refusal::not_found)?;
        let waiting = run.status() == "waiting";
        let environment = run.script.script.approval.clone().filter(|_| waiting);
        let pending = environment.map(|name| render.pending_deployment(repo, &name));
        answer(200, pending.into_iter().collect())
    })
}

/// The artifacts of all attempts, newest first.
pub(super) async fn artifacts(
    State(app): Shared,
    Path((owner, repo, id)): Under<u64>,
    uri: Uri,
) -> Answer {
    let wanted = parameter(&uri, "name").filter(|name| !name.is_empty());
    app.with(|world, _| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        let run = repo
            .runs
            .iter()
            .find(|run| run.id == id)
            .ok_or_else(Refusal::not_found)?;
        let found: Vec<_> = run
            .artifacts
            .iter()
            .rev()
            .filter(|stored| {
                wanted
                    .as_ref()
                    .is_none_or(|name| *name == stored.archive.name)
            })
            .collect();
        let items = found
            .iter()
            .map(|stored| render.artifact(repo, run, stored));
        paged(&render.api, &uri, Some("artifacts"), found.len(), items)
    })
}

pub(super) async fn artifact(State(app): Shared, Path((owner, repo, id)): Under<u64>) -> Answer {
    app.with(|world, _| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        let mut all = repo
            .runs
            .iter()
            .flat_map(|run| run.artifacts.iter().map(move |a| (run, a)));
        let (run, stored) = all
            .find(|(_, a)| a.id == id)
            .ok_or_else(Refusal::not_found)?;
        answer(200, render.artifact(repo, run, stored))
    })
}

/// Sends the caller to an address on another host that is good for a minute.
pub(super) async fn download(State(app): Shared, Path((owner, repo, id)): Under<u64>) -> Answer {
    app.with(|world, now| {
        let repo = world.repo(&name(&owner, &repo))?;
        let mut all = repo.runs.iter_mut().flat_map(|run| &mut run.artifacts);
        let stored = all
            .find(|stored| stored.id == id)
            .ok_or_else(Refusal::not_found)?;
        if stored.archive.expired {
            return Err(Refusal::new(410, "Artifact has expired"));
        }
        let archive = stored.archive.clone();
        if archive.storage == Storage::SlowOnce {
            stored.archive.storage = Storage::Ranges;
        }
        let location = match archive.storage {
            Storage::Elsewhere(address) => address,
            storage => {
                let blob = Blob {
                    content: archive.served,
                    content_type: archive.content_type,
                    disposition: archive.disposition,
                    storage,
                };
                let key = world.put_blob(blob, now);
                blob_url(&world.render.api, &key)
            }
        };
        Ok((StatusCode::FOUND, [(LOCATION, location)]).into_response())
    })
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn created_ranges() {
        let time = "2026-01-02T03:04:05Z";
        for (range, expected) in [
            (">=2026-01-02T03:04:05Z", true),
            (">2026-01-02T03:04:05Z", false),
            (">2026-01-01", true),
            ("<=2026-01-02", true),
            ("<2026-01-02", false),
            ("2026-01-02", true),
            ("2026-01-01..2026-01-02", true),
            ("2026-01-03..*", false),
            ("*..2026-01-01", false),
        ] {
            assert_eq!(within(range, time), expected, "{range}");
        }
    }
}
