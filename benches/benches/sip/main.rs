//! SIP messages against the peers of the registry, in one process and in interleaved rounds.
//!
//! `cargo bench -p cpm-benches --bench sip`. Every round times every contender once, so that a change of the machine's
//! speed meets all of them; ratios are minimum against minimum of the same run. The input is one INVITE of CPM
//! (`data/invite.sip`). A contender that cannot do a case is listed with the reason.

mod peers;
#[path = "../race/mod.rs"]
mod race;

use bytes::Bytes;
use peers::Case;
use race::{ROUNDS, print_table, race};

/// What is read: the session invitation of a CPM client as the CPM Participating Function sees it.
pub const INVITE: &[u8] = include_bytes!("../../data/invite.sip");

fn main() {
    // `cargo test --benches` asks for a look only.
    let look = std::env::args().any(|argument| argument == "--test");
    let rounds = if look { 1 } else { ROUNDS };
    // `-- "parse: cpm-sip"` runs what has this text in its title and name alone, for a profiler.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let message = Bytes::copy_from_slice(INVITE);
    // Two owners, as when a datagram is cut out of a receive buffer.
    let message = (message.clone(), message).0;
    let head = memchr::memmem::find(INVITE, b"\r\n\r\n").map_or(INVITE.len(), |at| at + 4);
    let fields = INVITE[..head].iter().filter(|octet| **octet == b'\n').count() - 2;
    println!("INVITE: {} octets, {fields} header fields, body {}", INVITE.len(), INVITE.len() - head);
    for (title, cases) in peers::all(&message) {
        println!("\n{title}");
        let mut able = Vec::new();
        for case in cases {
            match case {
                Case::Runs(name, run) if format!("{title}: {name}").contains(&wanted) => {
                    able.push((name, run))
                }
                Case::Runs(..) => {}
                Case::Cannot(name, why) => println!("  {name:<34} cannot: {why}"),
            }
        }
        print_table(&race(able, rounds));
    }
}
