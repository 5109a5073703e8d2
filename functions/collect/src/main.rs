//! Wiring of the collect function.

fn main() {}
