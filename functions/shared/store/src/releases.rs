//! The release item: its lease, its generation, its status.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use commons_domain::names::ReleaseKey;
use commons_domain::release::Release;
use commons_domain::timeline::Event;
use commons_domain::times::OWNER_KNOWN;

use crate::item::{Update, from_item, key, number, text, to_item};
use crate::{Store, StoreError};

const SORT_KEY: &str = "release";
/// How often the owner is asked for before it is said to be out of sight.
const READS: usize = 3;

impl Store {
    /// The release, read consistently.
    pub async fn release(&self, key: &ReleaseKey) -> Result<Option<Release>, StoreError> {
        match self.read(key.as_str(), SORT_KEY).await? {
            Some(item) => Ok(Some(from_item(&format!("release {key}"), item)?)),
            None => Ok(None),
        }
    }

    /// The release, if this generation owns it. An answer that was long on its way is
    /// asked for again: another owner may have taken the release over meanwhile, and what
    /// follows is often a write to GitHub, which has no conditions.
    pub async fn own_release(
        &self,
        key: &ReleaseKey,
        generation: u64,
    ) -> Result<Release, StoreError> {
        for _ in 0..READS {
            let (fresh, release) = self.owned(key, generation).await?;
            if fresh {
                return Ok(release);
            }
        }
        Err(StoreError::Unavailable {
            action: "GetItem",
            code: "TooSlow".into(),
            message: format!("who owns {key} is answered too late every time"),
        })
    }

    /// The release, if this generation owns it, and whether that is news.
    async fn owned(
        &self,
        key: &ReleaseKey,
        generation: u64,
    ) -> Result<(bool, Release), StoreError> {
        let asked = self.clock.now();
        let read = self.release(key).await?;
        let fresh = self.clock.now() <= asked + OWNER_KNOWN;
        let release = read.ok_or_else(|| StoreError::Missing {
            what: format!("release {key}"),
        })?;
        if release.generation == generation {
            Ok((fresh, release))
        } else {
            Err(StoreError::LeaseLost {
                release: key.clone(),
                held: generation,
                stored: release.generation,
            })
        }
    }

    /// Writes the release of a first owner.
    pub async fn create_release(&self, release: &Release, reason: &str) -> Result<(), StoreError> {
        let mut item = to_item(release)?;
        item.extend(key(release.key.as_str(), SORT_KEY));
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .map_err(|error| StoreError::malformed("a release", &error))?;
        let event = Event::of_release(None, release, reason, self.clock.now());
        let item = TransactWriteItem::builder().put(put).build();
        let failed = self.transact(&release.key, vec![item], event).await?;
        if failed.is_empty() {
            Ok(())
        } else {
            Err(self.why_release_not_written(release).await)
        }
    }

    /// Turns the release that was read into `after`, if status, generation and all that
    /// is changed are still as they were read. Where nothing changes nothing is written.
    pub async fn change_release(
        &self,
        before: &Release,
        after: &Release,
        reason: &str,
    ) -> Result<(), StoreError> {
        if before == after {
            return Ok(());
        }
        let update = Update::between(&to_item(before)?, &to_item(after)?, true)
            .name("#status", "status")
            .value(":status", text(before.status.as_str()))
            .value(":generation", number(before.generation));
        let mut condition = "#status = :status AND generation = :generation".to_owned();
        if !update.unchanged.is_empty() {
            condition = format!("{condition} AND {}", update.unchanged);
        }
        let key = key(before.key.as_str(), SORT_KEY);
        let item = self.transact_update(key, update, &condition)?;
        let event = Event::of_release(Some(before), after, reason, self.clock.now());
        let failed = self.transact(&before.key, vec![item], event).await?;
        if failed.is_empty() {
            Ok(())
        } else {
            Err(self.why_release_not_written(before).await)
        }
    }

    async fn why_release_not_written(&self, before: &Release) -> StoreError {
        match self.release(&before.key).await {
            Ok(Some(stored)) if stored.generation != before.generation => StoreError::LeaseLost {
                release: before.key.clone(),
                held: before.generation,
                stored: stored.generation,
            },
            Ok(_) => StoreError::Stale {
                what: format!("release {}", before.key),
            },
            Err(error) => error,
        }
    }
}
