//! Builds: reading them, and changing one under the condition of what was read.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, Put, ReturnValue, TransactWriteItem, Update as TransactUpdate,
};
use commons_domain::build::Build;
use commons_domain::names::ReleaseKey;
use commons_domain::timeline::Event;
use serde::de::DeserializeOwned;

use crate::item::{Item, Update, from_item, key, number, text, to_item};
use crate::{Store, StoreError};

/// How often a stage reads a build again because another writer was faster. Each writes a
/// few times at most.
pub const WRITERS: usize = 10;

pub(crate) fn sort_key(component: &str) -> String {
    format!("build#{component}")
}

/// Whether the build is not as the update's condition has it, or not there.
pub(crate) fn is_refused<R>(error: &SdkError<UpdateItemError, R>) -> bool {
    error
        .as_service_error()
        .is_some_and(UpdateItemError::is_conditional_check_failed_exception)
}

impl Store {
    /// An update of one build's item.
    pub(crate) fn update_of_build(
        &self,
        release: &ReleaseKey,
        component: &str,
    ) -> UpdateItemFluentBuilder {
        self.dynamo
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(release.as_str(), &sort_key(component))))
    }

    /// A build, read consistently.
    pub async fn build(
        &self,
        release: &ReleaseKey,
        component: &str,
    ) -> Result<Option<Build>, StoreError> {
        let what = format!("build {component} of {release}");
        match self.read(release.as_str(), &sort_key(component)).await? {
            Some(item) => Ok(Some(from_item(&what, item)?)),
            None => Ok(None),
        }
    }

    /// A build that this generation may write.
    pub async fn own_build(
        &self,
        release: &ReleaseKey,
        component: &str,
        generation: u64,
    ) -> Result<Build, StoreError> {
        let build = self
            .build(release, component)
            .await?
            .ok_or_else(|| StoreError::Missing {
                what: format!("build {component} of {release}"),
            })?;
        if build.generation == generation {
            Ok(build)
        } else {
            Err(StoreError::LeaseLost {
                release: release.clone(),
                held: generation,
                stored: build.generation,
            })
        }
    }

    /// Every build of a release, by component name, read consistently.
    pub async fn builds(&self, release: &ReleaseKey) -> Result<Vec<Build>, StoreError> {
        let what = format!("a build of {release}");
        self.all(release, "build#", &what).await
    }

    /// Writes a build that is not there yet.
    pub async fn create_build(&self, build: &Build, reason: &str) -> Result<(), StoreError> {
        let mut item = to_item(build)?;
        item.extend(key(build.release.as_str(), &sort_key(&build.component)));
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .map_err(|error| StoreError::malformed("a build", &error))?;
        let event = Event::of_build(None, build, reason, self.clock.now());
        let item = TransactWriteItem::builder().put(put).build();
        let failed = self.transact(&build.release, vec![item], event).await?;
        if failed.is_empty() {
            Ok(())
        } else {
            Err(self.why_not_written(build).await)
        }
    }

    /// Turns the build that was read into `after`, if it is still as it was read:
    /// same status, attempt, generation and run. Where `after` is what was read there is
    /// nothing to write, and DynamoDB takes no update without a change.
    pub async fn change_build(
        &self,
        before: &Build,
        after: &Build,
        reason: &str,
    ) -> Result<(), StoreError> {
        if before == after {
            return Ok(());
        }
        let item = self.build_update(before, after)?;
        let event = Event::of_build(Some(before), after, reason, self.clock.now());
        let failed = self.transact(&before.release, vec![item], event).await?;
        if failed.is_empty() {
            Ok(())
        } else {
            Err(self.why_not_written(before).await)
        }
    }

    /// What turns the build that was read into `after`, if it is still as it was read.
    pub(crate) fn build_update(
        &self,
        before: &Build,
        after: &Build,
    ) -> Result<TransactWriteItem, StoreError> {
        // A generation only grows: whoever would lower it has lost the release.
        if !before.may_become(after) {
            return Err(StoreError::LeaseLost {
                release: before.release.clone(),
                held: after.generation,
                stored: before.generation,
            });
        }
        let read = to_item(before)?;
        let mut update = Update::between(&read, &to_item(after)?, false)
            .name("#status", "status")
            .value(":status", text(before.status.as_str()))
            .value(":attempt", number(u64::from(before.attempt)))
            .value(":generation", number(before.generation));
        // As `Build::is_as_read` has it.
        let mut condition =
            "#status = :status AND attempt = :attempt AND generation = :generation".to_owned();
        for name in ["workflow_run_id", "run_attempt"] {
            if let Some(value) = read.get(name) {
                update = update.value(&format!(":read_{name}"), value.clone());
                condition.push_str(&format!(" AND {name} = :read_{name}"));
            } else {
                condition.push_str(&format!(" AND attribute_not_exists({name})"));
            }
        }
        self.transact_update(
            key(before.release.as_str(), &sort_key(&before.component)),
            update,
            &condition,
        )
    }

    /// Takes `green` out of what `component` waits for, and returns the dependent
    /// as it now stands. Repeating it changes nothing.
    pub async fn stop_waiting_on(
        &self,
        release: &ReleaseKey,
        component: &str,
        green: &str,
        generation: u64,
    ) -> Result<Build, StoreError> {
        let what = format!("build {component} of {release}");
        let answer = self
            .update_of_build(release, component)
            .update_expression("DELETE waiting_on :green ADD seq :one")
            .condition_expression("generation = :generation")
            .expression_attribute_values(":green", AttributeValue::Ss(vec![green.to_owned()]))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":generation", number(generation))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match answer {
            Ok(answer) => from_item(&what, answer.attributes.unwrap_or_default()),
            Err(error) if is_refused(&error) => {
                let stored = self
                    .build(release, component)
                    .await?
                    .map_or(0, |build| build.generation);
                Err(StoreError::LeaseLost {
                    release: release.clone(),
                    held: generation,
                    stored,
                })
            }
            Err(error) => Err(StoreError::of("UpdateItem", &error)),
        }
    }

    pub(crate) async fn why_not_written(&self, before: &Build) -> StoreError {
        match self.build(&before.release, &before.component).await {
            Ok(Some(stored)) if stored.generation != before.generation => StoreError::LeaseLost {
                release: before.release.clone(),
                held: before.generation,
                stored: stored.generation,
            },
            Ok(_) => StoreError::Stale {
                what: format!("build {} of {}", before.component, before.release),
            },
            Err(error) => error,
        }
    }

    pub(crate) async fn read(&self, pk: &str, sk: &str) -> Result<Option<Item>, StoreError> {
        let answer = self
            .dynamo
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key(pk, sk)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| StoreError::of("GetItem", &error))?;
        Ok(answer.item)
    }

    /// Every item of a release whose sort key begins so, in its order, read consistently.
    pub(crate) async fn all<T: DeserializeOwned>(
        &self,
        release: &ReleaseKey,
        prefix: &str,
        what: &str,
    ) -> Result<Vec<T>, StoreError> {
        let mut pages = self
            .dynamo
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", text(release.as_str()))
            .expression_attribute_values(":prefix", text(prefix))
            .into_paginator()
            .items()
            .send();
        let mut all = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| StoreError::of("Query", &error))?;
            all.push(from_item(what, item)?);
        }
        Ok(all)
    }

    pub(crate) fn transact_update(
        &self,
        key: Item,
        update: Update,
        condition: &str,
    ) -> Result<TransactWriteItem, StoreError> {
        let update = TransactUpdate::builder()
            .table_name(&self.table)
            .set_key(Some(key))
            .update_expression(update.expression)
            .condition_expression(condition)
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(update.values))
            .build()
            .map_err(|error| StoreError::malformed("an update", &error))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }
}
