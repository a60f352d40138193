//! The members that live without std: said in their lib.rs and proved on a target that has none.

use std::path::Path;
use std::process::Command;

use crate::check::Outcome;
use crate::graph::Graph;
use crate::lexer::{Kind, lex};
use crate::policy::{BARE_TARGET, NO_STD};

/// Lines of the compiler that are shown.
const MOST_ERRORS: usize = 20;

pub fn check(graph: &Graph, root: &Path) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    let mut present = Vec::new();
    for (_, package) in graph.members().filter(|(_, package)| NO_STD.contains(&package.name.as_str())) {
        present.push(package.name.as_str());
        let lib = package.manifest.with_file_name("src").join("lib.rs");
        let source = std::fs::read_to_string(&lib).map_err(|e| format!("{}: {e}", lib.display()))?;
        if !says_no_std(&source) {
            outcome.faults.push(format!("{}: src/lib.rs does not say #![no_std]", package.name));
        }
    }
    outcome.summary = format!("{} members say so, ", present.len());
    if !has_target() && !add_target() {
        outcome.summary.push_str("not proved here");
        outcome.notes.push(format!("the target {BARE_TARGET} is not installed and cannot be added"));
        return Ok(outcome);
    }
    match build(&present, root) {
        Ok(()) => outcome.summary.push_str(&format!("and all build for {BARE_TARGET}")),
        Err(why) => {
            outcome.summary.push_str(&format!("not all build for {BARE_TARGET}"));
            let errors: Vec<&str> = why.lines().filter(|line| line.contains("error")).collect();
            outcome.faults.extend(errors.iter().take(MOST_ERRORS).map(|line| (*line).to_owned()));
            if errors.len() > MOST_ERRORS {
                outcome.faults.push(format!("... and {} more", errors.len() - MOST_ERRORS));
            }
        }
    }
    Ok(outcome)
}

/// Whether the crate's attributes hold `no_std` without a condition.
fn says_no_std(source: &str) -> bool {
    let code: Vec<Kind> =
        lex(source).into_iter().map(|t| t.kind).filter(|kind| !matches!(kind, Kind::Comment(_))).collect();
    let wanted = [
        Kind::Punct('#'),
        Kind::Punct('!'),
        Kind::Punct('['),
        Kind::Word("no_std".to_owned()),
        Kind::Punct(']'),
    ];
    code.windows(wanted.len()).any(|window| window == wanted)
}

fn has_target() -> bool {
    let asked = Command::new("rustc").args(["--print", "target-libdir", "--target", BARE_TARGET]).output();
    asked.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

fn add_target() -> bool {
    Command::new("rustup")
        .args(["target", "add", BARE_TARGET])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// The compiler's errors, when there are some.
fn build(packages: &[&str], root: &Path) -> Result<(), String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args([
        "check",
        "--quiet",
        "--keep-going",
        "--message-format",
        "short",
        "--lib",
        "--target",
        BARE_TARGET,
    ]);
    for package in packages {
        cargo.args(["-p", package]);
    }
    let output = cargo.output().map_err(|e| format!("cargo check: {e}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_std_is_an_attribute_of_the_whole_crate() {
        assert!(says_no_std("//! Docs.\n#![no_std]\nextern crate alloc;"));
        for source in
            ["// #![no_std]", "#![cfg_attr(not(test), no_std)]", "const A: &str = \"#![no_std]\";", ""]
        {
            assert!(!says_no_std(source), "{source}");
        }
    }
}
