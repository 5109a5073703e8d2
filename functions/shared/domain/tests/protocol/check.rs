//! What must hold in every state, at every call to GitHub, and at an end.

use commons_domain::release::ReleaseStatus;

use crate::step::Model;
use crate::table::{B, LONG_OVER, RunState};
use crate::world::{P, Stage, World};

/// From here…
pub const BUILDING: u8 = 2;
/// …to here a release has an owner that has planned it.
pub const PUBLISHED: u8 = 4;

/// What is broken in a state.
pub fn state(m: &Model, w: &World) -> Option<&'static str> {
    if w.broken.is_some() {
        return w.broken;
    }
    for run in w.runs {
        if run.claimed_by != 0 && (run.claimed_by, run.claimed_nonce) != (run.by, run.nonce) {
            return Some("2: a run is claimed for a dispatch that did not make it");
        }
    }
    for r in 0..m.config.releases {
        for c in 0..m.components() {
            let build = w.builds[r][c];
            if !build.is_there() {
                continue;
            }
            if build.run != 0 {
                let run = w.runs[usize::from(build.run) - 1];
                if (run.claimed_by, run.claimed_nonce) != (r as u8 + 1, build.nonce) {
                    return Some("2: a build has a run that is not claimed for it");
                }
            }
            let status = build.status();
            let started = status.is_on_its_way() || status.is_green();
            if started && !was_green(m, w, r, c) {
                return Some("3: a build is on its way before what it requires is green");
            }
        }
        let (stored, execution) = (w.releases[r], w.executions[r]);
        let runs = execution.runs && stored.lease == execution.number;
        if stored.lease != 0 && runs && m.d.lease(r as u8, stored, stored.lease + 1, 2) != 0 {
            return Some("8: a release may be taken from an owner that runs");
        }
        if stored.status == PUBLISHED
            && !w.builds[r][..m.components()]
                .iter()
                .all(|b| b.status().is_green())
        {
            return Some("7: a release is published that is not complete");
        }
    }
    None
}

/// Whether all that a build requires is green, or was when the build began, and is built
/// again because its artifacts have expired.
pub fn was_green(m: &Model, w: &World, r: usize, c: usize) -> bool {
    (0..m.components())
        .filter(|n| m.config.requires[c] & (1 << n) != 0)
        .all(|n| w.builds[r][n].status().is_green() || w.expired[r] & (1 << n) != 0)
}

/// A child is told to wait until something is green.
pub fn wait(m: &Model, w: &mut World, p: &P) {
    if !m.d.may_await_dependencies(p.read, p.generation) {
        w.fail("pause: a child is told to wait, and asks again at once");
    }
}

/// A call that starts a run is about to leave.
pub fn post(m: &Model, w: &mut World, p: &P, rerun: bool) {
    let (r, c, mine) = (p.release, p.component, p.read.nonce);
    let stored = w.build(p);
    if !was_green(m, w, r.into(), c.into()) {
        w.fail("3: a call starts a run before what it requires is green");
    }
    let knows = |nonce| stored.nonce == nonce || stored.abandoned.contains(&nonce);
    if !knows(mine) {
        w.fail("8: a call starts a run that its build does not know");
    }
    if rerun {
        if w.posts.iter().any(|o| o.kind == 2 && o.run == p.read.run) {
            w.fail("1: a run is started again while that is on its way");
        }
        return;
    }
    let runs = w.runs.iter().filter(|run| run.by != 0);
    let others: Vec<(u8, u8, u8, bool, bool)> = runs
        .map(|run| {
            let open = run.is_active() && run.claimed_by == 0;
            let comes = run.state == RunState::Hidden && !run.late;
            (run.by - 1, run.component, run.nonce, open, comes)
        })
        .chain(
            w.posts
                .iter()
                .filter(|post| post.kind == 1)
                .map(|post| (post.release, post.component, post.nonce, true, true)),
        )
        .collect();
    for (release, component, nonce, open, comes) in others {
        if component != c {
            continue;
        }
        if (release, nonce) == (r, mine) {
            w.fail("1: an attempt is dispatched twice");
        } else if release == r && open && !knows(nonce) {
            w.fail("1: a build is dispatched again while its dispatch is on its way");
        } else if comes {
            w.fail("lock: a repository has two dispatches whose runs may still come");
        }
    }
}

/// A run is about to be cancelled by us.
pub fn cancel(w: &mut World, index: u8) {
    let run = w.runs[usize::from(index)];
    if run.by == 0 {
        return w.fail("2: a stranger's run is cancelled");
    }
    let r = usize::from(run.by) - 1;
    let (build, stored) = (w.builds[r][usize::from(run.component)], w.releases[r]);
    let execution = w.executions[r];
    let carried = execution.runs && stored.lease == execution.number && stored.status == BUILDING;
    if carried
        && run.is_active()
        && build.generation == stored.generation
        && build.nonce == run.nonce
        && build.status().is_on_its_way()
    {
        w.fail("8: the run of a build that is carried is cancelled");
    }
}

/// Whether everything has come to an end: each release has its own, no process works or
/// waits, nothing is on its way or runs, and no lock is left that keeps others out.
pub fn is_end(m: &Model, w: &World) -> bool {
    let over = (0..m.config.releases).all(|r| {
        let stored = w.releases[r];
        // One that was aborted before it had the lease has begun nothing.
        let never = stored.status == 0 && w.executions[r].number != 0;
        never
            || stored.status != 0
                && stored.lease == 0
                && matches!(
                    stored.status(),
                    ReleaseStatus::Published | ReleaseStatus::Failed | ReleaseStatus::Cancelled
                )
                && !m.has_aftermath(w, r)
    });
    over && w.news == 0
        && w.every().all(|p| p.stage == Stage::None)
        && w.executions.iter().all(|execution| !execution.runs)
        && w.posts.iter().all(|post| post.kind == 0)
        && w.runs.iter().all(|run| !run.is_active() || run.by == 0)
        && w.builds.iter().flatten().all(|build| !build.token)
        && (0..m.components()).all(|c| lets_others_in(m, w, c))
}

/// An orphaned lock does, after its time; any other must be free for who comes then.
fn lets_others_in(m: &Model, w: &World, c: usize) -> bool {
    let mut lock = w.locks[c];
    if lock.release == 0 || lock.orphaned {
        return true;
    }
    lock.phase = LONG_OVER;
    let holder: B = w.builds[usize::from(lock.release) - 1][c];
    m.d.may_take(2 - lock.release, c as u8, lock, holder)
}

/// Whether a successful end is the one that every such end must be.
pub fn is_published(m: &Model, w: &World) -> bool {
    (0..m.config.releases).all(|r| {
        w.releases[r].status != 0
            && w.releases[r].status() == ReleaseStatus::Published
            && w.builds[r][..m.components()].iter().all(|b| {
                let run = w.runs[usize::from(b.run.max(1)) - 1];
                b.status() == commons_domain::build::BuildStatus::Collected
                    && b.run != 0
                    && run.state == crate::table::RunState::Success
                    && !b.error
                    && b.waiting == 0
            })
    })
}
