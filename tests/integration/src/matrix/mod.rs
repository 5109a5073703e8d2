//! The fault matrix: for every stage and every external call in it, the stage dies
//! before it, dies after it, its answer is lost, or comes late, after another owner has
//! taken the release over. Then the stage is called again as the state machine would,
//! and the world must be the one in which nothing went wrong.
//!
//! The calls are not listed: an undisturbed run of the stage through a [`Tap`] finds
//! them, and every call is a case of each kind, in a world of its own.

mod scenario;
mod step;
mod tap;
mod view;

pub use scenario::{Before, Meanwhile, Scenario, Undisturbed};
pub use step::{Child, Next, Step, execute};
pub use tap::{Call, Disturbance, Tap};
pub use view::{Attempts, View};

use std::fmt;
use std::sync::Arc;

use commons_domain::clock::Clock;
use commons_runtime::{Config, Stage};
use futures_util::StreamExt as _;
use github_simulator::Repository;

use crate::{MovedClock, StageWorld};

/// Worlds at a time: most of their time they wait for each other's calls.
const AT_A_TIME: usize = 8;

/// A world with a tap.
pub struct Place {
    /// The world. Its stage goes by the clock, and past the tap.
    pub world: StageWorld,
    /// The clock.
    pub clock: Arc<MovedClock>,
    /// The tap.
    pub tap: Tap,
    /// The stage whose calls go through the tap, and do nothing else.
    pub through: Stage,
    /// Its repositories.
    pub repositories: Vec<String>,
    /// The state machine, where executions are started.
    pub machine: Option<String>,
}

impl Place {
    /// With these repositories.
    pub async fn with(repositories: Vec<Repository>) -> Place {
        let names = repositories.iter().map(|r| r.name.clone()).collect();
        let clock = Arc::new(MovedClock::default());
        let by: Arc<dyn Clock> = clock.clone();
        let world = StageWorld::by(Arc::clone(&by), repositories).await;
        let cloud = world.aws.endpoint_url().expect("the local cloud");
        let tap = Tap::open(cloud, &world.github.api_url()).await;
        let aws = crate::stage::configuration(&tap.aws, crate::stage::owner(world.account.id()));
        let config = Config {
            github_api_url: tap.github.clone(),
            ..world.stage.config.clone()
        };
        Place {
            through: crate::stage::stage(&aws, config, by),
            clock,
            tap,
            world,
            repositories: names,
            machine: None,
        }
    }

    /// Goes by this state machine.
    pub fn on_machine(&mut self, machine: String) {
        for stage in [&mut self.world.stage, &mut self.through] {
            stage.config.state_machine_arn.clone_from(&machine);
        }
        self.machine = Some(machine);
    }

    /// A component's build as its child sees it.
    pub async fn child(&self, component: &str) -> Child {
        Child {
            release: self.world.key(),
            component: component.to_owned(),
            generation: self.world.release().await.generation,
        }
    }
}

/// How large a matrix was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Ways into a stage.
    pub scenarios: usize,
    /// Calls that their stages make.
    pub calls: usize,
    /// Calls, disturbed.
    pub cases: usize,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scenarios,
            calls,
            cases,
        } = self;
        write!(f, "{scenarios} scenarios, {calls} calls, {cases} cases")
    }
}

/// Every call of every scenario, disturbed in every way.
///
/// # Panics
/// If a world differs in the end, with every difference; if a stage makes no call.
pub async fn run(scenarios: &'static [Scenario]) -> Size {
    let mut size = Size {
        scenarios: scenarios.len(),
        calls: 0,
        cases: 0,
    };
    let mut cases = Vec::new();
    for scenario in scenarios {
        let undisturbed = Arc::new(Box::pin(scenario.undisturbed()).await);
        assert!(!undisturbed.calls.is_empty(), "{}: no call", scenario.name);
        size.calls += undisturbed.calls.len();
        for call in undisturbed.calls.clone() {
            for disturbance in call.disturbances() {
                cases.push((
                    scenario,
                    Arc::clone(&undisturbed),
                    call.clone(),
                    disturbance,
                ));
            }
        }
    }
    size.cases = cases.len();
    let found: Vec<String> = futures_util::stream::iter(cases)
        .map(|(scenario, undisturbed, call, disturbance)| {
            let of = format!("{}: {disturbance:?}: {call}", scenario.name);
            Box::pin(async move {
                let case = Box::pin(scenario.case(&undisturbed, call, disturbance)).await;
                case.err().map(|why| format!("{of}: {why}"))
            })
        })
        .buffer_unordered(AT_A_TIME)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(found.is_empty(), "{size}\n{}", found.join("\n"));
    size
}
