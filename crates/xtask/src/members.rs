//! Which member may depend on which.

use std::collections::BTreeSet;

use crate::check::Outcome;
use crate::graph::{EdgeKind, Graph};
use crate::policy::MEMBERS;

pub fn check(graph: &Graph) -> Outcome {
    let mut outcome = Outcome::default();
    let mut arrows = 0;
    for (_, package) in graph.members() {
        let Some((name, allowed)) = MEMBERS.iter().find(|(name, _)| *name == package.name) else {
            outcome.faults.push(format!("{} is not in the table of members", package.name));
            continue;
        };
        for (target, kind) in &package.needs {
            let is_member = graph.packages.get(*target).is_some_and(|p| p.member);
            let target = graph.name(*target);
            if !is_member || *kind == EdgeKind::Dev {
                continue;
            }
            arrows += 1;
            if !allowed.contains(&target) {
                outcome.faults.push(format!("{name} may not depend on {target}"));
            }
        }
    }
    outcome.faults.extend(cycle(graph));
    outcome.summary = format!("{} members, {arrows} arrows", graph.members().count());
    outcome
}

/// Members that need one another in a circle, development dependencies included: take away, again and again,
/// the members that need none of those left; what stays is a circle or leads into one.
fn cycle(graph: &Graph) -> Option<String> {
    let mut left: BTreeSet<usize> = graph.members().map(|(index, _)| index).collect();
    loop {
        let needs_one_of_those_left = |index: &usize| {
            graph.packages.get(*index).is_some_and(|p| p.needs.iter().any(|(n, _)| left.contains(n)))
        };
        let still: BTreeSet<usize> = left.iter().copied().filter(needs_one_of_those_left).collect();
        if still.is_empty() {
            return None;
        }
        if still.len() == left.len() {
            let names: Vec<&str> = still.iter().map(|index| graph.name(*index)).collect();
            return Some(format!(
                "a circle of dependencies (development ones count) among: {}",
                names.join(", ")
            ));
        }
        left = still;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::example::graph;
    use EdgeKind::{Build, Dev, Normal};

    #[test]
    fn an_arrow_to_the_left_is_fine_and_one_to_the_right_is_not() {
        let good = graph(&[("cpm-base", &[]), ("cpm-mime", &[("cpm-base", Normal)])]);
        assert_eq!(check(&good).faults, Vec::<String>::new());
        for kind in [Normal, Build] {
            let bad = graph(&[("cpm-mime", &[]), ("cpm-sdp", &[("cpm-mime", kind)])]);
            assert_eq!(check(&bad).faults, ["cpm-sdp may not depend on cpm-mime"]);
        }
    }

    #[test]
    fn a_dev_arrow_is_free_as_long_as_there_is_no_circle() {
        let free = graph(&[("cpm-mime", &[("cpm-sip", Dev)]), ("cpm-sip", &[])]);
        assert_eq!(check(&free).faults, Vec::<String>::new());
        let circle = graph(&[("cpm-base", &[("cpm-sip", Dev)]), ("cpm-sip", &[("cpm-base", Normal)])]);
        assert_eq!(
            check(&circle).faults,
            ["a circle of dependencies (development ones count) among: cpm-base, cpm-sip"]
        );
        let own = graph(&[("cpm-base", &[("cpm-base", Dev)])]);
        assert_eq!(check(&own).faults.len(), 1);
    }

    #[test]
    fn an_unknown_member_is_a_fault() {
        assert_eq!(check(&graph(&[("cpm-extra", &[])])).faults, ["cpm-extra is not in the table of members"]);
    }
}
