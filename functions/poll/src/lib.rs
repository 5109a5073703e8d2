//! The poll stage.
