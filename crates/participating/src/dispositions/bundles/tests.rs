#![allow(clippy::arithmetic_side_effects)]

use super::*;
use crate::dispositions::notifications_of;
use crate::facts::Facts;
use crate::tests::aggregation::tells_from;
use cpm_base::DateTime;
use cpm_sip::{Message, parse_datagram};

fn work(id: WorkId, about: &str) -> Work {
    let octets = tells_from("1", "alice", about, &["delivered"]);
    let Ok(Message::Request(request)) = parse_datagram(octets.into(), &cpm_sip::Limits::default()) else {
        panic!("a request")
    };
    let facts = Facts::read(&request).unwrap();
    let stage = crate::work::Stage::Terminating(crate::terminating::Stage::Preferences);
    Work { id, request, facts, stage }
}

fn held(id: WorkId, about: &str) -> Held {
    let work = work(id, about);
    Held::of(&work, &notifications_of(&work.request, &work.facts)).expect("it can be held")
}

/// Each order of two MESSAGEs that come and are stored, or not: what is left holds exactly what was stored, is due once
/// nothing is being stored any more, and leaves nothing behind.
#[test]
fn what_was_not_stored_is_not_in_it() {
    let ids = crate::tests::request_ids(2);
    let now = Now::new(Instant::from_micros(1_000_000), DateTime::UNIX_EPOCH);
    let room =
        Room { window: Duration::from_secs(10), octets: 65_536, life: Duration::from_secs(60), most: 4 };
    for kept in [[true, true], [true, false], [false, true], [false, false]] {
        for order in [[0, 1], [1, 0]] {
            let mut bundles = Bundles::default();
            for (n, id) in ids.iter().enumerate() {
                let name = || format!("name{n}");
                assert!(bundles.add(now, room, *id, held(*id, &format!("m{n}")), name).is_some());
            }
            let late = now.plus(Duration::from_secs(11));
            for n in order {
                bundles.release(late);
                assert_eq!(
                    (bundles.sending.len(), bundles.next_timeout()),
                    (0, None),
                    "it waits for the store"
                );
                match kept[n] {
                    true => bundles.stored(1, ids[n]),
                    false => drop(bundles.not_stored(now, 1, ids[n])),
                }
            }
            bundles.release(late);
            let expected: Vec<String> = (0..2).filter(|n| kept[*n]).map(|n| format!("m{n}")).collect();
            assert_eq!(bundles.sizes(), [0, 0, 0, usize::from(!expected.is_empty())]);
            let sent = bundles.sending.due(late.mono).map(|(name, request)| {
                assert_eq!(name, "pf/bundle/name0");
                let facts = cpim_of(&request).unwrap().unwrap();
                let limits = (cpm_mime::Limits::DEFAULT, cpm_xml::Limits::default());
                let read =
                    cpm_core::disposition::notifications(facts.content(), &limits.0, &limits.1).unwrap();
                read.into_iter().map(|one| one.unwrap().message_id).collect()
            });
            assert_eq!(sent.unwrap_or_else(Vec::new), expected, "{kept:?} {order:?}");
        }
    }
}
