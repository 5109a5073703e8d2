//! The build_runs table: releases, builds, claims, locks.
