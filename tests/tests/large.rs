//! A 100 KB message: INVITE, MSRP, BYE.

use bytes::Bytes;
use cpm_client::{Disposition, NewMessage};
use cpm_mime::ContentType;
use cpm_sim::Link;
use cpm_tests::scene::{Family, Scene, uri};

fn picture(octets: usize) -> NewMessage {
    // Every octet value, line ends and what looks like MSRP's end-line among them.
    let mut content: Vec<u8> = (0..octets).map(|n| u8::try_from(n % 251).unwrap_or(0)).collect();
    content.splice(..0, b"\r\n-------abcd$\r\n".iter().copied());
    content.truncate(octets);
    let content_type = ContentType::parse("image/png").unwrap();
    NewMessage::new(uri("sip:bob@home.test"), content_type, Bytes::from(content)).with_reports()
}

#[test]
fn one_device_gets_it_whole() {
    let mut scene = Scene::registered(1, Link::perfect());
    let message = picture(100 * 1024);
    let sent = scene.send(message.clone());
    assert!(sent.large);
    scene.run();
    let shown: Vec<_> = scene.bob.iter().flat_map(|device| scene.shown(*device)).collect();
    assert_eq!(shown.len(), 1, "{}", scene.ladder());
    assert_eq!(shown[0].content, message.content);
    assert_eq!(shown[0].content_type, "image/png");
    assert!(shown[0].large);
    assert_eq!(shown[0].conversation.as_ref(), Some(&sent.conversation));
    let heard = scene.heard(&sent);
    assert_eq!((heard.sent, heard.failed), (1, 0), "{}", scene.ladder());
    assert_eq!(heard.dispositions, [Disposition::Delivered]);
    assert_eq!(scene.read(0) + scene.read(1), 1);
    scene.run();
    assert_eq!(scene.heard(&sent).dispositions, [Disposition::Delivered, Disposition::Displayed]);
    assert!(scene.world.busy().is_empty(), "{:?}", scene.world.busy());
}

#[test]
fn a_store_that_fails_is_no_delivery() {
    let mut scene = Scene::registered(2, Link::perfect());
    for device in scene.bob {
        scene.world.fail_stores(device, &[cpm_core::StoreError::Failed]);
    }
    let sent = scene.send(picture(5000));
    scene.run();
    let heard = scene.heard(&sent);
    assert_eq!((heard.sent, heard.failed), (0, 1), "{}", scene.ladder());
    assert_eq!(heard.dispositions, []);
    assert!(scene.world.busy().is_empty(), "{:?}", scene.world.busy());
}

#[test]
fn it_works_over_ipv6() {
    let mut scene = Scene::registered_on(3, Link::rough(0.1), Family::V6);
    let sent = scene.send(picture(100 * 1024));
    scene.run();
    let shown: usize = scene.bob.iter().map(|device| scene.shown(*device).len()).sum();
    assert_eq!((shown, scene.heard(&sent).sent), (1, 1), "{}", scene.ladder());
}
