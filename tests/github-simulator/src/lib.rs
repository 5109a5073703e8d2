//! A faithful, fault-injecting GitHub.
