//! Wiring of the webhook function.

fn main() {}
