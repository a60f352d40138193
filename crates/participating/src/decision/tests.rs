#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

//! One row of the table is one case: what is different from a plain message to two devices, and what is decided.

mod properties;
mod table;
mod world;
