use super::config::Config;
use super::*;
use cpm_core::feature::CpmFeature;
use cpm_participating::{DeviceRule, DevicesOf, Policy, PrimaryMark, Recording, Remedy};
use cpm_sip::Uri;
use cpm_xml::access_policy::Wish;
use std::time::Duration;

fn error(text: &str) -> String {
    Config::read(text).unwrap_err().to_string()
}

#[test]
fn the_printed_configuration_is_the_default_one() {
    let printed = Config::default().print();
    assert_eq!(Config::read(&printed).unwrap(), Config::default());
    // Each key has its explanation above it, on lines that fit into a file that somebody reads.
    let lines: Vec<&str> = printed.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let plain = line.strip_prefix("# ").unwrap_or(line);
        if plain.contains(" = ") && !plain.starts_with(['#', '{']) {
            let above = lines[index - 1];
            assert!(above.starts_with("# ") && !above.contains(" = \""), "{line}");
        }
        assert!(line.len() <= 120, "{line}");
    }
    // The example of a user can be taken as it is.
    let (head, user) = printed.split_once("# [[user]]\n").unwrap();
    let user: String = user.lines().map(|line| format!("{}\n", line.strip_prefix("# ").unwrap())).collect();
    let config = Config::read(&format!("{head}[[user]]\n{user}")).unwrap();
    assert_eq!(config.users[0].address, Uri::parse("sip:alice@cpm.localhost").ok());
    assert_eq!(Config::read(&config.print()).unwrap(), config);
}

#[test]
fn every_key_is_read_and_written() {
    let text = r#"
[listen]
sip = ["0.0.0.0:5070", "[::1]:5071"]
advertise = "192.0.2.7"
[core]
realm = "home.test"
authentication = false
algorithms = ["MD5", "SHA-512-256"]
nonce_seconds = 10
max_nonces = 5
min_expires = 1
default_expires = 2
max_expires = 3
max_devices = 4
[policy]
releases = ["2.0", "2.1"]
unknown_service = "refuse"
skipped = ["storage", "preferences"]
isf = "sip:isf.home.test;transport=TCP"
recording = "always"
query_seconds = 9
reg_subscription = "when-not-told"
reg_expires = 61
subscribe_retry_seconds = 7
without_devices = "keep"
registration_stored_first = true
primary = ["first", "feature:session", "instance:urn:gsma:imei:", "+a", "+b=\"quoted\""]
capabilities = ["audio"]
disposition_seconds = 60
tell_on_behalf = false
releases_without_imdn = ["1.0"]
owed_seconds = 61
aggregate_seconds = 7
aggregate_octets = 4000
anonymity_originating = false
barred = ["sip:mallory@home.test"]
foreign_sender = "refuse"
interwork_on = [500]
too_large = 488
anonymity_terminating = false
preferences = false
without_preferences = "refuse"
blacklist = false
primary_by_interworking = true
exclusions = [{ content = "disposition", feature = "msg", devices = "secondary" }, { devices = "urn:x" }]
references = false
reference_seconds = 9
undelivered = ["interwork", "error"]
patience_seconds = 31
[store]
path = "/var/lib/x"
host = "h"
max_mib = 1
cache_mib = 2
[log]
level = "debug"
format = "json"
[metrics]
listen = ""
[limits]
max_connections = 1
max_connections_per_address = 3
max_udp_peers = 2
drain_seconds = 0
[[user]]
address = "sip:a@home.test"
also = ["tel:+1555"]
username = "x"
password = "p\"\\\u0007"
ha1_md5 = "0123456789abcdef0123456789ABCDEF"
ha1_sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
blacklist = ["sip:b@home.test"]
wishes = ["forward", "do-not-disturb"]
forward_to = "sip:c@home.test"
access_policy = "a.xml"
profiles = "b.xml"
blacklist_file = "c.xml"
[[user]]
address = "sip:b@home.test"
"#;
    let config = Config::read(text).unwrap();
    assert_eq!(Config::read(&config.print()).unwrap(), config);
    let printed = Config::default().print();
    let keys = printed.lines().filter_map(|line| line.strip_prefix("# ").unwrap_or(line).split_once(" = "));
    for (key, _) in
        keys.filter(|(key, _)| key.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_'))
    {
        assert!(text.contains(&format!("\n{key} = ")), "{key} is printed, and not read here");
    }
    // None of them is what it is by default: a key that is not read, or not written, shows.
    let changed = config.print();
    let mut default = Config::default();
    default.users = vec![UserConfig::default()];
    for line in default.print().lines().filter(|line| !line.starts_with(['#', '[']) && !line.is_empty()) {
        let first = changed.split("[[user]]").next().unwrap_or_default();
        assert!(!first.lines().any(|other| other == line), "{line}");
    }
    let policy = &config.policy;
    assert_eq!(policy.recording, Recording::Always);
    assert_eq!(policy.releases, Some(vec![(2, 0), (2, 1)]));
    assert!(policy.skipped.storage && !policy.skipped.blacklist);
    assert_eq!(policy.primary[1], PrimaryMark::Feature(CpmFeature::Session));
    assert_eq!(policy.undelivered, [Remedy::Interwork, Remedy::Error]);
    assert_eq!(policy.patience, Some(Duration::from_secs(31)));
    let all = DeviceRule { content: None, feature: None, devices: DevicesOf::Instance("urn:x".to_owned()) };
    assert_eq!(policy.exclusions[1], all);
    assert_eq!(config.users[0].wishes, [Wish::Forward, Wish::DoNotDisturb]);
    // Every field of the policy has a key.
    let shown = format!("{:#?}", Policy::default());
    let is_field =
        |line: &&str| line.starts_with("    ") && !line.starts_with("     ") && line.contains(": ");
    let fields: Vec<&str> = shown.lines().filter(is_field).collect();
    assert_eq!(fields.len(), super::policy::FIELDS.len(), "{fields:#?}");
}

#[test]
fn mistakes_are_named_with_their_line() {
    for (text, what) in [
        ("[core]\n\nreelm = \"x\"", "line 3: core has no key \"reelm\"; it has realm, authentication, "),
        ("[cores]\n", "line 1: there is no section \"cores\"; there are listen, "),
        ("realm = \"x\"", "line 1: \"realm\" is no section such as [core]"),
        ("[core]\nrealm = 1", "line 2: core.realm: a text in quotes is wanted, not a number"),
        ("[core]\nmax_devices = 0", "line 2: core.max_devices: 0 is less than 1"),
        (
            "[core]\nmax_devices = 1.5",
            "line 2: core.max_devices: a whole number is wanted, not a number with",
        ),
        ("[core]\nnonce_seconds = 9000000000", "line 2: core.nonce_seconds: 9000000000 is too great"),
        ("[core]\nalgorithms = [\"SHA1\"]", "line 2: core.algorithms: \"SHA1\" is none of SHA-256, "),
        ("[core]\nalgorithms = []", "line 2: core.algorithms: at least one is wanted"),
        ("[listen]\nsip = [\"here\"]", "line 2: listen.sip: \"here\" is no address with a port"),
        ("[listen]\nsip = \"127.0.0.1:1\"", "line 2: listen.sip: a list in brackets is wanted, not a text"),
        ("[listen]\nsip = [\"0.0.0.0:1\"]", "line 2: listen: advertise has to say which address"),
        ("[core]\nmin_expires = 700", "line 2: core: min_expires, default_expires and max_expires are not"),
        (
            "[core]\nmax_expires = 9\nrealm = \"x\"\nmin_expires = 10\nmax_nonces = 1",
            "line 4: core: min_expires, default_expires and max_expires are not",
        ),
        ("[policy]\nrecording = \"no\"", "line 2: policy.recording: \"no\" is none of never, wish, always"),
        ("[policy]\nreleases = [\"two\"]", "line 2: policy.releases: \"two\" is no release"),
        ("[policy]\nexclusions = [{}]", "line 2: policy.exclusions: devices says which"),
        ("[policy]\ninterwork_on = [200]", "line 2: policy.interwork_on: only 4xx, 5xx and 6xx are errors"),
        (
            "[policy]\nrecording = \"wish\"\nquery_seconds = 10",
            "line 3: policy.query_seconds: neither zero nor",
        ),
        ("[policy]\naggregate_seconds = 4000", "line 2: policy.aggregate_seconds: neither less than 1 s"),
        ("[policy]\naggregate_octets = 70000", "line 2: policy.aggregate_octets: neither less than 1,300"),
        ("[policy]\nisf = \"sip:isf.test\"", "line 2: policy.isf: \"sip:isf.test\" is not reached over TCP"),
        ("[policy]\nisf = \"tel:+1\"", "line 2: policy.isf: \"tel:+1\" is no SIP URI"),
        ("[log\n", "line 1: "),
        ("a = 1\na = 2", "line 2: duplicate key"),
        ("[[user]]\npassword = \"x\"", "line 1: user: address is missing"),
        ("[user]\naddress = \"sip:a@b\"", "line 1: users stand in [[user]] sections"),
        ("[[user]]\n\naddress = \"sip:a@b\"", "line 3: user a: neither password nor ha1_md5 nor ha1_sha256"),
        ("[[user]]\naddress = \"alice\"\npassword = \"x\"", "line 2: user.address: \"alice\": "),
        ("[[user]]\naddress = \"sip:a@b\"\nha1_md5 = \"secret\"", "line 3: user.ha1_md5: 32 hexadecimal"),
    ] {
        assert!(error(text).starts_with(what), "{}\nwanted: {what}", error(text));
    }
}

/// Also those that show when all is read, those of a later user, and those in what a user's keys name.
#[test]
fn mistakes_in_users_are_named_with_their_line_and_key() {
    let first = "# Alice.\n[[user]]\naddress = \"sip:a@x\"\nalso = [\"tel:+1555\"]\npassword = \"p\"\n";
    // The second user's section is on line 7.
    for (second, what) in [
        ("", "line 7: user: address is missing"),
        ("password = \"q\"", "line 7: user: address is missing"),
        ("address = \"sip:b@x\"", "line 8: user b: neither password nor ha1_md5 nor ha1_sha256"),
        (
            "password = \"q\"\naddress = \"tel:+1-555\"",
            "line 9: user.address: tel:+1-555 belongs to the user of line 3, too",
        ),
        (
            "password = \"q\"\naddress = \"sip:b@x\"\n\nalso = [\"sip:a@x\"]",
            "line 11: user.also: sip:a@x belongs to the user of line 3, too",
        ),
        (
            "password = \"q\"\naddress = \"sip:a@y\"",
            "line 9: user.address: the user of line 3 has the name \"a\", too",
        ),
        (
            "password = \"q\"\naddress = \"sip:b@y\"\nusername = \"a\"",
            "line 10: user.username: the user of line 3 has the name \"a\", too",
        ),
        ("address = \"bob\"", "line 8: user.address: \"bob\": "),
        ("address = 5", "line 8: user.address: a text in quotes is wanted, not a number"),
        ("adress = \"sip:b@x\"", "line 8: user has no key \"adress\"; it has address, also, username, "),
        ("address = \"sip:b@x\"\nalso = \"tel:+1\"", "line 9: user.also: a list in brackets is wanted"),
        ("address = \"sip:b@x\"\nalso = [\n\"tel:\"]", "line 9: user.also: \"tel:\": "),
        ("address = \"sip:b@x\"\nha1_sha256 = \"00\"", "line 9: user.ha1_sha256: 64 hexadecimal digits"),
        ("address = \"sip:b@x\"\nwishes = [\"sleep\"]", "line 9: user.wishes: \"sleep\" is none of "),
        (
            "address = \"sip:b@x\"\npassword = \"q\"\nwishes = [\"store\", \"forward\"]",
            "line 10: user.wishes: \"forward\" needs forward_to",
        ),
        ("address = \"sip:b@x\"\nforward_to = \"c\"", "line 9: user.forward_to: \"c\": "),
        ("address = \"sip:b@x\"\nblacklist = [\"d\"]", "line 9: user.blacklist: \"d\": "),
        ("address = \"sip:b@x\"\naccess_policy = 1", "line 9: user.access_policy: a text in quotes"),
        ("address = \"sip:b@x\"\naddress = \"sip:c@x\"", "line 9: duplicate key"),
        ("address = \"sip:b@x\"\n[user.more]\nx = 1", "line 9: user has no key \"more\""),
    ] {
        let error = error(&format!("{first}\n[[user]]\n{second}"));
        assert!(error.starts_with(what), "{error}\nwanted: {what}");
    }

    let path = std::env::temp_dir().join(format!("cpm-serve-check-{}.xml", std::process::id()));
    std::fs::write(&path, "<no").unwrap();
    for key in ["access_policy", "profiles", "blacklist_file"] {
        for (file, why) in [(path.clone(), ""), (path.with_extension("gone"), "No such file")] {
            let text =
                format!("{first}\n[[user]]\naddress = \"sip:b@x\"\npassword = \"q\"\n{key} = {file:?}");
            let error = Config::read(&text).unwrap().check().unwrap_err().to_string();
            let what = format!("line 10: user.{key}: {}: {why}", file.display());
            assert!(error.starts_with(&what), "{error}\nwanted: {what}");
        }
    }
    std::fs::remove_file(&path).unwrap();
    // A name that no header field can hold.
    let text = format!("{first}\n[[user]]\naddress = \"sip:b@x\"\npassword = \"q\"\nusername = \"\\u0000\"");
    let error = Config::read(&text).unwrap().check().unwrap_err();
    assert_eq!(error.line, 10, "{error}");
    assert_eq!(Config::read(first).unwrap().check(), Ok(()));
}

#[test]
fn secrets_are_not_shown() {
    let text = "[[user]]\naddress = \"sip:a@b\"\npassword = \"wonderland\"\nha1_md5 = \"0123456789abcdef0123456789abcdef\"";
    let config = Config::read(text).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("wonderland") && !shown.contains("0123456789abcdef"), "{shown}");
    // Nor in what is said of a hash that is none.
    let text = "[[user]]\naddress = \"sip:a@b\"\nha1_sha256 = \"hunter2\"";
    assert!(!error(text).contains("hunter2"));
}

#[test]
fn preferences_come_from_keys_or_documents() {
    let user = |keys: &str| {
        let text = format!("[[user]]\naddress = \"sip:a@b\"\npassword = \"x\"\n{keys}");
        Config::read(&text).unwrap().users.remove(0)
    };
    assert_eq!(user("").preferences().unwrap(), cpm_core::outside::Preferences::default());
    let keys = "wishes = [\"forward\"]\nforward_to = \"sip:c@b\"\nblacklist = [\"tel:+1-555\"]";
    let preferences = user(keys).preferences().unwrap();
    let rules = preferences.access_policy.unwrap();
    assert!(rules.rules[0].wishes(Wish::Forward));
    assert_eq!(rules.rules[0].forward_to(), Some("sip:c@b"));
    assert_eq!(preferences.blacklist, [Uri::parse("tel:+1555").unwrap().address_key()].into());

    let path = std::env::temp_dir().join(format!("cpm-serve-{}.xml", std::process::id()));
    std::fs::write(&path, cpm_xml::access_policy::write(&rules)).unwrap();
    let keys = format!("access_policy = {path:?}\nwishes = [\"store\"]");
    let read = user(&keys).preferences().unwrap().access_policy.unwrap();
    assert!(read.rules[0].wishes(Wish::Forward) && !read.rules[0].wishes(Wish::Store));
    std::fs::write(&path, "<no").unwrap();
    assert!(user(&keys).preferences().unwrap_err().to_string().starts_with("line 4: user.access_policy: "));
    std::fs::remove_file(&path).unwrap();
    assert!(user(&keys).preferences().unwrap_err().to_string().contains("No such file"));
}

/// Users by the thousand are read in a moment, and their lines counted right: also behind a mark of the octets' order, with the
/// line ends of other systems, and where users stand in one list.
#[test]
fn mistakes_in_long_files_are_named_with_their_line() {
    let mut text = String::new();
    for user in 0..5_000 {
        text +=
            &format!("[[user]]\naddress = \"sip:u{user}@x\"\nalso = [\"tel:+1{user}\"]\npassword = \"p\"\n");
    }
    text += "[[user]]\naddress = \"sip:u7@x\"";
    let start = std::time::Instant::now();
    assert_eq!(error(&text), "line 20002: user.address: sip:u7@x belongs to the user of line 30, too");
    // Were all of the file gone through for each key, it were some half a minute.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());

    for (text, line) in [
        ("\u{feff}[[user]]\naddress = 5", 2),
        ("[[user]]\r\n\r\naddress = 5\r\n", 3),
        ("user = [{ address = \"sip:a@x\", password = \"p\" },\n\n{ address = 5 }]", 3),
        ("\n\ncore.realm = 5", 3),
    ] {
        assert!(error(text).starts_with(&format!("line {line}: ")), "{text:?}: {}", error(text));
    }
}
