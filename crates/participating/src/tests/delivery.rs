//! TS 8.3.1.1 over octets: what is asked, what is sent, what is answered, and when; with a host that answers late, never,
//! twice, wrongly or in another order.

mod errors;
pub(super) mod host;
mod interworking;
mod late;
mod orders;
mod steps;
mod store;
