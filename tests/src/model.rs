//! A plain, slow model of who gets what: users, devices, preferences and policies as plain data ([`plan`]), what the
//! specification wants of each message ([`fate`]), worlds made from the same data ([`arena`]), and the comparison of both
//! ([`compare`]).
//!
//! The model shares no code with the functions: it does not know how requests look, and reads no document that it writes.

pub mod aimed;
pub mod arena;
pub mod compare;
pub mod documents;
pub mod fate;
pub mod isf;
pub mod notes;
pub mod plan;
pub mod story;
