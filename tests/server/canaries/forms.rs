//! The values that are looked for, and every form in which one may be seen.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// Goes into headers, and has nothing that any encoding changes but its case.
pub(super) const PLAIN: &str = "cnry1-Vq8Zk3Wm7Tp5-Xh2Lr9Bd4Gs6";
/// Means something in URLs.
pub(super) const URL: &str = "cnry2/Jf6+Nc1=Rv8&Yt3?Qw5 Mz7#Ke9";
/// Means something in JSON, HTML and scripts.
pub(super) const TEXT: &str = "cnry3\"Hb4\\Pd6ÄUx9\nSg2'Oy5<Al8>";

const CANARIES: [&str; 3] = [PLAIN, URL, TEXT];

/// How a value may be seen although nobody wrote it so.
fn forms(canary: &str) -> Vec<(String, String)> {
    let bytes = canary.as_bytes();
    let middle = canary.char_indices().nth(canary.chars().count() / 2).unwrap().0;
    let (first, second) = canary.split_at(middle);
    let hex = |upper: bool| -> String {
        bytes.iter().map(|b| if upper { format!("{b:02X}") } else { format!("{b:02x}") }).collect()
    };
    let percent = |is_lower: bool, space: &str| -> String {
        let each = bytes.iter().map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(*byte).to_string()
            }
            b' ' => space.to_owned(),
            byte if is_lower => format!("%{byte:02x}"),
            byte => format!("%{byte:02X}"),
        });
        each.collect()
    };
    let json = serde_json::to_string(canary).unwrap();
    let escaped = json[1..json.len() - 1].to_owned();
    let twice = serde_json::to_string(&escaped).unwrap();
    let reversed: String = canary.chars().rev().collect();
    let mut forms = vec![
        ("the first half".to_owned(), first.to_owned()),
        ("the second half".to_owned(), second.to_owned()),
        ("hex".to_owned(), hex(false)),
        ("HEX".to_owned(), hex(true)),
        ("percent".to_owned(), percent(false, "%20")),
        ("percent, lower".to_owned(), percent(true, "%20")),
        ("form".to_owned(), percent(false, "+")),
        ("JSON".to_owned(), escaped),
        ("JSON in JSON".to_owned(), twice[1..twice.len() - 1].to_owned()),
        ("upper".to_owned(), canary.to_uppercase()),
        ("lower".to_owned(), canary.to_lowercase()),
        ("reversed".to_owned(), reversed.clone()),
        ("halves reversed".to_owned(), format!("{second}{first}")),
        ("debug".to_owned(), format!("{canary:?}").trim_matches('"').to_owned()),
    ];
    for offset in 0..3 {
        // In the middle of something longer, only what is whole is known.
        let padded = [vec![0; offset], bytes.to_vec()].concat();
        for (name, engine) in [("base64", &STANDARD), ("base64url", &URL_SAFE)] {
            let encoded = engine.encode(&padded);
            forms.push((format!("{name} at {offset}"), encoded[4..encoded.len() - 4].to_owned()));
        }
    }
    forms
}

/// Where canaries were seen.
pub(super) fn seen(places: &[(String, Vec<u8>)]) -> Vec<String> {
    let forms: Vec<_> = CANARIES
        .iter()
        .flat_map(|canary| forms(canary).into_iter().map(move |(name, form)| (canary, name, form)))
        .collect();
    let mut seen = Vec::new();
    for (place, bytes) in places {
        let text = String::from_utf8_lossy(bytes);
        for (canary, name, form) in &forms {
            if let Some(at) = text.find(form.as_str()) {
                let around: String = text[..at].chars().rev().take(200).collect();
                let around: String = around.chars().rev().collect();
                seen.push(format!("{place}: {:?} as {name}, after {around:?}", &canary[..5]));
            }
        }
    }
    seen
}
