//! Each stage by itself, called as its function calls it.

mod dispatch;
mod plan;
mod poll;
