//! `transform.csv_format`: records to CSV text.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use flowcore::{
    Array, Execution, InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory,
    NodeInstance, NodeOutput, Port, Value,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::csv::{check_delimiter, comma, write_record, yes};
use super::records::{array_input, array_port, pure_inline};

const DESCRIPTION: &str = "\
Rows are objects, or arrays of cells; not both.
Without `columns`, the columns of objects are all the keys that any row has, in the order in which \
they first appear. A row without a key has an empty cell there, and keys that are not among the \
`columns` are left out. For arrays, `columns` is only the header.

Null is an empty cell, strings stand as they are, and numbers, booleans, arrays and objects as \
JSON. A cell is quoted where it has to be. Lines end in `\\n`.";

/// The config of `transform.csv_format`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CsvFormatConfig {
    /// The columns, in order.
    #[serde(default)]
    columns: Option<Vec<String>>,
    /// The character between cells.
    #[serde(default = "comma")]
    delimiter: char,
    /// Whether the first line has the names of the columns.
    #[serde(default = "yes")]
    header: bool,
}

/// Makes `transform.csv_format`.
pub(super) struct CsvFormatFactory;

impl NodeFactory for CsvFormatFactory {
    fn node_type(&self) -> &'static str {
        "transform.csv_format"
    }

    fn instance(&self, _config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        Ok(NodeInstance::Inline(Box::new(CsvFormat)))
    }

    fn descriptor(&self) -> NodeDescriptor {
        pure_inline("transform.csv_format")
            .execution(Execution::Blocking)
            .summary("Write records as CSV text")
            .description(DESCRIPTION)
            .config::<CsvFormatConfig>()
            .input(array_port("rows", "The rows: objects, or arrays of cells").required())
            .output(Port::new("csv").typed::<String>().description("The CSV text"))
            .example(
                "Objects",
                json!({ "columns": ["city", "note"] }),
                json!({ "rows": [{ "city": "Oslo", "note": "a, b" }, { "city": "Bergen" }] }),
                json!({ "csv": "city,note\nOslo,\"a, b\"\nBergen,\n" }),
            )
            .example(
                "Arrays, for a spreadsheet that wants semicolons",
                json!({ "delimiter": ";" }),
                json!({ "rows": [[1, 2.5], ["x", null]] }),
                json!({ "csv": "1;2.5\nx;\n" }),
            )
    }
}

struct CsvFormat;

impl InlineNode for CsvFormat {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        let config = ctx.config::<CsvFormatConfig>()?;
        check_delimiter(config.delimiter)?;
        let rows = array_input(ctx, "rows")?;
        let columns = match &config.columns {
            Some(columns) => columns.iter().map(|name| Arc::from(name.as_str())).collect(),
            None => all_keys(rows),
        };
        let mut csv = String::new();
        if config.header && !columns.is_empty() {
            write_record(&mut csv, columns.iter().map(|name| Cow::from(&**name)), config.delimiter);
        }
        let of_arrays = rows.first().is_some_and(|row| row.as_array().is_some());
        for (index, row) in rows.iter().enumerate() {
            match row.untainted() {
                Value::Array(cells) if of_arrays => {
                    write_record(&mut csv, cells.iter().map(cell), config.delimiter);
                }
                Value::Object(object) if !of_arrays => {
                    let cells = columns.iter().map(|name| object.get(name).map_or("".into(), cell));
                    write_record(&mut csv, cells, config.delimiter);
                }
                other => return Err(bad_row(index, other, of_arrays)),
            }
        }
        Ok(NodeOutput::of("csv", csv))
    }
}

/// The keys of all rows, in the order in which they first appear.
fn all_keys(rows: &Array) -> Vec<Arc<str>> {
    let mut seen = HashSet::new();
    let keys = rows.iter().filter_map(Value::as_object).flat_map(|row| row.keys());
    keys.filter(|key| seen.insert(Arc::clone(key))).cloned().collect()
}

/// The text of a value, secrets included.
fn cell(value: &Value) -> Cow<'_, str> {
    match value.untainted() {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => Cow::Borrowed(text),
        other => serde_json::to_string(&other.reveal())
            .expect("a value has string keys and finite numbers only")
            .into(),
    }
}

fn bad_row(index: usize, row: &Value, of_arrays: bool) -> NodeError {
    let kind = row.kind();
    let message = match (row, of_arrays) {
        (Value::Array(_) | Value::Object(_), _) => {
            format!("row {index} is {kind}, unlike the rows before it")
        }
        _ => format!("row {index} is {kind}, and neither an object nor an array"),
    };
    NodeError::new("csv.bad_row", message)
}

#[cfg(test)]
mod tests {
    use flowcore::value::read_json;
    use proptest::prelude::*;

    use super::super::csv_parse::CsvParseFactory;
    use super::super::testing::{error_of, output_of, run};
    use super::*;

    #[track_caller]
    fn check(config: serde_json::Value, rows: &str, expected: &str) {
        let inputs = format!("{{\"rows\": {rows}}}");
        let csv = output_of(&CsvFormatFactory, config, inputs.as_str(), "csv");
        assert_eq!(csv.as_str(), Some(expected), "{rows}");
    }

    #[test]
    fn columns_are_all_keys_or_those_asked_for() {
        let rows = r#"[{"z": 1, "a": "x"}, {"b": true, "z": null}]"#;
        check(json!({}), rows, "z,a,b\n1,x,\n,,true\n");
        check(json!({ "columns": ["b", "z", "q"] }), rows, "b,z,q\n,1,\ntrue,,\n");
        check(json!({ "header": false }), rows, "1,x,\n,,true\n");
        check(json!({ "columns": ["n"] }), "[]", "n\n");
        check(json!({}), "[]", "");
        check(json!({ "columns": ["n", "m"] }), "[[1, 2]]", "n,m\n1,2\n");
    }

    #[test]
    fn cells_are_text() {
        check(
            json!({}),
            r#"[[1.0, "a\"b", [1, "x"], {"k": null}, ""]]"#,
            "1.0,\"a\"\"b\",\"[1,\"\"x\"\"]\",\"{\"\"k\"\":null}\",\n",
        );
        check(json!({}), r#"[[null], ["x"]]"#, "\"\"\nx\n");
        let secret = Array::from_values([Value::from("s3cret").tainted()]).unwrap();
        let rows = Array::from_values([secret.into()]).unwrap();
        let output = CsvFormat.call(&NodeContext::builder().input("rows", rows).build()).unwrap();
        assert_eq!(output.get("csv").and_then(Value::as_str), Some("s3cret\n"));
    }

    #[track_caller]
    fn check_error(config: serde_json::Value, rows: serde_json::Value, code: &str) {
        let error = error_of(&CsvFormatFactory, config, json!({ "rows": rows }));
        assert_eq!(error.code(), code, "{error}");
    }

    #[test]
    fn errors_have_codes() {
        check_error(json!({}), json!([1]), "csv.bad_row");
        check_error(json!({}), json!([{}, []]), "csv.bad_row");
        check_error(json!({}), json!([[], {}]), "csv.bad_row");
        check_error(json!({}), json!({}), "input.invalid");
        check_error(json!({ "delimiter": "\n" }), json!([]), "config.invalid");
    }

    /// Values that a CSV file can hold without losing their type.
    fn any_cell() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1000..1000_i32).prop_map(|n| Value::try_from(f64::from(n) / 8.0).unwrap()),
            "[a-z\",;\r\n é]{1,6}"
                .prop_filter("looks like a boolean", |text| text != "true" && text != "false")
                .prop_map(Value::from),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_is_written_is_read_again(
            rows in proptest::collection::vec(proptest::collection::vec(any_cell(), 2..4), 1..6)
        ) {
            let names = ["a", "b,\n", "\"c\""];
            let width = rows[0].len();
            let row = |cells: Vec<Value>| {
                let cells = cells.into_iter().chain(std::iter::repeat(Value::Null)).take(width);
                flowcore::Object::from_entries(names.into_iter().zip(cells)).unwrap().into()
            };
            let rows = Array::from_values(rows.into_iter().map(row)).unwrap();
            let ctx = NodeContext::builder().input("rows", rows.clone()).build();
            let csv = CsvFormat.call(&ctx).unwrap().get("csv").unwrap().clone();
            let inputs = format!("{{\"csv\": {}}}", csv.to_json_text());
            let output = run(&CsvParseFactory, "{}", inputs.as_str()).unwrap();
            prop_assert_eq!(output.get("rows").unwrap().to_json_text(), Value::from(rows).to_json_text());
        }
    }

    #[test]
    fn deep_cells_are_json() {
        let rows = read_json(r#"[[{"$bytes": "AQL/"}]]"#).unwrap();
        let output = CsvFormat.call(&NodeContext::builder().input("rows", rows).build()).unwrap();
        assert_eq!(
            output.get("csv").and_then(Value::as_str),
            Some("\"{\"\"$bytes\"\":\"\"AQL/\"\"}\"\n")
        );
    }
}
