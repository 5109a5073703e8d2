//! Collect: from a green run to verified files in S3 and their list.
//!
//! Running it twice is safe: what was received of an artifact is written down when it has
//! come whole, and not fetched again; files go to keys that name the run, its attempt and
//! the file, S3 checks the sum that each is sent with, so writing one again writes
//! the same; the build becomes complete by one conditional write at the end.

mod checks;
mod collect_run;
mod handle;
mod open;
mod receive;
mod transfer;

pub use collect_run::{AT_A_TIME, CollectError, Job, Means, collect_run};
pub use handle::{Input, Next, Output, handle};
