//! Whole releases in one process: the real definition, the stages' own functions, a
//! DynamoDB in memory, the local cloud's S3 and the GitHub simulator, without Step
//! Functions and Lambda, by a clock that jumps from one thing that is due to the next. A
//! release of hours takes seconds, at speed 1 and with the template's own parameters.
//!
//! What AWS does by itself is played as far as a release needs it: an execution that did
//! not end by itself is settled by its event. The sweeper's schedule and nightlies are
//! not.
//!
//! [`Driver`] puts it together. [`asl`] reads the definition, the interpreter follows
//! it for each execution, the endpoint answers what the stages ask of Step Functions,
//! and [`clock`] decides when time may go on.

pub mod asl;
pub mod clock;
mod cloud;
mod door;
mod driver;
mod endpoint;
mod events;
mod executions;
mod functions;
mod gate;
mod history;
mod interpreter;
mod machine;
mod map_run;
mod seats;
pub mod storm;
mod sweeper;
mod table;
pub mod weather;

pub use driver::{Driver, NotStarted, Options, Stuck, Whereabouts};
pub use executions::{Answered, Execution, Executions, Progress, Status, Wake};
pub use history::{Figures, History};
pub use machine::{NameTaken, StateMachine};
pub use seats::Seats;

/// What every token for GitHub and the secret of webhooks begin with: nothing that is
/// written anywhere may hold it.
pub const CANARY: &str = "canary-0d1f7c";
/// The tokens for GitHub, but for the number of the seat.
const TOKEN: &str = "canary-0d1f7c-token";
const WEBHOOK_SECRET: &str = "canary-0d1f7c-webhook";
