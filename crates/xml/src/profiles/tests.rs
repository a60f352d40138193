use super::*;

fn read(text: &str) -> Result<Directory, XmlError> {
    parse(text.as_bytes(), &Limits::DEFAULT)
}

#[test]
fn a_document_is_known_both_ways() {
    let directory = Directory {
        active: vec![
            ActiveProfile { device: None, profile: String::from("home") },
            ActiveProfile { device: Some(String::from("urn:uuid:1")), profile: String::from("at work") },
        ],
    };
    let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<upp-directory><active-upp>home</active-upp>\
                <active-upp device=\"urn:uuid:1\">at work</active-upp></upp-directory>";
    assert_eq!(write(&directory), text);
    assert_eq!(read(text), Ok(directory.clone()));
    assert_eq!(directory.of_device("urn:uuid:1"), Some("at work"));
    assert_eq!(directory.of_device("urn:uuid:2"), Some("home"));
    assert_eq!(Directory::default().of_device("urn:uuid:2"), None);
}

#[test]
fn faults_are_named() {
    assert_eq!(
        read("<upp-directory xmlns='urn:x'><y:active-upp xmlns:y='urn:y'> </y:active-upp></upp-directory>"),
        Err(XmlError::Missing("active-upp"))
    );
    assert_eq!(read("<directory/>"), Err(XmlError::WrongRoot));
}
