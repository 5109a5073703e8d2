//! A storm: many releases, drawn from a seed with everything that goes wrong around them,
//! and judged by an oracle that shares no code with them.
//!
//! What is deterministic: a plan is a value; each fault is decided by dice over the
//! plan's seed and the fault's own name; calls of functions run one at a time in the order
//! of the virtual clock. What is not: several transfers within one call of Collect, and
//! the order in which the machine hands out answers that are ready at the same time, so
//! that a plan may now and then come to another order of equals.

pub mod evidence;
pub mod local;
pub mod log;
pub mod odds;
pub mod people;
pub mod plan;
pub mod report;
pub mod run;
pub mod shrink;
pub mod skies;
pub mod world;
