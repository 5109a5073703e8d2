//! The door: GitHub's webhooks.
