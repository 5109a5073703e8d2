//! Plan, Publish, Settle and the sweeper, call by call.

use commons_domain::build::BuildStatus;
use commons_domain::lock::Settled;
use commons_domain::release::ReleaseStatus;

use crate::decide::{Change, Found, Look, PLANNED};
use crate::fault::Fault;
use crate::step::{Model, Out};
use crate::table::{B, R, release_code, status_code};
use crate::world::{P, Refused, Stage, Who, World};

/// The calls of Plan: the lease, each build in the order of dependencies, the commit.
pub fn plan(m: &Model, world: &World, who: Who, p: P, out: &mut Out) {
    let mut w = *world;
    let (r, d) = (p.release, &m.d);
    let mut next = p;
    match p.pc {
        0 => {
            next = next.next(1);
            next.owned = w.release(&p);
            let holder = next.owned.lease;
            let mut generation = d.lease(r, next.owned, p.execution, 0);
            if generation == 0 && holder != 0 {
                let execution = w.executions[usize::from(r)];
                let runs = execution.number == holder && execution.runs;
                generation = d.lease(r, next.owned, p.execution, 1 + u8::from(runs));
            }
            if generation == PLANNED {
                next.generation = next.owned.generation;
                return planned(m, w, who, next, "Plan finds it planned", out);
            }
            if generation == 0 {
                w.executions[usize::from(r)].runs = false;
                return out.go("Plan steps aside", w, who, p.at(Stage::None));
            }
            next.generation = generation;
            out.go("Plan reads the release", w, who, next);
        }
        1 => {
            let after = R {
                status: release_code(ReleaseStatus::Planning),
                generation: p.generation,
                lease: p.execution,
            };
            let stored = w.release(&p);
            let written = if p.owned.status == 0 {
                let free = stored.status == 0;
                if free {
                    w.releases[usize::from(r)] = after;
                }
                free
            } else {
                w.change_release(d, &p, p.owned, after).is_ok()
            };
            if !written {
                return out.go("does not get the lease", w, who, p.at(Stage::Plan));
            }
            next = next.next(2);
            next.owned = after;
            out.go("takes the lease", w, who, next);
        }
        // Nothing of an earlier dispatch is in flight when the builds are written.
        2 => {
            let flies = (0..m.components() as u8).any(|c| {
                let build = w.builds[usize::from(r)][usize::from(c)];
                build.is_there() && d.is_in_flight(r, c, build)
            });
            if !flies {
                out.go("waits for dispatches in flight", w, who, next.next(3));
            }
        }
        3 => {
            let c = p.x;
            next = next.next(4);
            next.read = w.builds[usize::from(r)][usize::from(c)];
            out.go("Plan reads a build", w, who, next);
        }
        4 => {
            let c = p.x;
            let waiting = (0..m.components() as u8)
                .filter(|n| m.config.requires[usize::from(c)] & (1 << n) != 0)
                // What it wrote for them: `y` has the green ones.
                .filter(|n| p.y & (1 << n) == 0)
                .fold(0, |bits, n| bits | 1 << n);
            let build = d.planned(r, c, p.read, p.generation, waiting);
            let written = if p.read.is_there() {
                w.change(d, &p, c, p.read, build).is_ok()
            } else {
                let free = !w.builds[usize::from(r)][usize::from(c)].is_there();
                if free {
                    w.write(&p, c, build.plain());
                }
                free
            };
            if !written {
                return out.go("finds a build changed", w, who, next.next(5));
            }
            if build.status().is_green() {
                next.y |= 1 << c;
            }
            next.x += 1;
            next.read = B::default();
            let last = usize::from(next.x) == m.components();
            out.go(
                "Plan writes a build",
                w,
                who,
                next.next(if last { 6 } else { 3 }),
            );
        }
        5 => {
            if d.owns(w.release(&p).generation, p.generation) {
                return out.go("still owns the release", w, who, next.next(3));
            }
            lost(w, who, p, out);
        }
        _ => {
            let after = R {
                status: release_code(ReleaseStatus::Building),
                ..p.owned
            };
            if w.change_release(d, &p, p.owned, after).is_err() {
                return lost(w, who, p, out);
            }
            planned(m, w, who, p, "Plan commits", out);
        }
    }
}

/// The execution goes on with a child for each build; another call of Plan is over.
fn planned(m: &Model, mut w: World, who: Who, p: P, name: &'static str, out: &mut Out) {
    if let Who::Parent(n) = who {
        for c in 0..m.components() {
            let complete = w.builds[n][c].status() == BuildStatus::Collected;
            let child = P {
                release: p.release,
                component: c as u8,
                generation: p.generation,
                execution: p.execution,
                ..P::default()
            };
            let stage = if complete {
                Stage::Over
            } else {
                Stage::AwaitDependencies
            };
            w.children[n][c] = child.at(stage);
        }
    }
    out.go(name, w, who, p.at(Stage::Builds));
}

/// Lost to another call for the same execution, or to another owner.
fn lost(w: World, who: Who, p: P, out: &mut Out) {
    let mine = w.release(&p).lease == p.execution;
    let next = p.at(if mine { Stage::Plan } else { Stage::Settle });
    out.go("Plan lost the release", w, who, next);
}

/// The calls of Publish; what it does at GitHub is another test's subject.
pub fn publish(m: &Model, world: &World, who: Who, p: P, out: &mut Out) {
    let mut w = *world;
    let (r, d) = (usize::from(p.release), &m.d);
    let mut next = p;
    match p.pc {
        0 => {
            next.owned = w.release(&p);
            next = match next.owned.status() {
                _ if !d.owns(next.owned.generation, p.generation) => p.at(Stage::Settle),
                ReleaseStatus::Published => {
                    w.executions[r].runs = false;
                    p.at(Stage::None)
                }
                _ => next.next(1),
            };
            out.go("Publish reads the release", w, who, next);
        }
        1 => {
            // A build of another generation has left the manifest.
            let mut carried = w.builds[r].iter().filter(|b| b.generation == p.generation);
            let complete = carried.clone().next().is_some()
                && carried.all(|b| b.status() == BuildStatus::Collected);
            let publishing = p.owned.status() == ReleaseStatus::Publishing;
            next = match (complete, publishing) {
                (false, _) => p.at(Stage::Settle),
                (true, false) => next.next(2),
                (true, true) => next.next(3),
            };
            out.go("Publish reads the builds", w, who, next);
        }
        2 => {
            let after = R {
                status: release_code(ReleaseStatus::Publishing),
                ..p.owned
            };
            match w.change_release(d, &p, p.owned, after) {
                Ok(()) => {
                    next.owned = after;
                    out.go("Publish begins", w, who, next.next(3));
                }
                Err(refused) => out.refused(w, who, p, refused),
            }
        }
        _ => {
            let after = R {
                status: release_code(ReleaseStatus::Published),
                lease: 0,
                ..p.owned
            };
            match w.change_release(d, &p, p.owned, after) {
                Ok(()) => {
                    if let Who::Parent(_) = who {
                        w.executions[r].runs = false;
                    }
                    out.go("publishes", w, who, p.at(Stage::None));
                }
                Err(refused) => out.refused(w, who, p, refused),
            }
        }
    }
}

/// What Settle knows of a run that had succeeded before it came.
const GREEN: u8 = 2;

/// The calls of Settle for a release, build after build.
pub fn settle(m: &Model, world: &World, who: Who, p: P, out: &mut Out) {
    let mut w = *world;
    let (r, c, d) = (p.release, p.component, &m.d);
    let (n, i) = (usize::from(r), usize::from(c));
    let mut next = p;
    match p.pc {
        0 => {
            next.owned = w.release(&p);
            if !d.is_owned_by(next.owned, p.execution) {
                return over("Settle finds another owner", w, who, p, out);
            }
            out.go("Settle reads the release", w, who, next.next(1));
        }
        1 => {
            let after = d.settled(p.owned, w.executions[n].aborted);
            match w.change_release(d, &p, p.owned, after) {
                Ok(()) => {
                    (next.owned, next.generation, next.component) = (after, after.generation, 0);
                    out.go("Settle raises the generation", w, who, next.next(2));
                }
                Err(refused) => failed(w, who, p, refused, out),
            }
        }
        2 if i == m.components() => {
            let after = R {
                lease: 0,
                ..p.owned
            };
            match w.change_release(d, &p, p.owned, after) {
                Ok(()) => over("Settle releases the lease", w, who, p, out),
                Err(refused) => failed(w, who, p, refused, out),
            }
        }
        2 => {
            next.read = w.builds[n][i];
            if !next.read.is_there() {
                next.component += 1;
                return out.go("Settle finds no build", w, who, next);
            }
            out.go("Settle reads a build", w, who, next.next(3));
        }
        3 => {
            let after = B {
                generation: p.generation,
                ..p.read
            };
            match w.change(d, &p, c, p.read, after) {
                Ok(()) => {
                    next.read = w.builds[n][i];
                    next.token = if next.read.token { c + 1 } else { 0 };
                    let on_its_way = next.read.status().is_on_its_way();
                    let green = next.read.status().is_green();
                    next.y = 1;
                    let pc = if on_its_way {
                        5
                    } else if green {
                        9
                    } else {
                        7
                    };
                    out.go("Settle takes a build", w, who, next.next(pc));
                }
                Err(_) => out.go("Settle finds it changed", w, who, next.next(10)),
            }
        }
        4 => {
            if !d.owns(w.release(&p).generation, p.generation) {
                return failed(w, who, p, Refused::Lost, out);
            }
            // What follows at once may still meet a later owner: no call can be taken back.
            if w.release(&p).generation != p.generation {
                w.fail("8: an older generation writes to GitHub after its check");
            }
            out.go("reads who owns the release", w, who, next.next(6));
        }
        10 => {
            if !d.owns(w.release(&p).generation, p.generation) {
                return failed(w, who, p, Refused::Lost, out);
            }
            out.go("Settle still owns the release", w, who, next.next(2));
        }
        5 => {
            if let Some(w) = m.fault(&w, Fault::Blind) {
                let mut next = next.next(7);
                next.y = 0;
                out.go("Settle cannot see GitHub", w, who, next);
            }
            next = match p.read.run {
                0 => match d.found(r, c, p.read, &w.runs, w.listed(c)) {
                    Found::Run { index, attempt, by } => {
                        (next.x, next.list) = (index + 1, attempt << 2 | by);
                        let proven = !d.rules.lock_is_proof || by == 1;
                        next.next(if proven { 13 } else { 12 })
                    }
                    Found::Ambiguous | Found::None => next.next(7),
                },
                run => {
                    next.x = run;
                    next.next(4)
                }
            };
            out.go("Settle looks for the run", w, who, next);
        }
        12 => {
            let mine = w.lock(&p).release == r + 1 && w.lock(&p).nonce == p.read.nonce;
            let claimed = w.runs[usize::from(p.x) - 1].claimed_by != 0;
            let pc = if mine || claimed { 13 } else { 7 };
            out.go(
                "Settle reads whether the lock proves the run",
                w,
                who,
                next.next(pc),
            );
        }
        13 => {
            let after = d.claimed(r, c, p.read, p.x - 1, p.list >> 2, p.list & 3);
            next.list = 0;
            match m.claim_for(&mut w, &p, p.x - 1, after) {
                Some(Ok(())) => {
                    next.read = after;
                    out.go("Settle claims the run", w, who, next.next(4));
                }
                Some(Err(refused)) => failed(w, who, p, refused, out),
                None => out.go("Settle is late for the claim", w, who, next.next(7)),
            }
        }
        6 => {
            m.cancel(&mut w, p.x - 1);
            let run = w.runs[usize::from(p.x) - 1];
            if d.look(c, p.read, run) == Look::Green {
                next.y = GREEN;
            }
            next.x = 0;
            out.go("Settle cancels the run", w, who, next.next(7));
        }
        7 => {
            next.lock = w.lock(&p);
            let settled = d.settled_lock(r, c, next.lock, p.read);
            next.x = match settled {
                Settled::Leave => 0,
                Settled::Orphan => 1,
                Settled::Free => 2,
            };
            let pc = if next.x == 0 { 9 } else { 11 };
            out.go("Settle reads the lock", w, who, next.next(pc));
        }
        11 => {
            // So the lock that it has read is no later owner's.
            if d.rules.settle_looks_again && !d.owns(w.release(&p).generation, p.generation) {
                return failed(w, who, p, Refused::Lost, out);
            }
            out.go("Settle still owns the release", w, who, next.next(8));
        }
        8 => {
            if p.x == 1 {
                m.orphan(&mut w, &p);
            } else {
                m.release_lock(&mut w, c, r + 1, p.lock.nonce);
            }
            next.x = 0;
            out.go("Settle orphans or frees the lock", w, who, next.next(9));
        }
        9 => {
            w.complete(&mut next);
            let change = match p.y {
                GREEN => Change::Green,
                stopped => Change::Settled(stopped == 1),
            };
            let after = d.change(r, c, p.read, change);
            match w.change(d, &p, c, p.read, after) {
                Ok(()) => {
                    (next.read, next.y, next.lock) = Default::default();
                    next.component += 1;
                    out.go("Settle ends a build", w, who, next.next(2));
                }
                Err(refused) => failed(w, who, p, refused, out),
            }
        }
        _ => unreachable!(),
    }
}

/// A Settle is over, and with it the execution whose last state it is.
fn over(name: &'static str, mut w: World, who: Who, p: P, out: &mut Out) {
    if let Who::Parent(n) = who {
        w.executions[n].runs = false;
    }
    out.go(name, w, who, p.at(Stage::None));
}

fn failed(w: World, who: Who, p: P, refused: Refused, out: &mut Out) {
    match refused {
        Refused::Lost => over("Settle lost the release", w, who, p, out),
        Refused::Stale => {
            let next = P { component: 0, ..p }.at(Stage::Settle);
            out.go("Settle is to be called again", w, who, next);
        }
    }
}

/// The sweeper, where a release is over: builds and runs that came after its end.
pub fn aftermath(m: &Model, world: &World, who: Who, p: P, out: &mut Out) {
    let mut w = *world;
    let (r, c, d) = (p.release, p.component, &m.d);
    let (n, i) = (usize::from(r), usize::from(c));
    let mut next = p;
    let another = P {
        component: c + 1,
        owned: p.owned,
        ..p.at(Stage::Aftermath)
    };
    match p.pc {
        0 => {
            let over = d.is_over(w.release(&p));
            next.owned = w.release(&p);
            let next = if over {
                next.next(1)
            } else {
                p.at(Stage::None)
            };
            out.go("the sweeper reads the release", w, who, next);
        }
        1 if i == m.components() => {
            out.go("the sweeper is done", w, who, p.at(Stage::None));
        }
        1 => {
            next.read = w.builds[n][i];
            next.generation = next.read.generation;
            next = match next.read {
                // Those of a later generation have a new owner since.
                b if !b.is_there() || b.generation > p.owned.generation => another.next(1),
                b if b.status() == BuildStatus::Pending => next.next(2),
                b if !b.status().is_failed() => another.next(1),
                b if b.run != 0 => next.next(3),
                _ => next.next(5),
            };
            out.go("the sweeper reads a build", w, who, next);
        }
        2 => {
            let after = d.change(
                r,
                c,
                p.read,
                Change::End(status_code(BuildStatus::Cancelled)),
            );
            let name = "the sweeper ends a build";
            let next = match w.change(d, &p, c, p.read, after) {
                Ok(()) => another.next(1),
                Err(_) => another.next(1),
            };
            out.go(name, w, who, next);
        }
        3 => {
            let run = w.runs[usize::from(p.read.run) - 1];
            let runs = run.is_active() && run.attempt <= p.read.run_attempt;
            next.x = p.read.run - 1;
            next = if runs { next.next(4) } else { another.next(1) };
            out.go("the sweeper looks at the run", w, who, next);
        }
        4 => {
            crate::check::cancel(&mut w, p.x);
            m.cancel(&mut w, p.x);
            out.go("the sweeper cancels the run", w, who, another.next(1));
        }
        5 => {
            (next.lock, next.lock_moved) = (w.lock(&p), false);
            let lock = next.lock;
            let its = lock.orphaned && lock.release == r + 1 && knows(p.read, lock.nonce);
            next = if its { next.next(6) } else { another.next(1) };
            out.go("the sweeper reads the lock", w, who, next);
        }
        6 => {
            let stands = d.last_dispatched_with(r, c, p.read, p.lock.nonce);
            next = match m.orphan_run(&w, p.lock, c, stands, p.read.older) {
                Some(run) => {
                    next.x = run;
                    next.next(10)
                }
                None => another.next(1),
            };
            out.go("the sweeper looks for the orphan's run", w, who, next);
        }
        10 => {
            let moved = d.rules.orphan_is_read_again && p.lock_moved;
            let next = if moved { another.next(1) } else { next.next(7) };
            out.go("the sweeper reads the lock again", w, who, next);
        }
        7 => {
            let claimed = m.claim(&mut w, p.x, r, p.lock.nonce);
            let next = if claimed {
                next.next(8)
            } else {
                another.next(1)
            };
            out.go("the sweeper claims the orphan's run", w, who, next);
        }
        8 => {
            crate::check::cancel(&mut w, p.x);
            m.cancel(&mut w, p.x);
            out.go("the sweeper cancels the orphan's run", w, who, next.next(9));
        }
        _ => {
            m.release_lock(&mut w, c, r + 1, p.lock.nonce);
            out.go("the sweeper frees the lock", w, who, another.next(1));
        }
    }
}

/// Whether a nonce is of an attempt of the build.
pub fn knows(build: B, nonce: u8) -> bool {
    build.nonce == nonce || build.abandoned.contains(&nonce)
}

impl Model {
    /// Marks the lock that `p` has read as orphaned, if it is still that attempt's.
    pub fn orphan(&self, w: &mut World, p: &P) {
        let mut lock = w.lock(p);
        if (lock.release, lock.nonce) == (p.lock.release, p.lock.nonce) {
            lock.orphaned = true;
            w.write_lock(p.component, lock);
        }
    }
}
