//! What a Participating Function knows of its user's devices, by the subscription to the user's registration.

use cpm_participating::ParticipatingFunction;
use cpm_sim::{Link, World};
use cpm_sip::Uri;
use cpm_tests::scene::{Scene, Told, uri};
use std::time::Duration;

fn known(world: &World<Told>, scene_pf: cpm_sim::Handle<ParticipatingFunction>, user: &Uri) -> usize {
    let function = world.function::<ParticipatingFunction>(scene_pf).expect("it runs");
    function.devices_of(world.now(), user).len()
}

fn sent(scene: &Scene, what: &str) -> usize {
    scene.ladder().lines().filter(|line| line.contains(what)).count()
}

#[test]
fn devices_come_and_go_by_notify() {
    for (seed, link) in [(1, Link::perfect()), (2, Link::rough(0.1)), (3, Link::rough(0.2))] {
        let mut scene = Scene::registered(seed, link);
        let bob = uri("sip:bob@home.test");
        assert_eq!(known(&scene.world, scene.pf_b, &bob), 2, "{}", scene.ladder());
        assert!(sent(&scene, "SUBSCRIBE") >= 2 && sent(&scene, "NOTIFY") >= 2, "{}", scene.ladder());
        let gone = scene.bob[0];
        scene.command(gone, |client, now, ports| client.deregister(now, ports)).unwrap();
        scene.run();
        assert_eq!(known(&scene.world, scene.pf_b, &bob), 1, "{}", scene.ladder());
        // The last one goes: the subscription ends.
        let last = scene.bob[1];
        scene.command(last, |client, now, ports| client.deregister(now, ports)).unwrap();
        scene.run();
        assert_eq!(known(&scene.world, scene.pf_b, &bob), 0);
        assert!(scene.world.busy().is_empty(), "{:?}", scene.world.busy());
        // And begins anew with the next registration.
        scene.command(last, |client, now, ports| client.register(now, ports)).unwrap();
        scene.run();
        assert_eq!(known(&scene.world, scene.pf_b, &bob), 1, "{}", scene.ladder());
        scene.world.run_for(Duration::from_secs(120)).unwrap();
        assert!(scene.world.busy().is_empty(), "{:?}", scene.world.busy());
    }
}
