//! Dispatch and the waits around it, call by call.

use commons_domain::build::BuildStatus;

use crate::decide::{Change, Found, Ready};
use crate::fault::Fault;
use crate::step::{Model, Out};
use crate::table::{B, L, OPEN, OVER, RunState, status_code};
use crate::world::{P, Post, Refused, Stage, Who, World};

/// May the child park until what it requires is green?
pub fn await_dependencies(m: &Model, w: &World, who: Who, p: P, out: &mut Out) {
    let mut w = *w;
    if !m.d.may_await_dependencies(w.build(&p), p.generation) {
        return out.go(
            "does not park: nothing to wait for",
            w,
            who,
            p.at(Stage::Dispatch),
        );
    }
    w.builds[usize::from(p.release)][usize::from(p.component)].token = true;
    out.go(
        "parks until it is told",
        w,
        who,
        p.at(Stage::ParkedForDependencies),
    );
}

/// May the child park until its run changes?
pub fn await_run(m: &Model, w: &World, who: Who, p: P, out: &mut Out) {
    let mut w = *w;
    if !m.d.may_await_run(w.build(&p), p.generation, p.moved) {
        return out.go("does not park: it was woken", w, who, p.at(Stage::Poll));
    }
    w.builds[usize::from(p.release)][usize::from(p.component)].token = true;
    out.go(
        "parks until its run changes",
        w,
        who,
        p.at(Stage::ParkedForRun),
    );
}

/// The builds that a build requires, as they are stored.
fn required(m: &Model, w: &World, p: &P) -> Vec<(u8, B)> {
    let bits = m.config.requires[usize::from(p.component)];
    (0..m.components() as u8)
        .filter(|c| bits & (1 << c) != 0)
        .map(|c| (c, w.builds[usize::from(p.release)][usize::from(c)]))
        .collect()
}

/// The calls of Dispatch.
pub fn dispatch(m: &Model, world: &World, who: Who, p: P, out: &mut Out) {
    let mut w = *world;
    let (r, c, d) = (p.release, p.component, &m.d);
    let again = p.at(Stage::Dispatch);
    match p.pc {
        0 => {
            let stored = w.build(&p);
            if !d.owns(stored.generation, p.generation) {
                return out.go("reads its build: another owner", w, who, p.at(Stage::Over));
            }
            let mut p = p.next(1);
            (p.read, p.moved) = (stored, false);
            out.go("Dispatch reads its build", w, who, p);
        }
        1 | 3 => {
            let mut next = p;
            let ready = d.readiness(c, p.read, &required(m, &w, &p));
            let name = "Dispatch reads what it requires";
            next = match ready {
                Ready::Waits(waiting) if p.pc == 1 => {
                    next.x = waiting;
                    next.next(if waiting == p.read.waiting { 3 } else { 2 })
                }
                Ready::Waits(_) => {
                    crate::check::wait(m, &mut w, &p);
                    p.at(Stage::AwaitDependencies)
                }
                Ready::OnItsWay => p.at(Stage::AwaitRun),
                Ready::Green => p.at(Stage::Collect),
                Ready::Over => p.at(Stage::Over),
                Ready::Blocked => {
                    next.y = status_code(BuildStatus::Blocked);
                    next.next(20)
                }
                Ready::Free => {
                    let repeats = p.read.status() == BuildStatus::Retrying && p.read.run != 0;
                    next.next(if repeats { 14 } else { 4 })
                }
            };
            out.go(name, w, who, next);
        }
        2 => {
            let after = B {
                waiting: p.x,
                ..p.read
            };
            match w.change(d, &p, c, p.read, after) {
                Ok(()) => {
                    let mut p = p.next(3);
                    p.read = after;
                    out.go("writes what it waits for", w, who, p);
                }
                Err(refused) => out.refused(w, who, p, refused),
            }
        }
        4 => {
            let mut next = p;
            next.lock = w.lock(&p);
            next.lock_moved = false;
            let pc = match next.lock.release {
                0 if d.may_take(r, c, next.lock, B::default()) => 9,
                0 => 0,
                _ => 5,
            };
            out.go(
                "reads the lock",
                w,
                who,
                if pc == 0 { again } else { next.next(pc) },
            );
        }
        5 => {
            let holder = w.builds[usize::from(p.lock.release) - 1][usize::from(c)];
            let mut next = p;
            let may_take = d.may_take(r, c, p.lock, holder);
            if may_take && !p.lock.orphaned {
                next = next.next(9);
            } else if p.lock.orphaned {
                // For a run without a nonce: the holder stands at that dispatch. One that
                // was taken up again with its release finds its run itself.
                let stands = d.last_dispatched_with(p.lock.release - 1, c, holder, p.lock.nonce);
                next.y = u8::from(stands) | u8::from(may_take) << 1;
                next.list = holder.older;
                let waits = stands && holder.status().is_on_its_way();
                next = match (waits, may_take) {
                    (false, _) => next.next(6),
                    (true, true) => next.next(9),
                    (true, false) => again,
                };
            } else {
                next = again;
            }
            out.go("reads the lock's holder and decides", w, who, next);
        }
        6 => {
            let found = m.orphan_run(&w, p.lock, c, p.y & 1 == 1, p.list);
            let mut next = if p.y & 2 == 0 { again } else { p.next(9) };
            if let Some(run) = found {
                next = p.next(26);
                next.x = run;
            }
            out.go("looks for the orphan's run", w, who, next);
        }
        26 => {
            // The list was made before: so nobody has dispatched with it until then.
            let moved = d.rules.orphan_is_read_again && p.lock_moved;
            let next = match (moved, p.y & 2 == 0) {
                (false, _) => p.next(7),
                (true, true) => again,
                (true, false) => p.next(9),
            };
            out.go("reads the orphaned lock again", w, who, next);
        }
        7 => {
            let claimed = m.claim(&mut w, p.x, p.lock.release - 1, p.lock.nonce);
            out.go(
                "claims the orphan's run",
                w,
                who,
                if claimed { p.next(8) } else { again },
            );
        }
        8 => {
            crate::check::cancel(&mut w, p.x);
            m.cancel(&mut w, p.x);
            out.go("cancels the orphan's run", w, who, p.next(10));
        }
        10 => {
            m.release_lock(&mut w, c, p.lock.release, p.lock.nonce);
            let mut p = p.next(9);
            (p.lock, p.lock_moved) = (L::default(), false);
            out.go("frees the orphaned lock", w, who, p);
        }
        9 => {
            let stored = w.lock(&p);
            let as_read = m.d.is_lock_as_read(c, stored, p.lock, p.lock_moved);
            if !as_read {
                return out.go("does not get the lock", w, who, again);
            }
            let mut next = p.next(11);
            (next.x, next.y, next.list) = (0, 0, 0);
            next.lock = L {
                release: r + 1,
                nonce: d.next_nonce(p.read),
                phase: OPEN,
                orphaned: false,
            };
            next.clock = OPEN;
            w.write_lock(c, next.lock);
            next.lock_moved = false;
            out.go("takes the lock", w, who, next);
        }
        11 => {
            // GitHub may be too slow for the lock.
            let mut next = p.next(if p.clock == OPEN { 12 } else { 19 });
            next.list = w.bits(|run| run.component == c);
            out.go("reads the head of the branch", w, who, next);
        }
        12 => {
            let mine = d.owns(w.release(&p).generation, p.generation);
            out.go(
                "reads who owns the release",
                w,
                who,
                p.next(if mine { 13 } else { 19 }),
            );
        }
        13 => intent(m, w, who, p, out),
        14 => {
            let mine = d.owns(w.release(&p).generation, p.generation);
            let next = if mine { p.next(22) } else { p.at(Stage::Over) };
            out.go("reads who owns the release", w, who, next);
        }
        15 | 23 => post(m, &w, who, p, out),
        16 => {
            let after = d.change(r, c, p.read, Change::Accepted);
            match w.change(d, &p, c, p.read, after) {
                Ok(()) => out.go("writes that GitHub accepted", w, who, p.at(Stage::AwaitRun)),
                Err(refused) => out.refused(w, who, p, refused),
            }
        }
        17 => {
            m.release_lock(&mut w, c, r + 1, p.read.nonce);
            out.go("frees the lock: nothing was sent", w, who, p.next(18));
        }
        18 => {
            let after = d.change(r, c, p.read, Change::NotSent);
            match w.change(d, &p, c, p.read, after) {
                Ok(()) => out.go("writes that nothing was sent", w, who, again),
                Err(refused) => out.refused(w, who, p, refused),
            }
        }
        19 => {
            let build = w.build(&p);
            let waits = build.nonce == p.lock.nonce && build.run == 0;
            let next = if waits {
                p.at(Stage::Dispatch)
            } else {
                p.next(21)
            };
            out.go(
                "reads whether another call acted with the lock",
                w,
                who,
                next,
            );
        }
        21 => {
            // Only the one that it has written: another call has the same nonce.
            if !p.lock_moved {
                m.release_lock(&mut w, c, r + 1, p.lock.nonce);
            }
            out.go("frees its lock", w, who, again);
        }
        22 => {
            let after = d.change(r, c, p.read, Change::RerunIntent);
            if !crate::check::was_green(m, &w, r.into(), c.into()) {
                w.fail("3: re-run before what it requires is green");
            }
            match w.change(d, &p, c, p.read, after) {
                Ok(()) => {
                    let mut p = p.next(23);
                    (p.read, p.clock) = (after, OPEN);
                    out.go("writes the intent to re-run", w, who, p);
                }
                Err(refused) => out.refused(w, who, p, refused),
            }
        }
        _ => crate::poll::end(m, &w, who, p, out),
    }
}

fn intent(m: &Model, mut w: World, who: Who, p: P, out: &mut Out) {
    let after = m.d.intent(p.release, p.component, p.read, p.clock, p.list);
    match w.change(&m.d, &p, p.component, p.read, after) {
        Ok(()) => {
            let mut p = p.next(15);
            (p.read, p.list) = (after, 0);
            out.go("writes the intent", w, who, p);
        }
        Err(_) => out.go("does not get its intent written", w, who, p.next(19)),
    }
}

/// The one call, and everything that may become of it.
fn post(m: &Model, w: &World, who: Who, p: P, out: &mut Out) {
    let (r, c) = (p.release, p.component);
    let rerun = p.pc == 23;
    if !m.d.may_act(r, c, p.read) {
        return out.go("is too late to act", *w, who, p.at(Stage::AwaitRun));
    }
    let mut sent = *w;
    crate::check::post(m, &mut sent, &p, rerun);
    let arrive = |w: &mut World| {
        if rerun {
            w.rerun(p.read.run - 1);
        } else {
            w.make_run(r, c, p.read.nonce);
        }
    };
    let looks = p.at(Stage::AwaitRun);
    let mut arrived = sent;
    arrive(&mut arrived);
    out.go("POSTs; GitHub accepts", arrived, who, p.next(16));
    if let Some(mut w) = m.fault(&arrived, Fault::LostAnswer) {
        w.broken = arrived.broken;
        out.go("POSTs; GitHub accepts, the answer is lost", w, who, looks);
    }
    if let Some(mut w) = m.fault(&sent, Fault::DelayedPost)
        && let Some(n) = w.posts.iter().position(|post| post.kind == 0)
    {
        w.posts[n] = Post {
            kind: 1 + u8::from(rerun),
            release: r,
            component: c,
            nonce: p.read.nonce,
            run: p.read.run,
            phase: p.read.phase,
        };
        out.go("POSTs; it is on its way, the answer is lost", w, who, looks);
        out.dies("POSTs; it is on its way, the stage dies", w, who, p);
    }
    if let Some(w) = m.fault(&sent, Fault::LostPost) {
        out.go("POSTs; it never arrives", w, who, looks);
    }
    if let Some(w) = m.fault(&sent, Fault::RefusedPost) {
        out.go(
            "POSTs; GitHub is not to be seen",
            w,
            who,
            p.next(if rerun { 18 } else { 17 }),
        );
    }
}

impl Model {
    /// The run of an orphaned lock, if the list shows it: by its nonce, else the only
    /// one that can be the holder's while that stands at the dispatch.
    pub fn orphan_run(&self, w: &World, lock: L, c: u8, stands: bool, older: u8) -> Option<u8> {
        let list = w.listed(c);
        let by_nonce = self.config.nonces.then(|| {
            (0..w.runs.len()).find(|n| {
                list & (1 << n) != 0
                    && w.runs[*n].by == lock.release
                    && w.runs[*n].nonce == lock.nonce
            })
        });
        if let Some(Some(run)) = by_nonce {
            return Some(run as u8);
        }
        let holder = B {
            status: status_code(BuildStatus::Dispatched),
            generation: 1,
            nonce: lock.nonce,
            phase: OVER,
            older,
            ..B::default()
        };
        match self.d.found(lock.release - 1, c, holder, &w.runs, list) {
            Found::Run { index, .. } if stands => {
                let run = w.runs[usize::from(index)];
                let ours = (run.claimed_by, run.claimed_nonce) == (lock.release, lock.nonce);
                (run.claimed_by == 0 || ours).then_some(index)
            }
            _ => None,
        }
    }

    /// Claims a run for a dispatch; false where another has it.
    pub fn claim(&self, w: &mut World, run: u8, release: u8, nonce: u8) -> bool {
        let run = &mut w.runs[usize::from(run)];
        if !self.d.may_claim(*run, release, nonce) {
            return false;
        }
        (run.claimed_by, run.claimed_nonce) = (release + 1, nonce);
        true
    }

    /// Claims a run for the build that `p` has read, which becomes `after` and needs its lock
    /// no more: all or nothing. None where another has the run.
    pub fn claim_for(
        &self,
        w: &mut World,
        p: &P,
        run: u8,
        after: B,
    ) -> Option<Result<(), Refused>> {
        let mut written = *w;
        if !self.claim(&mut written, run, p.release, p.read.nonce) {
            return None;
        }
        if let Err(refused) = written.change(&self.d, p, p.component, p.read, after) {
            return Some(Err(refused));
        }
        self.release_lock(&mut written, p.component, p.release + 1, p.read.nonce);
        *w = written;
        Some(Ok(()))
    }

    /// Cancels a run; one that has ended stays as it ended.
    pub fn cancel(&self, w: &mut World, run: u8) {
        let run = &mut w.runs[usize::from(run)];
        if run.is_active() {
            run.state = RunState::Cancelled;
        }
    }

    /// Frees a lock if that attempt holds it.
    pub fn release_lock(&self, w: &mut World, c: u8, release: u8, nonce: u8) {
        let lock = w.locks[usize::from(c)];
        if (lock.release, lock.nonce) == (release, nonce) {
            w.write_lock(c, L::default());
        }
    }
}
