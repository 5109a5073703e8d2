//! Wiring of the dispatch function.

fn main() {}
