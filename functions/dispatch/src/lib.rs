//! The dispatch stage.
