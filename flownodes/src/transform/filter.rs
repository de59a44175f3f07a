//! `transform.filter`: the items for which something is true.

use flowcore::{
    Array, InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory,
    NodeInstance, NodeOutput,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::expression::Expression;
use super::records::{
    ABOUT_EXPRESSIONS, NAMES, Scope, array_input, array_port, pure_inline, raw_config, values_port,
};

const DESCRIPTION: &str = "\
Both outputs keep the order of the items.
`where` has to give true or false; anything else is an error, not false.";

/// The config of `transform.filter`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FilterConfig {
    /// An expression over `item`, `index`, `input` and `values` that gives true for what is kept.
    r#where: String,
}

/// Makes `transform.filter`.
pub(super) struct FilterFactory;

impl NodeFactory for FilterFactory {
    fn node_type(&self) -> &'static str {
        "transform.filter"
    }

    fn instance(&self, config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        let config: FilterConfig = raw_config(config, &["where"])?;
        let condition = Expression::compile(&config.r#where, &NAMES)?;
        Ok(NodeInstance::Inline(Box::new(Filter(condition))))
    }

    fn descriptor(&self) -> NodeDescriptor {
        pure_inline("transform.filter")
            .summary("Keep the items for which an expression is true")
            .description(format!("{DESCRIPTION}\n\n{ABOUT_EXPRESSIONS}"))
            .config::<FilterConfig>()
            .raw_fields(&["where"])
            .input(array_port("input", "The items").required())
            .input(values_port())
            .output(array_port("output", "The items for which `where` is true"))
            .output(array_port("rejected", "The other items"))
            .example(
                "Large orders",
                json!({ "where": "item.total >= values.limit", "values": { "limit": 100 } }),
                json!({ "input": [{ "id": 1, "total": 80 }, { "id": 2, "total": 120 }] }),
                json!({
                    "output": [{ "id": 2, "total": 120 }],
                    "rejected": [{ "id": 1, "total": 80 }]
                }),
            )
    }
}

struct Filter(Expression);

impl InlineNode for Filter {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        ctx.config::<FilterConfig>()?;
        let scope = Scope::new(ctx)?;
        let (mut output, mut rejected) = (Vec::new(), Vec::new());
        for (index, item) in array_input(ctx, "input")?.iter().enumerate() {
            let verdict = scope.eval(&self.0, item, index)?;
            match verdict.as_bool() {
                Some(true) => output.push(item.clone()),
                Some(false) => rejected.push(item.clone()),
                None => return Err(not_boolean(index, verdict.kind())),
            }
        }
        Ok(NodeOutput::of("output", Array::from_values(output)?)
            .with("rejected", Array::from_values(rejected)?))
    }
}

fn not_boolean(index: usize, kind: &str) -> NodeError {
    NodeError::new("filter.not_boolean", format!("item {index}: `where` gave {kind}")).with_hint(
        "compare with something: `item.name != ''`, `item.count > 0`, `item.x is defined`",
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error_of, json_value, output_of};
    use super::*;

    #[test]
    fn items_are_split_in_order() {
        let config = json!({ "where": "item % 2 == 0 and index < 4" });
        let input = json!({ "input": [1, 2, 3, 4, 6] });
        let kept = output_of(&FilterFactory, config.clone(), input.clone(), "output");
        assert_eq!(kept, json_value(json!([2, 4])));
        let rejected = output_of(&FilterFactory, config, input, "rejected");
        assert_eq!(rejected, json_value(json!([1, 3, 6])));
    }

    #[track_caller]
    fn check_error(condition: &str, input: serde_json::Value, code: &str) {
        let error =
            error_of(&FilterFactory, json!({ "where": condition }), json!({ "input": input }));
        assert_eq!(error.code(), code, "{error}");
    }

    #[test]
    fn errors_have_codes() {
        check_error("item", json!([1]), "filter.not_boolean");
        check_error("item.name", json!([{ "name": "" }]), "filter.not_boolean");
        check_error("item.age > 1", json!([{}]), "expression.undefined");
        check_error("item >", json!([]), "config.invalid");
        check_error("true", json!({}), "input.invalid");
    }
}
