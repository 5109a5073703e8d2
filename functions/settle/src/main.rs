//! Wiring of the settle function.

fn main() {}
