//! `transform.jq`: a jq filter over a value.

mod filter;
mod functions;
mod limits;
mod rewrite;
mod value;

use flowcore::{
    Array, Execution, InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory,
    NodeInstance, NodeOutput, Object, Port, Value,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use self::filter::{Filter, Results};
use super::records::{pure_inline, raw_config, values_port};

const DESCRIPTION: &str = "\
The language is [jq](https://jqlang.org/manual/), as [jaq](https://github.com/01mf02/jaq) implements it.
The engine does not look into `filter`: what is not in `input` goes into `values`, and is `$values` \
in the filter.

A filter sees nothing but its input: there is no `env`, `now`, `localtime`, `input`, `import`, `halt`, \
`debug` or `stderr`. There is no `@csv` either; `transform.csv_format` writes CSV.
Integers of 64 bits stay exact. A division gives a float, so `6 / 2` is `3.0`; `floor` makes it an \
integer. Keys keep their order where the filter keeps it. Bytes are jaq's byte strings.
Unlike in jq, a path through null cannot be updated: where `.a` may be missing, `.a.b = 1` becomes \
`.a = (.a // {}) + {b: 1}`.

A filter that runs away is stopped: after 20 million steps (`jq.out_of_fuel`), when it recurses too \
deep (`jq.too_deep`), when a text or an array in it grows beyond 64 MiB (`jq.too_large`), and when the \
attempt is cancelled. That bounds accidents; a filter that is made to use up memory can still do so.";

/// The config of `transform.jq`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JqConfig {
    /// The filter; at most 16 KiB.
    filter: String,
    /// What comes out when the filter has several results, or none.
    #[serde(default)]
    results: Results,
}

/// Makes `transform.jq`.
pub(super) struct JqFactory;

impl NodeFactory for JqFactory {
    fn node_type(&self) -> &'static str {
        "transform.jq"
    }

    fn instance(&self, config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        let config: JqConfig = raw_config(config, &["filter"])?;
        Ok(NodeInstance::Inline(Box::new(Jq(Filter::compile(&config.filter)?))))
    }

    fn descriptor(&self) -> NodeDescriptor {
        pure_inline("transform.jq")
            .execution(Execution::Blocking)
            .summary("Run a jq filter over a value")
            .description(DESCRIPTION)
            .config::<JqConfig>()
            .raw_fields(&["filter"])
            .input(Port::new("input").required().description("What the filter starts from"))
            .input(values_port().description("What the filter sees as `$values`"))
            .output(Port::new("output").description("The result, or an array of all results"))
            .example(
                "A total for each customer",
                json!({
                    "filter": "group_by(.customer) | map({customer: .[0].customer, total: map(.amount) | add})"
                }),
                json!({
                    "input": [
                        { "customer": "b", "amount": 2 },
                        { "customer": "a", "amount": 5 },
                        { "customer": "b", "amount": 3 }
                    ]
                }),
                json!({ "output": [{ "customer": "a", "total": 5 }, { "customer": "b", "total": 5 }] }),
            )
            .example(
                "All results, with a value from outside",
                json!({
                    "filter": ".[] | select(.size > $values.limit) | .name",
                    "results": "all",
                    "values": { "limit": 10 }
                }),
                json!({ "input": [{ "name": "a", "size": 12 }, { "name": "b", "size": 8 }] }),
                json!({ "output": ["a"] }),
            )
    }
}

struct Jq(Filter);

impl InlineNode for Jq {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        let config = ctx.config::<JqConfig>()?;
        let input = ctx.required_input("input")?;
        let none = Value::from(Object::new());
        let values = ctx.input("values").unwrap_or(&none);
        let mut results = self.0.run(input, values, config.results, &ctx.cancellation())?;
        let output = match config.results {
            Results::All => Value::from(Array::from_values(results)?),
            Results::First => results.pop().ok_or_else(no_output)?,
        };
        Ok(NodeOutput::of("output", output))
    }
}

fn no_output() -> NodeError {
    NodeError::new("jq.no_output", "the filter has no result").with_hint(
        "give a default, `first(…) // null`, or take what there is with `\"results\": \"all\"`",
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flowcore::{AttemptSignals, CancelReason, Cancellation};

    use super::super::testing::{error_of, output_of};
    use super::*;

    #[track_caller]
    fn check(filter: &str, input: &str, expected: &str) {
        let inputs = format!("{{\"input\": {input}}}");
        let output = output_of(&JqFactory, json!({ "filter": filter }), inputs.as_str(), "output");
        assert_eq!(output.to_json_text(), expected, "{filter}");
    }

    #[test]
    fn values_go_through_unchanged() {
        for value in [
            "null",
            "true",
            "-9223372036854775808",
            "18446744073709551615",
            "1.0",
            "1e+300",
            r#""é😀""#,
            r#"{"$bytes":"AQL/"}"#,
            r#"{"z":[1,[]],"a":{"y":{},"b":null}}"#,
        ] {
            check(".", value, value);
            check("[.][0]", value, value);
        }
    }

    #[test]
    fn the_language_works() {
        check("map(.a) | add", r#"[{"a": 9007199254740993}, {"a": 1}]"#, "9007199254740994");
        check(".a.b |= . + 1 | del(.c)", r#"{"c": 0, "a": {"b": 1}}"#, r#"{"a":{"b":2}}"#);
        check("def f: .a; f |= 3 | [paths]", r#"{"a": 1}"#, r#"[["a"]]"#);
        check("[range(3)] | [.[] * 2] | .[1] *= 10", "null", "[0,20,4]");
        check("\"ab\" * 2, \"never seen\"", "null", r#""abab""#);
        check("[(1, 2) * (3, 4)]", "null", "[3,4,6,8]");
        check("6 / 2", "null", "3.0");
        check(r#""[1, {\"a\": 2}]" | fromjson | .[1].a"#, "null", "2");
        check(r#"try ("[" | fromjson) catch "bad""#, "null", r#""bad""#);
        check(r#""12" | tonumber"#, "null", "12");
        check("walk(if type == \"number\" then . + 1 else . end)", "[1, [2]]", "[2,[3]]");
        check("[.. | numbers]", r#"{"a": [1, {"b": 2}]}"#, "[1,2]");
        check("to_entries | from_entries", r#"{"z": 1, "a": 2}"#, r#"{"z":1,"a":2}"#);
        check("[match(\"a+\"; \"g\").string]", "\"aabaaa\"", r#"["aa","aaa"]"#);
        check("0 | todate", "null", r#""1970-01-01T00:00:00Z""#);
        check("[limit(3; repeat(1))] | length", "null", "3");
        check("def f: if . >= 100000 then . else . + 1 | f end; 0 | f", "null", "100000");
        check(
            "def fac: if . <= 1 then 1 else . * (. - 1 | fac) end; 20 | fac",
            "null",
            "2432902008176640000",
        );
        check("[recurse(if . < 2000 then . + 1 else empty end)] | length", "0", "2001");
        check("label $f | .[] | if . > 1 then ., break $f else empty end", "[1, 2, 3]", "2");
        check("reduce .[] as [$a, {b: $b}] (0; . + $a * $b)", r#"[[2, {"b": 3}]]"#, "6");
        check("setpath([\"a\", 0]; 1) | tojson", r#"{"a": [0]}"#, r#""{\"a\":[1]}""#);
        check("\"\\(1 + 1) é\" | @base64 | @base64d", "null", r#""2 é""#);
        check("$values", "1", "{}");
    }

    #[test]
    fn results_are_the_first_or_all() {
        let all = json!({ "filter": ".[]", "results": "all" });
        let run = |input| output_of(&JqFactory, all.clone(), json!({ "input": input }), "output");
        assert_eq!(run(json!([1, 2])).to_json_text(), "[1,2]");
        assert_eq!(run(json!([])).to_json_text(), "[]");
        check(".[]", "[1, 2]", "1");
        check(".[] | if . == 2 then error else . end", "[1, 2]", "1");
    }

    #[track_caller]
    fn check_error(filter: &str, input: &str, code: &str) -> NodeError {
        let inputs = format!("{{\"input\": {input}}}");
        let error = error_of(&JqFactory, json!({ "filter": filter }), inputs.as_str());
        assert_eq!(error.code(), code, "{filter}: {error}");
        error
    }

    #[test]
    fn failures_have_codes() {
        check_error("empty", "1", "jq.no_output");
        let error = check_error(".a", "[1]", "jq.failed");
        assert_eq!(error.message(), "cannot index [1] with \"a\"");
        assert_eq!(check_error("error(\"no é\")", "1", "jq.failed").message(), "no é");
        check_error("error({a: 1})", "1", "jq.failed");
        check_error("18446744073709551615 + 1", "1", "jq.no_value");
        check_error("{(1 | tostring): 1} | with_entries(.key = 1)", "1", "jq.no_value");
        check_error("nan", "1", "value.not_finite");
        check_error("reduce range(101) as $i (1; [.])", "1", "value.too_deep");
        check_error("tojson | \"[\" * 200 | fromjson", "1", "jq.failed");
    }

    #[test]
    fn bad_filters_are_refused_with_a_place() {
        let message =
            |filter: &str| check_error(filter, "1", "config.invalid").message().to_owned();
        assert_eq!(
            message(".a |\n  | .b"),
            "filter, line 2, column 3: expected term, and found `|`"
        );
        assert_eq!(message("map(.a"), "filter, line 1, column 7: expected closing parenthesis");
        assert_eq!(message("1 +"), "filter, line 1, column 4: expected term, and the filter ends");
        assert_eq!(
            message(".[\"é\"] | nope(1)"),
            "filter, line 1, column 10: there is no filter `nope` with 1 arguments"
        );
        assert_eq!(message("$x"), "filter, line 1, column 1: there is no variable `$x`");
        for filter in [
            "env",
            "now",
            "$ENV",
            "input",
            "halt",
            "debug",
            "stderr",
            "localtime",
            "0 | halt_error",
        ] {
            assert!(message(filter).contains("there is no"), "{filter}");
        }
        let error = check_error("env.HOME", "1", "config.invalid");
        assert!(error.hint().unwrap().contains("nothing but its input"));
        message("import \"a\" as a; 1");
        message(&" ".repeat(17 * 1024));
    }

    #[test]
    fn filters_that_run_away_are_stopped() {
        check_stopped("def f: 1 + f; f", "jq.too_deep");
        check_stopped("def f: [f]; f", "jq.too_deep");
        check_stopped("def f: . |= f; f", "jq.too_deep");
        check_stopped("def f: f, f; [f]", "jq.out_of_fuel");
        check_stopped("def f(g): f(g | g); f(.)", "jq.out_of_fuel");
        check_stopped("try (def f: 1 + f; f) catch 1", "jq.too_deep");
        check_stopped("reduce range(1000000) as $i (1; [.])", "jq.too_deep");
        check_stopped("def f: {n: ., v: [1]} | f; f", "jq.too_deep");
        check_stopped("def f: f; f", "jq.out_of_fuel");
        check_stopped("[range(1e18)]", "jq.out_of_fuel");
        check_stopped("last(range(1e18))", "jq.out_of_fuel");
        check_stopped("[limit(1e18; repeat(1))]", "jq.out_of_fuel");
        check_stopped("reduce range(60) as $i (\"x\"; . + .)", "jq.too_large");
        check_stopped("reduce range(60) as $i ([1]; . + .)", "jq.too_large");
        check_stopped("reduce range(60) as $i (10; . * .)", "jq.too_large");
        check_stopped("\"x\" * 10000000000", "jq.too_large");
        check_stopped("{a: \"x\"} | .a *= 10000000000", "jq.too_large");
    }

    #[track_caller]
    fn check_stopped(filter: &str, code: &str) {
        let mut compiled = Filter::compile(filter).unwrap();
        compiled.max_steps = 50_000;
        let result = compiled.run(&Value::Null, &Value::Null, Results::First, &Cancellation::new());
        assert_eq!(result.unwrap_err().code(), code, "{filter}");
    }

    #[test]
    fn a_cancelled_filter_ends() {
        let signals = Arc::new(AttemptSignals::default());
        signals.cancel(CancelReason::Requested);
        let filter = Filter::compile("last(range(1e18))").unwrap();
        let config = Object::from_entries([("filter", Value::from("."))]).unwrap();
        let ctx = NodeContext::builder().input("input", 1).config(config).signals(signals).build();
        assert_eq!(Jq(filter).call(&ctx).unwrap_err().code(), "jq.cancelled");
    }

    #[test]
    fn messages_do_not_show_secrets() {
        let filter = Filter::compile(".a").unwrap();
        let config = Object::from_entries([("filter", Value::from("."))]).unwrap();
        let secret = Value::from("s3cret").tainted();
        let ctx = NodeContext::builder().input("input", secret).config(config).build();
        let error = Jq(filter).call(&ctx).unwrap_err();
        assert_eq!(error.code(), "jq.failed");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }

    #[test]
    fn no_filter_overflows_the_stack() {
        let units = [
            "(",
            "[",
            "{a:",
            "-",
            "1+",
            "1,",
            "1|",
            "def f: ",
            "if 1 then ",
            "1 as $x|",
            "try ",
            "\"\\(",
            "reduce 1 as $x (0;",
            "label $x|",
            "1 // ",
            ". as [$a] | ",
        ];
        for unit in units {
            let text = unit.repeat(16 * 1024 / unit.len() - 1);
            let _ = Filter::compile(&text);
            let _ = Filter::compile(&(text + "1"));
        }
        for unit in [".a", "[0]", "?", "|.", "+1"] {
            let _ = Filter::compile(&(".".to_owned() + &unit.repeat(16 * 1024 / unit.len() - 1)));
        }
    }
}
