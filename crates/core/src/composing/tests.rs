use super::*;

fn at(seconds: u64) -> Instant {
    Instant::ZERO.plus(Duration::from_secs(seconds))
}

fn active(seconds: u32) -> Option<IsComposing> {
    Some(IsComposing::active(None, Some(seconds)))
}

/// RFC 3994, Figure 1.
#[test]
fn active_is_said_at_once_and_again_after_each_interval() {
    let mut composer = Composer::new(Pace::default());
    assert_eq!(composer.next_timeout(), None);
    assert_eq!(composer.input(at(0)), active(60));
    for second in 1..60 {
        assert_eq!(composer.input(at(second)), None, "{second}");
        assert_eq!(composer.handle_timeout(at(second)), None);
    }
    assert_eq!(composer.next_timeout(), Some(at(60)));
    assert_eq!(composer.handle_timeout(at(60)), active(60));
    assert_eq!(composer.next_timeout(), Some(at(74)));
}

#[test]
fn silence_is_idle_once() {
    let mut composer = Composer::new(Pace::default());
    composer.input(at(0));
    assert_eq!(composer.next_timeout(), Some(at(15)));
    assert_eq!(composer.handle_timeout(at(14)), None);
    assert_eq!(composer.handle_timeout(at(15)), Some(IsComposing::idle()));
    assert_eq!((composer.handle_timeout(at(99)), composer.next_timeout()), (None, None));
    // Not more than one in an interval: whoever goes on waits for it.
    assert_eq!(composer.input(at(50)), None);
    assert_eq!(composer.next_timeout(), Some(at(60)));
    assert_eq!(composer.handle_timeout(at(60)), active(60));
    // And whoever stops before was never told active again: nothing is to be taken back.
    let mut composer = Composer::new(Pace::default());
    composer.input(at(0));
    composer.handle_timeout(at(15));
    composer.input(at(16));
    assert_eq!(composer.handle_timeout(at(31)), None);
    assert_eq!(composer.next_timeout(), None);
}

#[test]
fn a_message_says_it_all() {
    let mut composer = Composer::new(Pace::default());
    composer.input(at(0));
    composer.content_sent();
    assert_eq!((composer.next_timeout(), composer.handle_timeout(at(20))), (None, None));
    assert_eq!(composer.input(at(21)), active(60));
    assert_eq!(composer.cleared(), Some(IsComposing::idle()));
    assert_eq!(composer.cleared(), None);
}

#[test]
fn without_an_interval_active_is_said_once() {
    let mut composer = Composer::new(Pace { refresh: None, ..Pace::default() });
    assert_eq!(composer.input(at(0)), Some(IsComposing::active(None, None)));
    for second in 1..300 {
        assert_eq!(composer.input(at(second)), None);
        assert_eq!(composer.handle_timeout(at(second)), None);
    }
    assert_eq!(composer.cleared(), Some(IsComposing::idle()));
    assert_eq!(composer.input(at(300)), Some(IsComposing::active(None, None)));
}

/// TS 5.5-p5, and a peer's 415: nothing more to this peer.
#[test]
fn what_is_switched_off_stays_off() {
    let mut composer = Composer::new(Pace::default());
    composer.input(at(0));
    composer.switch_off();
    assert!(composer.is_off());
    assert_eq!((composer.input(at(100)), composer.cleared(), composer.next_timeout()), (None, None, None));
    composer.content_sent();
    assert_eq!(composer.input(at(200)), None);
}

/// RFC 3994, Figure 2.
#[test]
fn a_peer_is_active_until_it_says_otherwise() {
    let mut watcher = Watcher::new(10);
    let saying = |refresh| IsComposing::active(None, refresh);
    assert!(watcher.heard(at(0), "a", &saying(Some(60))));
    assert!(!watcher.heard(at(30), "a", &saying(Some(60))));
    assert_eq!((watcher.is_active("a"), watcher.next_timeout()), (true, Some(at(90))));
    assert!(watcher.heard(at(31), "a", &IsComposing::idle()));
    assert!(!watcher.heard(at(31), "a", &IsComposing::idle()));
    watcher.heard(at(40), "a", &saying(None));
    watcher.heard(at(40), "b", &saying(Some(10)));
    assert!(watcher.handle_timeout(at(49)).is_empty());
    assert_eq!(watcher.handle_timeout(at(50)), ["b"]);
    assert_eq!(watcher.next_timeout(), Some(at(160)));
    assert!(watcher.content_received("a"));
    assert_eq!((watcher.content_received("a"), watcher.next_timeout()), (false, None));
}

/// Threat A20: a peer's number of seconds is bounded; and so is the number of peers.
#[test]
fn what_peers_say_is_bounded() {
    let mut watcher = Watcher::new(1);
    watcher.heard(at(0), "a", &IsComposing::active(None, Some(u32::MAX)));
    assert_eq!(watcher.next_timeout(), Some(at(3_600)));
    assert!(!watcher.heard(at(0), "b", &IsComposing::active(None, None)));
    assert!(!watcher.is_active("b"));
    let mut slow = Composer::new(Pace { refresh: Some(Duration::MAX), idle: Duration::MAX });
    assert_eq!(slow.input(at(1)), active(u32::MAX));
    assert_eq!(slow.handle_timeout(at(1_000)), None);
}
