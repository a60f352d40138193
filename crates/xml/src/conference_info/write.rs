//! From [`ConferenceInfo`] to a document.

use super::{
    ConferenceInfo, ConferenceState, Description, EXTENSIONS_NAMESPACE, Endpoint, Execution, HostInfo,
    NAMESPACE, State, Uris, User,
};
use crate::writer::Writer;

/// Writes the document, its elements in the order of the schema. `state` is written where it is not `full`, and at the
/// root always.
#[must_use]
pub fn write(info: &ConferenceInfo) -> String {
    let extended = info.description.as_ref().is_some_and(|d| d.icon.is_some() || d.subject_ext.is_some());
    let mut out = Writer::new();
    out.open("conference-info").attribute("xmlns", NAMESPACE);
    out.attribute_if("xmlns:cpm", extended.then_some(EXTENSIONS_NAMESPACE));
    out.attribute("entity", &info.entity).attribute("state", info.state.as_str());
    out.attribute_if("version", text_of(info.version).as_deref());
    if let Some(description) = &info.description {
        write_description(&mut out, description);
    }
    if let Some(host) = &info.host {
        write_host(&mut out, host);
    }
    if let Some(state) = &info.conference_state {
        write_state(&mut out, state);
    }
    if let Some(users) = &info.users {
        open_with_state(&mut out, "users", users.state);
        for user in &users.users {
            write_user(&mut out, user);
        }
        out.close();
    }
    write_uris(&mut out, "sidebars-by-ref", info.sidebars_by_ref.as_ref());
    out.finish()
}

fn text_of<T: ToString>(value: Option<T>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn open_with_state<'n>(out: &mut Writer<'n>, name: &'n str, state: State) {
    out.open(name).attribute_if("state", (state != State::Full).then(|| state.as_str()));
}

fn leaf_list<'n>(out: &mut Writer<'n>, name: &'n str, words: &[String]) {
    if !words.is_empty() {
        out.leaf(name, &words.join(" "));
    }
}

// req: P.2-icon, P.2-subject-ext, P.2-p1
fn write_description(out: &mut Writer<'_>, description: &Description) {
    out.open("conference-description")
        .leaf_if("display-text", description.display_text.as_deref())
        .leaf_if("subject", description.subject.as_deref())
        .leaf_if("free-text", description.free_text.as_deref());
    leaf_list(out, "keywords", &description.keywords);
    write_uris(out, "conf-uris", description.conf_uris.as_ref());
    write_uris(out, "service-uris", description.service_uris.as_ref());
    out.leaf_if("maximum-user-count", text_of(description.maximum_user_count).as_deref());
    if !description.available_media.is_empty() {
        out.open("available-media");
        for media in &description.available_media {
            out.open("entry")
                .attribute("label", &media.label)
                .leaf_if("display-text", media.display_text.as_deref())
                .leaf("type", &media.kind)
                .leaf_if("status", media.status.as_deref())
                .close();
        }
        out.close();
    }
    if let Some(subject) = &description.subject_ext {
        out.open("cpm:subject-ext")
            .leaf("cpm:participant", &subject.participant)
            .leaf("cpm:timestamp", &subject.timestamp)
            .close();
    }
    if let Some(icon) = &description.icon {
        out.open("cpm:icon").open("cpm:source");
        icon.source.write(out, "cpm:icon-uri", "cpm:file-info");
        out.close();
        out.leaf("cpm:participant", &icon.participant).leaf("cpm:timestamp", &icon.timestamp).close();
    }
    out.close();
}

fn write_host(out: &mut Writer<'_>, host: &HostInfo) {
    out.open("host-info")
        .leaf_if("display-text", host.display_text.as_deref())
        .leaf_if("web-page", host.web_page.as_deref());
    write_uris(out, "uris", host.uris.as_ref());
    out.close();
}

fn write_state(out: &mut Writer<'_>, state: &ConferenceState) {
    out.open("conference-state")
        .leaf_if("user-count", text_of(state.user_count).as_deref())
        .leaf_if("active", text_of(state.active).as_deref())
        .leaf_if("locked", text_of(state.locked).as_deref())
        .close();
}

fn write_uris<'n>(out: &mut Writer<'n>, name: &'n str, uris: Option<&Uris>) {
    let Some(uris) = uris else { return };
    open_with_state(out, name, uris.state);
    for entry in &uris.entries {
        out.open("entry")
            .leaf("uri", &entry.uri)
            .leaf_if("display-text", entry.display_text.as_deref())
            .leaf_if("purpose", entry.purpose.as_deref());
        write_execution(out, "modified", entry.modified.as_ref());
        out.close();
    }
    out.close();
}

fn write_execution<'n>(out: &mut Writer<'n>, name: &'n str, execution: Option<&Execution>) {
    let Some(execution) = execution else { return };
    out.open(name)
        .leaf_if("when", execution.when.as_deref())
        .leaf_if("reason", execution.reason.as_deref())
        .leaf_if("by", execution.by.as_deref())
        .close();
}

fn write_user(out: &mut Writer<'_>, user: &User) {
    out.open("user").attribute("entity", &user.entity);
    out.attribute_if("state", (user.state != State::Full).then(|| user.state.as_str()));
    out.attribute_if("yourown", text_of(user.your_own).as_deref());
    out.leaf_if("display-text", user.display_text.as_deref());
    write_uris(out, "associated-aors", user.associated_aors.as_ref());
    if !user.roles.is_empty() {
        out.open("roles");
        for role in &user.roles {
            out.leaf("entry", role);
        }
        out.close();
    }
    leaf_list(out, "languages", &user.languages);
    out.leaf_if("cascaded-focus", user.cascaded_focus.as_deref());
    for endpoint in &user.endpoints {
        write_endpoint(out, endpoint);
    }
    out.close();
}

fn write_endpoint(out: &mut Writer<'_>, endpoint: &Endpoint) {
    out.open("endpoint");
    out.attribute_if("entity", Some(endpoint.entity.as_str()).filter(|entity| !entity.is_empty()));
    out.attribute_if("state", (endpoint.state != State::Full).then(|| endpoint.state.as_str()));
    out.leaf_if("display-text", endpoint.display_text.as_deref());
    write_execution(out, "referred", endpoint.referred.as_ref());
    out.leaf_if("status", endpoint.status.as_ref().map(|status| status.as_str()));
    out.leaf_if("joining-method", endpoint.joining_method.as_ref().map(|method| method.as_str()));
    write_execution(out, "joining-info", endpoint.joining_info.as_ref());
    out.leaf_if("disconnection-method", endpoint.disconnection_method.as_ref().map(|method| method.as_str()));
    write_execution(out, "disconnection-info", endpoint.disconnection_info.as_ref());
    for media in &endpoint.media {
        out.open("media")
            .attribute("id", &media.id)
            .leaf_if("display-text", media.display_text.as_deref())
            .leaf_if("type", media.kind.as_deref())
            .leaf_if("label", media.label.as_deref())
            .leaf_if("src-id", media.src_id.as_deref())
            .leaf_if("status", media.status.as_deref())
            .close();
    }
    if let Some(call) = &endpoint.call_info {
        out.open("call-info")
            .open("sip")
            .leaf_if("display-text", call.display_text.as_deref())
            .leaf("call-id", &call.call_id)
            .leaf("from-tag", &call.from_tag)
            .leaf("to-tag", &call.to_tag)
            .close()
            .close();
    }
    out.close();
}
