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
mod deployment;
mod door;
mod driver;
mod endpoint;
mod events;
mod executions;
mod functions;
mod history;
mod interpreter;
mod machine;
mod map_run;
mod table;

pub use driver::{Driver, NotStarted, Options, Stuck, Whereabouts};
pub use executions::{Answered, Execution, Executions, Progress, Status, Wake};
pub use history::{Figures, History};
pub use machine::{NameTaken, StateMachine};
