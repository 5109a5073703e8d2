//! Wiring of the poll function.

fn main() {}
