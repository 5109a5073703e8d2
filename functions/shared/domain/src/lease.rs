//! Who owns a release. One execution at a time; each owner raises the generation,
//! and every write is conditioned on it.

use crate::release::{Release, ReleaseStatus};

/// What Plan may do about the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseDecision {
    /// Take it with this generation.
    Take {
        /// The new owner's generation.
        generation: u64,
    },
    /// Another call for this execution has planned it already: the plan stands.
    Planned,
    /// Somebody holds it: ask Step Functions whether that execution still runs.
    AskAbout {
        /// The holder's execution ARN.
        holder: String,
    },
    /// The holder runs: step aside.
    Held {
        /// The holder's execution ARN.
        holder: String,
    },
    /// The release is published or drafted: nothing to do.
    Done,
}

/// Decides over the stored release for `execution`. `holder_runs` is what
/// DescribeExecution said of the stored holder, `None` before it was asked. A verified
/// draft is done for who asks for a draft; who does not, publishes it.
pub fn decide(
    release: Option<&Release>,
    execution: &str,
    holder_runs: Option<bool>,
    stop_at_draft: bool,
) -> LeaseDecision {
    let Some(release) = release else {
        return LeaseDecision::Take { generation: 1 };
    };
    match release.status {
        ReleaseStatus::Published => return LeaseDecision::Done,
        ReleaseStatus::Drafted if stop_at_draft => return LeaseDecision::Done,
        _ => {}
    }
    let take = LeaseDecision::Take {
        generation: release.generation + 1,
    };
    match (&release.lease, holder_runs) {
        (None, _) => take,
        // Only a plan that came to no end is made again: who did it once more after the
        // state machine went on would take the release from its own builds.
        (Some(holder), _) if holder == execution => match release.status {
            ReleaseStatus::Planning => take,
            _ => LeaseDecision::Planned,
        },
        (Some(_), Some(false)) => take,
        (Some(holder), Some(true)) => LeaseDecision::Held {
            holder: holder.clone(),
        },
        (Some(holder), None) => LeaseDecision::AskAbout {
            holder: holder.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::ReleaseKey;

    fn decide(release: Option<&Release>, me: &str, holder_runs: Option<bool>) -> LeaseDecision {
        super::decide(release, me, holder_runs, false)
    }

    fn release(status: ReleaseStatus, lease: Option<&str>) -> Release {
        Release {
            key: ReleaseKey::new("o/r/v1.0.0").unwrap(),
            status,
            generation: 4,
            lease: lease.map(str::to_owned),
            prerelease: false,
            manifest_ref: None,
            manifest_commit: None,
            stop_at_draft: false,
            target_commit: None,
            draft_deadline: None,
            after_publish: Vec::new(),
            github_release_id: None,
            html_url: None,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            completed_at: None,
            unseen_since: None,
            error: None,
        }
    }

    #[test]
    fn every_owner_raises_the_generation() {
        assert_eq!(
            decide(None, "me", None),
            LeaseDecision::Take { generation: 1 }
        );
        let mine = release(ReleaseStatus::Planning, Some("me"));
        assert_eq!(
            decide(Some(&mine), "me", None),
            LeaseDecision::Take { generation: 5 }
        );
        let free = release(ReleaseStatus::Failed, None);
        assert_eq!(
            decide(Some(&free), "me", None),
            LeaseDecision::Take { generation: 5 }
        );
    }

    #[test]
    fn a_plan_that_stands_is_not_made_again() {
        for status in [ReleaseStatus::Building, ReleaseStatus::Publishing] {
            let mine = release(status, Some("me"));
            assert_eq!(decide(Some(&mine), "me", None), LeaseDecision::Planned);
        }
    }

    #[test]
    fn a_holder_is_asked_about_before_it_is_replaced() {
        let held = release(ReleaseStatus::Building, Some("other"));
        let holder = || "other".to_owned();
        assert_eq!(
            decide(Some(&held), "me", None),
            LeaseDecision::AskAbout { holder: holder() }
        );
        assert_eq!(
            decide(Some(&held), "me", Some(true)),
            LeaseDecision::Held { holder: holder() }
        );
        assert_eq!(
            decide(Some(&held), "me", Some(false)),
            LeaseDecision::Take { generation: 5 }
        );
    }

    #[test]
    fn a_published_release_is_done_and_a_draft_may_be_published() {
        let of = |status, stop_at_draft| {
            super::decide(Some(&release(status, None)), "me", None, stop_at_draft)
        };
        let published = ReleaseStatus::Published;
        assert_eq!(of(published, false), LeaseDecision::Done);
        assert_eq!(of(published, true), LeaseDecision::Done);
        assert_eq!(of(ReleaseStatus::Drafted, true), LeaseDecision::Done);
        let take = LeaseDecision::Take { generation: 5 };
        assert_eq!(of(ReleaseStatus::Drafted, false), take);
    }
}
