//! GitHub's REST API and webhook signatures.
