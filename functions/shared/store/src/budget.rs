//! The budget of writes to GitHub, which all releases of the table share.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use backon::{ExponentialBuilder, Retryable as _};
use commons_domain::budget::{Answer, Budget, Limits, Write};
use commons_domain::names::ReleaseKey;

use crate::item::{from_item, key, number, to_item};
use crate::{Store, StoreError};

const PARTITION: &str = "budget";
const SORT_KEY: &str = "writes";

impl Store {
    /// Asks for the right to one write. What is granted is counted, whether it is used
    /// or not: who dies in between has used it up.
    pub async fn ask_to_write(
        &self,
        release: &ReleaseKey,
        write: Write,
        limits: &Limits,
    ) -> Result<Answer, StoreError> {
        let once = || self.ask_once(release, write, limits);
        let at_the_same_time = |error: &StoreError| matches!(error, StoreError::Stale { .. });
        once.retry(
            ExponentialBuilder::default()
                .with_min_delay(std::time::Duration::from_millis(10))
                .with_max_times(10)
                .with_jitter(),
        )
        .when(at_the_same_time)
        .await
    }

    async fn ask_once(
        &self,
        release: &ReleaseKey,
        write: Write,
        limits: &Limits,
    ) -> Result<Answer, StoreError> {
        let what = "the budget of writes";
        let read: Budget = match self.read(PARTITION, SORT_KEY).await? {
            Some(item) => from_item(what, item)?,
            None => Budget::default(),
        };
        let (next, answer) = read.ask(release, write, self.clock.now(), limits);
        if next == read {
            return Ok(answer);
        }
        let mut item = to_item(&next)?;
        item.extend(key(PARTITION, SORT_KEY));
        let put = self
            .dynamo
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk) OR version = :version")
            .expression_attribute_values(":version", number(read.version))
            .send()
            .await;
        let changed = |error: &PutItemError| error.is_conditional_check_failed_exception();
        match put {
            Ok(_) => Ok(answer),
            Err(error) if error.as_service_error().is_some_and(changed) => {
                Err(StoreError::Stale { what: what.into() })
            }
            Err(error) => Err(StoreError::of("PutItem", &error)),
        }
    }
}
