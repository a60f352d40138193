//! `cargo xtask check`: runs every check and prints one line for each.

use crate::graph::Graph;
use crate::{licences, manifests, members, no_std, purity, sources, tree};

/// What one check found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What was looked at, in a few words.
    pub summary: String,
    /// Each of these fails the check.
    pub faults: Vec<String>,
    /// Worth knowing, no failure.
    pub notes: Vec<String>,
}

pub fn run() -> Result<bool, String> {
    let root = tree::root();
    let graph = Graph::read(&root)?;
    let outcomes = [
        ("member dependencies", members::check(&graph)),
        ("licences", licences::check(&graph)),
        ("runtimes and entropy", purity::check(&graph)),
        ("rust version", manifests::check_rust_version(&graph)),
        ("manifests and lints", manifests::check(&graph)?),
        ("sources", sources::check(&root)?),
        ("no_std", no_std::check(&graph, &root)?),
    ];
    let mut failed = 0;
    for (name, outcome) in &outcomes {
        let verdict = if outcome.faults.is_empty() { "ok    " } else { "FAIL  " };
        failed += usize::from(!outcome.faults.is_empty());
        println!("{verdict} {name}: {}", outcome.summary);
        for fault in &outcome.faults {
            println!("         {fault}");
        }
        for note in &outcome.notes {
            println!("         note: {note}");
        }
    }
    println!("check: {} passed, {failed} failed", outcomes.len() - failed);
    Ok(failed == 0)
}
