//! What the flow tests share: a scene with two users, three devices, two Participating Functions and a core, on the
//! simulator.

pub mod dice;
pub mod invariants;
pub mod model;
pub mod scene;
