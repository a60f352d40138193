#![allow(clippy::arithmetic_side_effects, clippy::string_slice)]

use super::*;
use alloc::format;
use proptest::prelude::*;

/// Threat H1: what has been tried elsewhere.
#[test]
fn known_bad_names() {
    for (untrusted, safe) in [
        ("picture.jpg", "picture.jpg"),
        ("My cool picture.jpg", "My cool picture.jpg"),
        ("\u{4f60}\u{597d}.txt", "\u{4f60}\u{597d}.txt"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\windows\\system32\\a.dll", "a.dll"),
        ("C:\\boot.ini", "boot.ini"),
        ("C:boot.ini", "C_boot.ini"),
        ("a.txt:evil.exe", "a.txt_evil.exe"),
        ("..", "file"),
        (".", "file"),
        ("", "file"),
        ("a/", "file"),
        ("   ", "file"),
        ("\0", "file"),
        ("a\0.txt", "a.txt"),
        ("a\r\nb", "ab"),
        ("invoice\u{202E}fdp.exe", "invoicefdp.exe"),
        ("a\u{2066}b\u{200B}\u{FEFF}", "ab"),
        (".bashrc", "_.bashrc"),
        ("\u{200B}.bashrc", "_.bashrc"),
        (" .htaccess", "_.htaccess"),
        ("CON", "_CON"),
        ("con.txt", "_con.txt"),
        ("nul .txt", "_nul .txt"),
        ("Lpt9", "_Lpt9"),
        ("COM\u{B9}.log", "_COM\u{B9}.log"),
        ("com10", "com10"),
        ("console", "console"),
        ("CONIN$", "_CONIN$"),
        ("a.txt. . .", "a.txt"),
        ("a|b<c>d?e*f\"", "a_b_c_d_e_f_"),
        ("a\u{FF0F}b\u{2215}c", "c"),
    ] {
        let name = SafeFileName::new(untrusted);
        assert_eq!(name.as_str(), safe, "{untrusted:?}");
        assert_eq!(SafeFileName::of(untrusted), (safe != "file").then_some(name), "{untrusted:?}");
    }
    let long = format!("{}.jpeg", "\u{4f60}".repeat(200));
    let cut = SafeFileName::new(&long);
    assert!(
        cut.as_str().len() <= 255 && cut.as_str().len() > 250 && cut.as_str().ends_with(".jpeg"),
        "{cut}"
    );
    assert_eq!(SafeFileName::new(&"x".repeat(300)).as_str().len(), 255);
}

/// Threat H1, over many strings (`CPM_NAMES` for more of them).
#[test]
fn whatever_was_written_a_safe_name_is_one_harmless_component() {
    #[allow(clippy::disallowed_methods)]
    let cases = std::env::var("CPM_NAMES").ok().and_then(|n| n.parse().ok()).unwrap_or(2000);
    let mut runner = proptest::test_runner::TestRunner::new(proptest::test_runner::Config::with_cases(cases));
    let parts = prop_oneof![
        "\\PC{0,5}",
        "[./\\\\: ]{0,4}",
        "(con|NUL|aux|lpt1|COM\u{B2})",
        "[\u{0}-\u{20}\u{7f}-\u{a0}]{0,3}",
        "[\u{2000}-\u{206f}\u{feff}]{0,3}",
        "[a-z.]{0,300}",
    ];
    runner
        .run(&proptest::collection::vec(parts, 0..6), |parts| {
            let untrusted = parts.concat();
            let safe = SafeFileName::new(&untrusted);
            let text = safe.as_str();
            prop_assert!(!text.is_empty() && text.len() <= 255);
            prop_assert!(!text.contains(['/', '\\', ':', '\0']) && !text.chars().any(char::is_control));
            prop_assert!(!text.starts_with(['.', ' ']) && !text.ends_with(['.', ' ']), "{:?}", text);
            let turns = text.chars().any(|c| ('\u{202A}'..='\u{202E}').contains(&c));
            prop_assert!(!turns);
            let once = SafeFileName::new(text);
            prop_assert_eq!(&once, &safe, "once more changes nothing");
            Ok(())
        })
        .unwrap();
}
