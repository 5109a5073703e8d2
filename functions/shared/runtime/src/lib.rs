//! Configuration, clients, tracing, error to Lambda error type.
