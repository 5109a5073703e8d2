//! Each stage by itself, called as its function calls it.

mod adopt;
mod aftermath;
mod attempts;
mod audit;
mod collect;
mod dispatch;
mod documents;
mod follow;
mod limits;
mod notes;
mod plan;
mod poll;
mod preflight;
pub mod publish;
mod raw;
mod resume;
mod settle;
mod storages;
mod trusted;
mod webhook;
