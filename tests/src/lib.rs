//! What the flow tests share: a scene with two users, three devices, two Participating Functions and a core, on the
//! simulator.

pub mod scene;
