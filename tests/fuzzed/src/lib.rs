//! What hostile input must not do: a function for each reader of what others wrote, which
//! takes any bytes and panics where a property of the reader is broken. The fuzzer calls
//! them (`fuzz/`), and a test calls them with all that the fuzzer has kept.

mod archive;
mod aws;
mod manifest;
mod sealed;
mod sums;
mod webhook;

pub use archive::archive;
pub use manifest::manifest;
pub use sums::sums;
pub use webhook::webhook;

/// A reader's name and its function. `fuzz/fuzz_targets/<name>.rs` hands the fuzzer's
/// bytes over, `fuzz/corpus/<name>` is what is kept of them.
pub type Target = (&'static str, fn(&[u8]));

/// Every reader.
pub const TARGETS: [Target; 4] = [
    ("archive", archive),
    ("manifest", manifest),
    ("sums", sums),
    ("webhook", webhook),
];
