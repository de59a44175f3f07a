//! `transform.csv_parse`: CSV text to records.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use flowcore::{
    Array, Execution, InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory,
    NodeInstance, NodeOutput, Object, Port, Value,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::csv::{CsvError, Reader, check_delimiter, comma, yes};
use super::records::{array_port, pure_inline};
use super::text::{TextOrBytes, text_input};

const DESCRIPTION: &str = "\
The format is that of RFC 4180, with any delimiter: a cell with a delimiter, a quote or a line break \
in it stands in double quotes, and a quote in it is doubled.
Lines may end in `\\n`, `\\r\\n` or `\\r`; empty lines are skipped, and so is a byte order mark.

With `types` set to `auto`, a cell becomes what it looks like, if nothing is lost: `12` and `-0.5` \
numbers, `true` and `false` booleans, and an empty cell null. `007`, `1.50`, `+1`, `1e5` and \
integers beyond 64 bits stay text, as they would be written differently. Whether a cell is quoted \
makes no difference.

A row with more or fewer cells than the first line is an error. With `flexible`, missing cells \
are empty, and those beyond the header are kept as `column_4` and so on, by their place.";

/// The config of `transform.csv_parse`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CsvParseConfig {
    /// The character between cells.
    #[serde(default = "comma")]
    delimiter: char,
    /// Whether the first line has the names of the columns. Without names, rows are arrays.
    #[serde(default = "yes")]
    header: bool,
    /// What cells become.
    #[serde(default)]
    types: CellTypes,
    /// Whether white space around cells is left out; never that within quotes.
    #[serde(default)]
    trim: bool,
    /// Whether rows may have more or fewer cells than the first line.
    #[serde(default)]
    flexible: bool,
}

/// What cells become.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum CellTypes {
    /// Numbers, booleans and null where a cell looks like one and nothing is lost.
    #[default]
    Auto,
    /// All cells are text, the empty ones too.
    Text,
}

impl CellTypes {
    fn value(self, cell: Cow<'_, str>) -> Value {
        match self {
            Self::Text => text_value(cell),
            Self::Auto => typed(&cell).unwrap_or_else(|| text_value(cell)),
        }
    }
}

fn text_value(cell: Cow<'_, str>) -> Value {
    match cell {
        Cow::Borrowed(text) => Value::from(text),
        Cow::Owned(text) => Value::from(text),
    }
}

/// Makes `transform.csv_parse`.
pub(super) struct CsvParseFactory;

impl NodeFactory for CsvParseFactory {
    fn node_type(&self) -> &'static str {
        "transform.csv_parse"
    }

    fn instance(&self, _config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        Ok(NodeInstance::Inline(Box::new(CsvParse)))
    }

    fn descriptor(&self) -> NodeDescriptor {
        pure_inline("transform.csv_parse")
            // Tables are files, and files are large: 1 MiB takes some 10 ms.
            .execution(Execution::Blocking)
            .summary("Read records out of CSV text")
            .description(DESCRIPTION)
            .config::<CsvParseConfig>()
            .input(Port::new("csv").typed::<TextOrBytes>().required().description("The CSV text"))
            .output(array_port("rows", "An object for each row; an array without a header"))
            .output(array_port("columns", "The names of the columns; empty without a header"))
            .example(
                "A table with a header",
                json!({}),
                json!({ "csv": "city,zip,population\nOslo,0150,717710\nBergen,,291940\n" }),
                json!({
                    "rows": [
                        { "city": "Oslo", "zip": "0150", "population": 717_710 },
                        { "city": "Bergen", "zip": null, "population": 291_940 }
                    ],
                    "columns": ["city", "zip", "population"]
                }),
            )
            .example(
                "Text only, without a header",
                json!({ "delimiter": ";", "header": false, "types": "text" }),
                json!({ "csv": "1;\"a;b\"\n2;\n" }),
                json!({ "rows": [["1", "a;b"], ["2", ""]], "columns": [] }),
            )
    }
}

struct CsvParse;

impl InlineNode for CsvParse {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        let config = ctx.config::<CsvParseConfig>()?;
        check_delimiter(config.delimiter)?;
        let text = text_input(ctx, "csv")?;
        let reader = Reader::new(text, config.delimiter, config.trim);
        let table = if config.header {
            records(reader, &config)?
        } else {
            (arrays(reader, &config)?, Array::new())
        };
        Ok(NodeOutput::of("rows", table.0).with("columns", table.1))
    }
}

fn records(mut reader: Reader<'_>, config: &CsvParseConfig) -> Result<(Array, Array), NodeError> {
    let mut cells = Vec::new();
    reader.record(&mut cells).map_err(|error| syntax(&error))?;
    let mut names: Vec<Arc<str>> = cells.iter().map(|name| Arc::from(&**name)).collect();
    check_names(&names)?;
    let columns = Array::from_values(names.iter().cloned().map(Value::from))?;
    let width = names.len();
    let mut rows = Vec::new();
    while let Some(line) = reader.record(&mut cells).map_err(|error| syntax(&error))? {
        check_width(&cells, width, line, config.flexible)?;
        cells.resize(cells.len().max(width), Cow::Borrowed(""));
        name_more(&mut names, cells.len());
        let values = cells.drain(..).map(|cell| config.types.value(cell));
        rows.push(Object::from_entries(names.iter().cloned().zip(values))?.into());
    }
    Ok((Array::from_values(rows)?, columns))
}

fn arrays(mut reader: Reader<'_>, config: &CsvParseConfig) -> Result<Array, NodeError> {
    let (mut cells, mut rows, mut width) = (Vec::new(), Vec::new(), None);
    while let Some(line) = reader.record(&mut cells).map_err(|error| syntax(&error))? {
        check_width(&cells, *width.get_or_insert(cells.len()), line, config.flexible)?;
        let values = cells.drain(..).map(|cell| config.types.value(cell));
        rows.push(Array::from_values(values)?.into());
    }
    Ok(Array::from_values(rows)?)
}

fn syntax(error: &CsvError) -> NodeError {
    NodeError::new("csv.syntax", error.to_string())
        .with_hint("a quote within a quoted cell is doubled: `\"a \"\"b\"\" c\"`")
}

fn check_names(names: &[Arc<str>]) -> Result<(), NodeError> {
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(*name)) {
        None => Ok(()),
        Some(name) => Err(NodeError::new(
            "csv.duplicate_column",
            format!("two columns have the name `{name}`"),
        )
        .with_hint("with `\"header\": false` the rows are arrays, the first line included")),
    }
}

fn check_width(
    cells: &[Cow<'_, str>],
    width: usize,
    line: usize,
    flexible: bool,
) -> Result<(), NodeError> {
    if flexible || cells.len() == width {
        return Ok(());
    }
    let found = cells.len();
    let message = format!("line {line} has {found} cells, and the first line has {width}");
    Err(NodeError::new("csv.ragged", message)
        .with_hint("check the delimiter, or allow it with `\"flexible\": true`"))
}

/// Names the columns beyond the header by their place.
fn name_more(names: &mut Vec<Arc<str>>, width: usize) {
    while names.len() < width {
        let mut name = format!("column_{}", names.len() + 1);
        while names.iter().any(|other| **other == *name) {
            name.push('_');
        }
        names.push(name.into());
    }
}

/// What a cell looks like, if writing that gives the same cell again.
fn typed(cell: &str) -> Option<Value> {
    match cell.as_bytes() {
        [] => Some(Value::Null),
        b"true" => Some(Value::Bool(true)),
        b"false" => Some(Value::Bool(false)),
        [b'-' | b'0'..=b'9', .., b'0'..=b'9'] | [b'0'..=b'9'] => number(cell),
        _ => None,
    }
}

fn number(cell: &str) -> Option<Value> {
    if cell.contains('.') {
        let plain = cell.bytes().all(|b| matches!(b, b'-' | b'.' | b'0'..=b'9'));
        let float = plain.then(|| Value::try_from(cell.parse().unwrap_or(f64::NAN)).ok())??;
        return (float.to_json_text() == cell).then_some(float);
    }
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    if digits.starts_with('0') && cell != "0" {
        return None;
    }
    let signed = cell.parse::<i64>().map(Value::from);
    signed.or_else(|_| cell.parse::<u64>().map(Value::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error_of, output_of};
    use super::*;

    #[track_caller]
    fn check(config: serde_json::Value, csv: &str, expected: &str) {
        let rows = output_of(&CsvParseFactory, config, json!({ "csv": csv }), "rows");
        assert_eq!(rows.to_json_text(), expected, "{csv:?}");
    }

    #[test]
    fn only_what_can_be_written_back_has_a_type() {
        let cells = [
            ("12", "12"),
            ("-3", "-3"),
            ("0", "0"),
            ("0.1", "0.1"),
            ("-0.5", "-0.5"),
            ("18446744073709551615", "18446744073709551615"),
            ("true", "true"),
            ("false", "false"),
        ];
        for (cell, value) in cells {
            check(json!({ "header": false }), cell, &format!("[[{value}]]"));
        }
        check(json!({ "header": false }), "a,", r#"[["a",null]]"#);
        for text in [
            "007",
            "1.50",
            "1e5",
            "1e+300",
            "+1",
            "-0",
            "-",
            "--1",
            "1.",
            ".5",
            "1.2.3",
            "1-2",
            "1_000",
            "18446744073709551616",
            "True",
            "null",
            "NaN",
            "inf",
            "0x10",
            "١",
            " 1",
            "2012/01/01",
        ] {
            check(json!({ "header": false }), text, &format!("[[\"{text}\"]]"));
        }
        check(json!({ "types": "text" }), "a,b\n1,\n", r#"[{"a":"1","b":""}]"#);
        check(json!({ "trim": true }), " a , b\n 1 , x y \n", r#"[{"a":1,"b":"x y"}]"#);
    }

    #[test]
    fn headers_name_columns_once() {
        let rows = output_of(
            &CsvParseFactory,
            json!({}),
            json!({ "csv": "\u{feff}b,a\n1,2\n3,4" }),
            "rows",
        );
        assert_eq!(rows.to_json_text(), r#"[{"b":1,"a":2},{"b":3,"a":4}]"#);
        let key = |row: usize| {
            rows.as_array().unwrap()[row].as_object().unwrap().keys().next().unwrap().clone()
        };
        assert!(Arc::ptr_eq(&key(0), &key(1)), "rows share the names");
        check(json!({}), "", "[]");
        check(json!({}), "a,b", "[]");
        let columns = output_of(&CsvParseFactory, json!({}), json!({ "csv": "b,a" }), "columns");
        assert_eq!(columns.to_json_text(), r#"["b","a"]"#);
    }

    #[test]
    fn flexible_rows_lose_nothing() {
        let config = json!({ "flexible": true });
        check(
            config.clone(),
            "a,column_3\n1\n1,2,3,4\n5,6\n",
            r#"[{"a":1,"column_3":null},{"a":1,"column_3":2,"column_3_":3,"column_4":4},{"a":5,"column_3":6}]"#,
        );
        check(json!({ "flexible": true, "header": false }), "1\n1,2\n", "[[1],[1,2]]");
    }

    #[track_caller]
    fn check_error(config: serde_json::Value, csv: &str, code: &str) -> NodeError {
        let error = error_of(&CsvParseFactory, config, json!({ "csv": csv }));
        assert_eq!(error.code(), code, "{error}");
        error
    }

    #[test]
    fn errors_have_codes_and_lines() {
        let error = check_error(json!({}), "a,b\n\n1,2\n3\n", "csv.ragged");
        assert_eq!(error.message(), "line 4 has 1 cells, and the first line has 2");
        check_error(json!({ "header": false }), "1\n1,2\n", "csv.ragged");
        check_error(json!({}), "a,b,a\n", "csv.duplicate_column");
        let error = check_error(json!({}), "a\n\"b\n", "csv.syntax");
        assert_eq!(error.message(), "the quoted cell that begins in line 2 is never closed");
        check_error(json!({}), "\"a\"b\n", "csv.syntax");
        check_error(json!({ "header": false }), "\"a", "csv.syntax");
        check_error(json!({ "delimiter": "\"" }), "a", "config.invalid");
        check_error(json!({ "delimiter": ";;" }), "a", "config.invalid");
        check_error(json!({ "types": "number" }), "a", "config.invalid");
        let bytes = json!({ "csv": { "$bytes": "/w==" } });
        assert_eq!(error_of(&CsvParseFactory, json!({}), bytes).code(), "input.not_utf8");
    }
}
