//! Repository chores, started as `cargo xtask <command>`.
//!
//! * `check` holds the workspace to its rules: who depends on whom, licences, purity, `no_std`, manifests, sources.
//! * `req` traces the requirements of docs/requirements.tsv through the marks in code and tests.

mod check;
mod graph;
mod lexer;
mod licences;
mod manifests;
mod marks;
mod members;
mod no_std;
mod policy;
mod purity;
mod req;
mod sources;
mod tree;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask check          hold the workspace to its rules:
                             member dependencies, licences, runtime and entropy crates, MSRV,
                             no_std, manifests and lints, source files
cargo xtask req            requirement coverage by role and area; fails on unknown ids, on marks in
                             ignored tests, on a SHALL with a code mark and no test mark, and when
                             docs/coverage.tsv is out of date
cargo xtask req --bless    the same, and writes docs/coverage.tsv
cargo xtask req --open X   the requirements of role, area or section X that are not implemented or
                             not proved
cargo xtask req --sections X,Y
                           how many SHALL and SHALL NOT of each section are proved, excluded with a
                             reason (docs/excluded.tsv) or open, and which are open
cargo xtask help           this text

A requirement mark is a comment of its own that begins with `req:` and lists ids of
docs/requirements.tsv, separated by commas. It counts as proof inside a #[test] function or directly
above it, in a #[cfg(test)] module, under tests/, and in files named tests.rs or *_tests.rs.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["check"] => check::run(),
        ["req"] => req::run(req::Mode::Compare),
        ["req", "--bless"] => req::run(req::Mode::Bless),
        ["req", "--open", wanted] => req::run(req::Mode::Open((*wanted).to_owned())),
        ["req", "--sections", wanted] => {
            req::run(req::Mode::Sections(wanted.split(',').map(str::to_owned).collect()))
        }
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        other => {
            eprintln!("xtask: unknown command `{}`\n\n{HELP}", other.join(" "));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::from(2)
        }
    }
}
