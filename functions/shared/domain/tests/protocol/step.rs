//! Everything that may happen next in a state of the world.

use commons_domain::build::BuildStatus;
use commons_domain::release::ReleaseStatus;

use crate::decide::Decide;
use crate::fault::{self, Fault};
use crate::rules::Rules;
use crate::table::{CLOSING, Names, OPEN, OVER, Run, RunState};
use crate::world::{Execution, P, Post, Refused, Stage, Who, World};
use crate::{dispatch, parent, poll};

/// What is explored: how much of it, and which faults may fall.
#[derive(Clone)]
pub struct Config {
    pub name: &'static str,
    pub releases: usize,
    /// For each component those that it requires, as bits.
    pub requires: &'static [u8],
    /// Whether runs show their nonce.
    pub nonces: bool,
    /// How many faults fall in all, at most.
    pub faults: u8,
    pub kinds: &'static [Fault],
    /// Zombies at a time, at most two.
    pub zombies: usize,
    /// Of the manifest.
    pub retries: u32,
    /// Executions of the first release, one after the other.
    pub executions: u8,
    /// Waits end by themselves. Without that, webhooks and tokens must do.
    pub timeouts: bool,
    /// Every end is the same one: everything is published.
    pub same_end: bool,
}

/// A configuration with the decisions that it is explored under.
pub struct Model {
    pub config: Config,
    pub d: Decide,
}

/// The states that follow one, and what led to each.
#[derive(Default)]
pub struct Out {
    pub next: Vec<(&'static str, Who2, World)>,
}

/// Who acted: a process and its place, or the world.
pub type Who2 = Option<(Who, Stage, u8, u8)>;

impl Out {
    /// `who` goes on as `p`. A zombie that has come to the end of its stage is gone, and
    /// so is a Settle that is over.
    pub fn go(&mut self, name: &'static str, mut w: World, who: Who, p: P) {
        let old = w.get(who);
        let at = Some((who, old.stage, p.release, p.component));
        let lives = match who {
            Who::Parent(_) | Who::Child(..) => p.stage != Stage::None,
            Who::Server(_) => p.stage != Stage::None && p.is_under_way(),
            Who::Zombie(_) => p.stage == old.stage && p.is_under_way(),
        };
        w.put(who, if lives { p } else { P::default() });
        if let Who::Zombie(_) = who {
            w.zombies
                .sort_unstable_by_key(|z| (z.stage == Stage::None, z.pc));
        }
        self.next.push((name, at, w));
    }

    pub fn dies(&mut self, name: &'static str, w: World, who: Who, p: P) {
        self.go(name, w, who, p.at(p.stage));
    }

    /// A write was refused: the state machine calls again, or the child is over.
    pub fn refused(&mut self, w: World, who: Who, p: P, refused: Refused) {
        let lost = if p.stage == Stage::Publish {
            Stage::Settle
        } else {
            Stage::Over
        };
        match refused {
            Refused::Lost => self.go("finds another owner", w, who, p.at(lost)),
            Refused::Stale => self.go("finds its item changed", w, who, p.at(p.stage)),
        }
    }

    pub fn event(&mut self, name: &'static str, w: World) {
        self.next.push((name, None, w));
    }
}

impl Model {
    pub fn new(config: Config, rules: Rules) -> Self {
        let names = Names::new(config.requires, config.retries);
        let d = Decide::new(rules, names, config.nonces);
        Self { config, d }
    }

    pub fn components(&self) -> usize {
        self.config.requires.len()
    }

    pub fn first(&self) -> World {
        World {
            faults: self.config.faults,
            ..World::default()
        }
    }

    /// The world with one fault fewer to fall, where this one may.
    pub fn fault(&self, w: &World, fault: Fault) -> Option<World> {
        (w.faults > 0 && self.config.kinds.contains(&fault)).then(|| World {
            faults: w.faults - 1,
            ..*w
        })
    }

    /// Everything that may happen next.
    pub fn next(&self, w: &World, out: &mut Out) {
        for who in World::everybody(self.config.releases, self.components()) {
            self.steps(w, who, out);
        }
        for r in 0..self.config.releases {
            self.start(w, r, out);
            self.sweep(w, r, out);
        }
        self.github(w, out);
        self.time(w, out);
        fault::faults(self, w, out);
    }

    /// One step of a process. With two releases a step that only its own release can
    /// see is taken together with those that follow it, up to the next that the other
    /// one may see: whatever the other does in between comes to the same. What falls
    /// between them within a release is explored where there is only one.
    fn steps(&self, w: &World, who: Who, out: &mut Out) {
        let p = w.get(who);
        let from = out.next.len();
        self.step(w, who, p, out);
        if self.config.releases == 1 || !is_private(p) || matches!(who, Who::Zombie(_)) {
            return;
        }
        let mut n = from;
        while n < out.next.len() {
            let world = out.next[n].2;
            let next = world.get(who);
            let begins =
                next.pc == 0 && !matches!(next.stage, Stage::AwaitRun | Stage::AwaitDependencies);
            if begins || !is_private(next) || world.broken.is_some() {
                n += 1;
                continue;
            }
            let first = out.next.swap_remove(n);
            let at = out.next.len();
            self.step(&world, who, next, out);
            for after in &mut out.next[at..] {
                (after.0, after.1) = (first.0, first.1);
            }
        }
    }

    fn step(&self, w: &World, who: Who, p: P, out: &mut Out) {
        match p.stage {
            Stage::None | Stage::Over => {}
            Stage::Plan => parent::plan(self, w, who, p, out),
            Stage::Publish => parent::publish(self, w, who, p, out),
            Stage::Settle => parent::settle(self, w, who, p, out),
            Stage::Aftermath => parent::aftermath(self, w, who, p, out),
            Stage::AwaitDependencies => dispatch::await_dependencies(self, w, who, p, out),
            Stage::Dispatch => dispatch::dispatch(self, w, who, p, out),
            Stage::AwaitRun => dispatch::await_run(self, w, who, p, out),
            Stage::Poll => poll::poll(self, w, who, p, out),
            Stage::Collect => poll::collect(self, w, who, p, out),
            Stage::RecordError => poll::record_error(self, w, who, p, out),
            Stage::ParkedForDependencies | Stage::ParkedForRun => {
                // Without time-outs only what no webhook can tell of ends by itself.
                let unsure = w.build(&p).status() == BuildStatus::Dispatching;
                if self.config.timeouts || p.stage == Stage::ParkedForRun && unsure {
                    let mut w = *w;
                    w.unpark(p.release, p.component);
                    out.event("a wait times out", w);
                }
            }
            Stage::Builds => {
                let n = usize::from(p.release);
                let children = &w.children[n][..self.components()];
                if children.iter().all(|child| child.stage == Stage::Over) {
                    let mut w = *w;
                    w.children[n] = Default::default();
                    out.go("the Map is over", w, who, p.at(Stage::Publish));
                }
            }
        }
    }

    /// An execution starts where none runs.
    fn start(&self, w: &World, r: usize, out: &mut Out) {
        let execution = w.executions[r];
        let stored = w.releases[r];
        let published = stored.status != 0 && stored.status() == ReleaseStatus::Published;
        let most = if r == 0 { self.config.executions } else { 1 };
        if execution.runs || execution.number >= most || published {
            return;
        }
        let mut w = *w;
        w.executions[r] = Execution {
            number: execution.number + 1,
            runs: true,
            aborted: false,
        };
        w.parents[r] = P {
            release: r as u8,
            execution: execution.number + 1,
            ..P::default()
        }
        .at(Stage::Plan);
        out.event("an execution starts", w);
    }

    /// The event of an ended execution, or the sweeper, where there is something to do.
    fn sweep(&self, w: &World, r: usize, out: &mut Out) {
        if w.servers[r].stage != Stage::None {
            return;
        }
        let (stored, execution) = (w.releases[r], w.executions[r]);
        let server = P {
            release: r as u8,
            execution: stored.lease,
            ..P::default()
        };
        if stored.lease != 0 && !(execution.runs && execution.number == stored.lease) {
            let server = server.at(Stage::Settle);
            let mut w = *w;
            w.servers[r] = server;
            parent::settle(self, &w, Who::Server(r), server, out);
        } else if self.has_aftermath(w, r) {
            let server = server.at(Stage::Aftermath);
            let mut w = *w;
            w.servers[r] = server;
            parent::aftermath(self, &w, Who::Server(r), server, out);
        }
    }

    /// Whether the sweeper would find anything.
    pub fn has_aftermath(&self, w: &World, r: usize) -> bool {
        self.d.is_over(w.releases[r])
            && (0..self.components()).any(|c| {
                let build = w.builds[r][c];
                let lock = w.locks[c];
                build.is_there()
                    && match build.status() {
                        BuildStatus::Pending => true,
                        status if status.is_failed() && build.run != 0 => {
                            let run = w.runs[usize::from(build.run) - 1];
                            run.is_active() && run.attempt <= build.run_attempt
                        }
                        status if status.is_failed() => {
                            let its = lock.release == r as u8 + 1
                                && parent::knows(build, lock.nonce)
                                && lock.orphaned;
                            its && w.bits(|run| attempt_of(run, r, c, lock.nonce)) != 0
                        }
                        _ => false,
                    }
            })
    }

    fn github(&self, w: &World, out: &mut Out) {
        for (n, run) in w.runs.iter().enumerate() {
            match run.state {
                RunState::Hidden => {
                    let mut w = *w;
                    w.runs[n].state = RunState::Running;
                    self.news(&mut w, n);
                    out.event("a run appears", w);
                }
                RunState::Running if attended(self, w, run) => {
                    let mut w = *w;
                    w.runs[n].state = RunState::Success;
                    self.news(&mut w, n);
                    out.event("a run succeeds", w);
                }
                _ => {}
            }
            if w.news & (1 << n) != 0 {
                let mut w = *w;
                w.news &= !(1 << n);
                self.webhook(&mut w, n);
                out.event("a webhook is delivered", w);
            }
        }
        for (n, post) in w.posts.iter().enumerate() {
            if post.kind == 0 {
                continue;
            }
            let mut w = *w;
            if post.kind == 1 {
                w.make_run(post.release, post.component, post.nonce);
            } else {
                w.rerun(post.run - 1);
            }
            w.posts[n] = Post::default();
            out.event("a POST arrives that nobody waits for", w);
        }
    }

    fn news(&self, w: &mut World, run: usize) {
        if !self.config.timeouts {
            w.news |= 1 << run;
        }
    }

    /// Wakes the build that has claimed the run, else the one that holds the lock.
    pub fn webhook(&self, w: &mut World, run: usize) {
        let run = w.runs[run];
        let lock = w.locks[usize::from(run.component)];
        let release = if run.claimed_by != 0 {
            run.claimed_by
        } else {
            lock.release
        };
        if release != 0 {
            w.wake(release - 1, run.component);
            let token = w.builds[usize::from(release) - 1][usize::from(run.component)].token;
            if token {
                w.unpark(release - 1, run.component);
            }
        }
    }

    fn time(&self, w: &World, out: &mut Out) {
        let phases = w
            .builds
            .iter()
            .flatten()
            .map(|b| b.phase)
            .chain(w.locks.iter().map(|l| l.phase))
            .chain(w.every().map(|p| p.read.phase));
        let (mut soon, mut later) = (false, false);
        for phase in phases {
            soon |= phase == OPEN || phase == CLOSING;
            later |= phase == OVER;
        }
        // What is in flight arrives before its deadline, or never.
        if soon && w.posts.iter().all(|post| post.phase != CLOSING) {
            // A call of Dispatch is quick, unless it is held up or is a zombie.
            let quick = |p: &P| p.stage == Stage::Dispatch && p.clock != 0;
            let held_up = w.children.iter().flatten().any(quick);
            let passes = if held_up {
                self.fault(w, Fault::Stall)
            } else {
                Some(*w)
            };
            if let Some(mut w) = passes {
                w.pass(false);
                out.event("seconds pass", w);
                if held_up && w.posts.iter().all(|post| post.phase != CLOSING) {
                    w.pass(false);
                    out.event("many seconds pass", w);
                }
            }
        }
        // A function runs for two minutes at most; runs appear in time, or are late.
        let busy = w
            .every()
            .any(|p| p.is_under_way() && p.stage != Stage::Plan)
            || w.every()
                .any(|p| p.stage == Stage::Plan && p.is_under_way() && p.pc != 2);
        let comes = w
            .runs
            .iter()
            .any(|run| run.state == RunState::Hidden && !run.late)
            || w.posts.iter().any(|post| post.kind != 0);
        if later && !busy && !comes {
            let mut w = *w;
            w.pass(true);
            out.event("ten minutes pass", w);
        }
    }
}

/// Whether only its own release can see the next step of a process: not the lock, the
/// runs and their claims, nor what the holder of a lock is asked for.
fn is_private(p: P) -> bool {
    match p.stage {
        Stage::Plan => p.pc != 4,
        Stage::Settle => matches!(p.pc, 0..=4 | 10),
        Stage::Dispatch => matches!(p.pc, 0..=3 | 12 | 14 | 19 | 24 | 25),
        Stage::Poll => matches!(p.pc, 0..=2 | 24..),
        Stage::Aftermath => matches!(p.pc, 0 | 1),
        Stage::RecordError => true,
        Stage::Collect | Stage::Publish | Stage::AwaitRun | Stage::AwaitDependencies => true,
        _ => false,
    }
}

fn attempt_of(run: &Run, r: usize, c: usize, nonce: u8) -> bool {
    usize::from(run.component) == c
        && (usize::from(run.by), run.nonce) == (r + 1, nonce)
        && run.state == RunState::Running
}

/// Whether a run is one that a build waits for. What nobody waits for goes on for ever
/// unless it is found: so a run that nobody finds shows.
pub fn attended(m: &Model, w: &World, run: &Run) -> bool {
    if run.by == 0 || run.late {
        return true;
    }
    let build = w.builds[usize::from(run.by) - 1][usize::from(run.component)];
    // Without a nonce in its title it is told only while its dispatch has the lock.
    let lock = w.locks[usize::from(run.component)];
    let told = (lock.release, lock.nonce) == (run.by, run.nonce);
    let untold = !m.config.nonces && !told;
    build.is_there() && (build.nonce == run.nonce && !build.status().is_failed() || untold)
}
