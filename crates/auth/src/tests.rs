//! Known answers, the rules of both sides, and what hostile values do.
#![allow(clippy::arithmetic_side_effects, clippy::string_slice, clippy::cast_possible_truncation)]

mod client;
mod known;
mod server;
mod wire;

use crate::{Account, RequestParts, Secret};

/// The user of RFC 2617 §3.5 and RFC 7616 §3.9.1.
fn mufasa(realm: &str, password: &str) -> Account {
    Account::new("Mufasa", realm, Secret::password(password)).unwrap()
}

fn get(uri: &str) -> RequestParts<'_> {
    RequestParts { method: "GET", uri, body: b"" }
}
