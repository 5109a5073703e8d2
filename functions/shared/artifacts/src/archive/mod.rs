//! Zips as they come from the network: the directory at their end is read first, then
//! their bytes once, from the first to the last.

mod directory;
mod end;
mod walk;

pub use directory::{Directory, Entry, LIMITS, Limits, Method, check_path, read};
pub use end::Tail;
pub use walk::{Step, Walk};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
