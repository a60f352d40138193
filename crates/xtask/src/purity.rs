//! No runtime and no socket outside of the host; no entropy in the sans-IO members.

use crate::check::Outcome;
use crate::graph::Graph;
use crate::policy::{ENTROPY, HOST, NOT_SANS_IO, RUNTIMES};

pub fn check(graph: &Graph) -> Outcome {
    let mut outcome = Outcome::default();
    let mut looked_at = 0;
    for (index, package) in graph.members().filter(|(_, package)| package.name != HOST) {
        looked_at += 1;
        // What is reached through the host is the host's; development dependencies count.
        let all = graph.closure(index, true, |name| name == HOST);
        for found in all.keys().filter(|i| RUNTIMES.contains(&graph.name(**i))) {
            outcome.faults.push(format!("runtime or sockets outside of {HOST}: {}", graph.way(&all, *found)));
        }
        if !NOT_SANS_IO.contains(&package.name.as_str()) {
            let shipped = graph.closure(index, false, |_| false);
            for found in shipped.keys().filter(|i| ENTROPY.contains(&graph.name(**i))) {
                outcome.faults.push(format!("entropy in a sans-IO member: {}", graph.way(&shipped, *found)));
            }
        }
    }
    outcome.summary = format!("dependencies of {looked_at} members");
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::EdgeKind::{Dev, Normal};
    use crate::graph::example::graph;

    #[test]
    fn the_host_may_hold_a_runtime_and_tests_may_reach_it_through_the_host() {
        let good = graph(&[
            ("tokio", &[("mio", Normal)]),
            ("mio", &[]),
            ("cpm-host", &[("tokio", Normal)]),
            ("cpm-tests", &[("cpm-host", Normal)]),
        ]);
        assert_eq!(check(&good).faults, Vec::<String>::new());
    }

    #[test]
    fn a_runtime_anywhere_else_is_told_with_the_way_to_it() {
        let rows: &[(&str, &[(&str, crate::graph::EdgeKind)])] = &[
            ("mio", &[]),
            ("helper", &[("mio", Normal)]),
            ("cpm-base", &[("helper", Normal)]),
            ("cpm-ua", &[("cpm-base", Dev)]),
            ("cpm-tests", &[("helper", Dev)]),
        ];
        assert_eq!(
            check(&graph(rows)).faults,
            [
                "runtime or sockets outside of cpm-host: cpm-base -> helper -> mio",
                "runtime or sockets outside of cpm-host: cpm-ua -> cpm-base -> helper -> mio",
                "runtime or sockets outside of cpm-host: cpm-tests -> helper -> mio",
            ]
        );
    }

    #[test]
    fn entropy_is_for_tests_alone() {
        let shipped = graph(&[("getrandom", &[]), ("cpm-base", &[("getrandom", Normal)])]);
        assert_eq!(check(&shipped).faults, ["entropy in a sans-IO member: cpm-base -> getrandom"]);
        let tests = graph(&[("getrandom", &[]), ("cpm-base", &[("getrandom", Dev)])]);
        assert_eq!(check(&tests).faults, Vec::<String>::new());
        let sim = graph(&[("getrandom", &[]), ("cpm-sim", &[("getrandom", Normal)])]);
        assert_eq!(check(&sim).faults, Vec::<String>::new());
    }
}
