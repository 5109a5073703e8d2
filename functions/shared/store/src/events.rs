//! The audit: events, each written with the change that it tells of, and never changed.

use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use backon::{ExponentialBuilder, Retryable as _};
use commons_domain::build::Build;
use commons_domain::names::ReleaseKey;
use commons_domain::release::Release;
use commons_domain::timeline::Event;

use crate::item::{key, to_item};
use crate::{Store, StoreError};

impl Store {
    /// Every event of a release, oldest first, read consistently.
    pub async fn events(&self, release: &ReleaseKey) -> Result<Vec<Event>, StoreError> {
        let what = format!("an event of {release}");
        self.all(release, "event#", &what).await
    }

    /// Tells of a deed that changes nothing of the build here.
    pub async fn tell_of_build(&self, build: &Build, reason: &str) -> Result<(), StoreError> {
        let event = Event::of_build(Some(build), build, reason, self.clock.now());
        // Without an item there is no condition that could fail.
        self.transact(&build.release, vec![], event)
            .await
            .map(|_| ())
    }

    /// Tells of a deed that changes nothing of the release here.
    pub async fn tell_of_release(&self, release: &Release, reason: &str) -> Result<(), StoreError> {
        let event = Event::of_release(Some(release), release, reason, self.clock.now());
        self.transact(&release.key, vec![], event).await.map(|_| ())
    }

    /// Writes an event and the items that it tells of, all or nothing; which of them failed
    /// in their condition, in their order, and nothing where all are written. Two events of
    /// a moment get two moments.
    pub(crate) async fn transact(
        &self,
        release: &ReleaseKey,
        items: Vec<TransactWriteItem>,
        mut event: Event,
    ) -> Result<Vec<bool>, StoreError> {
        loop {
            let mut record = to_item(&event)?;
            let sort_key = format!("event#{:.9}#{}", event.at, event.what);
            record.extend(key(release.as_str(), &sort_key));
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(record))
                .condition_expression("attribute_not_exists(pk)")
                .build()
                .map_err(|error| StoreError::malformed("an event", &error))?;
            let put = TransactWriteItem::builder().put(put).build();
            let all = items.iter().cloned().chain([put]).collect();
            let mut failed = self.write(all).await?;
            let taken = failed.pop().unwrap_or_default();
            if !taken || failed.contains(&true) {
                return Ok(failed);
            }
            event.at += Duration::from_nanos(1);
        }
    }

    /// Whose conditions failed, in the order of the items; none where all are written. A
    /// conflict with another writer is tried again: nothing was written.
    async fn write(&self, items: Vec<TransactWriteItem>) -> Result<Vec<bool>, StoreError> {
        let write = || async {
            self.dynamo
                .transact_write_items()
                .set_transact_items(Some(items.clone()))
                .send()
                .await
        };
        let answer = write
            .retry(
                ExponentialBuilder::default()
                    .with_min_delay(Duration::from_millis(20))
                    .with_jitter(),
            )
            .when(|error| refused(error, "TransactionConflict").contains(&true))
            .await;
        match answer {
            Ok(_) => Ok(Vec::new()),
            Err(error) => {
                let failed = refused(&error, "ConditionalCheckFailed");
                if failed.contains(&true) {
                    Ok(failed)
                } else {
                    Err(StoreError::of("TransactWriteItems", &error))
                }
            }
        }
    }
}

/// Which items of a transaction were refused with this code.
fn refused(error: &SdkError<TransactWriteItemsError>, code: &str) -> Vec<bool> {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => cancelled
            .cancellation_reasons()
            .iter()
            .map(|reason| reason.code() == Some(code))
            .collect(),
        _ => Vec::new(),
    }
}
