//! `transform.jsonlogic`: a rule in JSONLogic over a value.

use flowcore::expression::{Logic, LogicProblem};
use flowcore::{
    InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory, NodeInstance,
    NodeOutput, Port, Value,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::records::{pure_inline, raw_config};

const DESCRIPTION: &str = "\
The language is [JSONLogic](https://jsonlogic.com), as \
[datalogic](https://github.com/GoPlasmatic/datalogic-rs) implements it; \
[expressions](expressions.md#jsonlogic) has its operators and what they do not do.
The engine does not look into `logic`: its `var` paths lead into `input`, and `{{ }}` is text.
What `input` lacks is null. A rule that fails fails the node (`logic.failed`).
Integers are exact within signed 64 bits; what a calculation carries beyond them is a float, and an \
input beyond them is refused.";

/// The config of `transform.jsonlogic`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JsonLogicConfig {
    /// The rule: an operator with its arguments, such as `{">": [{"var": "amount"}, 100]}`.
    #[schemars(with = "serde_json::Value")]
    logic: Value,
}

/// Makes `transform.jsonlogic`.
pub(super) struct JsonLogicFactory;

impl NodeFactory for JsonLogicFactory {
    fn node_type(&self) -> &'static str {
        "transform.jsonlogic"
    }

    fn instance(&self, config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        let config: JsonLogicConfig = raw_config(config, &["logic"])?;
        let logic = Logic::compile(&config.logic).map_err(|problems| invalid(&problems))?;
        Ok(NodeInstance::Inline(Box::new(JsonLogic(logic))))
    }

    fn descriptor(&self) -> NodeDescriptor {
        pure_inline("transform.jsonlogic")
            .summary("Run a rule in JSONLogic over a value")
            .description(DESCRIPTION)
            .config::<JsonLogicConfig>()
            .raw_fields(&["logic"])
            .input(Port::new("input").required().description("What `var` paths lead into"))
            .output(Port::new("output").description("What the rule gives"))
            .example(
                "A discount for large orders",
                json!({
                    "logic": { "if": [
                        { ">=": [{ "var": "order.total" }, 1000] },
                        { "*": [{ "var": "order.total" }, 0.1] },
                        0
                    ] }
                }),
                json!({ "input": { "order": { "total": 1500 } } }),
                json!({ "output": 150 }),
            )
            .example(
                "The names of what is in stock",
                json!({
                    "logic": { "map": [
                        { "filter": [{ "var": "" }, { ">": [{ "var": "stock" }, 0] }] },
                        { "var": "name" }
                    ] }
                }),
                json!({ "input": [{ "name": "tea", "stock": 3 }, { "name": "milk", "stock": 0 }] }),
                json!({ "output": ["tea"] }),
            )
    }
}

/// Every problem of a rule in one error; the first suggestion is the hint.
fn invalid(problems: &[LogicProblem]) -> NodeError {
    let messages: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let error = NodeError::config(format!("`logic` is no rule: {}", messages.join("; ")));
    let hints = problems.iter().find_map(|problem| {
        let suggestion = problem.error.suggestion.as_ref();
        suggestion.map(|name| format!("did you mean `{name}`?")).or(problem.error.hint.clone())
    });
    match hints {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

struct JsonLogic(Logic);

impl InlineNode for JsonLogic {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        // The rule is compiled; this refuses a config with anything else in it.
        ctx.config::<JsonLogicConfig>()?;
        Ok(NodeOutput::of("output", self.0.evaluate(ctx.required_input("input")?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error_of, output_of};
    use super::*;

    #[track_caller]
    fn check(logic: serde_json::Value, input: serde_json::Value, expected: &str) {
        let output = output_of(
            &JsonLogicFactory,
            json!({"logic": logic}),
            json!({"input": input}),
            "output",
        );
        assert_eq!(output.to_json_text(), expected);
    }

    #[test]
    fn rules_run_over_the_input() {
        check(json!({"var": "a.b"}), json!({"a": {"b": [1, 2.0]}}), "[1,2.0]");
        check(
            json!({"+": [{"var": "a"}, 1]}),
            json!({"a": 9007199254740992_i64}),
            "9007199254740993",
        );
        check(json!({"var": ""}), json!("text"), "\"text\"");
        check(json!({"var": "missing"}), json!({}), "null");
        check(json!(["{{ inputs.x }}", {"var": "a"}]), json!({"a": 1}), r#"["{{ inputs.x }}",1]"#);
        check(json!(3), json!(null), "3");
    }

    #[test]
    fn a_rule_that_fails_fails_the_node() {
        let config = json!({"logic": {">": [{"var": "a"}, 1]}});
        let error = error_of(&JsonLogicFactory, config, json!({"input": {"a": "text"}}));
        assert_eq!(error.code(), "logic.failed");
        assert!(!error.is_retryable());
        let error = error_of(&JsonLogicFactory, json!({"logic": 1}), json!({}));
        assert_eq!(error.code(), "input.missing");
    }

    #[test]
    fn bad_rules_are_refused_before_anything_runs() {
        let refuse = |config: serde_json::Value| {
            let config =
                NodeConfig::new(Value::from_json(config).unwrap().as_object().unwrap().clone());
            JsonLogicFactory.instance(&config).err().unwrap()
        };
        let error = refuse(json!({"logic": {"and": [{"lenght": 1}, {"a": 1, "b": 2}]}}));
        assert_eq!(
            error.message(),
            "`logic` is no rule: JSONLogic has no operator `lenght` (at /and/0/lenght); an object \
             in a rule is an operator, with one key; this one has 2 (at /and/1)"
        );
        assert_eq!(
            (error.code(), error.hint()),
            ("config.invalid", Some("did you mean `length`?"))
        );
        assert_eq!(refuse(json!({})).code(), "config.invalid");
    }
}
