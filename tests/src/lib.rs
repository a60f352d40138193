//! Flows across crates live in `tests/tests`.
