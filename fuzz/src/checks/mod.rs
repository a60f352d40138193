//! What has to hold for any octets: the bodies of all fuzz targets. `tests/tests/fuzz_seeds.rs` runs the same over
//! `fuzz/seeds`, so that plain `cargo test` replays what was found.

mod cpim;
mod digest;
mod documents;
mod msrp;
mod msrp_program;
mod multipart;
mod pf_program;
mod sdp;
mod sdp_program;
mod sip;
mod sip_edit;
mod sip_header;
mod sip_uri;
mod ua_program;
mod ua_restore;

pub use cpim::{cpim, imdn};
pub use digest::digest;
pub use documents::{
    conference_info, evfw, group_data, is_composing, msginfo, policies, reginfo, resource_lists,
};
pub use msrp::msrp_stream;
pub use msrp_program::{msrp_program, msrp_splice};
pub use multipart::multipart;
pub use pf_program::pf_program;
pub use sdp::sdp;
pub use sdp_program::sdp_program;
pub use sip::{sip_message, sip_stream};
pub use sip_edit::sip_edit;
pub use sip_header::sip_header;
pub use sip_uri::sip_uri;
pub use ua_program::ua_program;
pub use ua_restore::ua_restore;

/// Cuts `data` into pieces of 1 to 9 octets, now and then more; where, is derived from the octets themselves.
fn cut(data: &[u8]) -> Vec<&[u8]> {
    let mut state = data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut pieces = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let wish = if state >> 60 == 0 { 200 } else { (state >> 33) as usize % 9 + 1 };
        let (piece, more) = rest.split_at(wish.min(rest.len()));
        pieces.push(piece);
        rest = more;
    }
    pieces
}

/// The three ways in which a stream reader gets the same octets.
fn partitions(data: &[u8]) -> [Vec<&[u8]>; 3] {
    [vec![data], data.chunks(1).collect(), cut(data)]
}
