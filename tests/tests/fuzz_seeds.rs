//! Replays the seeds of the fuzz targets: what has to hold for any octets holds for these.

#[path = "../../fuzz/src/checks/mod.rs"]
mod checks;

use std::path::PathBuf;

/// Runs a target over its seeds, over each cut short in many places, and with an octet changed in many places.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("the seeds").map(|entry| entry.expect("a seed").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds no seed", folder.display());
    for file in files {
        let seed = std::fs::read(&file).expect("a seed");
        // Shown when the test fails: the panic itself does not know the file.
        println!("{}", file.display());
        check(&seed);
        // Every place of a short one.
        let near = seed.len().min(1024);
        for end in (0..near).step_by(if near < 200 { 1 } else { 5 }) {
            check(&seed[..end]);
        }
        for at in (0..near).step_by(23) {
            let mut changed = seed.clone();
            changed[at] ^= 0x11;
            check(&changed);
        }
    }
}

#[test]
fn sip_message() {
    replay("sip_message", checks::sip_message);
}

#[test]
fn sip_stream() {
    replay("sip_stream", checks::sip_stream);
}

#[test]
fn cpim() {
    replay("cpim", checks::cpim);
}

#[test]
fn imdn() {
    replay("imdn", checks::imdn);
}

#[test]
fn sdp() {
    replay("sdp", checks::sdp);
}

#[test]
fn sdp_program() {
    replay("sdp_program", checks::sdp_program);
}

#[test]
fn msrp_stream() {
    replay("msrp_stream", checks::msrp_stream);
}

#[test]
fn msrp_program() {
    replay("msrp_program", checks::msrp_program);
}

#[test]
fn msrp_splice() {
    replay("msrp_splice", checks::msrp_splice);
}

#[test]
fn sip_header() {
    replay("sip_header", checks::sip_header);
}

#[test]
fn sip_uri() {
    replay("sip_uri", checks::sip_uri);
}

#[test]
fn sip_edit() {
    replay("sip_edit", checks::sip_edit);
}

#[test]
fn digest() {
    replay("digest", checks::digest);
}

#[test]
fn multipart() {
    replay("multipart", checks::multipart);
}

#[test]
fn ua_program() {
    replay("ua_program", checks::ua_program);
}

#[test]
fn ua_restore() {
    replay("ua_restore", checks::ua_restore);
}

#[test]
fn conference_info() {
    replay("conference_info", checks::conference_info);
}

#[test]
fn evfw() {
    replay("evfw", checks::evfw);
}

#[test]
fn group_data() {
    replay("group_data", checks::group_data);
}

#[test]
fn is_composing() {
    replay("is_composing", checks::is_composing);
}

#[test]
fn msginfo() {
    replay("msginfo", checks::msginfo);
}

#[test]
fn policies() {
    replay("policies", checks::policies);
}

#[test]
fn reginfo() {
    replay("reginfo", checks::reginfo);
}

#[test]
fn resource_lists() {
    replay("resource_lists", checks::resource_lists);
}

#[test]
fn pf_program() {
    replay("pf_program", checks::pf_program);
}

/// Random programs, other ones than the seeds: 150, or `CPM_PROGRAMS` of them from `CPM_FROM` on.
#[test]
fn random_programs_of_a_participating_function() {
    let number = |name: &str, or: u64| std::env::var(name).map_or(or, |text| text.parse().expect(name));
    let (from, count) = (number("CPM_FROM", 0), number("CPM_PROGRAMS", 150));
    for seed in from..from + count {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        };
        let length = 40 + usize::from(next());
        let program: Vec<u8> = (0..length).map(|_| next()).collect();
        // Shown when the test fails.
        println!("program {seed}");
        checks::pf_program(&program);
    }
}
