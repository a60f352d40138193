//! What every member's manifest says.

use crate::check::Outcome;
use crate::graph::{Graph, Package};
use crate::policy::NOT_SANS_IO;

pub fn check(graph: &Graph) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    for (_, package) in graph.members() {
        let manifest = std::fs::read_to_string(&package.manifest)
            .map_err(|e| format!("{}: {e}", package.manifest.display()))?;
        for fault in faults(package, &manifest) {
            outcome.faults.push(format!("{}: {fault}", package.name));
        }
    }
    outcome.summary = format!("{} members", graph.members().count());
    Ok(outcome)
}

/// No dependency may need a newer compiler than the members promise.
pub fn check_rust_version(graph: &Graph) -> Outcome {
    let mut outcome = Outcome::default();
    let promised = graph.members().filter_map(|(_, package)| package.rust_version).min();
    let Some(promised) = promised else {
        outcome.faults.push("no member names a rust-version".to_owned());
        return outcome;
    };
    let text = |(major, minor): (u64, u64)| format!("{major}.{minor}");
    for package in &graph.packages {
        match package.rust_version {
            Some(needed) if package.member && needed != promised => {
                outcome.faults.push(format!(
                    "{} says {}, others {}",
                    package.name,
                    text(needed),
                    text(promised)
                ));
            }
            Some(needed) if needed > promised => outcome.faults.push(format!(
                "{} {} needs Rust {}, {} is promised",
                package.name,
                package.version,
                text(needed),
                text(promised)
            )),
            _ => {}
        }
    }
    outcome.summary = format!("{} for {} packages", text(promised), graph.packages.len());
    outcome
}

fn faults(package: &Package, manifest: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if package.description.as_deref().unwrap_or_default().trim().is_empty() {
        faults.push("no description".to_owned());
    }
    if package.licence.as_deref() != Some("MIT OR Apache-2.0") {
        faults.push("the licence is not `MIT OR Apache-2.0`".to_owned());
    }
    if package.edition != "2024" {
        faults.push(format!("edition {} instead of 2024", package.edition));
    }
    if package.rust_version.is_none() {
        faults.push("no rust-version".to_owned());
    }
    let inherits = section(manifest, "lints").contains(&"workspace=true".to_owned());
    let forbids_unsafe = section(manifest, "lints.rust").contains(&"unsafe_code=\"forbid\"".to_owned());
    let sans_io = !NOT_SANS_IO.contains(&package.name.as_str());
    if sans_io && !inherits {
        faults.push("a sans-IO member inherits the workspace's lints: `[lints] workspace = true`".to_owned());
    }
    if !sans_io && !inherits && !forbids_unsafe {
        faults.push("`[lints.rust] unsafe_code = \"forbid\"` is missing".to_owned());
    }
    faults
}

/// The lines of one table of a manifest, without blanks and comments.
fn section(manifest: &str, name: &str) -> Vec<String> {
    let header = format!("[{name}]");
    manifest
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().replace([' ', '\t'], ""))
        .skip_while(|line| *line != header)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str) -> Package {
        Package {
            name: name.to_owned(),
            member: true,
            licence: Some("MIT OR Apache-2.0".to_owned()),
            description: Some("what it is for".to_owned()),
            edition: "2024".to_owned(),
            rust_version: Some((1, 89)),
            ..Package::default()
        }
    }

    const INHERITS: &str = "[package]\nname = \"x\"\n\n[lints]\nworkspace = true # all\n\n[dependencies]\n";
    const OWN: &str = "[lints.rust]\nunsafe_code = \"forbid\"\n";

    #[test]
    fn lints_are_inherited_where_there_is_no_io() {
        assert_eq!(faults(&package("cpm-sip"), INHERITS), Vec::<String>::new());
        assert_eq!(faults(&package("cpm-sip"), OWN).len(), 1);
        assert_eq!(faults(&package("cpm-sip"), "[lints]\n[dependencies]\nworkspace = true\n").len(), 1);
        assert_eq!(faults(&package("cpm-host"), OWN), Vec::<String>::new());
        assert_eq!(faults(&package("cpm-host"), INHERITS), Vec::<String>::new());
        assert_eq!(faults(&package("cpm-host"), "[package]\n").len(), 1);
    }

    #[test]
    fn every_missing_field_is_told() {
        let empty = Package { name: "cpm-sip".to_owned(), ..Package::default() };
        assert_eq!(faults(&empty, INHERITS).len(), 4);
    }

    #[test]
    fn a_dependency_may_not_need_a_newer_compiler() {
        let mut graph = Graph { packages: vec![package("cpm-sip"), package("other")] };
        graph.packages[1].member = false;
        assert_eq!(check_rust_version(&graph).faults, Vec::<String>::new());
        graph.packages[1].rust_version = Some((1, 90));
        graph.packages[1].version = "2.0.0".to_owned();
        assert_eq!(check_rust_version(&graph).faults, ["other 2.0.0 needs Rust 1.90, 1.89 is promised"]);
    }
}
