//! What the specification wants of a message: who gets it, what its sender hears, what is recorded. TS 8.2.1.1, 8.3.1.1
//! and 8.3.4, step by step, on plain data.

use super::plan::{
    About, IsfPlan, MessagePlan, NOBODY, Plan, RECORDING, RecordPlan, RulePlan, UserPlan, WishPlan,
};
use std::collections::BTreeSet;

/// What becomes of a message when nothing goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// The final response that the sender hears.
    pub answer: Answer,
    /// The devices that show it, each once.
    pub devices: BTreeSet<(usize, usize)>,
    /// It goes to the interworking function.
    pub interworked: bool,
    /// The users whose functions fail to deliver it, and say so on behalf of them where that was asked for (TS 8.2.5-1).
    /// What a function refuses to deliver it says nothing of.
    pub failed: BTreeSet<usize>,
    /// Whose message stores have it: the user, and whether the user sent it.
    pub recorded: BTreeSet<(usize, bool)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Success,
    /// 403, with this Warning text code.
    Forbidden(u16),
    /// 480: nobody is there; it would be deferred.
    Unavailable,
    /// 404: the core knows nobody of this address.
    NotFound,
}

/// Which devices are registered.
pub type Registered = BTreeSet<(usize, usize)>;

const ANONYMITY: u16 = 119;
const FUNCTION: u16 = 122;

impl Fate {
    fn refused(answer: Answer) -> Fate {
        let (devices, failed, recorded) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Fate { answer, devices, interworked: false, failed, recorded }
    }

    /// It would be deferred, which nobody does: it is not delivered.
    fn deferred(recipient: usize) -> Fate {
        Fate::refused(Answer::Unavailable).or_failed(recipient)
    }

    /// Where it is not delivered, the function of this user says so.
    fn or_failed(mut self, user: usize) -> Fate {
        if self.answer != Answer::Success {
            self.failed.insert(user);
        }
        self
    }

    /// What a user sends: TS 8.2.1.1, then the other side.
    pub fn of(plan: &Plan, message: &MessagePlan, registered: &Registered) -> Fate {
        let sender = message.from.0;
        let function = plan.function_of(sender);
        if message.anonymous && !function.anonymity_originating {
            return Fate::refused(Answer::Forbidden(ANONYMITY));
        }
        let mut fate = match message.to {
            // TS 8.2.1.1-8.A.iii: the core's 404 is tried by interworking.
            NOBODY if function.isf => {
                let delivers = plan.isf == IsfPlan::Delivers;
                let answer = if delivers { Answer::Success } else { Answer::Unavailable };
                Fate { interworked: true, ..Fate::refused(answer) }
            }
            NOBODY => Fate::refused(Answer::NotFound),
            to => arrives(plan, message, to, registered),
        };
        // What was delivered: TS 8.2.1.1-9. The user is no stranger to himself, anonymous or not.
        let known = Some(sender);
        if fate.answer == Answer::Success && records(function.recording, &plan.users[sender], known) {
            fate.recorded.insert((sender, true));
        }
        fate
    }
}

/// TS 8.3.1.1 for a CPM Standalone Message.
fn arrives(plan: &Plan, message: &MessagePlan, recipient: usize, registered: &Registered) -> Fate {
    let user = &plan.users[recipient];
    let function = plan.function_of(recipient);
    // Who is anonymous is nobody to the rules.
    let known = (!message.anonymous).then_some(message.from.0);
    // 2.
    if message.anonymous && !function.anonymity_terminating {
        return Fate::refused(Answer::Forbidden(ANONYMITY));
    }
    // 3. The authenticated originator, also of an anonymous message.
    if user.blacklist.contains(&message.from.0) {
        return Fate::refused(Answer::Forbidden(FUNCTION));
    }
    // 4.
    let rules = user.rules.iter().filter(|rule| rule.standalone && rule.profile.is_none());
    let wishes: BTreeSet<WishPlan> =
        rules.filter(|rule| holds(rule, known)).map(|rule| rule.wish).filter(is_of_step_4).collect();
    let wishes_for = |wish| wishes.contains(&wish);
    if wishes_for(WishPlan::Reject) {
        return Fate::refused(Answer::Forbidden(FUNCTION));
    }
    if wishes_for(WishPlan::DoNotDisturb) {
        return Fate::deferred(recipient);
    }
    let deliver_too = wishes_for(WishPlan::DeliverAndInterwork);
    let interwork = deliver_too || wishes_for(WishPlan::Interwork);
    if !interwork {
        if wishes_for(WishPlan::Store) {
            let mut fate = Fate::refused(Answer::Success);
            fate.recorded.insert((recipient, false));
            return fate;
        }
        let forward = wishes.iter().find_map(|wish| match wish {
            WishPlan::Forward(to) => Some(*to),
            _ => None,
        });
        if let Some(to) = forward {
            return arrives(plan, message, to, registered).or_failed(recipient);
        }
        if wishes_for(WishPlan::Defer) {
            return Fate::deferred(recipient);
        }
    }
    // 5. Without a rule in step 4, or with one that interworks.
    let mut recorded = BTreeSet::new();
    if RECORDING && records(function.recording, user, known) {
        recorded.insert((recipient, false));
    }
    // 7, 8.
    let devices: BTreeSet<(usize, usize)> = match interwork && !deliver_too {
        true => BTreeSet::new(),
        false => (0..user.devices.len())
            .filter(|device| registered.contains(&(recipient, *device)))
            .filter(|device| is_suitable(user, *device, known))
            .map(|device| (recipient, device))
            .collect(),
    };
    // 9.ii, 9.iii.
    let gets_primary = user.primary.is_some_and(|device| devices.contains(&(recipient, device)));
    let for_primary = function.to_primary && !gets_primary;
    let interworked = (interwork || for_primary) && function.isf;
    let taken = !devices.is_empty() || (interworked && plan.isf == IsfPlan::Delivers);
    let answer = if taken { Answer::Success } else { Answer::Unavailable };
    Fate { answer, devices, interworked, failed: BTreeSet::new(), recorded }.or_failed(recipient)
}

fn is_of_step_4(wish: &WishPlan) -> bool {
    *wish != WishPlan::OfflineStorage
}

/// TS 8.3.1.1-8.a, 8.b.
fn is_suitable(user: &UserPlan, device: usize, known: Option<usize>) -> bool {
    let device = &user.devices[device];
    let excluded = |rule: &RulePlan| {
        rule.profile.is_some()
            && rule.profile == device.profile
            && rule.wish == WishPlan::Reject
            && holds(rule, known)
    };
    device.pager && !user.rules.iter().any(excluded)
}

/// TS 8.2.1.1-6, 8.3.1.1-5, 8.3.5-p4.
pub fn records(recording: RecordPlan, user: &UserPlan, known: Option<usize>) -> bool {
    match recording {
        RecordPlan::Never => false,
        RecordPlan::Always => true,
        RecordPlan::Wish => {
            let says_so = |rule: &&RulePlan| rule.wish == WishPlan::OfflineStorage;
            user.rules.iter().filter(says_so).any(|rule| holds(rule, known))
        }
    }
}

/// The conditions of a rule other than service, media and profile.
fn holds(rule: &RulePlan, known: Option<usize>) -> bool {
    match rule.about {
        About::Everybody => true,
        About::User(user) => known == Some(user),
        About::AllBut(user) => known.is_some_and(|known| known != user),
        About::Anonymous => known.is_none(),
    }
}

/// Whether a disposition notification of one user reaches the other: TS 8.3.1.1-1 to -3 and -6; preferences do not hold it.
pub fn notification_passes(plan: &Plan, from: usize, to: usize) -> bool {
    !plan.users[to].blacklist.contains(&from)
}
