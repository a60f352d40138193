use super::*;
use crate::ruleset::{Action, Conditions, Identity, Rule};
use cpm_base::DateTime;

fn read(text: &str) -> Result<GroupDocument, XmlError> {
    parse(text.as_bytes(), &Limits::DEFAULT)
}

fn group() -> GroupDocument {
    let may = |names: &[Permission]| {
        let action = |permission: &Permission| Action {
            name: String::from(permission.element()),
            value: String::from("true"),
        };
        names.iter().map(action).collect()
    };
    let members = Rule {
        id: String::from("members"),
        conditions: Conditions { list_member: Some(true), ..Conditions::default() },
        actions: may(&[Permission::Join, Permission::InitiateConference, Permission::ConferenceState]),
    };
    let chair = Rule {
        id: String::from("chair"),
        conditions: Conditions {
            identity: Some(vec![Identity::One(String::from("sip:chair@example.com"))]),
            ..Conditions::default()
        },
        actions: may(&[Permission::Expel, Permission::InviteUsers]),
    };
    GroupDocument {
        uri: String::from("sip:team@example.com"),
        display_name: Some(DisplayName { text: String::from("Team"), language: Some(String::from("en")) }),
        subject: Some(String::from("Work")),
        members: vec![
            Member { uri: String::from("sip:chair@example.com"), display_name: None },
            Member {
                uri: String::from("tel:+1"),
                display_name: Some(DisplayName { text: String::from("One"), language: None }),
            },
        ],
        invite_members: true,
        max_participant_count: Some(20),
        supported_services: Some(vec![String::from("CPM")]),
        ruleset: Ruleset { rules: vec![members, chair] },
    }
}

#[test]
fn a_document_is_known_both_ways() {
    let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<group xmlns=\"urn:oma:xml:poc:list-service\" \
        xmlns:cr=\"urn:ietf:params:xml:ns:common-policy\" xmlns:oma=\"urn:oma:xml:xdm:common-policy\" \
        xmlns:oxg=\"urn:oma:xml:xdm:group\"><list-service uri=\"sip:team@example.com\">\
        <display-name xml:lang=\"en\">Team</display-name><subject>Work</subject>\
        <list><entry uri=\"sip:chair@example.com\"/>\
        <entry uri=\"tel:+1\"><display-name>One</display-name></entry></list><invite-members>true</invite-members>\
        <max-participant-count>20</max-participant-count><cr:ruleset>\
        <cr:rule id=\"members\"><cr:conditions><oma:is-list-member>true</oma:is-list-member></cr:conditions>\
        <cr:actions><join-handling>true</join-handling><allow-initiate-conference>true</allow-initiate-conference>\
        <allow-conference-state>true</allow-conference-state></cr:actions></cr:rule>\
        <cr:rule id=\"chair\"><cr:conditions><cr:identity><cr:one id=\"sip:chair@example.com\"/></cr:identity>\
        </cr:conditions><cr:actions><allow-expelling>true</allow-expelling>\
        <allow-invite-users-dynamically>true</allow-invite-users-dynamically></cr:actions></cr:rule></cr:ruleset>\
        <oxg:supported-services><oxg:service enabler=\"CPM\"/></oxg:supported-services></list-service></group>";
    assert_eq!(write(&group()), text);
    assert_eq!(read(text), Ok(group()));
}

#[test]
fn permissions_follow_from_the_rules() {
    let group = group();
    assert!(group.supports("CPM") && !group.supports("PoC"));
    assert!(!GroupDocument::default().supports("CPM"));
    let may = |identity: &str, permission| {
        let context = Context {
            enabler: "CPM",
            media: &[],
            identities: &[identity],
            profile: None,
            now: DateTime::UNIX_EPOCH,
            member: group.is_member(identity),
        };
        group.permits(&context, permission)
    };
    assert!(may("tel:+1", Permission::Join));
    assert!(!may("tel:+1", Permission::Expel));
    assert!(may("sip:chair@example.com", Permission::Expel));
    assert!(!may("tel:+9", Permission::Join));
    for permission in Permission::ALL {
        assert!(!may("tel:+9", permission));
    }
}

/// As a document from the field has it: `allow` for `true`, an empty condition, elements in other namespaces.
#[test]
fn other_forms_are_read() {
    let text = "<group xmlns='urn:oma:xml:poc:list-service' xmlns:rl='urn:ietf:params:xml:ns:resource-lists' \
        xmlns:cp='urn:ietf:params:xml:ns:common-policy' xmlns:x='urn:x'><list-service uri='sip:g@x'>\
        <list><entry uri='sip:a@x'><rl:display-name>A</rl:display-name></entry></list>\
        <x:max-participant-count> 10 </x:max-participant-count>\
        <cp:ruleset><cp:rule id='0'><cp:conditions><is-list-member/></cp:conditions><cp:actions>\
        <join-handling>allow</join-handling></cp:actions><cp:transformations/></cp:rule></cp:ruleset>\
        </list-service></group>";
    let group = read(text).unwrap();
    assert_eq!(group.max_participant_count, Some(10));
    assert_eq!(
        group.members.first().and_then(|one| one.display_name.as_ref()).map(|name| name.text.as_str()),
        Some("A")
    );
    let rule = group.ruleset.rules.first().unwrap();
    assert_eq!(rule.conditions.list_member, Some(true));
    assert!(rule.allows("join-handling"));
}

#[test]
fn faults_are_named() {
    let inside = |text: &str| {
        read(&format!("<group xmlns='{NAMESPACE}'><list-service uri='u'>{text}</list-service></group>"))
    };
    assert_eq!(read(&format!("<group xmlns='{NAMESPACE}'/>")), Err(XmlError::Missing("list-service")));
    assert_eq!(
        read(&format!("<group xmlns='{NAMESPACE}'><list-service/></group>")),
        Err(XmlError::Missing("uri"))
    );
    assert_eq!(inside("<list><entry/></list>"), Err(XmlError::Missing("uri")));
    assert_eq!(inside("<invite-members>perhaps</invite-members>"), Err(XmlError::Value("invite-members")));
    assert_eq!(
        inside("<max-participant-count>-1</max-participant-count>"),
        Err(XmlError::Value("max-participant-count"))
    );
    assert_eq!(read("<group/>"), Err(XmlError::WrongRoot));
}
