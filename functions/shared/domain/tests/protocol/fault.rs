//! What may go wrong, each as often as the configuration allows.

use crate::step::{Model, Out, attended};
use crate::table::{Run, RunState};
use crate::world::{P, Stage, Who, World};

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A function dies between two calls, and is called again.
    Crash,
    /// One is believed dead and called again, and goes on.
    Zombie,
    /// A Dispatch is held up for seconds between two calls.
    Stall,
    /// GitHub did what a POST asked, and its answer is lost.
    LostAnswer,
    /// A POST is on its way when its caller gives up.
    DelayedPost,
    /// A POST never arrives, and the caller does not know.
    LostPost,
    /// GitHub says that it did nothing.
    RefusedPost,
    /// Settle cannot see GitHub.
    Blind,
    /// A run fails.
    RunFails,
    /// A person cancels a run.
    RunCancelled,
    /// A run appears after its time.
    LateRun,
    /// A run that nobody waits for ends by itself.
    OrphanEnds,
    /// A run of somebody else appears.
    Stranger,
    /// A person aborts an execution. What its functions are at dies with it, or goes on.
    Abort,
    /// A child fails for good, and records it.
    ChildFails,
    /// What a green build has made is gone before it was collected.
    Expires,
    /// A webhook is delivered twice.
    DoubledWebhook,
}

/// Every fault that may fall now.
pub fn faults(m: &Model, w: &World, out: &mut Out) {
    if w.faults == 0 {
        return;
    }
    for who in World::everybody(m.config.releases, m.components()) {
        // Of two releases that do the same, faults fall on one.
        if !matches!(who, Who::Zombie(_)) && w.get(who).release == 0 {
            process(m, w, who, out);
        }
    }
    if w.executions[0].runs
        && let Some(w) = m.fault(w, Fault::Abort)
    {
        abort(m, w, 0, out);
    }
    runs(m, w, out);
}

fn process(m: &Model, w: &World, who: Who, out: &mut Out) {
    let p = w.get(who);
    if p.is_under_way() {
        let begins = P { component: 0, ..p };
        let again = match who {
            Who::Child(..) => p.at(p.stage),
            _ => begins.at(p.stage),
        };
        if let Some(w) = m.fault(w, Fault::Crash) {
            out.go("dies, and is called again", w, who, again);
        }
        if let Some(mut w) = m.fault(w, Fault::Zombie)
            && bury(m, &mut w, p)
        {
            out.go("is called again, and goes on as a zombie", w, who, again);
        }
    }
    let carries = !matches!(p.stage, Stage::None | Stage::Over | Stage::RecordError);
    if let Who::Child(..) = who
        && carries
        && let Some(mut w) = m.fault(w, Fault::ChildFails)
    {
        w.forget_token(p.release, p.component);
        out.go("fails for good", w, who, p.at(Stage::RecordError));
    }
}

/// A process goes on with nobody listening; false where there are enough such.
fn bury(m: &Model, w: &mut World, p: P) -> bool {
    let Some(grave) = w.zombies[..m.config.zombies]
        .iter_mut()
        .find(|z| z.stage == Stage::None)
    else {
        return false;
    };
    *grave = p;
    w.zombies
        .sort_unstable_by_key(|z| (z.stage == Stage::None, z.pc));
    true
}

fn abort(m: &Model, mut w: World, r: usize, out: &mut Out) {
    w.executions[r].runs = false;
    w.executions[r].aborted = true;
    let busy: Vec<P> = w.children[r]
        .iter()
        .chain([&w.parents[r]])
        .copied()
        .filter(|p| p.is_under_way())
        .collect();
    for c in 0..m.components() {
        w.forget_token(r as u8, c as u8);
    }
    w.children[r] = Default::default();
    w.parents[r] = P::default();
    for some in 0..1_u32 << busy.len() {
        let mut w = w;
        let fits = (0..busy.len())
            .filter(|n| some & (1 << n) != 0)
            .all(|n| bury(m, &mut w, busy[n]));
        if fits {
            out.event("an execution is aborted", w);
        }
    }
}

fn runs(m: &Model, w: &World, out: &mut Out) {
    let mut happens = |fault, name, change: &dyn Fn(&mut World)| {
        if let Some(mut w) = m.fault(w, fault) {
            change(&mut w);
            out.event(name, w);
        }
    };
    for (n, run) in w.runs.iter().enumerate() {
        let ends = |state| {
            move |w: &mut World| {
                w.runs[n].state = state;
                if !m.config.timeouts {
                    w.news |= 1 << n;
                }
            }
        };
        match run.state {
            RunState::Hidden if !run.late && run.by == 1 => {
                happens(Fault::LateRun, "a run is late", &|w| w.runs[n].late = true);
            }
            RunState::Running if attended(m, w, run) && run.by == 1 => {
                happens(Fault::RunFails, "a run fails", &ends(RunState::Failure));
                happens(
                    Fault::RunCancelled,
                    "a person cancels a run",
                    &ends(RunState::Cancelled),
                );
            }
            RunState::Running if !attended(m, w, run) => {
                happens(
                    Fault::OrphanEnds,
                    "a run that nobody waits for succeeds",
                    &ends(RunState::Success),
                );
            }
            _ => {}
        }
        if w.news & (1 << n) != 0 {
            happens(
                Fault::DoubledWebhook,
                "a webhook is delivered, and comes again",
                &|w| {
                    m.webhook(w, n);
                },
            );
        }
    }
    let free = w.runs.iter().position(|run| run.state == RunState::None);
    for c in 0..m.components() as u8 {
        if let Some(free) = free {
            happens(Fault::Stranger, "a stranger's run appears", &|w| {
                w.runs[free] = Run {
                    state: RunState::Running,
                    component: c,
                    attempt: 1,
                    ..Run::default()
                };
            });
        }
    }
}
