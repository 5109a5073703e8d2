//! The Docker-free local cloud: start, deploy, reset.
