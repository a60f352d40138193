//! Session descriptions against the peers of the registry, in one process and in interleaved rounds.
//!
//! `cargo bench -p cpm-benches --bench sdp`. The input is the offer of a chat by a CPM client, 484 octets
//! (`data/offer.sdp`). What is compared is what an application calls to get a description out of octets; then what it
//! takes to have the values of its MSRP medium. A contender that cannot read it is listed with the reason.

#[path = "race/mod.rs"]
mod race;

use cpm_sdp::{Limits, RemoteOffer, SessionDescription};
use race::{Contender, ROUNDS, print_table, race};
use std::hint::black_box;

const OFFER: &[u8] = include_bytes!("../data/offer.sdp");

fn main() {
    // `cargo test --benches` asks for a look only.
    let look = std::env::args().any(|argument| argument == "--test");
    let rounds = if look { 1 } else { ROUNDS };
    let text = std::str::from_utf8(OFFER).expect("the offer is UTF-8");
    println!("offer: {} octets, {} lines", OFFER.len(), text.lines().count());
    println!("\nparse");
    let mut able = Vec::new();
    for (name, read) in parsers(text) {
        match read() {
            Ok(()) => able.push((name, boxed(move || read().is_ok()))),
            Err(why) => println!("  {name:<34} cannot: {}", why.chars().take(110).collect::<String>()),
        }
    }
    print_table(&race(able, rounds));

    println!("\nparse and read the MSRP medium: path, types, setup, direction, anchoring, chunk size");
    let limits = Limits::default();
    let values = move || {
        let description = SessionDescription::parse(black_box(OFFER), &limits).ok()?;
        let offer = RemoteOffer::read(&description).ok()?;
        black_box((offer.setup(), offer.direction(), offer.cema(), offer.max_chunk_size_octets()));
        Some(offer.accepts("message/cpim"))
    };
    assert_eq!(values(), Some(true));
    let both: Vec<Contender> = vec![("cpm-sdp", boxed(move || values().is_some()))];
    print_table(&race(both, rounds));
}

fn boxed(run: impl Fn() -> bool + 'static) -> Box<dyn FnMut()> {
    Box::new(move || {
        black_box(run());
    })
}

type Parser = (&'static str, Box<dyn Fn() -> Result<(), String>>);

/// Who reads the octets, ours first.
fn parsers(text: &'static str) -> Vec<Parser> {
    fn made<T, E: std::fmt::Debug>(result: Result<T, E>) -> Result<(), String> {
        // What was made is shown where it stands, and dropped: that is part of having it.
        black_box(&result);
        result.map(|_| ()).map_err(|error| format!("{error:?}"))
    }
    let limits = Limits::default();
    vec![
        ("cpm-sdp", Box::new(move || made(SessionDescription::parse(black_box(OFFER), &limits)))),
        ("sdp-types 0.1", Box::new(|| made(sdp_types::Session::parse(black_box(OFFER))))),
        ("rsiprtp 0.4", Box::new(move || made(rsiprtp::sdp::SessionDescription::parse(black_box(text))))),
        ("sdp-rs 0.2", Box::new(move || made(sdp_rs::SessionDescription::try_from(black_box(text))))),
        ("webrtc-sdp 0.3", Box::new(move || made(webrtc_sdp::parse_sdp(black_box(text), false)))),
    ]
}
