//! What a release says of itself: [`Facts`], put into Markdown by a template, which people
//! may replace, and shortened to what GitHub takes.

mod body;
mod changes;
mod commits;
mod escape;
mod facts;
mod fit;
mod gather;
mod platform;
mod previous;
mod sample;
mod template;

pub use body::{body, unfinished};
pub use changes::{Commit, Comparison, Outcome, Since, changes};
pub use escape::text;
pub use facts::{
    Artifact, Change, Changes, Compared, Component, Facts, File, Group, Release, Section,
    Verification,
};
pub use gather::Gathered;
pub use platform::{Named, Platform};
pub use previous::{Published, last_before};
pub use sample::{bare, sample};
pub use template::{Fault, Template, render};

/// GitHub takes no longer text of a release, in characters: it answers 422 and `body is
/// too long (maximum is 125000 characters)`.
pub const LONGEST_BODY: usize = 125_000;
