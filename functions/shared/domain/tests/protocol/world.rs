//! The world that is explored: the table, GitHub, the executions, and every process as
//! the place it is at and what it has read.

use std::hash::{Hash, Hasher};

use crate::decide::Decide;
use crate::table::{B, BUILDS, CLOSING, L, LONG_OVER, OPEN, OVER, R, RUNS, Run, RunState};

/// What a process is, and between which steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Nothing runs here.
    #[default]
    None,
    Plan,
    /// The parent waits for its children.
    Builds,
    Publish,
    /// Of the parent, an event or the sweeper.
    Settle,
    /// The sweeper, on what came after a release's end.
    Aftermath,
    AwaitDependencies,
    /// Parked: until a token or, where there are time-outs, by itself.
    ParkedForDependencies,
    Dispatch,
    AwaitRun,
    ParkedForRun,
    Poll,
    Collect,
    RecordError,
    /// The child has ended.
    Over,
}

/// One process: a child, a parent, a Settle, or a zombie of one of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct P {
    pub stage: Stage,
    /// Its next step within the stage; zero: not begun.
    pub pc: u8,
    pub release: u8,
    pub component: u8,
    pub generation: u8,
    pub execution: u8,
    /// The build as it was read or last written.
    pub read: B,
    /// The build's `seq` has grown since.
    pub moved: bool,
    pub lock: L,
    /// Somebody has written the lock since it was read.
    pub lock_moved: bool,
    /// The deadline of the lock that it has taken.
    pub clock: u8,
    pub owned: R,
    /// Runs that a list showed.
    pub list: u8,
    /// What the steps of a stage keep between them.
    pub x: u8,
    pub y: u8,
    /// One more than the component whose token it is about to complete.
    pub token: u8,
}

impl P {
    /// At the beginning of a stage, with nothing read.
    pub fn at(self, stage: Stage) -> Self {
        Self {
            stage,
            release: self.release,
            component: self.component,
            generation: self.generation,
            execution: self.execution,
            moved: stage == Stage::AwaitRun && self.moved,
            ..Self::default()
        }
    }

    pub fn is_under_way(self) -> bool {
        self.pc != 0
    }

    pub fn next(mut self, pc: u8) -> Self {
        self.pc = pc;
        self
    }
}

impl Hash for P {
    /// Most places are empty.
    fn hash<H: Hasher>(&self, to: &mut H) {
        self.stage.hash(to);
        if self.stage == Stage::None {
            return;
        }
        let small = [
            self.pc,
            self.release,
            self.component,
            self.generation,
            self.execution,
            self.clock,
            self.list,
            self.x,
            self.y,
            self.token,
            u8::from(self.moved),
            u8::from(self.lock_moved),
        ];
        small.hash(to);
        (self.read, self.lock, self.owned).hash(to);
    }
}

/// A call to GitHub that has left and not arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Post {
    /// 1: dispatch, 2: re-run of `run`.
    pub kind: u8,
    pub release: u8,
    pub component: u8,
    pub nonce: u8,
    pub run: u8,
    pub phase: u8,
}

/// An execution of a release's state machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Execution {
    /// 0 before the first.
    pub number: u8,
    pub runs: bool,
    pub aborted: bool,
}

/// Everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct World {
    pub releases: [R; 2],
    pub builds: [[B; BUILDS]; 2],
    pub locks: [L; BUILDS],
    pub runs: [Run; RUNS],
    pub posts: [Post; 2],
    pub executions: [Execution; 2],
    pub parents: [P; 2],
    pub children: [[P; BUILDS]; 2],
    pub servers: [P; 2],
    pub zombies: [P; 2],
    /// Webhooks that wait to be delivered, by run.
    pub news: u8,
    /// Green builds that are to be built again, as bits: their artifacts have expired.
    pub expired: [u8; 2],
    /// Faults that may still fall.
    pub faults: u8,
    /// What a step broke; ends the search.
    pub broken: Option<&'static str>,
}

/// Where a process is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Parent(usize),
    Child(usize, usize),
    Server(usize),
    Zombie(usize),
}

/// Why a write was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The item has another owner.
    Lost,
    /// It moved on.
    Stale,
}

impl World {
    pub fn get(&self, who: Who) -> P {
        match who {
            Who::Parent(r) => self.parents[r],
            Who::Child(r, c) => self.children[r][c],
            Who::Server(r) => self.servers[r],
            Who::Zombie(z) => self.zombies[z],
        }
    }

    pub fn put(&mut self, who: Who, p: P) {
        match who {
            Who::Parent(r) => self.parents[r] = p,
            Who::Child(r, c) => self.children[r][c] = p,
            Who::Server(r) => self.servers[r] = p,
            Who::Zombie(z) => self.zombies[z] = p,
        }
    }

    pub fn everybody(releases: usize, components: usize) -> impl Iterator<Item = Who> {
        (0..releases)
            .flat_map(move |r| {
                (0..components)
                    .map(move |c| Who::Child(r, c))
                    .chain([Who::Parent(r), Who::Server(r)])
            })
            .chain([Who::Zombie(0), Who::Zombie(1)])
    }

    fn every_mut(&mut self) -> impl Iterator<Item = &mut P> {
        self.parents
            .iter_mut()
            .chain(self.children.iter_mut().flatten())
            .chain(&mut self.servers)
            .chain(&mut self.zombies)
    }

    pub fn every(&self) -> impl Iterator<Item = &P> {
        self.parents
            .iter()
            .chain(self.children.iter().flatten())
            .chain(&self.servers)
            .chain(&self.zombies)
    }

    pub fn build(&self, p: &P) -> B {
        self.builds[usize::from(p.release)][usize::from(p.component)]
    }

    pub fn release(&self, p: &P) -> R {
        self.releases[usize::from(p.release)]
    }

    pub fn lock(&self, p: &P) -> L {
        self.locks[usize::from(p.component)]
    }

    pub fn fail(&mut self, what: &'static str) {
        self.broken = self.broken.or(Some(what));
    }

    /// A conditional write of a build, by `p`.
    pub fn change(&mut self, d: &Decide, p: &P, c: u8, before: B, after: B) -> Result<(), Refused> {
        if before == after {
            return Ok(());
        }
        if !d.may_become(before, after) {
            return Err(Refused::Lost);
        }
        let (r, n) = (usize::from(p.release), usize::from(c));
        let stored = self.builds[r][n];
        if !d.is_as_read(stored, before) {
            return Err(if d.owns(stored.generation, before.generation) {
                Refused::Stale
            } else {
                Refused::Lost
            });
        }
        self.write(p, c, stored.changed(before, after));
        if after.woken {
            self.wake(p.release, c);
        }
        Ok(())
    }

    /// A write that has passed its condition.
    pub fn write(&mut self, p: &P, c: u8, written: B) {
        let release = self.release(p);
        let owned = matches!(
            release.status,
            crate::check::BUILDING..=crate::check::PUBLISHED
        );
        if owned && p.generation < release.generation {
            self.fail("8: an older generation changed a build of a release that has another owner");
        }
        let (r, n) = (usize::from(p.release), usize::from(c));
        if written.generation < self.builds[r][n].generation {
            self.fail("8: the generation of a build went back");
        }
        self.builds[r][n] = written;
    }

    /// A conditional write of a release.
    pub fn change_release(
        &mut self,
        d: &Decide,
        p: &P,
        before: R,
        after: R,
    ) -> Result<(), Refused> {
        let stored = self.release(p);
        if stored.status != before.status || !d.owns(stored.generation, before.generation) {
            return Err(if d.owns(stored.generation, before.generation) {
                Refused::Stale
            } else {
                Refused::Lost
            });
        }
        if before.lease != after.lease && before.lease != stored.lease {
            return Err(Refused::Stale);
        }
        if stored.generation > before.generation {
            self.fail("8: an older generation changed a release");
        }
        let mut next = stored;
        next.status = after.status;
        next.generation = after.generation;
        if before.lease != after.lease {
            next.lease = after.lease;
        }
        self.releases[usize::from(p.release)] = next;
        Ok(())
    }

    /// Writes a lock.
    pub fn write_lock(&mut self, c: u8, lock: L) {
        self.locks[usize::from(c)] = lock;
        for p in self.every_mut() {
            if p.component == c && p.lock != L::default() {
                p.lock_moved = true;
            }
        }
    }

    /// A build's `seq` grows: its child sees it before it parks.
    pub fn wake(&mut self, r: u8, c: u8) {
        let child = &mut self.children[usize::from(r)][usize::from(c)];
        if matches!(child.stage, Stage::Dispatch | Stage::Poll | Stage::AwaitRun)
            && (child.pc != 0 || child.stage == Stage::AwaitRun)
        {
            child.moved = true;
        }
    }

    /// A parked child goes on; its token is worth nothing any more.
    pub fn unpark(&mut self, r: u8, c: u8) {
        let child = &mut self.children[usize::from(r)][usize::from(c)];
        *child = match child.stage {
            Stage::ParkedForDependencies => child.at(Stage::Dispatch),
            Stage::ParkedForRun => child.at(Stage::Poll),
            _ => return,
        };
        self.forget_token(r, c);
    }

    /// The token of a wait that is over.
    pub fn forget_token(&mut self, r: u8, c: u8) {
        self.builds[usize::from(r)][usize::from(c)].token = false;
        for p in self.every_mut() {
            if p.release == r {
                if p.token == c + 1 {
                    p.token = 0;
                }
                if p.component == c {
                    p.read.token = false;
                }
            }
        }
    }

    /// Completes the token that `p` holds, if it is still worth something.
    pub fn complete(&mut self, p: &mut P) {
        if p.token != 0 {
            let c = p.token - 1;
            p.token = 0;
            self.unpark(p.release, c);
        }
    }

    /// A dispatch arrives: GitHub makes its run, which no list shows yet.
    pub fn make_run(&mut self, release: u8, component: u8, nonce: u8) {
        let free = self.runs.iter().position(|run| run.state == RunState::None);
        let index = free.expect("more runs than there is room for");
        self.runs[index] = Run {
            state: RunState::Hidden,
            component,
            by: release + 1,
            nonce,
            attempt: 1,
            ..Run::default()
        };
    }

    /// A re-run arrives: the same run runs again.
    pub fn rerun(&mut self, index: u8) {
        let run = &mut self.runs[usize::from(index)];
        if !run.is_active() {
            run.state = RunState::Running;
            run.attempt += 1;
        }
    }

    /// The runs of a component's repository that a list shows, as bits.
    pub fn listed(&self, component: u8) -> u8 {
        self.bits(|run| run.component == component && run.state != RunState::Hidden)
    }

    pub fn bits(&self, which: impl Fn(&Run) -> bool) -> u8 {
        (0..RUNS)
            .filter(|n| self.runs[*n].state != RunState::None && which(&self.runs[*n]))
            .fold(0, |bits, n| bits | 1 << n)
    }

    /// Time passes: some seconds, or almost the time that a run may take to appear.
    pub fn pass(&mut self, long: bool) {
        let older = |phase: &mut u8| {
            *phase = match (*phase, long) {
                (OPEN, false) => CLOSING,
                (CLOSING, false) | (OPEN | CLOSING, true) => OVER,
                (OVER, true) => LONG_OVER,
                (same, _) => same,
            }
        };
        for build in self.builds.iter_mut().flatten() {
            older(&mut build.phase);
        }
        for lock in &mut self.locks {
            older(&mut lock.phase);
        }
        for post in &mut self.posts {
            older(&mut post.phase);
        }
        for p in self.every_mut() {
            older(&mut p.read.phase);
            older(&mut p.clock);
        }
    }
}
