//! Wiring of the plan function.

fn main() {}
