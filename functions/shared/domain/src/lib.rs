//! The decisions: plan, matching, states, names, sums. No I/O..
