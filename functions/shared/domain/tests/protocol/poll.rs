//! Poll, Collect, and how a build ends, call by call.

use commons_domain::build::BuildStatus;

use crate::decide::{Change, Found, Look};
use crate::fault::Fault;
use crate::step::{Model, Out};
use crate::world::{P, Stage, Who, World};

/// What Poll writes after it looked at a claimed run.
const IN_PROGRESS: u8 = 1;
const GREEN: u8 = 2;
const FAILED: u8 = 3;
const CANCELLED: u8 = 4;
const LOST_RERUN: u8 = 5;
const NO_RUN: u8 = 6;
const AMBIGUOUS: u8 = 7;

fn change_of(y: u8) -> Change {
    match y {
        IN_PROGRESS => Change::InProgress,
        GREEN => Change::Green,
        FAILED => Change::Failed,
        CANCELLED => Change::Cancelled,
        LOST_RERUN => Change::LostRerun,
        NO_RUN => Change::NoRun,
        _ => Change::Ambiguous,
    }
}

/// The calls of Poll.
pub fn poll(m: &Model, world: &World, who: Who, p: P, out: &mut Out) {
    let mut w = *world;
    let (r, c, d) = (p.release, p.component, &m.d);
    let waits = p.at(Stage::AwaitRun);
    match p.pc {
        0 => {
            let stored = w.build(&p);
            if !d.owns(stored.generation, p.generation) {
                return out.go("reads its build: another owner", w, who, p.at(Stage::Over));
            }
            let mut next = p;
            (next.read, next.moved) = (stored, false);
            let status = stored.status();
            next = match status {
                BuildStatus::Success | BuildStatus::Collected => next.next(1),
                BuildStatus::Pending | BuildStatus::Retrying => p.at(Stage::Dispatch),
                _ if status.is_failed() => next.next(24),
                _ if stored.run == 0 => next.next(5),
                _ => next.next(12),
            };
            out.go("Poll reads its build", w, who, next);
        }
        1 => tell(m, w, who, p, out),
        2 => {
            let mut p = p.next(1);
            w.complete(&mut p);
            out.go("completes the token of a dependent", w, who, p);
        }
        5 => {
            let mut next = p.next(8);
            next.list = w.listed(c);
            let late = d.late(r, c, p.read, &w.runs, next.list);
            // One that is claimed for its attempt, and has ended, is done with.
            let late = (0..w.runs.len() as u8).find(|n| {
                let run = w.runs[usize::from(*n)];
                late & (1 << n) != 0 && (run.claimed_by == 0 || run.is_active())
            });
            if let Some(run) = late {
                next = next.next(6);
                next.x = run;
            }
            out.go("lists the runs", w, who, next);
        }
        6 => {
            let run = w.runs[usize::from(p.x)];
            let claimed = m.claim(&mut w, p.x, r, run.nonce);
            out.go(
                "claims a late run",
                w,
                who,
                p.next(if claimed { 7 } else { 8 }),
            );
        }
        7 => {
            crate::check::cancel(&mut w, p.x);
            m.cancel(&mut w, p.x);
            let mut p = p.next(8);
            p.x = 0;
            out.go("cancels a late run", w, who, p);
        }
        8 => {
            let mut next = p;
            next = match d.found(r, c, p.read, &w.runs, p.list) {
                Found::Run { index, attempt, by } => {
                    (next.x, next.y) = (index, attempt << 2 | by);
                    next.next(if d.rules.lock_is_proof && by != 1 {
                        3
                    } else {
                        9
                    })
                }
                Found::Ambiguous => {
                    next.y = AMBIGUOUS;
                    next.next(15)
                }
                Found::None if !d.is_given_up(r, c, p.read) => waits,
                Found::None => {
                    next.y = NO_RUN;
                    next.next(15)
                }
            };
            out.go("reads who has claimed them, and decides", w, who, next);
        }
        3 => {
            let mine = w.lock(&p).release == r + 1 && w.lock(&p).nonce == p.read.nonce;
            let claimed = w.runs[usize::from(p.x)].claimed_by != 0;
            let next = if mine || claimed {
                p.next(9)
            } else if d.is_given_up(r, c, p.read) {
                let mut next = p;
                next.y = NO_RUN;
                next.next(15)
            } else {
                waits
            };
            out.go("reads whether the lock proves the run", w, who, next);
        }
        9 if d.rules.claim_is_one_write => {
            let after = d.claimed(r, c, p.read, p.x, p.y >> 2, p.y & 3);
            match m.claim_for(&mut w, &p, p.x, after) {
                Some(Ok(())) => {
                    let mut p = p.next(12);
                    (p.read, p.x, p.y, p.list) = (after, 0, 0, 0);
                    out.go("claims the run", w, who, p);
                }
                Some(Err(refused)) => out.refused(w, who, p, refused),
                None => out.go("is late for the claim", w, who, waits),
            }
        }
        9 => {
            let claimed = m.claim(&mut w, p.x, r, p.read.nonce);
            let next = if claimed { p.next(10) } else { waits };
            out.go(
                if claimed {
                    "claims the run"
                } else {
                    "is late for the claim"
                },
                w,
                who,
                next,
            );
        }
        10 => {
            m.release_lock(&mut w, c, r + 1, p.read.nonce);
            out.go("frees the lock", w, who, p.next(11));
        }
        11 => {
            let after = d.claimed(r, c, p.read, p.x, p.y >> 2, p.y & 3);
            match w.change(d, &p, c, p.read, after) {
                Ok(()) => {
                    let mut p = p.next(12);
                    (p.read, p.x, p.y, p.list) = (after, 0, 0, 0);
                    out.go("writes the claimed run", w, who, p);
                }
                Err(refused) => out.refused(w, who, p, refused),
            }
        }
        12 => {
            let mut next = p;
            let run = w.runs[usize::from(p.read.run) - 1];
            next.y = match d.look(c, p.read, run) {
                Look::Running if p.read.status() == BuildStatus::InProgress => 0,
                Look::Running => IN_PROGRESS,
                Look::Green => GREEN,
                Look::Failed => FAILED,
                Look::Cancelled => CANCELLED,
                Look::Unknown if d.is_given_up(r, c, p.read) => LOST_RERUN,
                Look::Unknown => 0,
            };
            next = if next.y == 0 { waits } else { next.next(13) };
            out.go("looks at its run", w, who, next);
        }
        13 => {
            let after = d.change(r, c, p.read, change_of(p.y));
            match w.change(d, &p, c, p.read, after) {
                Ok(()) => {
                    let mut next = p;
                    (next.read, next.y, next.list) = (after, 0, 0);
                    let status = after.status();
                    next = match status {
                        BuildStatus::Success => next.next(1),
                        BuildStatus::Retrying => p.at(Stage::Dispatch),
                        _ if status.is_failed() => next.next(24),
                        _ => waits,
                    };
                    out.go("writes what it saw", w, who, next);
                }
                Err(refused) => out.refused(w, who, p, refused),
            }
        }
        15 => {
            let mut next = p.next(13);
            next.lock = w.lock(&p);
            if (next.lock.release, next.lock.nonce) == (r + 1, p.read.nonce) {
                next = next.next(17);
            }
            out.go("reads the lock", w, who, next);
        }
        17 => {
            m.orphan(&mut w, &p);
            out.go("orphans the lock", w, who, p.next(13));
        }
        _ => end(m, &w, who, p, out),
    }
}

/// Green: each dependent is told, one call after the other.
fn tell(m: &Model, mut w: World, who: Who, p: P, out: &mut Out) {
    let (r, c, d) = (p.release, p.component, &m.d);
    let mut next = p;
    for n in p.x..m.components() as u8 {
        let stored = w.builds[usize::from(r)][usize::from(n)];
        next.x = n + 1;
        if !d.is_told((n, stored), (c, p.read)) {
            continue;
        }
        let mut told = stored;
        told.waiting &= !(1 << c);
        w.write(&p, n, told);
        w.wake(r, n);
        if d.is_woken(told) && told.token {
            next.token = n + 1;
            next = next.next(2);
        }
        return out.go("tells a dependent", w, who, next);
    }
    let collected = p.read.status() == BuildStatus::Collected;
    let next = p.at(if collected {
        Stage::Over
    } else {
        Stage::Collect
    });
    out.go("has told all dependents", w, who, next);
}

/// A build that ends without success: its end, then what requires it.
pub fn end(m: &Model, world: &World, who: Who, p: P, out: &mut Out) {
    let mut w = *world;
    let (r, c, d) = (p.release, p.component, &m.d);
    match p.pc {
        20 => {
            let after = d.change(r, c, p.read, Change::End(p.y));
            match w.change(d, &p, c, p.read, after) {
                Ok(()) => {
                    let mut p = p.next(24);
                    (p.read, p.y) = (after, 0);
                    out.go("writes its end", w, who, p);
                }
                Err(refused) => out.refused(w, who, p, refused),
            }
        }
        24 => {
            let blocked = d.blocked(c, p.read, &w.builds[usize::from(r)]);
            if blocked == 0 {
                return out.go("has blocked all dependents", w, who, p.at(Stage::Over));
            }
            let n = blocked.trailing_zeros() as u8;
            let before = w.builds[usize::from(r)][usize::from(n)];
            let mut next = p.next(25);
            next.x = n;
            if before.status() == BuildStatus::Pending {
                let after = d.change(r, n, before, Change::Blocked);
                let blocked = w.change(d, &p, n, before, after);
                if blocked.is_err() {
                    return out.go("finds a dependent changed", w, who, p.at(Stage::Over));
                }
            }
            out.go("blocks a dependent", w, who, next);
        }
        _ => {
            let mut p = p.next(24);
            w.wake(r, p.x);
            if w.builds[usize::from(r)][usize::from(p.x)].token {
                w.unpark(r, p.x);
            }
            p.x = 0;
            out.go("wakes the blocked dependent", w, who, p);
        }
    }
}

/// The calls of Collect; what it collects is another test's subject.
pub fn collect(m: &Model, world: &World, who: Who, p: P, out: &mut Out) {
    let mut w = *world;
    let stored = w.build(&p);
    match p.pc {
        0 => {
            let mine = m.d.owns(stored.generation, p.generation);
            let mut next = p;
            next.read = stored;
            next = match stored.status() {
                BuildStatus::Success if mine => next.next(1),
                BuildStatus::Retrying if mine => p.at(Stage::Dispatch),
                BuildStatus::Failure if mine => next.next(24),
                _ => p.at(Stage::Over),
            };
            out.go("Collect reads its build", w, who, next);
        }
        1 => {
            if let Some(w) = m.fault(&w, Fault::Expires) {
                expires(m, w, who, p, out);
            }
            let after =
                m.d.change(p.release, p.component, p.read, Change::Collected);
            match w.change(&m.d, &p, p.component, p.read, after) {
                Ok(()) => out.go("writes what it collected", w, who, p.at(Stage::Over)),
                Err(refused) => out.refused(w, who, p, refused),
            }
        }
        _ => end(m, &w, who, p, out),
    }
}

/// The artifacts are gone: another attempt, while those that require it may be on their way.
fn expires(m: &Model, mut w: World, who: Who, p: P, out: &mut Out) {
    let after = m.d.change(p.release, p.component, p.read, Change::Expired);
    if let Err(refused) = w.change(&m.d, &p, p.component, p.read, after) {
        return out.refused(w, who, p, refused);
    }
    let mut next = p.at(Stage::Dispatch);
    if after.status() == BuildStatus::Retrying {
        w.expired[usize::from(p.release)] |= 1 << p.component;
    } else {
        next = p.next(24);
        next.read = after;
    }
    out.go("finds its artifacts expired", w, who, next);
}

/// The calls of Settle for a child that ended without an end state.
pub fn record_error(m: &Model, world: &World, who: Who, p: P, out: &mut Out) {
    let mut w = *world;
    match p.pc {
        0 => {
            let stored = w.build(&p);
            let status = stored.status();
            let mine = m.d.owns(stored.generation, p.generation);
            let mut next = p.at(Stage::Over);
            if mine && !status.is_failed() && status != BuildStatus::Collected {
                next = p.next(1);
                next.read = stored;
            }
            out.go("RecordError reads the build", w, who, next);
        }
        1 => {
            let after = m.d.change(p.release, p.component, p.read, Change::Error);
            match w.change(&m.d, &p, p.component, p.read, after) {
                Ok(()) => {
                    let green = after.status().is_green();
                    let mut next = p.next(24);
                    next.read = after;
                    let next = if green { p.at(Stage::Over) } else { next };
                    out.go("writes the error of a dead child", w, who, next);
                }
                Err(refused) => out.refused(w, who, p, refused),
            }
        }
        _ => end(m, &w, who, p, out),
    }
}
