//! The text of a statement, as far as it can be judged without knowing the database.

use flowcore::NodeError;

/// What Flow's expressions start with; `'{{1,2}}'`, an array of PostgreSQL, does not.
const ROOTS: [&str; 6] = ["inputs", "nodes", "input", "execution", "workflow", "secrets"];

/// How control nodes name what they go through.
const LOCALS: [&str; 2] = ["item", "index"];

/// Statements that begin, end or divide a transaction.
const TRANSACTION: [&str; 9] =
    ["abort", "begin", "commit", "end", "release", "rollback", "savepoint", "start", "prepare"];

/// Refuses what would be wrong on any database.
///
/// # Errors
/// `config.invalid`, which validation finds before anything runs.
pub(super) fn check(query: &str) -> Result<(), NodeError> {
    if let Some(expression) = expression(query) {
        let message =
            format!("the query has the expression `{expression}`, which is not evaluated");
        return Err(NodeError::config(message)
            .with_hint("write `$1` or `:name` in its place, and give the value in `params`"));
    }
    let word = first_word(query);
    if word.is_empty() {
        return Err(NodeError::config("the query has no statement"));
    }
    if TRANSACTION.iter().any(|keyword| word.eq_ignore_ascii_case(keyword)) {
        let message = format!("`{}` would outlive the node", word.to_ascii_uppercase());
        return Err(NodeError::config(message).with_hint(
            "each node is a transaction of its own; put what belongs together into one statement",
        ));
    }
    Ok(())
}

/// The first expression of Flow.
fn expression(query: &str) -> Option<&str> {
    query.match_indices("{{").find_map(|(start, _)| {
        let inside = query[start + 2..].trim_start();
        let length = inside.find(|c: char| !c.is_alphanumeric() && c != '_');
        let word = &inside[..length.unwrap_or(inside.len())];
        let end = query[start..].find("}}")?;
        let known = ROOTS.contains(&word) || LOCALS.contains(&word);
        known.then(|| &query[start..start + end + 2])
    })
}

fn first_word(query: &str) -> &str {
    let mut rest =
        query.trim_start_matches(|c: char| c.is_whitespace() || c == ';' || c == '\u{feff}');
    loop {
        let after = if rest.starts_with("--") {
            rest.split_once('\n').map_or("", |(_, after)| after)
        } else if rest.starts_with("/*") {
            rest.split_once("*/").map_or("", |(_, after)| after)
        } else {
            break;
        };
        rest = after.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
    }
    let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
    // What starts with a sign, such as `(SELECT 1)`, is a statement as well.
    if end == 0 { rest } else { &rest[..end] }
}

/// The statement with `$1`, `$2`, … for each `:name`, and the names in that order: PostgreSQL has no
/// names. Quoted text, comments and the cast `::` are left alone.
#[cfg(feature = "postgres")]
pub(super) fn number_names(query: &str) -> (String, Vec<&str>) {
    let mut text = String::with_capacity(query.len());
    let mut names: Vec<&str> = Vec::new();
    let mut at = 0;
    while at < query.len() {
        let rest = &query[at..];
        let (taken, name) = token(rest);
        match name {
            None => text.push_str(&rest[..taken]),
            Some(name) => {
                let known = names.iter().position(|other| *other == name);
                let index = known.unwrap_or_else(|| {
                    names.push(name);
                    names.len() - 1
                });
                text.push('$');
                text.push_str(&(index + 1).to_string());
            }
        }
        at += taken;
    }
    (text, names)
}

/// Whether a statement has this word outside of quoted text and comments.
#[cfg(feature = "postgres")]
pub(super) fn has_word(query: &str, word: &str) -> bool {
    let mut rest = query;
    while !rest.is_empty() {
        let (taken, after) = rest.split_at(token(rest).0);
        if taken.eq_ignore_ascii_case(word) {
            return true;
        }
        rest = after;
    }
    false
}

/// The length of the first token, and its name if it is `:name`.
#[cfg(feature = "postgres")]
fn token(text: &str) -> (usize, Option<&str>) {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let first = text.chars().next().unwrap_or_default();
    let until = |from: usize, end: &str| {
        text[from..].find(end).map_or(text.len(), |found| from + found + end.len())
    };
    let length = match first {
        '\'' => quoted(text, '\'', false),
        '"' => quoted(text, '"', false),
        'E' | 'e' if text[1..].starts_with('\'') => 1 + quoted(&text[1..], '\'', true),
        '-' if text.starts_with("--") => until(2, "\n"),
        '/' if text.starts_with("/*") => comment(text),
        '$' => match text[1..].find(|c| !is_name(c)).map(|end| end + 1) {
            Some(end)
                if text[end..].starts_with('$')
                    && !text[1..].starts_with(|c: char| c.is_ascii_digit()) =>
            {
                until(end + 1, &text[..=end])
            }
            _ => 1,
        },
        ':' if text.starts_with("::") => 2,
        ':' if text[1..].starts_with(|c: char| c.is_alphabetic() || c == '_') => {
            let end = text[1..].find(|c| !is_name(c)).map_or(text.len(), |end| end + 1);
            return (end, Some(&text[1..end]));
        }
        c if is_name(c) => text.find(|c| !is_name(c)).unwrap_or(text.len()),
        c => c.len_utf8(),
    };
    (length, None)
}

/// The length of a quoted text with its quotes; a doubled quote ends nothing.
#[cfg(feature = "postgres")]
fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && escapes {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

/// The length of a comment; comments nest.
#[cfg(feature = "postgres")]
fn comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of the message.
    fn refusal(query: &str) -> Result<(), String> {
        check(query).map_err(|error| {
            assert_eq!(error.code(), "config.invalid");
            error.message().split('`').next().unwrap_or_default().to_owned()
        })
    }

    #[test]
    fn s38_expressions_are_refused_and_arrays_are_not() {
        for query in [
            "SELECT {{ inputs.id }}",
            "SELECT '{{nodes.a.b}}'",
            "SELECT 1 WHERE x = '{{ '{{' }} {{ item.name | upper }}'",
        ] {
            assert_eq!(refusal(query), Err("the query has the expression ".to_owned()), "{query}");
        }
        for query in ["SELECT '{{1,2},{3,4}}'::int[]", "SELECT '{{a,b}}'", "SELECT '{{ inputs'"] {
            assert_eq!(refusal(query), Ok(()), "{query}");
        }
    }

    #[test]
    fn transactions_are_refused_however_they_are_written() {
        for query in
            ["begin", " COMMIT;", "-- a\n/* b */ Rollback", ";savepoint a", "START TRANSACTION"]
        {
            assert_eq!(refusal(query), Err(String::new()), "{query}");
        }
        for query in
            ["SELECT 'begin'", "(SELECT 1)", "-- begin\nSELECT 1", "WITH a AS (SELECT 1) SELECT 1"]
        {
            assert_eq!(refusal(query), Ok(()), "{query}");
        }
        for query in ["", " ;\n", "-- nothing", "/* nothing"] {
            assert_eq!(refusal(query), Err("the query has no statement".to_owned()), "{query}");
        }
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn names_become_numbers_outside_of_quotes() {
        for (query, expected, names) in [
            ("SELECT :a, :b, :a", "SELECT $1, $2, $1", &["a", "b"][..]),
            ("SELECT ':a', \":a\", x::int", "SELECT ':a', \":a\", x::int", &[]),
            ("SELECT 'it''s :a', :b::int", "SELECT 'it''s :a', $1::int", &["b"]),
            (r"SELECT E'\':a', :b", r"SELECT E'\':a', $1", &["b"]),
            ("SELECT $$:a$$, $x$:b $$ $x$, :c", "SELECT $$:a$$, $x$:b $$ $x$, $1", &["c"]),
            ("SELECT 1 -- :a\n, :b", "SELECT 1 -- :a\n, $1", &["b"]),
            ("SELECT /* :a /* :b */ :c */ :d", "SELECT /* :a /* :b */ :c */ $1", &["d"]),
            ("SELECT a[1:2], é:ü_1", "SELECT a[1:2], é$1", &["ü_1"]),
            ("SELECT ': :", "SELECT ': :", &[]),
        ] {
            assert_eq!(number_names(query), (expected.to_owned(), names.to_vec()), "{query}");
        }
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn words_are_found_outside_of_quotes() {
        for (query, expected) in [
            ("DELETE FROM t\nReturning id", true),
            ("SELECT 'returning', \"returning\" -- returning", false),
            ("SELECT returning_at, :returning", false),
        ] {
            assert_eq!(has_word(query, "returning"), expected, "{query}");
        }
    }
}
