//! `examples/for-each`.

use serde_json::json;

use super::support::outputs;

#[test]
fn texts_are_counted_and_what_is_no_text_is_named() {
    assert_eq!(
        outputs("examples/for-each/workflow.json", &[]),
        json!({
            "texts": [
                { "file": "balcony.txt", "words": 9 },
                { "file": "prologue.txt", "words": 6 },
            ],
            "words": 15,
            "not_read": ["file.not_text"],
        })
    );
}
