//! The settle stage.
