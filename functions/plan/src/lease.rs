//! Taking the lease: a new owner only where nobody owns the release, or its owner
//! does not run any more.

use aws_sdk_sfn::operation::describe_execution::DescribeExecutionError;
use aws_sdk_sfn::types::ExecutionStatus;
use commons_domain::lease::{LeaseDecision, decide};
use commons_domain::names::ReleaseKey;
use commons_domain::release::{Release, ReleaseStatus};
use commons_domain::request::Request;
use commons_runtime::{Stage, StageError, aws_code};
use commons_store::StoreError;

use crate::Input;

/// A release whose lease this execution has.
pub enum Leased {
    /// To be planned, with the next generation.
    Taken(Release),
    /// Planned by another call for this execution.
    Planned(Release),
}

/// Takes the lease of a release for an execution, with the next generation.
pub async fn take(
    stage: &Stage,
    key: &ReleaseKey,
    request: &Request,
    input: &Input,
) -> Result<Leased, StageError> {
    let execution = &input.execution;
    let stored = stage.store.release(key).await?;
    let mut decision = decide(stored.as_ref(), execution, None, request.stop_at_draft);
    if let LeaseDecision::AskAbout { holder } = &decision {
        let runs = Some(runs(stage, holder).await?);
        decision = decide(stored.as_ref(), execution, runs, request.stop_at_draft);
    }
    let generation = match decision {
        LeaseDecision::Take { generation } => generation,
        LeaseDecision::Planned => {
            let planned = stored.map(Leased::Planned);
            return planned.ok_or_else(|| StageError::Internal(format!("{key} is gone")));
        }
        LeaseDecision::Done => {
            return Err(StageError::AlreadyPublished(format!(
                "{key} is done already"
            )));
        }
        LeaseDecision::Held { holder } | LeaseDecision::AskAbout { holder } => {
            return Err(StageError::LeaseHeld(format!(
                "{key} is being released by {holder}"
            )));
        }
    };
    let now = stage.now();
    let release = Release {
        key: key.clone(),
        status: ReleaseStatus::Planning,
        generation,
        lease: Some(execution.clone()),
        prerelease: request.is_prerelease(stored.as_ref().is_some_and(|r| r.prerelease)),
        stop_at_draft: request.stop_at_draft,
        manifest_ref: None,
        manifest_commit: None,
        target_commit: None,
        draft_deadline: stored.as_ref().and_then(|r| r.draft_deadline),
        github_release_id: stored.as_ref().and_then(|r| r.github_release_id),
        html_url: None,
        after_publish: Vec::new(),
        created_at: stored.as_ref().map_or(now, |r| r.created_at),
        started_at: now,
        completed_at: None,
        unseen_since: None,
        error: None,
    };
    let why = format!("started with {}", input.input);
    let written = match &stored {
        None => stage.store.create_release(&release, &why).await,
        Some(stored) => {
            let why = match &stored.lease {
                Some(holder) if holder == execution => format!("planned again, {why}"),
                Some(holder) => format!("taken over from {holder}, which runs no more, and {why}"),
                None => format!("taken up again, {why}"),
            };
            stage.store.change_release(stored, &release, &why).await
        }
    };
    match written {
        Ok(()) => Ok(Leased::Taken(release)),
        // Another owner, another call for this one, or the end of the one before was
        // faster: the next try decides over what is there then.
        Err(StoreError::Stale { .. } | StoreError::LeaseLost { .. }) => Err(
            StageError::Unavailable(format!("{key} was changed in this moment")),
        ),
        Err(error) => Err(error.into()),
    }
}

/// Whether an execution still runs, by what Step Functions says of it.
async fn runs(stage: &Stage, execution: &str) -> Result<bool, StageError> {
    match stage
        .states
        .describe_execution()
        .execution_arn(execution)
        .send()
        .await
    {
        Ok(answer) => Ok(matches!(
            answer.status(),
            ExecutionStatus::Running | ExecutionStatus::PendingRedrive
        )),
        Err(error) => match error.as_service_error() {
            // Forgotten 90 days after its end.
            Some(DescribeExecutionError::ExecutionDoesNotExist(_)) => Ok(false),
            _ => Err(StageError::Unavailable(format!(
                "whether {execution} still runs cannot be seen: {}",
                aws_code(&error)
            ))),
        },
    }
}
