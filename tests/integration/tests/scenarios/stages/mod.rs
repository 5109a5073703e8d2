//! Each stage by itself, called as its function calls it.

mod plan;
