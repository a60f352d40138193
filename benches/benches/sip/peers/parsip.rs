use super::{Case, making, why};
use crate::INVITE;
use std::hint::black_box;

pub fn parse() -> Case {
    making("parsip 0.1 (head only, no classes)", || {
        let mut fields = [parsip::EMPTY_HEADER; 64];
        let mut request = parsip::Request::new(&mut fields);
        match request.parse(black_box(INVITE)) {
            parsip::IResult::Done(..) => Ok(black_box(request).headers.len()),
            other => Err(why(other)),
        }
    })
}
