//! Verifies a published release as anyone can: without our table or bucket, by what GitHub
//! shows to everybody, and a key.

pub mod checks;
pub mod source;
pub mod target;
