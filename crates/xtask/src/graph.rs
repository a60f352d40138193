//! What `cargo metadata` says, reduced to what the checks ask.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// The member whose development dependencies are peers to be measured against.
const PEERS_OF: &str = "cpm-benches";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EdgeKind {
    Normal,
    Build,
    Dev,
}

#[derive(Debug, Clone, Default)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub member: bool,
    /// Whether it comes from crates.io; members and other folders do not.
    pub from_registry: bool,
    pub licence: Option<String>,
    pub description: Option<String>,
    pub edition: String,
    /// Major and minor, as far as the package says.
    pub rust_version: Option<(u64, u64)>,
    pub manifest: PathBuf,
    /// Index of the package, and why it is needed.
    pub needs: Vec<(usize, EdgeKind)>,
}

#[derive(Debug, Clone, Default)]
pub struct Graph {
    pub packages: Vec<Package>,
}

impl Graph {
    pub fn read(root: &Path) -> Result<Graph, String> {
        let metadata =
            MetadataCommand::new().current_dir(root).exec().map_err(|e| format!("cargo metadata: {e}"))?;
        let resolve = metadata.resolve.as_ref().ok_or("cargo metadata: no resolved dependencies")?;
        let index: BTreeMap<_, _> =
            metadata.packages.iter().enumerate().map(|(i, p)| (p.id.clone(), i)).collect();
        let mut packages: Vec<Package> = metadata
            .packages
            .iter()
            .map(|p| Package {
                name: p.name.to_string(),
                version: p.version.to_string(),
                member: metadata.workspace_members.contains(&p.id),
                from_registry: p.source.as_ref().is_some_and(|s| s.is_crates_io()),
                licence: p.license.clone(),
                description: p.description.clone(),
                edition: p.edition.to_string(),
                rust_version: p.rust_version.as_ref().map(|v| (v.major, v.minor)),
                manifest: p.manifest_path.clone().into(),
                needs: Vec::new(),
            })
            .collect();
        for node in &resolve.nodes {
            let Some(package) = index.get(&node.id).and_then(|i| packages.get_mut(*i)) else { continue };
            for dep in &node.deps {
                let Some(target) = index.get(&dep.pkg) else { continue };
                for kind in &dep.dep_kinds {
                    package.needs.push((*target, edge_kind(kind.kind)));
                }
            }
            package.needs.sort_unstable();
            package.needs.dedup();
        }
        Ok(Graph { packages }.without_peers(PEERS_OF))
    }

    /// The graph without the development dependencies of one package and what nobody else needs: the peers that a
    /// benchmark compares with are never shipped, so that no rule asks for their licences or runtimes.
    fn without_peers(mut self, measuring: &str) -> Graph {
        for package in self.packages.iter_mut().filter(|package| package.name == measuring) {
            package.needs.retain(|(_, kind)| *kind != EdgeKind::Dev);
        }
        let members: Vec<usize> = self.members().map(|(at, _)| at).collect();
        let mut kept = BTreeMap::new();
        for member in members {
            kept.extend(self.closure(member, true, |_| false));
        }
        let place = |old: usize| kept.keys().position(|at| *at == old);
        let packages = kept.keys().filter_map(|at| self.packages.get(*at)).map(|package| {
            let needs = package.needs.iter().filter_map(|(to, kind)| Some((place(*to)?, *kind))).collect();
            Package { needs, ..package.clone() }
        });
        Graph { packages: packages.collect() }
    }

    pub fn members(&self) -> impl Iterator<Item = (usize, &Package)> {
        self.packages.iter().enumerate().filter(|(_, package)| package.member)
    }

    pub fn name(&self, index: usize) -> &str {
        self.packages.get(index).map_or("?", |package| package.name.as_str())
    }

    fn needs(&self, index: usize) -> &[(usize, EdgeKind)] {
        self.packages.get(index).map_or(&[], |package| package.needs.as_slice())
    }

    /// Everything that `start` needs, itself included, each with the package that asked for it.
    /// Development dependencies count for `start` alone and when `dev` says so; packages that `stop` names are not entered.
    pub fn closure(&self, start: usize, dev: bool, stop: impl Fn(&str) -> bool) -> BTreeMap<usize, usize> {
        let mut asked_by = BTreeMap::from([(start, start)]);
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            for (next, kind) in self.needs(at) {
                let counts = *kind != EdgeKind::Dev || dev && at == start;
                if counts && !asked_by.contains_key(next) && !stop(self.name(*next)) {
                    asked_by.insert(*next, at);
                    open.push(*next);
                }
            }
        }
        asked_by
    }

    /// `a -> b -> c`, from the start of a closure to `end`.
    pub fn way(&self, asked_by: &BTreeMap<usize, usize>, end: usize) -> String {
        let mut names = vec![self.name(end)];
        let mut at = end;
        while let Some(before) = asked_by.get(&at).filter(|before| **before != at) {
            names.push(self.name(*before));
            at = *before;
        }
        names.reverse();
        names.join(" -> ")
    }
}

fn edge_kind(kind: DependencyKind) -> EdgeKind {
    match kind {
        DependencyKind::Development => EdgeKind::Dev,
        DependencyKind::Build => EdgeKind::Build,
        _ => EdgeKind::Normal,
    }
}

#[cfg(test)]
pub mod example {
    use super::*;

    /// A graph from `("a", [("b", EdgeKind::Normal)])` rows; names that start with `cpm-` or are `xtask` are members.
    pub fn graph(rows: &[(&str, &[(&str, EdgeKind)])]) -> Graph {
        let find = |wanted: &str| rows.iter().position(|(name, _)| *name == wanted).expect(wanted);
        let packages = rows
            .iter()
            .map(|(name, needs)| Package {
                name: (*name).to_owned(),
                member: name.starts_with("cpm-") || *name == "xtask",
                needs: needs.iter().map(|(other, kind)| (find(other), *kind)).collect(),
                ..Package::default()
            })
            .collect();
        Graph { packages }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_left_out_and_shared_packages_stay() {
        let graph = example::graph(&[
            ("peer", &[("shared", EdgeKind::Normal), ("runtime", EdgeKind::Normal)]),
            ("runtime", &[]),
            ("shared", &[]),
            ("cpm-benches", &[("cpm-a", EdgeKind::Normal), ("peer", EdgeKind::Dev)]),
            ("cpm-a", &[("shared", EdgeKind::Normal), ("tester", EdgeKind::Dev)]),
            ("tester", &[]),
        ]);
        let left = graph.without_peers("cpm-benches");
        let names: Vec<&str> = left.packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["shared", "cpm-benches", "cpm-a", "tester"]);
        assert_eq!(left.packages[1].needs, [(2, EdgeKind::Normal)]);
        assert_eq!(left.packages[2].needs, [(0, EdgeKind::Normal), (3, EdgeKind::Dev)]);
    }
}
