//! A YAML reader that knows where it is, for YAML as people write it: YAML 1.2 with its core
//! schema, anchors within limits, no merge keys and no tags but those of the core schema.

mod builder;
mod locate;
mod scalar;

use std::ops::Range;

use super::Value;

pub(crate) use locate::{locate_yaml, within_yaml};

/// Something wrong with a YAML text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct YamlProblem {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) pointer: String,
    pub(crate) range: Range<usize>,
}

/// Reads a YAML document, and lists what is wrong with it; there is no value when it cannot be
/// read at all.
pub(crate) fn read_yaml(text: &str) -> (Option<Value>, Vec<YamlProblem>) {
    let (document, problems) = builder::read_document(text);
    (document.map(|document| document.value), problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let (value, problems) = read_yaml(text);
        let mut found = value.map(|value| value.to_json_text()).unwrap_or_default();
        for problem in problems {
            let place = text.get(problem.range).unwrap_or("outside");
            found +=
                &format!("\n{} {} `{place}`: {}", problem.code, problem.pointer, problem.message);
        }
        let expected: Vec<_> = expected.lines().map(str::trim).collect();
        assert_eq!(found.trim_start(), expected.join("\n"), "{text}");
    }

    #[test]
    fn good_texts_are_read() {
        check("", "null");
        check("# only a comment\n", "null");
        check(
            "a: 1\nb: [x, 'it''s', \"\\u00e9\\n\"]\nc: {d: ~}",
            "{\"a\":1,\"b\":[\"x\",\"it's\",\"é\\n\"],\"c\":{\"d\":null}}",
        );
        check(
            "- on\n- no\n- true\n- False\n- null\n-\n- ''",
            "[\"on\",\"no\",true,false,null,null,\"\"]",
        );
        check(
            "- 007\n- 0x1F\n- 0o17\n- -3\n- +4\n- 1.0\n- 1e3\n- .5\n- 1.2.3\n- 2026-01-01\n- '12'\n- !!str 12",
            "[7,31,15,-3,4,1.0,1000.0,0.5,\"1.2.3\",\"2026-01-01\",\"12\",\"12\"]",
        );
        check("- |\n  a {{ b }}\n    c\n- >-\n  d\n  e", "[\"a {{ b }}\\n  c\\n\",\"d e\"]");
        check("18446744073709551615", "18446744073709551615");
        check("1: a\ntrue: b", "{\"1\":\"a\",\"true\":\"b\"}");
        check("body: {$bytes: AQL/}", "{\"body\":{\"$bytes\":\"AQL/\"}}");
        check("a: &x {b: 1}\nc: *x", "{\"a\":{\"b\":1},\"c\":{\"b\":1}}");
    }

    #[test]
    fn problems_are_listed_and_reading_goes_on() {
        check(
            "a: 1\nb:\n  c: 1\n  c: 2\na: 3",
            "{\"a\":3,\"b\":{\"c\":2}}
            yaml.duplicate_key /b/c `c`: the key `c` stands twice in one mapping
            yaml.duplicate_key /a `a`: the key `a` stands twice in one mapping",
        );
        check(
            "- 18446744073709551616\n- -9223372036854775809\n- .inf\n- -.NaN\n- 1e999",
            "[null,null,null,\"-.NaN\",null]
            yaml.integer_too_large /0 `18446744073709551616`: the integer does not fit into 64 bits
            yaml.integer_too_large /1 `-9223372036854775809`: the integer does not fit into 64 bits
            yaml.not_finite /2 `.inf`: JSON has no such number
            yaml.not_finite /4 `1e999`: JSON has no such number",
        );
        check(
            "a: &x {b: 1}\nc:\n  <<: *x\n  d: 2",
            "{\"a\":{\"b\":1},\"c\":{\"d\":2}}
            yaml.merge_key /c/<< `<<`: merge keys are not read: write the keys out",
        );
        check(
            "a: !env HOME",
            "{\"a\":\"HOME\"}
            yaml.unknown_tag /a `!env`: the tag `!env` is not read",
        );
        check(
            "body: {$bytes: '?'}",
            "{\"body\":null}
            yaml.bad_bytes /body `{$bytes: '?'}`: `$bytes` holds text that is not base64",
        );
    }

    #[test]
    fn bad_texts_are_refused_with_a_place() {
        check("a: [1, 2", "yaml.syntax  `[`: unclosed bracket '['");
        check("a: b: c", "yaml.syntax  `:`: mapping values are not allowed in this context");
        check("a: *x", "yaml.syntax  `*`: while parsing node, found unknown anchor");
        check("&a [*a]", "yaml.recursive_alias /0 `*a`: the alias stands within what it refers to");
        check("? [a]\n: b", "yaml.bad_key  `[a]`: keys are plain texts");
        check(
            "a: 1\n---\nb: 2",
            "yaml.several_documents  `---`: a workflow file holds one document",
        );
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        check(&deep(100), &deep(100));
        check(
            &deep(101),
            "yaml.too_deep /0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0 `[`: sequences and mappings are nested deeper than 100 levels",
        );
        let (value, problems) = read_yaml(&"[".repeat(10_000_000));
        assert_eq!((value, problems[0].code), (None, "yaml.too_deep"));
    }

    #[test]
    fn aliases_do_not_explode() {
        let mut text = String::from("a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
        for (new, old) in ('b'..='k').zip('a'..='j') {
            text += &format!("{new}: &{new} [{}]\n", vec![format!("*{old}"); 10].join(", "));
        }
        let (value, problems) = read_yaml(&text);
        assert_eq!((value, problems[0].code), (None, "yaml.too_many_aliases"));
    }
}
