use super::*;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Every state and input of an outgoing leg.
#[test]
fn matrix_of_an_outgoing_leg() {
    use {Leg as S, LegInput as I};
    let mut rows = Vec::new();
    for state in [S::Calling, S::Answered, S::Up, S::Leaving, S::Gone] {
        let row = [I::Progress, I::Answer, I::Failure, I::Over, I::Accept, I::Drop].map(|input| {
            let mut leg = state;
            let effect = leg.step(input);
            format!("{input:?}: {leg:?} {effect:?}")
        });
        rows.push(format!("{state:?} | {}", row.join(" | ")));
    }
    let expected = "\
Calling | Progress: Calling Tell | Answer: Answered Tell | Failure: Gone Tell | Over: Calling None | Accept: Calling Refuse | Drop: Leaving Cancel
Answered | Progress: Answered None | Answer: Answered None | Failure: Answered None | Over: Gone Tell | Accept: Up Ack | Drop: Leaving Bye
Up | Progress: Up None | Answer: Up None | Failure: Up None | Over: Gone Tell | Accept: Up Refuse | Drop: Leaving Bye
Leaving | Progress: Leaving None | Answer: Leaving None | Failure: Gone Tell | Over: Gone Tell | Accept: Leaving Refuse | Drop: Leaving Refuse
Gone | Progress: Gone None | Answer: Gone None | Failure: Gone None | Over: Gone None | Accept: Gone Refuse | Drop: Gone Refuse";
    assert_eq!(rows, expected.lines().collect::<Vec<_>>());
}

/// Every state and input of the incoming leg.
#[test]
fn matrix_of_the_incoming_leg() {
    use {Upstream as S, UpstreamInput as I};
    let inputs =
        [I::Cancelled, I::Expired, I::Acknowledged, I::Over, I::Progress, I::Accept, I::Refuse, I::Drop];
    let mut rows: Vec<String> = Vec::new();
    for state in [S::Ringing, S::Accepted, S::Up, S::Leaving, S::Gone] {
        let row = inputs.map(|input| {
            let mut upstream = state;
            let effect = upstream.step(input);
            format!("{input:?}: {upstream:?} {effect:?}")
        });
        rows.push(format!("{state:?} | {}", row.join(" | ")));
    }
    let expected = "\
Ringing | Cancelled: Gone EndLegs | Expired: Gone EndLegs | Acknowledged: Ringing None | Over: Ringing None | Progress: Ringing Respond | Accept: Accepted Respond | Refuse: Gone Respond | Drop: Gone TurnAway
Accepted | Cancelled: Gone EndLegs | Expired: Gone EndLegs | Acknowledged: Up Tell | Over: Gone Tell | Progress: Accepted Refuse | Accept: Accepted Refuse | Refuse: Accepted Refuse | Drop: Leaving Bye
Up | Cancelled: Up None | Expired: Up None | Acknowledged: Up Tell | Over: Gone Tell | Progress: Up Refuse | Accept: Up Refuse | Refuse: Up Refuse | Drop: Leaving Bye
Leaving | Cancelled: Leaving None | Expired: Leaving None | Acknowledged: Leaving None | Over: Gone Tell | Progress: Leaving Refuse | Accept: Leaving Refuse | Refuse: Leaving Refuse | Drop: Leaving Refuse
Gone | Cancelled: Gone None | Expired: Gone None | Acknowledged: Gone None | Over: Gone None | Progress: Gone Refuse | Accept: Gone Refuse | Refuse: Gone Refuse | Drop: Gone Refuse";
    assert_eq!(rows, expected.lines().collect::<Vec<_>>());
}
