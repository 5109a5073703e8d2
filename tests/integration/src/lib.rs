//! Scenarios on the local cloud and the simulator.
