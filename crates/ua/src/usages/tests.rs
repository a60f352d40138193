//! The matrices of the usages: every state with every event, illegal pairs included.
#![allow(clippy::arithmetic_side_effects)]

use alloc::format;
use alloc::string::String;

/// One line per pair that changes something or is refused: `state event -> next effect`.
macro_rules! matrix {
    ($module:ident, [$($state:ident)*], [$($event:ident)*]) => {{
        use super::$module::{Effect, Event, State, step};
        let mut text = String::new();
        for state in [$(State::$state),*] {
            for event in [$(Event::$event),*] {
                let (next, effect) = step(state, event);
                if (next, effect) != (state, Effect::Nothing) {
                    text += &format!("{state:?} {event:?} -> {next:?} {effect:?}\n");
                }
            }
        }
        text
    }};
}

/// Pairs that are not in the table change nothing: a registration and a publication (which alone may be `Forgotten`).
#[test]
fn registration_and_publication_matrix() {
    let text = matrix!(
        soft_state,
        [Absent Creating Standing Refreshing Waiting Removing],
        [Put Remove Granted GrantedNothing TooBrief Forgotten Refused FailedForNow Due FlowLost]
    );
    assert_eq!(
        text,
        "\
Absent Put -> Creating Send
Absent Remove -> Removing SendRemoval
Creating Put -> Creating Busy
Creating Remove -> Creating Busy
Creating Granted -> Standing Stands
Creating GrantedNothing -> Waiting FailsForNow
Creating TooBrief -> Creating SendLonger
Creating Forgotten -> Absent FailsForGood
Creating Refused -> Absent FailsForGood
Creating FailedForNow -> Waiting FailsForNow
Standing Put -> Refreshing Send
Standing Remove -> Removing SendRemoval
Standing Due -> Refreshing Send
Standing FlowLost -> Refreshing Send
Refreshing Put -> Refreshing Busy
Refreshing Remove -> Refreshing Busy
Refreshing Granted -> Standing Stands
Refreshing GrantedNothing -> Waiting FailsForNow
Refreshing TooBrief -> Refreshing SendLonger
Refreshing Forgotten -> Creating SendAnew
Refreshing Refused -> Absent FailsForGood
Refreshing FailedForNow -> Waiting FailsForNow
Waiting Put -> Creating Send
Waiting Remove -> Removing SendRemoval
Waiting Due -> Creating Send
Removing Put -> Removing Busy
Removing Remove -> Removing Busy
Removing Granted -> Absent Over
Removing GrantedNothing -> Absent Over
Removing TooBrief -> Absent FailsForGood
Removing Forgotten -> Absent Over
Removing Refused -> Absent FailsForGood
Removing FailedForNow -> Absent FailsForGood
"
    );
}

/// RFC 6665 figure 1.
#[test]
fn subscriber_matrix() {
    let text = matrix!(
        subscriber,
        [NotifyWait Pending Active Leaving Terminated],
        [
            Refresh Leave Due Expired TimerN Accepted TooBrief Gone FailedForNow NotifyPending NotifyActive
            NotifyTerminated DialogLost
        ]
    );
    assert_eq!(text, include_str!("subscriber_matrix.txt"));
}

/// RFC 6665 figure 3.
#[test]
fn notifier_matrix() {
    let text = matrix!(
        notifier,
        [Pending Active Ending Terminated],
        [
            Authorise Notify Terminate Refreshed Unsubscribed Expired Delivered Gone FinalAnswered DialogLost
        ]
    );
    assert_eq!(text, include_str!("notifier_matrix.txt"));
}
