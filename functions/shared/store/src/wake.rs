//! Wake-ups. A token is a hint, the table is the truth: one that is gone, timed
//! out or was answered before is no error.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use aws_sdk_sfn::operation::send_task_success::SendTaskSuccessError;
use commons_domain::names::ReleaseKey;

use crate::builds::is_refused;
use crate::item::{number, text};
use crate::{Store, StoreError};

impl Store {
    /// Wakes whatever waits for a build: its `seq` grows first, so that a wait
    /// which is about to park sees it. `webhook` notes that webhooks reach it.
    pub async fn wake(
        &self,
        release: &ReleaseKey,
        component: &str,
        webhook: bool,
    ) -> Result<(), StoreError> {
        let answer = self
            .update_of_build(release, component)
            .update_expression(if webhook {
                "SET woken = :true ADD seq :one"
            } else {
                "ADD seq :one"
            })
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":one", number(1))
            .set_return_values(Some(ReturnValue::AllNew));
        let answer = if webhook {
            answer.expression_attribute_values(":true", AttributeValue::Bool(true))
        } else {
            answer
        };
        match answer.send().await {
            Ok(answer) => {
                let attributes = answer.attributes.unwrap_or_default();
                match attributes
                    .get("wait_token")
                    .and_then(|token| token.as_s().ok())
                {
                    Some(token) => self.complete_token(token).await,
                    None => Ok(()),
                }
            }
            Err(error) if is_refused(&error) => Ok(()),
            Err(error) => Err(StoreError::of("UpdateItem", &error)),
        }
    }

    /// Notes that an attempt of a build's run begins, as a webhook says: for who watches
    /// the table. No stage reads it.
    pub async fn note_begun(
        &self,
        release: &ReleaseKey,
        component: &str,
        run: u64,
        run_attempt: u64,
    ) -> Result<(), StoreError> {
        let noted = self
            .update_of_build(release, component)
            .update_expression("SET woken = :true, begun = :attempt")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .expression_attribute_values(":attempt", text(format!("{run}.{run_attempt}")))
            .send()
            .await;
        match noted {
            Ok(_) => Ok(()),
            Err(error) if is_refused(&error) => Ok(()),
            Err(error) => Err(StoreError::of("UpdateItem", &error)),
        }
    }

    /// Answers a parked token.
    pub async fn complete_token(&self, token: &str) -> Result<(), StoreError> {
        match self
            .states
            .send_task_success()
            .task_token(token)
            .output("{}")
            .send()
            .await
        {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(
                    SendTaskSuccessError::TaskTimedOut(_)
                    | SendTaskSuccessError::TaskDoesNotExist(_)
                    | SendTaskSuccessError::InvalidToken(_),
                ) => Ok(()),
                _ => Err(StoreError::of("SendTaskSuccess", &error)),
            },
        }
    }
}
