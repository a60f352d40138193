//! What belongs to the session of an INVITE usage and needs no endpoint: where its descriptions stand, whose turn it is,
//! how long it lasts. Pure machines, one file each.

mod body;
pub(crate) mod exchange;
#[cfg(test)]
mod tests;
pub(crate) mod timer;

pub use body::session_description;
pub use exchange::Misplaced;
pub use timer::SessionTimer;
