//! The rules of the workspace as tables. docs/architecture.md tells the reasons.

/// Packages and what each may name among the members as a normal or build dependency.
/// The order is that of the map: arrows only go to an earlier line.
pub const MEMBERS: &[(&str, &[&str])] = &[
    ("cpm-base", &[]),
    ("cpm-auth", &["cpm-base"]),
    ("cpm-mime", &["cpm-base"]),
    ("cpm-sip", &["cpm-base", "cpm-auth"]),
    ("cpm-sdp", &["cpm-base"]),
    ("cpm-cpim", &["cpm-base", "cpm-mime"]),
    ("cpm-xml", &["cpm-base"]),
    ("cpm-msrp", &["cpm-base", "cpm-auth"]),
    ("cpm-ua", &["cpm-base", "cpm-sip", "cpm-mime", "cpm-auth"]),
    ("cpm-core", BELOW_CORE),
    ("cpm-client", BELOW_FUNCTIONS),
    ("cpm-participating", BELOW_FUNCTIONS),
    ("cpm-controlling", BELOW_FUNCTIONS),
    ("cpm-sim", BELOW_SIM),
    ("cpm-host", BELOW_HOST),
    ("xtask", &[]),
    ("cpm-tests", EVERYTHING),
    ("cpm-benches", EVERYTHING),
];

const BELOW_CORE: &[&str] =
    &["cpm-base", "cpm-auth", "cpm-mime", "cpm-sip", "cpm-sdp", "cpm-cpim", "cpm-xml", "cpm-msrp", "cpm-ua"];
const BELOW_FUNCTIONS: &[&str] = &[
    "cpm-base", "cpm-auth", "cpm-mime", "cpm-sip", "cpm-sdp", "cpm-cpim", "cpm-xml", "cpm-msrp", "cpm-ua",
    "cpm-core",
];
const BELOW_SIM: &[&str] = &[
    "cpm-base",
    "cpm-auth",
    "cpm-mime",
    "cpm-sip",
    "cpm-sdp",
    "cpm-cpim",
    "cpm-xml",
    "cpm-msrp",
    "cpm-ua",
    "cpm-core",
    "cpm-client",
    "cpm-participating",
    "cpm-controlling",
];
const BELOW_HOST: &[&str] = &[
    "cpm-base",
    "cpm-auth",
    "cpm-mime",
    "cpm-sip",
    "cpm-sdp",
    "cpm-cpim",
    "cpm-xml",
    "cpm-msrp",
    "cpm-ua",
    "cpm-core",
    "cpm-client",
    "cpm-participating",
    "cpm-controlling",
    "cpm-sim",
];
const EVERYTHING: &[&str] = &[
    "cpm-base",
    "cpm-auth",
    "cpm-mime",
    "cpm-sip",
    "cpm-sdp",
    "cpm-cpim",
    "cpm-xml",
    "cpm-msrp",
    "cpm-ua",
    "cpm-core",
    "cpm-client",
    "cpm-participating",
    "cpm-controlling",
    "cpm-sim",
    "cpm-host",
];

/// The one member that may hold a runtime and sockets; nobody else reaches them but through it.
pub const HOST: &str = "cpm-host";

/// Members that may touch the world (files, processes, clocks): everybody else is sans-IO.
pub const NOT_SANS_IO: &[&str] = &[HOST, "cpm-sim", "xtask", "cpm-tests", "cpm-benches"];

/// Members that are `#![no_std]` with alloc, dependencies included.
pub const NO_STD: &[&str] =
    &["cpm-base", "cpm-auth", "cpm-mime", "cpm-sip", "cpm-sdp", "cpm-cpim", "cpm-msrp", "cpm-ua"];

/// A target without std.
pub const BARE_TARGET: &str = "x86_64-unknown-none";

/// Runtimes, executors, sockets and clients of them. The same names are banned in deny.toml.
pub const RUNTIMES: &[&str] = &[
    "actix-rt",
    "async-executor",
    "async-global-executor",
    "async-io",
    "async-net",
    "async-std",
    "compio",
    "curl",
    "embassy-executor",
    "futures-executor",
    "glommio",
    "h2",
    "hyper",
    "io-uring",
    "mio",
    "monoio",
    "polling",
    "quinn",
    "reqwest",
    "smol",
    "socket2",
    "tokio",
    "tokio-uring",
    "ureq",
];

/// What asks the system for randomness; sans-IO members take a seed.
pub const ENTROPY: &[&str] = &["fastrand", "getrandom", "rand"];

/// SPDX names of acceptable licences. The same list stands in deny.toml.
pub const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Lines outside of tests above which a file is listed.
pub const LONG_FILE: usize = 650;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree;
    use std::collections::BTreeSet;

    /// The quoted strings in deny.toml between `from` and the line that closes its list; the first per line or all.
    fn listed(from: &str, one_per_line: bool) -> BTreeSet<String> {
        let text = tree::read(&tree::root(), "deny.toml").unwrap();
        let (_, rest) = text.split_once(from).unwrap();
        let (list, _) = rest.split_once("\n]").unwrap();
        let strings = |line: &str| {
            let quoted: Vec<String> = line.split('"').skip(1).step_by(2).map(str::to_owned).collect();
            quoted.into_iter().take(if one_per_line { 1 } else { usize::MAX }).collect::<Vec<_>>()
        };
        list.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(strings).collect()
    }

    fn own(list: &[&str]) -> BTreeSet<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn deny_toml_says_the_same() {
        assert_eq!(listed("\nallow = [", false), own(LICENCES));
        assert_eq!(listed("\ndeny = [", true), own(RUNTIMES));
    }

    #[test]
    fn arrows_only_go_to_an_earlier_member() {
        for (at, (name, allowed)) in MEMBERS.iter().enumerate() {
            for other in *allowed {
                assert!(MEMBERS[..at].iter().any(|(earlier, _)| earlier == other), "{name} -> {other}");
            }
        }
    }

    #[test]
    fn the_three_functions_never_see_one_another() {
        let functions = ["cpm-client", "cpm-participating", "cpm-controlling"];
        for (name, allowed) in MEMBERS.iter().filter(|(name, _)| functions.contains(name)) {
            assert!(!allowed.iter().any(|other| functions.contains(other)), "{name}");
        }
    }

    #[test]
    fn every_name_in_a_rule_is_a_member() {
        for name in NO_STD.iter().chain(NOT_SANS_IO) {
            assert!(MEMBERS.iter().any(|(member, _)| member == name), "{name}");
        }
    }
}
