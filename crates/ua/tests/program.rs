//! Programs of commands and network faults, as the fuzz target `ua_program` runs them, and all interleavings of one call.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

#[path = "../../../fuzz/src/checks/ua_program.rs"]
mod ua_program;

use proptest::prelude::*;
use ua_program::{World, ua_program};

fn from_environment(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(from_environment("CPM_PROGRAMS", 200)))]

    /// Threats C3, C6, C8: late, doubled and reordered messages never reach a wrong dialog; everything ends, once.
    #[test]
    fn any_program_ends_clean(data in proptest::collection::vec(any::<u8>(), 0..160)) {
        ua_program(&data);
    }
}

/// What can happen to one call; each command once, the network as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Cancel,
    Ring,
    Accept,
    Reject,
    Confirm,
    ByeCaller,
    ByeCalled,
    /// Deliver what was sent first, or last, of what is under way.
    First,
    Last,
    /// The next timer.
    Time,
}

const STEPS: [Step; 10] = [
    Step::Cancel,
    Step::Ring,
    Step::Accept,
    Step::Reject,
    Step::Confirm,
    Step::ByeCaller,
    Step::ByeCalled,
    Step::First,
    Step::Last,
    Step::Time,
];

impl Step {
    /// Whether it would do anything: sequences with steps that do nothing are sequences without them.
    fn counts(self, world: &World, before: &[Step]) -> bool {
        let [caller, called] = &world.sides;
        let pending = !called.requests.is_empty();
        match self {
            Step::Cancel => !before.contains(&self) && !caller.invites.is_empty(),
            Step::Ring => !before.contains(&self) && pending,
            Step::Accept | Step::Reject => pending,
            Step::Confirm => !caller.unconfirmed.is_empty(),
            Step::ByeCaller => !before.contains(&self) && !caller.dialogs.is_empty(),
            Step::ByeCalled => !before.contains(&self) && !called.dialogs.is_empty(),
            Step::First => !world.pool.is_empty(),
            Step::Last => world.pool.len() > 1,
            Step::Time => world.sides.iter().any(|side| side.ua.next_timeout().is_some()),
        }
    }

    fn take(self, world: &mut World) {
        match self {
            Step::Cancel => world.cancel(0),
            Step::Ring => world.answer(1, 180, false),
            Step::Accept => world.answer(1, 200, false),
            Step::Reject => world.answer(1, 487, false),
            Step::Confirm => world.confirm(0),
            Step::ByeCaller => world.bye(0, 0),
            Step::ByeCalled => world.bye(1, 0),
            Step::First => world.deliver(0),
            Step::Last => world.deliver(world.pool.len() - 1),
            Step::Time => {
                world.next_deadline();
            }
        }
    }
}

fn after(steps: &[Step]) -> World {
    let mut world = World::new(false);
    world.invite(0, true);
    world.deliver(0);
    for step in steps {
        step.take(&mut world);
    }
    world
}

/// Threat C8: all interleavings of INVITE, CANCEL, 180, 200, 487, ACK, BYE, their timers and the order of arrival, as many
/// steps after the INVITE as `CPM_INTERLEAVINGS` says (5): both sides agree whether there is a call, and end clean.
#[test]
fn every_interleaving_of_a_call_ends_clean() {
    let length = from_environment("CPM_INTERLEAVINGS", 5) as usize;
    let mut begun = vec![Vec::new()];
    let mut count = 0_usize;
    while let Some(steps) = begun.pop() {
        let world = after(&steps);
        let more = if steps.len() < length { STEPS.as_slice() } else { &[] };
        for step in more.iter().filter(|step| step.counts(&world, &steps)) {
            begun.push([steps.as_slice(), &[*step]].concat());
        }
        count += 1;
        ends_clean(world, &steps);
    }
    assert!(count > 1000, "{count}");
}

fn ends_clean(mut world: World, steps: &[Step]) {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        // Everything arrives, and whatever waits for an answer gets one.
        for _ in 0..3 {
            world.settle();
            world.answer(1, 487, false);
            world.answer(0, 200, false);
            world.answer(1, 200, false);
            world.confirm(0);
        }
        world.settle();
        let [caller, called] = &world.sides;
        assert_eq!(caller.dialogs.is_empty(), called.dialogs.is_empty(), "one side believes in a call");
        assert!(caller.heard.get("accepted").unwrap_or(&0) + caller.heard.get("failed").unwrap_or(&0) == 1);
        assert!(called.heard.get("cancelled").unwrap_or(&0) <= &1);
        world.close();
    }));
    assert!(result.is_ok(), "{steps:?}");
}
