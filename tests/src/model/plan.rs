//! A world as plain data: who there is, what they have and wish, and what they send.

use crate::dice::Dice;

/// How much goes wrong in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Nothing: everything must be exactly as the model says.
    None,
    /// Datagrams are lost, doubled and overtake each other; queries take long; in wide worlds senders are away for a while.
    Network,
    /// Besides: partitions, stores that fail, replies that are lost or doubled, crashes with a restart.
    Everything,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub trouble: Trouble,
    pub users: Vec<UserPlan>,
    pub functions: Vec<FunctionPlan>,
    /// What the interworking function answers, where there is one.
    pub isf: IsfPlan,
    /// There are short lives, functions that speak for their users' devices, and what is [aimed](super::aimed).
    pub wide: bool,
}

#[derive(Debug, Clone)]
pub struct UserPlan {
    pub name: &'static str,
    /// Which Participating Function serves the user.
    pub function: usize,
    pub devices: Vec<DevicePlan>,
    /// The Primary Device (TS 6.6), where there is one.
    pub primary: Option<usize>,
    /// Users whose standalone messages are not wanted.
    pub blacklist: Vec<usize>,
    pub rules: Vec<RulePlan>,
}

#[derive(Debug, Clone)]
pub struct DevicePlan {
    /// Whether it registers the feature of pager messages.
    pub pager: bool,
    pub delivery_reports: bool,
    pub display_reports: bool,
    /// Its active profile.
    pub profile: Option<&'static str>,
}

/// A rule of a user's access policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RulePlan {
    pub about: About,
    /// It names `<standalone-message>`.
    pub standalone: bool,
    /// It holds for devices with this active profile only.
    pub profile: Option<&'static str>,
    pub wish: WishPlan,
}

/// Whom a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    Everybody,
    User(usize),
    AllBut(usize),
    Anonymous,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WishPlan {
    Reject,
    DoNotDisturb,
    Interwork,
    DeliverAndInterwork,
    Store,
    Forward(usize),
    Defer,
    OfflineStorage,
}

/// When a Participating Function records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordPlan {
    Never,
    Wish,
    Always,
}

#[derive(Debug, Clone)]
pub struct FunctionPlan {
    pub anonymity_originating: bool,
    pub anonymity_terminating: bool,
    pub recording: RecordPlan,
    /// It delivers when it cannot learn what a user wants.
    pub without_preferences: bool,
    /// It knows the way to the interworking function.
    pub isf: bool,
    /// Its users' devices make no delivery notifications about what they get; it does (TS 8.2.5).
    pub on_behalf: bool,
    /// What does not go to the Primary Device of a user goes to the interworking function (TS 8.3.1.1-9.ii).
    pub to_primary: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsfPlan {
    Delivers,
    Unavailable,
}

/// A message as its sender made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagePlan {
    pub from: (usize, usize),
    /// A user, or [`NOBODY`].
    pub to: usize,
    pub text: String,
    pub delivery: bool,
    pub display: bool,
    /// It wants to hear that it was not delivered (`negative-delivery`).
    pub failure: bool,
    pub anonymous: bool,
    pub expires: Option<u32>,
    /// The message, by number, that it replies to.
    pub reply_to: Option<usize>,
}

/// Somebody whom the core does not know.
pub const NOBODY: usize = usize::MAX;

/// What the functions can do so far: worlds hold nothing else.
pub const PREFERENCES: bool = true;
/// On the terminating side.
pub const INTERWORKING: bool = true;
/// On the terminating side.
pub const RECORDING: bool = true;
pub const POLICIES: bool = true;
pub const SEEN: bool = true;
pub const RESTARTS: bool = true;
pub const FUNCTION_RESTARTS: bool = true;

const NAMES: [&str; 3] = ["alice", "bob", "carol"];
const PROFILES: [Option<&str>; 4] = [None, None, Some("work"), Some("home")];

impl Plan {
    /// The world of a seed.
    pub fn random(dice: &mut Dice, wide: bool) -> Plan {
        let trouble = dice.pick(&[Trouble::None, Trouble::None, Trouble::Network, Trouble::Everything]);
        let count = dice.pick(&[2, 2, 3]);
        let functions: Vec<_> = (0..dice.pick(&[1, 2, 2])).map(|_| FunctionPlan::random(dice)).collect();
        let users = (0..count).map(|user| UserPlan::random(dice, user, count, functions.len())).collect();
        let isf = dice.pick(&[IsfPlan::Delivers, IsfPlan::Delivers, IsfPlan::Unavailable]);
        let mut plan = Plan { trouble, users, functions, isf, wide };
        plan.no_chains();
        if wide {
            plan.speak_for_devices(dice);
            if dice.one_in(4) {
                plan.store_instead(dice);
            }
        }
        plan
    }

    fn speak_for_devices(&mut self, dice: &mut Dice) {
        for function in &mut self.functions {
            function.on_behalf = dice.one_in(2);
        }
        for user in self.users.iter_mut().filter(|user| self.functions[user.function].on_behalf) {
            user.devices.iter_mut().for_each(|device| device.delivery_reports = false);
        }
    }

    /// What wide worlds have besides.
    pub fn draw_besides(&mut self, dice: &mut Dice) {
        for function in &mut self.functions {
            function.to_primary = dice.one_in(4);
        }
        for user in &mut self.users {
            let primary = dice.pick(&[None, Some(0), Some(0), Some(1)]);
            user.primary = primary.filter(|device| *device < user.devices.len());
        }
    }

    /// Who is forwarded to forwards to nobody, so that nothing goes round in circles.
    fn no_chains(&mut self) {
        let forwards = |user: &UserPlan| {
            user.rules.iter().find_map(|rule| match rule.wish {
                WishPlan::Forward(to) => Some(to),
                _ => None,
            })
        };
        let targets: Vec<_> = self.users.iter().filter_map(forwards).collect();
        for (number, user) in self.users.iter_mut().enumerate() {
            if targets.contains(&number) {
                user.rules.retain(|rule| !matches!(rule.wish, WishPlan::Forward(_)));
            }
        }
    }

    /// A user wants everything stored, and nothing else.
    fn store_instead(&mut self, dice: &mut Dice) {
        let user = dice.index(self.users.len());
        let (about, wish) = (About::Everybody, WishPlan::Store);
        self.users[user].rules = vec![RulePlan { about, standalone: true, profile: None, wish }];
    }

    pub fn device(&self, (user, device): (usize, usize)) -> &DevicePlan {
        &self.users[user].devices[device]
    }

    pub fn devices(&self) -> impl Iterator<Item = (usize, usize)> {
        let all = self.users.iter().enumerate();
        all.flat_map(|(user, plan)| (0..plan.devices.len()).map(move |device| (user, device)))
    }

    /// The address of a user.
    pub fn address(&self, user: usize) -> String {
        format!("sip:{}@home.test", self.users.get(user).map_or("nobody", |user| user.name))
    }

    /// The same world as far as those can tell who do not learn what some users want: of each user it is asked apart, so that
    /// it may be known of any of them. This world is the first.
    pub fn without_preferences(&self) -> Vec<Plan> {
        let unknown = |users: usize| {
            let mut plan = self.clone();
            for (_, user) in
                plan.users.iter_mut().enumerate().filter(|(number, _)| (users >> number) & 1 == 1)
            {
                user.rules.clear();
                user.blacklist.clear();
            }
            plan
        };
        (0..1 << self.users.len()).map(unknown).collect()
    }

    pub fn function_of(&self, user: usize) -> &FunctionPlan {
        &self.functions[self.users[user].function]
    }
}

impl UserPlan {
    fn random(dice: &mut Dice, user: usize, users: usize, functions: usize) -> UserPlan {
        let devices = (0..dice.pick(&[1, 1, 2, 2, 3])).map(|_| DevicePlan::random(dice)).collect();
        let others: Vec<usize> = (0..users).filter(|other| *other != user).collect();
        let (mut blacklist, mut rules) = (Vec::new(), Vec::new());
        if dice.one_in(2) {
            if PREFERENCES && dice.one_in(6) {
                blacklist.push(dice.pick(&others));
            }
            // What a user wants done is one thing: the order of steps that add up is not what is asked here.
            let main = WishPlan::random(dice, &others);
            for _ in 0..dice.below(4) {
                rules.push(RulePlan::random(dice, &others, main));
            }
        }
        let (name, function) = (NAMES[user], dice.index(functions));
        UserPlan { name, function, devices, primary: None, blacklist, rules }
    }
}

impl DevicePlan {
    fn random(dice: &mut Dice) -> DevicePlan {
        DevicePlan {
            pager: !dice.one_in(8),
            delivery_reports: !dice.one_in(6),
            display_reports: !dice.one_in(6),
            profile: dice.pick(&PROFILES).filter(|_| PREFERENCES),
        }
    }
}

impl RulePlan {
    fn random(dice: &mut Dice, others: &[usize], main: WishPlan) -> RulePlan {
        use WishPlan::*;
        let about = match dice.below(6) {
            0..=2 => About::Everybody,
            3 => About::User(dice.pick(others)),
            4 => About::AllBut(dice.pick(others)),
            _ => About::Anonymous,
        };
        if PREFERENCES && dice.one_in(5) {
            let profile = dice.pick(&PROFILES[2..]);
            return RulePlan { about, standalone: dice.one_in(2), profile, wish: Reject };
        }
        let offline = OfflineStorage;
        let all = [main, main, main, main, Reject, DoNotDisturb, offline, offline, offline];
        let wish = if PREFERENCES { dice.pick(&all) } else { offline };
        let standalone = wish != OfflineStorage && !dice.one_in(8);
        RulePlan { about, standalone, profile: None, wish }
    }
}

impl WishPlan {
    fn random(dice: &mut Dice, others: &[usize]) -> WishPlan {
        use WishPlan::*;
        let to = Forward(dice.pick(others));
        match dice.pick(&[Interwork, DeliverAndInterwork, DeliverAndInterwork, Store, to, to, Defer]) {
            Interwork | DeliverAndInterwork if !INTERWORKING => Reject,
            Store if !RECORDING => Defer,
            wish => wish,
        }
    }
}

impl FunctionPlan {
    fn random(dice: &mut Dice) -> FunctionPlan {
        FunctionPlan {
            anonymity_originating: !dice.one_in(6),
            anonymity_terminating: !POLICIES || !dice.one_in(6),
            recording: dice.pick(&[
                RecordPlan::Never,
                RecordPlan::Wish,
                RecordPlan::Wish,
                RecordPlan::Always,
            ]),
            without_preferences: dice.one_in(2),
            isf: !dice.one_in(3),
            on_behalf: false,
            to_primary: false,
        }
    }
}
