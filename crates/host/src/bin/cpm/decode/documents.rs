//! The XML documents of CPM: what each says, in names and values.

use cpm_xml::conference_info::{self, ConferenceInfo, Description};
use cpm_xml::evfw::{self, ActivityKind, Event, Interworking};
use cpm_xml::group_data::{self, GroupData, Icon, Request};
use cpm_xml::group_document::GroupDocument;
use cpm_xml::imdn::{self, Imdn};
use cpm_xml::msginfo::{self, MessageInfo, Recipients};
use cpm_xml::resource_lists::{self, Entry, ResourceLists};
use cpm_xml::ruleset::{Conditions, Identity, Ruleset};
use cpm_xml::{Document, Limits, XmlError, group_state, is_composing, reginfo};

/// Types of which it is known what stands in them.
const KNOWN: [&str; 13] = [
    imdn::MEDIA_TYPE,
    "application/imdn+xml",
    is_composing::MEDIA_TYPE,
    resource_lists::MEDIA_TYPE,
    conference_info::MEDIA_TYPE,
    reginfo::MEDIA_TYPE,
    msginfo::MEDIA_TYPE,
    evfw::IMAP_MEDIA_TYPE,
    evfw::INTERWORKING_MEDIA_TYPE,
    evfw::ACTIVITY_MEDIA_TYPE,
    group_data::MEDIA_TYPE,
    group_state::MEDIA_TYPE,
    "application/auth-policy+xml",
];

/// Whether a body of that type may be one of the documents.
pub(super) fn is_xml(essence: &str) -> bool {
    essence.ends_with("+xml") || essence == "application/xml" || essence == "text/xml"
}

/// What a document says. Nothing of one that is none of CPM, whatever is wrong with it.
pub(super) fn read(essence: &str, octets: &[u8]) -> Result<Vec<(String, String)>, XmlError> {
    // By configuration some documents may be as long (xml.max_bytes); whoever decodes has asked for it.
    let limits = Limits { max_bytes: 1 << 20, ..Limits::default() };
    match Document::parse(octets, &limits) {
        Ok(Some(document)) => Ok(say(&document, octets, &limits)),
        Ok(None) if KNOWN.contains(&essence) => Err(XmlError::WrongRoot),
        // XML and nothing more is what it says: that much can be judged.
        Err(error) if KNOWN.contains(&essence) || matches!(essence, "application/xml" | "text/xml") => {
            Err(error)
        }
        _ => Ok(Vec::new()),
    }
}

/// Names and values in order.
#[derive(Default)]
struct Said(Vec<(String, String)>);

impl Said {
    fn say(&mut self, name: &str, value: impl ToString) {
        self.0.push((name.to_owned(), value.to_string()));
    }

    fn maybe(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.say(name, value);
        }
    }
}

fn say(document: &Document, octets: &[u8], limits: &Limits) -> Vec<(String, String)> {
    let mut said = Said::default();
    match document {
        Document::Imdn(imdn) => say_imdn(&mut said, imdn, octets, limits),
        Document::IsComposing(typing) => {
            said.say("typing", format!("{:?}", typing.state).to_lowercase());
            said.maybe("content type", typing.content_type.as_ref());
            said.maybe("last active", typing.last_active.as_ref());
            said.maybe("refresh", typing.refresh.map(|seconds| format!("{seconds} s")));
        }
        Document::ResourceLists(lists) => say_lists(&mut said, lists),
        Document::ConferenceInfo(info) => say_conference(&mut said, info),
        Document::RegInfo(info) => say_reginfo(&mut said, info),
        Document::MessageInfo(info) => say_messages(&mut said, info),
        Document::Event(None) => said.say("event", "none"),
        Document::Event(Some(event)) => say_event(&mut said, event),
        Document::GroupManagement(management) => {
            said.say("id", &management.id);
            say_group_data(&mut said, management.data.as_ref());
        }
        Document::GroupState(state) => {
            said.say("session", &state.session_identity);
            said.say("date", &state.timestamp);
            said.maybe("group type", state.group_type.as_ref());
            said.maybe("interworking number", state.iw_number.as_ref());
            said.maybe("subject", state.subject.as_ref());
            said.maybe("icon", state.icon.as_ref().map(icon));
            if state.removed {
                said.say("removed", "true");
            }
            for participant in &state.participants {
                said.say("participant", named(&participant.address, participant.name.as_deref()));
            }
        }
        Document::AccessPolicy(policy) => say_rules(&mut said, policy),
        Document::Profiles(directory) => {
            for active in &directory.active {
                let device = active.device.as_ref().map_or(String::new(), |device| format!(" on {device}"));
                said.say("active profile", format!("{}{device}", active.profile));
            }
        }
        Document::Group(group) => say_group(&mut said, group),
    }
    said.0
}

fn named(uri: &str, name: Option<&str>) -> String {
    name.map_or_else(|| uri.to_owned(), |name| format!("{uri} ({name})"))
}

fn icon(icon: &Icon) -> &str {
    match icon {
        Icon::Uri(uri) => uri,
        Icon::ContentId(id) => id,
    }
}

fn say_imdn(said: &mut Said, imdn: &Imdn, octets: &[u8], limits: &Limits) {
    said.say("message id", &imdn.message_id);
    for notification in imdn.notifications() {
        let kind = match notification {
            imdn::Notification::Delivery(_) => "delivery",
            imdn::Notification::Display(_) => "display",
            imdn::Notification::Processing(_) => "processing",
            imdn::Notification::Interworking(_) => "interworking",
        };
        said.say(kind, notification.status());
    }
    said.maybe("date", imdn.datetime.as_ref());
    said.maybe("recipient", imdn.recipient_uri.as_ref());
    said.maybe("original recipient", imdn.original_recipient_uri.as_ref());
    said.maybe("subject", imdn.subject.as_ref().map(|subject| &subject.text));
    let read = imdn::parse_with(octets, limits, imdn::Leniency::field());
    for deviation in read.map(|(_, tolerated)| tolerated).unwrap_or_default() {
        said.say("let pass", format!("{deviation:?}"));
    }
}

fn say_lists(said: &mut Said, lists: &ResourceLists) {
    for list in &lists.lists {
        said.maybe("list", list.name.as_ref());
    }
    for entry in lists.entries() {
        said.say("entry", described(entry));
    }
}

fn described(entry: &Entry) -> String {
    let mut text = named(&entry.uri, entry.display_name.as_ref().map(|name| name.text.as_str()));
    if let Some(copy) = entry.copy_control {
        text.push_str(&format!(" copyControl={}", copy.as_str()));
    }
    if entry.anonymize {
        text.push_str(" anonymize");
    }
    if let Some(count) = entry.count {
        text.push_str(&format!(" count={count}"));
    }
    text
}

fn say_conference(said: &mut Said, info: &ConferenceInfo) {
    said.say("conference", &info.entity);
    said.say("state", info.state.as_str());
    said.maybe("version", info.version);
    if let Some(description) = &info.description {
        say_description(said, description);
    }
    if let Some(state) = &info.conference_state {
        said.maybe("users", state.user_count);
        said.maybe("active", state.active);
        said.maybe("locked", state.locked);
    }
    let users = info.users.as_ref();
    said.maybe("users are", users.map(|users| users.state.as_str()));
    for user in users.iter().flat_map(|users| &users.users) {
        let mut text =
            format!("{} {}", named(&user.entity, user.display_text.as_deref()), user.state.as_str());
        if user.your_own == Some(true) {
            text.push_str(" yourown");
        }
        for role in &user.roles {
            text.push_str(&format!(" role={role}"));
        }
        for endpoint in &user.endpoints {
            let status = endpoint.status.as_ref().map_or("", |status| status.as_str());
            text.push_str(&format!(" [{} {status}]", endpoint.entity));
        }
        said.say("user", text);
    }
}

fn say_description(said: &mut Said, description: &Description) {
    said.maybe("display text", description.display_text.as_ref());
    said.maybe("subject", description.subject.as_ref());
    if let Some(by) = &description.subject_ext {
        said.say("subject set", format!("by {} at {}", by.participant, by.timestamp));
    }
    if let Some(group_icon) = &description.icon {
        let from = icon(&group_icon.source);
        said.say("icon", format!("{from} by {} at {}", group_icon.participant, group_icon.timestamp));
    }
    said.maybe("maximum of users", description.maximum_user_count);
    said.say("who may remove", description.removal_policy().as_str());
}

fn say_reginfo(said: &mut Said, info: &reginfo::RegInfo) {
    said.say("version", info.version);
    said.say("state", if info.partial { "partial" } else { "full" });
    for registration in &info.registrations {
        said.say("registration", format!("{} {}", registration.aor, registration.state.as_str()));
        for contact in &registration.contacts {
            let active = if contact.active { "active" } else { "terminated" };
            let mut text = format!("{} {active} {}", contact.uri, contact.event.as_str());
            if let Some(gruu) = &contact.pub_gruu {
                text.push_str(&format!(" gruu={gruu}"));
            }
            said.say("contact", text);
        }
    }
}

fn say_messages(said: &mut Said, info: &MessageInfo) {
    match info {
        MessageInfo::Expired(expired) => {
            said.say("expired", &expired.reference);
            said.maybe("uid", expired.uid.as_ref());
        }
        MessageInfo::List(list) => {
            said.maybe("number", list.number);
            for message in &list.messages {
                said.say("message", message.reference.as_deref().unwrap_or("without reference"));
                said.maybe("date", message.date_time.as_ref());
                said.maybe("size", message.size);
                said.maybe("expires", message.expiry.as_ref());
                said.maybe("subject", message.subject.as_ref());
                let Some(info) = &message.info else { continue };
                said.say("from", &info.from);
                match &info.recipients {
                    Some(Recipients::One(uri)) => said.say("to", uri),
                    Some(Recipients::List { group, entries, .. }) => {
                        said.maybe("to group", group.as_ref());
                        for recipient in entries {
                            said.say("to", named(&recipient.uri, recipient.display_name.as_deref()));
                        }
                    }
                    None => {}
                }
            }
        }
    }
}

fn say_event(said: &mut Said, event: &Event) {
    match event {
        Event::Imap(operations) => {
            for operation in operations {
                for object in &operation.objects {
                    let known = [&object.uid, &object.folder_path, &object.message_id, &object.other_party];
                    let words: Vec<&str> = known.into_iter().flatten().map(String::as_str).collect();
                    said.say(operation.flag.as_str(), words.join(" "));
                }
            }
        }
        Event::Interworking(Interworking::Failed { user, message_id }) => {
            said.say("interworking failed", format!("{message_id} for {user}"));
        }
        Event::Interworking(Interworking::ReadyForSms { user }) => said.say("ready for SMS", user),
        Event::Interworking(Interworking::Successful(values)) => {
            said.say("interworking", "successful");
            for (name, value) in values {
                said.say(name, value);
            }
        }
        Event::Activity(activity) => {
            let what = match activity.kind {
                ActivityKind::Request => "asked for".to_owned(),
                ActivityKind::Result(seconds) => format!("was {seconds} s ago"),
                ActivityKind::Push(seconds) => format!("was {seconds} s ago, told unasked"),
            };
            said.say("activity", format!("{} {what}", activity.id));
        }
        Event::Foreign { name, .. } => said.say("event", format!("{name}, none of CPM")),
    }
}

fn say_group_data(said: &mut Said, data: Option<&GroupData>) {
    match data {
        None => {}
        Some(GroupData::Request(Request::SetSubject(subject))) => said.say("set subject", subject),
        Some(GroupData::Request(Request::DeleteSubject)) => said.say("delete", "subject"),
        Some(GroupData::Request(Request::SetIcon(source))) => said.say("set icon", icon(source)),
        Some(GroupData::Request(Request::DeleteIcon)) => said.say("delete", "icon"),
        Some(GroupData::Response(response)) => {
            let text = response.text.as_deref().unwrap_or_default();
            said.say("response", format!("{} {text}", response.code).trim_end());
        }
    }
}

fn say_group(said: &mut Said, group: &GroupDocument) {
    said.say("group", named(&group.uri, group.display_name.as_ref().map(|name| name.text.as_str())));
    said.maybe("subject", group.subject.as_ref());
    said.say("invite members", group.invite_members);
    said.maybe("maximum of participants", group.max_participant_count);
    said.maybe("services", group.supported_services.as_ref().map(|services| services.join(", ")));
    for member in &group.members {
        said.say("member", named(&member.uri, member.display_name.as_ref().map(|name| name.text.as_str())));
    }
    say_rules(said, &group.ruleset);
}

fn say_rules(said: &mut Said, rules: &Ruleset) {
    for rule in &rules.rules {
        let actions = rule.actions.iter().map(|action| format!("{}={}", action.name, action.value));
        let actions: Vec<String> = actions.collect();
        said.say("rule", format!("{}: {} -> {}", rule.id, conditions(&rule.conditions), actions.join(" ")));
    }
}

fn conditions(all: &Conditions) -> String {
    let mut words: Vec<String> = Vec::new();
    for identity in all.identity.iter().flatten() {
        words.push(match identity {
            Identity::One(uri) => uri.clone(),
            Identity::Many { domain, .. } => {
                domain.as_ref().map_or("everybody".to_owned(), |domain| format!("all of {domain}"))
            }
        });
    }
    for (said, name) in [(all.other_identity, "others"), (all.anonymous_request, "anonymous")] {
        if said {
            words.push(name.to_owned());
        }
    }
    for (name, list) in [("service", &all.services), ("media", &all.media), ("profile", &all.profiles)] {
        words.extend(list.iter().flatten().map(|value| format!("{name}={value}")));
    }
    words.extend(all.validity.iter().flatten().map(|(from, until)| format!("{from} to {until}")));
    words.extend(all.list_member.map(|member| format!("member={member}")));
    words.extend(all.unknown.iter().map(|name| format!("unknown={name}")));
    if words.is_empty() { "always".to_owned() } else { words.join(" ") }
}
