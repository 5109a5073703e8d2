//! The `commons` command.

fn main() {}
