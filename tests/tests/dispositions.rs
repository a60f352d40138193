//! Notifications through both Participating Functions: each thing once, over restarts, and told on behalf of who is not there.

use cpm_client::{Disposition, NewMessage};
use cpm_participating::{ParticipatingConfig, ParticipatingFunction};
use cpm_sim::{Handle, Link};
use cpm_sip::Uri;
use cpm_tests::scene::{Scene, uri};

fn hello() -> NewMessage {
    NewMessage::text(uri("sip:bob@home.test"), "Hello Bob").with_reports()
}

fn counted(scene: &Scene, pf: Handle<ParticipatingFunction>, name: &str) -> u64 {
    scene.world.function(pf).expect("it runs").metrics().get(name)
}

/// The second device's notifications stop at the first function that sees them.
#[test]
fn what_a_second_device_tells_goes_no_further() {
    let mut scene = Scene::registered(11, Link::perfect());
    let sent = scene.send(hello());
    scene.run();
    assert_eq!(counted(&scene, scene.pf_b, "pf.disposition_told_before"), 1, "{}", scene.ladder());
    assert_eq!(counted(&scene, scene.pf_a, "pf.disposition_told_before"), 0);
    for device in [0, 1] {
        scene.read(device);
        scene.run();
    }
    assert_eq!(counted(&scene, scene.pf_b, "pf.disposition_told_before"), 2);
    assert_eq!(scene.heard(&sent).dispositions, [Disposition::Delivered, Disposition::Displayed]);
}

/// What a function that comes after would find.
fn standing(scene: &Scene, pf: Handle<ParticipatingFunction>) -> Vec<cpm_core::Record> {
    cpm_core::standing(scene.world.stored(pf).iter().map(|stored| stored.record.clone()))
}

fn restart(scene: &mut Scene, pf: Handle<ParticipatingFunction>, name: &str) {
    let records = standing(scene, pf);
    scene.world.crash(pf);
    let Uri::Sip(address) = uri(&format!("sip:{name}.home.test")) else { panic!("a SIP URI") };
    let config = ParticipatingConfig::new(address);
    let seed = scene.world.fork_seed();
    let node = ParticipatingFunction::restored(config, seed, records).expect("a good configuration");
    scene.world.restart(pf, node);
}

/// Both functions are lost between a delivery notification and its double, and between the message and its reading.
#[test]
fn functions_that_come_after_know_what_was_told_and_who_is_there() {
    for (seed, link) in [(21, Link::perfect()), (22, Link::rough(0.1)), (23, Link::rough(0.2))] {
        let mut scene = Scene::registered(seed, link);
        let sent = scene.send(hello());
        scene.run();
        assert_eq!(scene.read(0), 1);
        scene.run();
        let (pf_a, pf_b) = (scene.pf_a, scene.pf_b);
        restart(&mut scene, pf_b, "pf-b");
        restart(&mut scene, pf_a, "pf-a");
        scene.run();
        let bob = uri("sip:bob@home.test");
        let now = scene.world.now();
        let known = scene.world.function(pf_b).expect("it runs").devices_of(now, &bob).len();
        assert_eq!(known, 2, "{}", scene.ladder());
        assert_eq!(scene.read(1), 1, "the other device tells it again");
        scene.run();
        assert_eq!(counted(&scene, pf_b, "pf.disposition_told_before"), 1, "{}", scene.ladder());
        assert_eq!(scene.heard(&sent).dispositions, [Disposition::Delivered, Disposition::Displayed]);
        // And messages go on.
        scene.send(hello());
        scene.run();
        assert_eq!(scene.bob.map(|device| scene.shown(device).len()), [2, 2], "{}", scene.ladder());
        assert!(scene.world.busy().is_empty(), "{:?}", scene.world.busy());
    }
}

/// Nobody is there: besides the answer there is a notification, when it was asked for.
#[test]
fn a_failure_is_told_by_notification() {
    let mut scene = Scene::registered(31, Link::perfect());
    for device in scene.bob {
        scene.command(device, |client, now, ports| client.deregister(now, ports)).unwrap();
    }
    scene.run();
    let mut message = hello();
    message.reports.negative_delivery = true;
    let sent = scene.send(message);
    scene.run();
    assert_eq!(counted(&scene, scene.pf_b, "pf.disposition_on_behalf"), 1, "{}", scene.ladder());
    assert_eq!(scene.heard(&sent).failed, 1);
    assert_eq!(counted(&scene, scene.pf_a, "pf.decided.disposition"), 1, "it is for Alice, by her function");
    assert!(scene.world.busy().is_empty(), "{:?}", scene.world.busy());
    let owed = |record: &cpm_core::Record| matches!(record, cpm_core::Record::State(state) if state.key.starts_with("pf/owed/"));
    assert!(!standing(&scene, scene.pf_b).iter().any(owed), "it was taken");
}
