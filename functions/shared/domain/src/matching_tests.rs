use jiff::Timestamp;

use super::{Candidate, Match, candidates, decide, late};
use crate::build::{Build, MatchedBy};
use crate::fixture;

const NONCE: &str = "bc-0123456789abcdef";
const OTHER: &str = "bc-fedcba9876543210";

/// A build that was dispatched at 100 s.
fn dispatched() -> Build {
    fixture::dispatched("", NONCE, 100)
}

fn run(id: u64, title: &str) -> Candidate {
    Candidate {
        id,
        path: ".github/workflows/build.yml".into(),
        event: "repository_dispatch".into(),
        head_sha: "p".into(),
        created_at: Timestamp::from_second(101).unwrap(),
        actor: Some("bot".into()),
        display_title: title.into(),
        run_attempt: 1,
    }
}

fn matched(runs: &[Candidate]) -> Match {
    let build = dispatched();
    decide(&build, &candidates(&build, runs, "bot"))
}

#[test]
fn a_nonce_decides_at_once() {
    let found = matched(&[
        run(1, "build-chain"),
        run(2, &format!("v0.1.0 a [{NONCE}]")),
    ]);
    assert_eq!(
        found,
        Match::Run {
            id: 2,
            run_attempt: 1,
            by: MatchedBy::Nonce
        }
    );
}

#[test]
fn the_only_candidate_is_ours() {
    assert_eq!(
        matched(&[run(1, "build-chain")]),
        Match::Run {
            id: 1,
            run_attempt: 1,
            by: MatchedBy::OnlyCandidate
        }
    );
    assert_eq!(matched(&[]), Match::None);
}

#[test]
fn where_the_workflow_shows_the_nonce_no_run_without_it_is_ours() {
    let mut build = dispatched();
    build.shows_nonce = true;
    let (theirs, ours) = (run(1, "build-chain"), run(2, &format!("a [{NONCE}]")));
    assert_eq!(candidates(&build, std::slice::from_ref(&theirs), "bot"), []);
    assert_eq!(candidates(&build, &[theirs, ours.clone()], "bot"), [ours]);
}

#[test]
fn two_candidates_and_no_proof_name_both() {
    assert_eq!(
        matched(&[run(1, "build-chain"), run(2, "build-chain")]),
        Match::Ambiguous(vec![1, 2])
    );
}

#[test]
fn the_run_of_another_dispatch_is_not_ours() {
    assert_eq!(matched(&[run(1, &format!("x [{OTHER}]"))]), Match::None);
}

#[test]
fn a_run_must_fit_in_every_way() {
    let wrong: [fn(&mut Candidate); 5] = [
        |run| run.actor = Some("stranger".into()),
        |run| run.head_sha = "q".into(),
        |run| run.path = ".github/workflows/ci.yml".into(),
        |run| run.event = "push".into(),
        |run| run.created_at = Timestamp::from_second(99).unwrap(),
    ];
    for (n, spoil) in wrong.into_iter().enumerate() {
        for title in ["build-chain".to_owned(), format!("a [{NONCE}]")] {
            let mut run = run(1, &title);
            spoil(&mut run);
            assert_eq!(matched(&[run]), Match::None, "case {n}, {title}");
        }
    }
}

#[test]
fn a_path_may_carry_its_ref() {
    let mut run = run(1, "build-chain");
    run.path += "@refs/heads/main";
    assert!(matches!(matched(&[run]), Match::Run { id: 1, .. }));
}

#[test]
fn a_run_of_an_attempt_that_was_given_up_is_late() {
    let mut build = dispatched();
    build.abandoned = vec![OTHER.into()];
    let runs = [
        run(1, &format!("a [{OTHER}]")),
        run(2, &format!("a [{NONCE}]")),
    ];
    assert_eq!(
        late(&build, &runs)
            .iter()
            .map(|run| run.id)
            .collect::<Vec<_>>(),
        [1]
    );
}

#[test]
fn nonces_are_the_same_for_one_decision_and_differ_between_attempts_and_owners() {
    let build = dispatched();
    assert_eq!(build.next_nonce(), build.next_nonce());
    let again = Build {
        attempt: build.attempt + 1,
        ..build.clone()
    };
    let owner = Build {
        generation: 2,
        ..build.clone()
    };
    assert_ne!(build.next_nonce(), again.next_nonce());
    assert_ne!(build.next_nonce(), owner.next_nonce());
}
