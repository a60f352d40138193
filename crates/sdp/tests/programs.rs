//! Offer and answer as random programs, by the check of the fuzz target.

#[path = "../../../fuzz/src/checks/sdp_program.rs"]
#[allow(
    unreachable_pub,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod sdp_program;

use proptest::prelude::*;

proptest! {
    #[test]
    fn whatever_two_sides_do_they_see_the_same(steps in proptest::collection::vec((any::<bool>(), 0u8..16, any::<u8>()), 0..40)) {
        let octets: Vec<u8> = steps.into_iter().flat_map(|(who, what, with)| [u8::from(who) << 7 | what, with]).collect();
        sdp_program::sdp_program(&octets);
    }
}

#[test]
#[allow(clippy::disallowed_methods)]
fn seeds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/sdp_program");
    let files = std::fs::read_dir(folder).expect("the seeds");
    for file in files {
        sdp_program::sdp_program(&std::fs::read(file.expect("a seed").path()).expect("a seed"));
    }
}
