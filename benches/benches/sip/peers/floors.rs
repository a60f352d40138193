//! What cannot be beaten: passes over the same octets that understand nothing.

use super::{Case, making, why, writing};
use crate::INVITE;
use std::hint::black_box;

/// Finds every line end of the head, keeps nothing, and copies the message once.
pub fn memchr() -> Case {
    making("floor: memchr over lines + memcpy", || {
        let mut kept = [0u8; 4096];
        let head = head();
        let mut lines = 0usize;
        for end in memchr::memchr_iter(b'\n', head) {
            lines += black_box(end) & 1;
        }
        let copy = kept.get_mut(..INVITE.len()).ok_or_else(|| String::from("too long"))?;
        copy.copy_from_slice(black_box(INVITE));
        black_box(&kept);
        Ok::<_, String>(lines)
    })
}

/// Splits the header block into names and values, as HTTP has them.
pub fn httparse() -> Case {
    making("floor: httparse on the header block", || {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let block = black_box(head());
        let block = block.iter().position(|o| *o == b'\n').map_or(block, |at| &block[at + 1..]);
        match httparse::parse_headers(block, &mut fields).map_err(why)? {
            httparse::Status::Complete((_, fields)) => Ok(black_box(fields).len()),
            httparse::Status::Partial => Err(String::from("incomplete")),
        }
    })
}

fn head() -> &'static [u8] {
    &INVITE[..INVITE.len() - 481]
}

/// One copy into fresh memory.
pub fn copy() -> Case {
    writing("floor: memcpy into a fresh Vec", || Ok(black_box(black_box(INVITE).to_vec()).len()))
}
