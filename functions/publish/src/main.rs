//! Wiring of the publish function.

fn main() {}
