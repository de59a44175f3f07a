//! Filters that make much out of little, bounded: fuel counts steps, and each of these is one.
//!
//! Before one runs, it is asked how large its result would be. A number that is too large by a few
//! digits would otherwise take all memory, and the process with it.

use minijinja::value::{Rest, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value as Jinja, filters};

/// The most bytes, or items, that such a filter makes: as much as the largest output of a node.
const MAX_SIZE: usize = 64 * 1024 * 1024;

/// The widest that something is padded or indented. Nobody aligns further.
const MAX_WIDTH: usize = 1_000;

/// How large the result of a filter with these arguments is, at least about; the value comes first.
type Size = fn(&[Jinja]) -> usize;

/// Puts the bounded filters in the place of the built-in ones, which get names with an underscore:
/// those are not in the list of filters, so no expression can use them.
pub(super) fn bound_filters(environment: &mut Environment<'static>) {
    environment.add_filter("_batch", filters::batch);
    environment.add_filter("_format", filters::format);
    environment.add_filter("_indent", filters::indent);
    environment.add_filter("_join", filters::join);
    environment.add_filter("_replace", filters::replace);
    environment.add_filter("_slice", filters::slice);
    environment.add_filter("_tojson", filters::tojson);
    let sizes: [(&'static str, &'static str, Size); 7] = [
        ("batch", "_batch", |args| number(args, "count")),
        ("format", "_format", format),
        ("indent", "_indent", indent),
        ("join", "_join", join),
        ("replace", "_replace", replace),
        ("slice", "_slice", |args| number(args, "count")),
        ("tojson", "_tojson", tojson),
    ];
    for (name, builtin, size) in sizes {
        let filter = move |state: &mut State, args: Rest<ValueOrKwargs>| {
            let args = args.into_values();
            if size(&args) > MAX_SIZE {
                let message = format!("the result of `{name}` is too large");
                return Err(Error::new(ErrorKind::InvalidOperation, message));
            }
            state.apply_filter(builtin, &args)
        };
        environment.add_filter(name, filter);
    }
}

/// The first argument, or that of this name; 0 when it is no number, which the filter then refuses.
fn number(args: &[Jinja], name: &str) -> usize {
    let positional = args.get(1).filter(|value| value.is_number()).cloned();
    let named = || args.last().and_then(|named| named.get_attr(name).ok());
    positional.or_else(named).and_then(|number| number.as_usize()).unwrap_or(0)
}

fn text(args: &[Jinja], position: usize) -> &str {
    args.get(position).and_then(Jinja::as_str).unwrap_or_default()
}

/// How much text an argument is.
fn width(args: &[Jinja], position: usize) -> usize {
    let Some(value) = args.get(position) else { return 0 };
    value.as_str().map_or_else(|| value.to_string().len(), str::len)
}

fn indent(args: &[Jinja]) -> usize {
    // The indentation is made before it is known whether any line needs it.
    number(args, "width").saturating_mul(text(args, 0).lines().count() + 1)
}

fn join(args: &[Jinja]) -> usize {
    let items = args.first().and_then(Jinja::len).unwrap_or(0);
    items.saturating_mul(text(args, 1).len())
}

fn replace(args: &[Jinja]) -> usize {
    text(args, 0).matches(text(args, 1)).count().saturating_mul(width(args, 2))
}

/// The indentation stands before every item, as many times as the item is deep.
fn tojson(args: &[Jinja]) -> usize {
    if number(args, "indent") > MAX_WIDTH { usize::MAX } else { 0 }
}

fn format(args: &[Jinja]) -> usize {
    let is_wide = text(args, 0).split('%').skip(1).flat_map(numbers).any(|width| width > MAX_WIDTH);
    if is_wide { usize::MAX } else { 0 }
}

/// Width and precision of what follows a `%`, perhaps after a key in brackets.
fn numbers(directive: &str) -> impl Iterator<Item = usize> {
    let rest = match directive.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((_, rest)) => rest,
        None => directive,
    };
    let end = rest.find(|c: char| !"0123456789.+-# ".contains(c)).unwrap_or(rest.len());
    let digits = rest[..end].split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    digits.map(|digits| digits.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::{Expression, Roots};

    fn evaluate(text: &str) -> Result<String, String> {
        let expression = Expression::compile(text, Roots::Names(&[])).unwrap();
        let value = expression.evaluate(&[]).map_err(|error| format!("{}: {error}", error.code))?;
        Ok(value.to_json_text())
    }

    #[test]
    fn what_is_not_too_large_is_as_ever() {
        for (text, expected) in [
            ("'a\nb' | indent(2)", r#""a\n  b""#),
            ("'a\nb' | indent(width=1, first=true)", r#"" a\n b""#),
            ("{'a': [1]} | tojson", r#""{\"a\": [1]}""#),
            ("[1] | tojson(indent=1)", r#""[\n 1\n]""#),
            ("[1] | tojson(true)", r#""[\n  1\n]""#),
            ("[1, 2, 3] | batch(2, 0) | list", "[[1,2],[3,0]]"),
            ("[1, 2, 3] | slice(2) | list", "[[1,2],[3]]"),
            ("[1, 2] | join(', ')", r#""1, 2""#),
            ("[{'a': 1}, {'a': 2}] | join('-', attribute='a')", r#""1-2""#),
            ("[1, 2] | join", r#""12""#),
            ("'aXbX' | replace('X', '--')", r#""a--b--""#),
            (
                "'%05d|%-4s|%.2f|%%|%s' | format(7, 'a', 0.5, 100000)",
                r#""00007|a   |0.50|%|100000""#,
            ),
        ] {
            assert_eq!(evaluate(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn s31_what_is_too_large_is_refused_before_it_is_made() {
        for text in [
            "'x' | indent(10000000000)",
            "1 | indent(width=10000000000)",
            "[1] | tojson(10000000000)",
            "[[1]] | tojson(indent=1001)",
            "[1] | batch(10000000000, 'x') | list",
            "[1] | slice(10000000000) | list",
            "(range(90000) | list) | join('x' * 10000)",
            "('x' * 100000) | replace('x', 'y' * 1000)",
            "('x' * 1000000) | replace('', [1] * 50)",
            "'%10000000000d' | format(1)",
            "'%.99999999999999999999f' | format(1)",
            "'%(a)10000000000d' | format(a=1)",
        ] {
            let error = evaluate(text).unwrap_err();
            assert!(error.starts_with("expression.failed: "), "{text}: {error}");
            assert!(error.ends_with("` is too large"), "{text}: {error}");
        }
    }
}
