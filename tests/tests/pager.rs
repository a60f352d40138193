//! A pager-mode message from Alice to Bob's two devices, its delivery notification and its read report.

use cpm_client::{Disposition, NewMessage};
use cpm_sim::Link;
use cpm_tests::scene::{Family, Scene, uri};

fn hello() -> NewMessage {
    NewMessage::text(uri("sip:bob@home.test"), "Hello Bob").with_reports()
}

#[test]
fn both_devices_show_it_and_one_report_of_each_kind_comes_back() {
    let mut scene = Scene::registered(1, Link::perfect());
    let sent = scene.send(hello());
    assert!(!sent.large);
    scene.run();
    for device in scene.bob {
        let shown = scene.shown(device);
        assert_eq!(shown.len(), 1, "{}", scene.ladder());
        assert_eq!(shown[0].content, "Hello Bob");
        assert_eq!(shown[0].from, Some(uri("sip:alice@home.test")));
        assert_eq!(shown[0].conversation.as_ref(), Some(&sent.conversation));
        assert_eq!(shown[0].contribution.as_ref(), Some(&sent.contribution));
        assert!(shown[0].display_requested);
    }
    let heard = scene.heard(&sent);
    assert_eq!((heard.sent, heard.failed), (1, 0), "{}", scene.ladder());
    assert_eq!(heard.dispositions, [Disposition::Delivered], "{}", scene.ladder());

    assert_eq!(scene.read(0), 1);
    scene.run();
    assert_eq!(scene.read(1), 1, "the other device may report as well");
    scene.run();
    assert_eq!(scene.heard(&sent).dispositions, [Disposition::Delivered, Disposition::Displayed]);
    assert!(scene.world.busy().is_empty(), "{:?}", scene.world.busy());
}

#[test]
fn what_is_acknowledged_is_kept() {
    let mut scene = Scene::registered(2, Link::perfect());
    scene.world.fail_stores(scene.bob[0], &[cpm_core::StoreError::Full]);
    let sent = scene.send(hello());
    scene.run();
    // The device that could not keep it does not show it; the other one answered for both.
    assert_eq!((scene.shown(scene.bob[0]).len(), scene.shown(scene.bob[1]).len()), (0, 1));
    assert_eq!(
        (scene.kept(scene.bob[0], &sent.message_id), scene.kept(scene.bob[1], &sent.message_id)),
        (0, 1)
    );
    assert_eq!(scene.heard(&sent).sent, 1);
}

#[test]
fn nobody_registered_is_480() {
    let mut scene = Scene::registered(3, Link::perfect());
    for device in scene.bob {
        scene.command(device, |client, now, ports| client.deregister(now, ports)).unwrap();
    }
    scene.run();
    let sent = scene.send(hello());
    scene.run();
    let failed = scene.told(scene.alice).into_iter().find_map(|event| match event {
        cpm_client::ClientEvent::SendFailed { id, why } if id == sent.id => Some(why),
        _ => None,
    });
    let Some(cpm_client::Failure::Rejected { status, .. }) = failed else {
        panic!("{failed:?}\n{}", scene.ladder())
    };
    assert_eq!(status.as_u16(), 480);
}

#[test]
fn a_reply_stays_in_the_conversation() {
    let mut scene = Scene::registered(4, Link::perfect());
    let sent = scene.send(hello());
    scene.run();
    let bob = scene.bob[1];
    let reply = NewMessage::reply(&scene.shown(bob)[0], "Hello Alice").unwrap();
    scene.command(bob, |client, now, ports| client.send_message(now, ports, reply)).unwrap();
    scene.run();
    let shown = scene.shown(scene.alice);
    assert_eq!(shown.len(), 1, "{}", scene.ladder());
    assert_eq!(shown[0].conversation.as_ref(), Some(&sent.conversation));
    assert_eq!(shown[0].in_reply_to.as_ref(), Some(&sent.contribution));
    assert_eq!(shown[0].content, "Hello Alice");
}

#[test]
fn an_anonymous_sender_is_not_known() {
    let mut scene = Scene::registered(5, Link::perfect());
    let mut message = hello();
    message.anonymous = true;
    scene.send(message);
    scene.run();
    for device in scene.bob {
        let shown = scene.shown(device);
        assert_eq!((shown.len(), shown[0].from.clone(), shown[0].display_requested), (1, None, false));
    }
}

#[test]
fn it_works_over_ipv6() {
    let mut scene = Scene::registered_on(6, Link::rough(0.1), Family::V6);
    let sent = scene.send(hello());
    scene.run();
    assert_eq!(scene.bob.map(|device| scene.shown(device).len()), [1, 1], "{}", scene.ladder());
    assert_eq!(scene.heard(&sent).dispositions, [Disposition::Delivered]);
}
