//! What each event means.

use commons_domain::names::RepoName;
use commons_runtime::StageError;
use commons_store::Claim;
use serde_json::Value;

use crate::Door;
use crate::start::start;

/// What GitHub is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// HTTP status.
    pub status: i64,
    /// One sentence.
    pub sentence: String,
}

impl Outcome {
    pub(crate) fn new(status: i64, sentence: impl Into<String>) -> Self {
        Self {
            status,
            sentence: sentence.into(),
        }
    }
}

/// Acts on one verified delivery.
pub async fn handle(
    door: &Door,
    event: &str,
    delivery: &str,
    payload: &Value,
) -> Result<Outcome, StageError> {
    let text = |pointer: &str| {
        payload
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    if event == "ping" {
        return Ok(Outcome::new(200, "pong"));
    }
    let Ok(repository) = RepoName::new(text("/repository/full_name")) else {
        return Ok(Outcome::new(400, "repository.full_name is missing"));
    };
    // GitHub's names are the same in any case, and a parameter is typed by hand.
    let ours = repository
        .as_str()
        .eq_ignore_ascii_case(door.config.release_repository.as_str());
    match (event, text("/action")) {
        ("create", _) if ours && text("/ref_type") == "tag" => {
            start(door, text("/ref"), false, delivery).await
        }
        ("release", "published") if ours => {
            let prerelease = payload.pointer("/release/prerelease") == Some(&true.into());
            start(door, text("/release/tag_name"), prerelease, delivery).await
        }
        ("workflow_run", action) => {
            let number = |name: &str| payload["workflow_run"][name].as_u64();
            let Some(run) = number("id") else {
                return Ok(Outcome::new(400, "workflow_run.id is missing"));
            };
            match (action, door.store.claim_of(&repository, run).await?) {
                ("in_progress", Some(claim)) => {
                    begun(door, &claim, run, number("run_attempt").unwrap_or(1)).await
                }
                (_, claim) => wake(door, &repository, claim).await,
            }
        }
        ("repository_dispatch", "build-complete") => {
            build_complete(door, &repository, payload).await
        }
        _ => Ok(Outcome::new(202, "ignored")),
    }
}

/// A claimed run begins. It is noted for who watches, and wakes nobody: nothing follows
/// from it that has no time until the next look.
async fn begun(door: &Door, claim: &Claim, run: u64, attempt: u64) -> Result<Outcome, StageError> {
    let (release, component) = (&claim.release, &claim.component);
    door.store
        .note_begun(release, component, run, attempt)
        .await?;
    Ok(Outcome::new(
        202,
        format!("noted: the run of {component} of {release} begins"),
    ))
}

/// A component says that its build is over. It is not believed: Poll asks GitHub.
async fn build_complete(
    door: &Door,
    sender: &RepoName,
    payload: &Value,
) -> Result<Outcome, StageError> {
    let said = payload.get("client_payload").unwrap_or(&Value::Null);
    let text = |field: &str| said.get(field).and_then(Value::as_str).unwrap_or_default();
    let name = match text("repo") {
        full if full.contains('/') => full.to_owned(),
        name => format!("{}/{name}", sender.owner()),
    };
    let Ok(repository) = RepoName::new(&name) else {
        return Ok(Outcome::new(400, "client_payload.repo is missing"));
    };
    // A number, or a number as text: shells write both.
    let run = said.get("workflow_run_id").and_then(|id| {
        id.as_u64()
            .or_else(|| id.as_str().and_then(|text| text.parse().ok()))
    });
    let claim = match run {
        Some(run) => door.store.claim_of(&repository, run).await?,
        None => None,
    };
    wake(door, &repository, claim).await
}

/// Wakes the build that has claimed the run, or with no claim yet the one that holds
/// the repository's dispatch lock. What the event says is not believed: the build's own Poll asks GitHub.
async fn wake(
    door: &Door,
    repository: &RepoName,
    claim: Option<Claim>,
) -> Result<Outcome, StageError> {
    let store = &door.store;
    let mut holder = claim.map(|claim| (claim.release, claim.component));
    if holder.is_none() {
        let lock = store.lock(repository).await?;
        holder = lock.map(|lock| (lock.release, lock.component));
    }
    match holder {
        Some((release, component)) => {
            store.wake(&release, &component, true).await?;
            Ok(Outcome::new(202, format!("woke {component} of {release}")))
        }
        None => Ok(Outcome::new(202, "ignored: no build waits for this run")),
    }
}
