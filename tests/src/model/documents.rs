//! The documents of a user, written by hand from the plain data: what the functions read is not made by their own writer.

use super::plan::{About, Plan, RulePlan, UserPlan, WishPlan};
use std::fmt::Write;

/// The User Access Policy; empty where the user has no rules.
pub fn access_policy(plan: &Plan, user: &UserPlan) -> String {
    if user.rules.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "<?xml version=\"1.0\"?>\n<ruleset xmlns=\"urn:ietf:params:xml:ns:common-policy\" \
         xmlns:ocp=\"urn:oma:xml:xdm:common-policy\">\n",
    );
    for (number, rule) in user.rules.iter().enumerate() {
        let (conditions, actions) = (conditions(plan, rule), actions(plan, rule.wish));
        let _ = writeln!(
            text,
            " <rule id=\"r{number}\">\n  <conditions>{conditions}</conditions>\n  <actions>{actions}</actions>\n </rule>"
        );
    }
    text + "</ruleset>\n"
}

fn conditions(plan: &Plan, rule: &RulePlan) -> String {
    let id = |user: usize| plan.address(user);
    let mut text = match rule.about {
        About::Everybody => String::new(),
        About::User(user) => format!("<identity><one id=\"{}\"/></identity>", id(user)),
        About::AllBut(user) => {
            format!("<identity><many><except id=\"{}\"/></many></identity>", id(user))
        }
        About::Anonymous => "<ocp:anonymous-request/>".to_owned(),
    };
    text.push_str("<ocp:service-list><ocp:service enabler=\"CPM\"/></ocp:service-list>");
    if rule.standalone {
        text.push_str("<ocp:media-list><ocp:standalone-message/></ocp:media-list>");
    }
    if let Some(profile) = rule.profile {
        let _ = write!(text, "<ocp:upp-list><ocp:upp>{profile}</ocp:upp></ocp:upp-list>");
    }
    text
}

fn actions(plan: &Plan, wish: WishPlan) -> String {
    let element = match wish {
        WishPlan::Reject => "allow-reject-invite",
        WishPlan::DoNotDisturb => "allow-do-not-disturb",
        WishPlan::Interwork => "allow-interwork",
        WishPlan::DeliverAndInterwork => "allow-deliver-and-interwork",
        WishPlan::Store => "allow-store",
        WishPlan::Forward(_) => "allow-forward",
        WishPlan::Defer => "allow-defer",
        WishPlan::OfflineStorage => "allow-offline-storage",
    };
    let mut text = format!("<ocp:{element}>true</ocp:{element}>");
    if let WishPlan::Forward(to) = wish {
        let _ = write!(text, "<ocp:forward-to>{}</ocp:forward-to>", plan.address(to));
    }
    text
}

/// Which profile is active on which device, by instance identifier.
pub fn profiles(user: &UserPlan, instance: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for (number, device) in user.devices.iter().enumerate() {
        if let Some(profile) = device.profile {
            let _ = write!(text, "<active-upp device=\"{}\">{profile}</active-upp>", instance(number));
        }
    }
    if text.is_empty() { text } else { format!("<upp-directory>{text}</upp-directory>") }
}

/// The blacklist as a resource-lists document.
pub fn blacklist(plan: &Plan, user: &UserPlan) -> String {
    if user.blacklist.is_empty() {
        return String::new();
    }
    let mut text =
        String::from("<resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list name=\"black\">");
    for other in &user.blacklist {
        let _ = write!(text, "<entry uri=\"{}\"/>", plan.address(*other));
    }
    text + "</list></resource-lists>"
}
