//! Who waits for whom, who is told, and when a wait may begin. A token is a hint, the
//! table is the truth: no rule here takes one for news.

use crate::build::{Build, BuildStatus};
use crate::graph::with_dependents;

/// Whether AwaitDependencies may park: a build that waits for nothing any more, or has
/// moved on, goes to Dispatch at once. The state machine says the same as a condition.
pub fn may_await_dependencies(build: &Build, generation: u64) -> bool {
    build.status.is_to_be_dispatched()
        && build.generation == generation
        && !build.waiting_on.is_empty()
}

/// Whether AwaitRun may park after a look that read `seq`: not when somebody woke the
/// build since. The state machine says the same as a condition.
pub fn may_await_run(build: &Build, generation: u64, seq: u64) -> bool {
    build.generation == generation && build.seq == seq
}

/// Whether a green build tells another one. A build of an earlier generation has left
/// the manifest: nobody carries it.
pub fn is_told(dependent: &Build, green: &Build) -> bool {
    dependent.generation == green.generation
        && dependent.requires.contains(&green.component)
        && !dependent.status.is_failed()
}

/// Whether the token of a build that was told is completed: it waits for nothing more.
pub fn is_woken(told: &Build) -> bool {
    told.status.is_to_be_dispatched() && told.waiting_on.is_empty()
}

/// The builds that a dead one blocks: everything that requires it, however far, and has
/// not started, or was blocked by who died before it was woken. One that moved on by
/// itself, or waits with an attempt behind it, sees the dead dependency in its own
/// Dispatch.
pub fn blocked<'a>(dead: &'a Build, builds: &'a [Build]) -> Vec<&'a Build> {
    let requires = builds
        .iter()
        .map(|build| (build.component.as_str(), build.requires.as_slice()));
    let mut unbuildable = with_dependents([dead.component.as_str()], requires);
    unbuildable.remove(dead.component.as_str());
    let blocked = builds.iter().filter(|build| {
        let sleeps = matches!(build.status, BuildStatus::Blocked | BuildStatus::Retrying)
            && build.wait_token.is_some();
        unbuildable.contains(build.component.as_str())
            && build.generation == dead.generation
            && (build.status == BuildStatus::Pending || sleeps)
    });
    blocked.collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::build::Planned;
    use crate::manifest::Manifest;
    use crate::names::{ReleaseKey, RepoName};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    /// C requires B, B requires A.
    fn chain() -> Vec<Build> {
        let text = "[versions]\na = { version = \"1.0.0\" }\n\
            b = { version = \"1.0.0\", requires = [\"a=1.0.0\"] }\n\
            c = { version = \"1.0.0\", requires = [\"b=1.0.0\"] }";
        let manifest = Manifest::parse(text).unwrap();
        let build = |spec: &crate::manifest::Component| {
            let planned = Planned {
                spec: spec.clone(),
                repository: RepoName::new("o/a").unwrap(),
                pin: "p".into(),
                git_ref: "main".into(),
                workflow_path: "w".into(),
                shows_nonce: false,
            };
            let waits = spec.requires.iter().cloned().collect();
            Build::new(
                ReleaseKey::new("o/r/v1.0.0").unwrap(),
                planned,
                1,
                waits,
                NOW,
            )
        };
        manifest.components().values().map(build).collect()
    }

    #[test]
    fn the_dead_block_what_requires_them_until_it_is_woken() {
        let mut builds = chain();
        builds[1].wait_token = Some("token".into());
        let dead = builds[0].ended(BuildStatus::Failure, "failed".into(), NOW);
        let names = |builds: &[Build]| -> Vec<String> {
            let blocked = blocked(&dead, builds).into_iter();
            blocked.map(|build| build.component.clone()).collect()
        };
        assert_eq!(names(&builds), ["b", "c"]);
        builds[1] = builds[1].blocked("a".into(), NOW);
        builds[2] = builds[2].blocked("a".into(), NOW);
        assert_eq!(names(&builds), ["b"]);
        builds[1].status = BuildStatus::Retrying;
        assert_eq!(names(&builds), ["b"]);
    }

    #[test]
    fn what_is_to_be_dispatched_waits_and_is_woken_whatever_it_has_tried() {
        for status in [BuildStatus::Pending, BuildStatus::Retrying] {
            let mut build = chain().remove(1);
            build.status = status;
            assert!(may_await_dependencies(&build, 1), "{status:?}");
            assert!(!may_await_dependencies(&build, 2), "{status:?}");
            assert!(!is_woken(&build), "{status:?}");
            build.waiting_on.clear();
            assert!(!may_await_dependencies(&build, 1), "{status:?}");
            assert!(is_woken(&build), "{status:?}");
        }
        let mut build = chain().remove(1);
        build.status = BuildStatus::InProgress;
        assert!(!may_await_dependencies(&build, 1));
    }

    #[test]
    fn a_claim_since_the_read_is_seen() {
        let read = &chain()[0];
        let claimed = read.claimed(1, 1, crate::build::MatchedBy::Nonce);
        assert!(read.is_as_read(read));
        assert!(!claimed.is_as_read(read));
    }
}
