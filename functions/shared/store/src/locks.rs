//! Claims of runs, and the dispatch locks of repositories.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::delete_item::builders::DeleteItemFluentBuilder;
use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use commons_domain::build::Build;
use commons_domain::lock::Lock;
use commons_domain::names::{ReleaseKey, RepoName};
use commons_domain::timeline::Event;
use serde::{Deserialize, Serialize};

use crate::item::{Item, from_item, key, text, to_item};
use crate::{Store, StoreError};

/// The record that a run belongs to one build, forever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The build's release.
    pub release: ReleaseKey,
    /// The build's component.
    pub component: String,
    /// The attempt that it was dispatched for.
    pub nonce: String,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// It is ours, now or since before.
    Ours,
    /// Another build, or another attempt, has it.
    By(Claim),
}

// GitHub's names are the same in any case; a manifest and a webhook may differ in it.
fn claim_key(repository: &RepoName, run: u64) -> String {
    format!("run#{}/{run}", repository.as_str().to_lowercase())
}

fn claim_item(repository: &RepoName, run: u64, claim: &Claim) -> Result<Item, StoreError> {
    let mut item = to_item(claim)?;
    item.extend(key(&claim_key(repository, run), "claim"));
    Ok(item)
}

fn lock_key(repository: &RepoName) -> String {
    format!("lock#{}", repository.as_str().to_lowercase())
}

impl Store {
    /// Who has claimed a run.
    pub async fn claim_of(
        &self,
        repository: &RepoName,
        run: u64,
    ) -> Result<Option<Claim>, StoreError> {
        match self.read(&claim_key(repository, run), "claim").await? {
            Some(item) => Ok(Some(from_item(&format!("the claim of run {run}"), item)?)),
            None => Ok(None),
        }
    }

    /// Claims a run. Repeating it with the same claim changes nothing.
    pub async fn claim(
        &self,
        repository: &RepoName,
        run: u64,
        claim: &Claim,
    ) -> Result<Claimed, StoreError> {
        let put = self
            .dynamo
            .put_item()
            .table_name(&self.table)
            .set_item(Some(claim_item(repository, run, claim)?))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        match put {
            Ok(_) => Ok(Claimed::Ours),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                self.claimed_by(repository, run, claim).await
            }
            Err(error) => Err(StoreError::of("PutItem", &error)),
        }
    }

    /// As [`Store::claim`], of a run that came late for a dispatch of `build`: an event
    /// of the build tells of the claim, once.
    pub async fn claim_late(
        &self,
        repository: &RepoName,
        run: u64,
        claim: &Claim,
        build: &Build,
    ) -> Result<Claimed, StoreError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(claim_item(repository, run, claim)?))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .map_err(|error| StoreError::malformed("a claim", &error))?;
        let reason = format!(
            "run {run} of {repository} came late, for the dispatch {}: it is cancelled",
            claim.nonce
        );
        let event = Event::of_build(Some(build), build, &reason, self.clock.now());
        let item = TransactWriteItem::builder().put(put).build();
        let failed = self.transact(&build.release, vec![item], event).await?;
        if failed.is_empty() {
            Ok(Claimed::Ours)
        } else {
            self.claimed_by(repository, run, claim).await
        }
    }

    /// Claims a run for the present attempt of `build`, which becomes `claimed` and needs its
    /// lock no more: all of that, or nothing. Repeating it with the same claim is allowed.
    pub async fn claim_for(
        &self,
        run: u64,
        claim: &Claim,
        build: &Build,
        claimed: &Build,
        reason: &str,
    ) -> Result<Claimed, StoreError> {
        let repository = &build.repository;
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(claim_item(repository, run, claim)?))
            .condition_expression(
                "attribute_not_exists(pk) \
                OR #release = :release AND component = :component AND nonce = :nonce",
            )
            .expression_attribute_names("#release", "release")
            .expression_attribute_values(":release", text(claim.release.as_str()))
            .expression_attribute_values(":component", text(&claim.component))
            .expression_attribute_values(":nonce", text(&claim.nonce))
            .build()
            .map_err(|error| StoreError::malformed("a claim", &error))?;
        let update = self.build_update(build, claimed)?;
        loop {
            let mut items = vec![
                TransactWriteItem::builder().put(put.clone()).build(),
                update.clone(),
            ];
            let lock = self.lock(repository).await?;
            if lock.is_some_and(|lock| lock.nonce == claim.nonce) {
                let delete = Delete::builder()
                    .table_name(&self.table)
                    .set_key(Some(key(&lock_key(repository), "dispatch")))
                    .condition_expression("nonce = :nonce")
                    .expression_attribute_values(":nonce", text(&claim.nonce))
                    .build()
                    .map_err(|error| StoreError::malformed("a lock", &error))?;
                items.push(TransactWriteItem::builder().delete(delete).build());
            }
            let event = Event::of_build(Some(build), claimed, reason, self.clock.now());
            match self.transact(&build.release, items, event).await?[..] {
                [] => return Ok(Claimed::Ours),
                [true, ..] => return self.claimed_by(repository, run, claim).await,
                [_, true, ..] => return Err(self.why_not_written(build).await),
                // The lock is another's since it was read.
                _ => {}
            }
        }
    }

    /// Whose a run is that somebody has claimed.
    async fn claimed_by(
        &self,
        repository: &RepoName,
        run: u64,
        claim: &Claim,
    ) -> Result<Claimed, StoreError> {
        match self.claim_of(repository, run).await? {
            Some(stored) if stored == *claim => Ok(Claimed::Ours),
            Some(stored) => Ok(Claimed::By(stored)),
            None => Err(StoreError::Stale {
                what: format!("the claim of run {run}"),
            }),
        }
    }

    /// The dispatch lock of a repository.
    pub async fn lock(&self, repository: &RepoName) -> Result<Option<Lock>, StoreError> {
        match self.read(&lock_key(repository), "dispatch").await? {
            Some(item) => Ok(Some(from_item(&format!("the lock of {repository}"), item)?)),
            None => Ok(None),
        }
    }

    /// Writes the lock, if it is still as it was read; false when it is not.
    pub async fn take_lock(
        &self,
        repository: &RepoName,
        before: Option<&Lock>,
        lock: &Lock,
    ) -> Result<bool, StoreError> {
        let mut item = to_item(lock)?;
        item.extend(key(&lock_key(repository), "dispatch"));
        let put = self
            .dynamo
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item));
        let put = match before {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(before) => put
                .condition_expression(AS_READ)
                .set_expression_attribute_names(Some(as_read_names()))
                .set_expression_attribute_values(Some(as_read_values(before)?)),
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                Ok(false)
            }
            Err(error) => Err(StoreError::of("PutItem", &error)),
        }
    }

    /// Releases the lock if this attempt holds it; else does nothing.
    pub async fn release_lock(&self, repository: &RepoName, nonce: &str) -> Result<(), StoreError> {
        let delete = self
            .delete_lock(repository)
            .condition_expression("nonce = :nonce")
            .expression_attribute_values(":nonce", text(nonce));
        deleted_or_not_ours(delete).await
    }

    /// Frees the lock that this call has taken; not one that another call for the same
    /// attempt has taken since, which has the same nonce.
    pub async fn free_lock(&self, repository: &RepoName, taken: &Lock) -> Result<(), StoreError> {
        let delete = self
            .delete_lock(repository)
            .condition_expression(AS_READ)
            .set_expression_attribute_names(Some(as_read_names()))
            .set_expression_attribute_values(Some(as_read_values(taken)?));
        deleted_or_not_ours(delete).await
    }

    fn delete_lock(&self, repository: &RepoName) -> DeleteItemFluentBuilder {
        self.dynamo
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(&lock_key(repository), "dispatch")))
    }

    /// Marks the lock orphaned if this attempt holds it: its run may still come.
    pub async fn orphan_lock(&self, repository: &RepoName, nonce: &str) -> Result<(), StoreError> {
        let Some(lock) = self
            .lock(repository)
            .await?
            .filter(|lock| lock.nonce == nonce)
        else {
            return Ok(());
        };
        let orphan = Lock {
            orphaned: true,
            ..lock.clone()
        };
        self.take_lock(repository, Some(&lock), &orphan)
            .await
            .map(|_| ())
    }
}

/// `Lock::is_as_read`, as a condition of a write.
const AS_READ: &str = "#release = :release AND component = :component AND nonce = :nonce \
    AND post_deadline = :post_deadline AND orphaned = :orphaned";

fn as_read_names() -> HashMap<String, String> {
    // A word that DynamoDB keeps for itself.
    HashMap::from([("#release".to_owned(), "release".to_owned())])
}

fn as_read_values(lock: &Lock) -> Result<Item, StoreError> {
    let read = to_item(lock)?.into_iter();
    Ok(read
        .map(|(name, value)| (format!(":{name}"), value))
        .collect())
}

/// Deletes; what another has taken since stays, and that is no error.
async fn deleted_or_not_ours(delete: DeleteItemFluentBuilder) -> Result<(), StoreError> {
    match delete.send().await {
        Ok(_) => Ok(()),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|e| e.is_conditional_check_failed_exception()) =>
        {
            Ok(())
        }
        Err(error) => Err(StoreError::of("DeleteItem", &error)),
    }
}
