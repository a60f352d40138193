use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Result<GroupManagement, XmlError> {
    parse(text.as_bytes(), &Limits::DEFAULT)
}

fn framed(inside: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<cpm-group-management xmlns=\"urn:oma:xml:cpm:groupdata:1.0\" id=\"7\">{inside}</cpm-group-management>"
    )
}

fn cases() -> Vec<(GroupData, &'static str)> {
    let request = GroupData::Request;
    vec![
        (
            request(Request::SetSubject(String::from(" Us & them "))),
            "<request><target>subject</target><action>set</action><data><subject> Us &amp; them </subject></data></request>",
        ),
        (
            request(Request::DeleteSubject),
            "<request><target>subject</target><action>delete</action></request>",
        ),
        (
            request(Request::SetIcon(Icon::Uri(String::from("http://example.com/i.png")))),
            "<request><target>icon</target><action>set</action><data><icon>\
             <icon-uri>http://example.com/i.png</icon-uri></icon></data></request>",
        ),
        (
            request(Request::SetIcon(Icon::ContentId(String::from("cid:icon@example.com")))),
            "<request><target>icon</target><action>set</action><data><icon>\
             <file-info>cid:icon@example.com</file-info></icon></data></request>",
        ),
        (request(Request::DeleteIcon), "<request><target>icon</target><action>delete</action></request>"),
        (
            GroupData::Response(Response { code: 200, text: None }),
            "<response><response-code>200</response-code></response>",
        ),
        (
            GroupData::Response(Response { code: 403, text: Some(String::from("No")) }),
            "<response><response-code>403</response-code><response-text>No</response-text></response>",
        ),
    ]
}

// req: 6.8.1-p1, 6.8.1-1.b, 6.8.1-1.b.A.1, 6.8.1-1.b.A.1.a, 6.8.1-1.b.A.1.b, 6.8.1-1.b.A.2, 6.8.1-1.b.A.2.a
// req: 6.8.1-1.b.A.2.b, 6.8.1-1.b.A.3, 6.8.1-1.b.A.3.a, 6.8.1-1.b.A.3.b.i, 6.8.1-1.b.B.1
#[test]
fn documents_are_known_both_ways() {
    for (data, inside) in cases() {
        let text = framed(&format!("<group-data>{inside}</group-data>"));
        let value = GroupManagement { id: String::from("7"), data: Some(data) };
        assert_eq!(write(&value), text);
        assert_eq!(read(&text), Ok(value));
    }
    let nothing = GroupManagement { id: String::from("7"), data: None };
    assert_eq!(read(&framed("")), Ok(nothing));
}

#[test]
fn other_spellings_of_the_text_are_read() {
    let expected = Ok(GroupManagement {
        id: String::from("x-1"),
        data: Some(GroupData::Request(Request::SetSubject(String::from("s")))),
    });
    let spellings = [
        "<cpm-event-group-management id='x-1'><group-data><request target='subject'><action>set</action>\
         <data><subject>s</subject></data></request></group-data></cpm-event-group-management>",
        "<cpm-group-management xmlns=' urn:oma:xml:cpm:groupdata:1.0' id=' x-1'><group-data-request target='subject' \
         action='set'><data><subject>s</subject></data></group-data-request></cpm-group-management>",
    ];
    for text in spellings {
        assert_eq!(read(text), expected, "{text}");
    }
    let misspelt = "<response><response-code>200</response-code><respomse-text>ok</respomse-text></response>";
    let read_back = read(&framed(&format!("<group-data>{misspelt}</group-data>"))).unwrap();
    let response = GroupData::Response(Response { code: 200, text: Some(String::from("ok")) });
    assert_eq!(read_back.data, Some(response));
}

#[test]
fn faults_are_named() {
    let request =
        |inside: &str| read(&framed(&format!("<group-data><request>{inside}</request></group-data>")));
    let set = "<action>set</action>";
    assert_eq!(request(set), Err(XmlError::Missing("target")));
    assert_eq!(request("<target>icon</target>"), Err(XmlError::Missing("action")));
    assert_eq!(request(&format!("<target>room</target>{set}")), Err(XmlError::Value("target")));
    assert_eq!(request("<target>icon</target><action>burn</action>"), Err(XmlError::Value("action")));
    assert_eq!(request(&format!("<target>icon</target>{set}")), Err(XmlError::Missing("data")));
    assert_eq!(request(&format!("<target>icon</target>{set}<data/>")), Err(XmlError::Missing("icon")));
    assert_eq!(
        request(&format!("<target>icon</target>{set}<data><icon/></data>")),
        Err(XmlError::Missing("icon-uri"))
    );
    assert_eq!(request(&format!("<target>subject</target>{set}<data/>")), Err(XmlError::Missing("subject")));
    let both = "<data><icon><icon-uri>u</icon-uri><file-info>f</file-info></icon></data>";
    assert_eq!(request(&format!("<target>icon</target>{set}{both}")), Err(XmlError::Repeated("icon-uri")));
    let response = |code: &str| {
        read(&framed(&format!("<group-data><response>{code}</response></group-data>"))).map(|_| ())
    };
    assert_eq!(response(""), Err(XmlError::Missing("response-code")));
    for bad in ["", "99", "700", "2e2", "-200", "70000"] {
        let got = response(&format!("<response-code>{bad}</response-code>"));
        assert_eq!(got, Err(XmlError::Value("response-code")), "{bad}");
    }
    assert_eq!(read("<cpm-group-management/>"), Err(XmlError::Missing("id")));
    assert_eq!(read("<group-data id='1'/>"), Err(XmlError::WrongRoot));
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(id in "[0-9]{1,9}", subject in "\\PC{0,40}") {
        let value = GroupManagement { id, data: Some(GroupData::Request(Request::SetSubject(subject))) };
        prop_assert_eq!(read(&write(&value)), Ok(value));
    }
}

/// Threat F6: what becomes the subject of a group is one line of bounded length, whatever is written in it; where an icon is
/// stays a text.
#[test]
fn a_subject_is_one_short_line() {
    let subject = |text: &str| {
        let request = "<group-data><request><target>subject</target><action>set</action><data><subject>S</subject></data></request></group-data>";
        read(&framed(&request.replace('S', text)))
    };
    let markup = "&lt;b&gt;&amp;amp;&lt;/subject&gt; http://x/";
    let Ok(GroupManagement { data: Some(GroupData::Request(Request::SetSubject(heard))), .. }) =
        subject(markup)
    else {
        panic!("not read")
    };
    assert_eq!(heard, "<b>&amp;</subject> http://x/");
    assert!(subject(&"\u{e4}".repeat(256)).is_ok());
    let limit = LimitExceeded { limit: "group.max_subject", value: 257, max: 256 };
    assert_eq!(subject(&"\u{e4}".repeat(257)), Err(XmlError::Limit(limit)));
    for control in ["&#10;", "&#13;", "&#9;", "\u{7f}", "\u{85}", "a\nb"] {
        assert_eq!(subject(control), Err(XmlError::Value("subject")), "{control:?}");
    }
    let uri = "javascript:alert(1)\"><x/>";
    let icon = GroupManagement {
        id: String::from("1"),
        data: Some(GroupData::Request(Request::SetIcon(Icon::Uri(String::from(uri))))),
    };
    assert_eq!(read(&write(&icon)), Ok(icon));
}
