//! `transform.template`: text out of a template.

use std::fmt;
use std::io;
use std::sync::{Arc, LazyLock};

use flowcore::{
    InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory, NodeInstance,
    NodeOutput, Object, Port, Value,
};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Enumerator, Object as JinjaObject, Value as Jinja};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::jinja::{from_jinja, to_jinja};
use super::records::{pure_inline, raw_config};
use super::text::position;
use crate::deep_stack;

/// Steps that one rendering may take: a table of some 50,000 cells.
const FUEL: u64 = 1_000_000;

/// The longest template, in bytes.
const MAX_LENGTH: usize = 256 * 1024;

/// The longest text that comes out, in bytes: the largest output that the engine stores.
const MAX_OUTPUT: usize = 64 * 1024 * 1024;

/// Up to this length, in bytes, a template is compiled on the stack at hand.
const SHORT: usize = 1024;

/// Stack for compiling one byte of a template.
const STACK_PER_BYTE: usize = 4096;

/// Stack for rendering a template that can nest values at run time: one level per step.
const NESTING_STACK: usize = 512 * 1024 * 1024;

/// The name of the only template in its environment.
const NAME: &str = "template";

const DESCRIPTION: &str = "\
The template is written in the language of Jinja (as minijinja implements it), statements such as \
`{% for %}` and `{% if %}` included; files cannot be included.
It sees every input port by its name, and the keys of `values`, which may come from the config; a \
port goes before a key. The ports together are `input`, so a port whose name is no identifier is \
`input['my-port']`.
What is undefined is an error, unless the template says otherwise: `{{ name | default('you') }}`.
`{{ }}` writes strings as they are, without escaping, and everything else as JSON; within an \
expression, what makes text, such as `~` and `join`, writes booleans and null as `True`, `False` and \
`None`.
The line break at the end is kept.

The engine does not look into `template`: expressions such as `{{ nodes.a.b }}` go into `values` or \
come over connections.
Text like `awk '{%s}'` or `len=${#name}` contains what Jinja takes for the start of a statement or a \
comment. Write `{{ '{%' }}` and `{{ '{#' }}`, or put it between `{% raw %}` and `{% endraw %}`.";

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let mut syntax = SyntaxConfig::builder();
    syntax.keep_trailing_newline(true);
    environment.set_syntax(syntax.build().expect("the default delimiters are good"));
    environment.set_fuel(Some(FUEL));
    // Errors then say where they are, and what is undefined.
    environment.set_debug(true);
    // It would show everything that the template sees.
    environment.remove_global("debug");
    environment.set_formatter(|output, _state, value| write_text(output, value));
    environment
});

/// Writes strings as they are and other values as JSON; an `if` without an `else` gives nothing.
fn write_text(output: &mut minijinja::Output<'_>, value: &Jinja) -> Result<(), minijinja::Error> {
    if value.is_undefined() {
        return Ok(());
    }
    if let Some(text) = value.as_str() {
        return Ok(output.write_str(text)?);
    }
    let value = from_jinja(value)?;
    let json = serde_json::to_string(&value.reveal())
        .expect("a value has string keys and finite numbers only");
    Ok(output.write_str(&json)?)
}

/// The config of `transform.template`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TemplateConfig {
    /// The template; at most 256 KiB.
    template: String,
}

/// Makes `transform.template`.
pub(super) struct TemplateFactory;

impl NodeFactory for TemplateFactory {
    fn node_type(&self) -> &'static str {
        "transform.template"
    }

    fn instance(&self, config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        let config: TemplateConfig = raw_config(config, &["template"])?;
        Ok(NodeInstance::Inline(Box::new(Template::compile(config.template)?)))
    }

    fn descriptor(&self) -> NodeDescriptor {
        pure_inline("transform.template")
            .summary("Fill a template with values")
            .description(DESCRIPTION)
            .config::<TemplateConfig>()
            .raw_fields(&["template"])
            .open_inputs()
            .input(
                Port::new("values")
                    .typed::<serde_json::Map<String, serde_json::Value>>()
                    .description("Values by the names under which the template sees them"),
            )
            .output(Port::new("output").typed::<String>().description("The text"))
            .example(
                "A greeting",
                json!({ "template": "Hello {{ name }}!", "values": { "name": "Ada" } }),
                json!({}),
                json!({ "output": "Hello Ada!" }),
            )
            .example(
                "A list out of a connected port",
                json!({
                    "template": "{% for row in rows %}{{ loop.index }}. {{ row.city }}\n{% endfor %}"
                }),
                json!({ "rows": [{ "city": "Oslo" }, { "city": "Bergen" }] }),
                json!({ "output": "1. Oslo\n2. Bergen\n" }),
            )
            .example(
                "Text that looks like template syntax",
                json!({ "template": "len=${{ '{#' }}name}" }),
                json!({}),
                json!({ "output": "len=${#name}" }),
            )
    }
}

struct Template {
    environment: Environment<'static>,
    /// Whether values can be nested by a loop: as deep as there are steps, which the stack at hand
    /// may not have room for.
    nests: bool,
}

impl Template {
    fn compile(text: String) -> Result<Self, NodeError> {
        if text.len() > MAX_LENGTH {
            return Err(NodeError::config(format!(
                "the template is longer than {MAX_LENGTH} bytes"
            ))
            .with_hint("put what is long and fixed into `values`"));
        }
        // Without a namespace, nothing that a loop makes outlives one round of it; but statements
        // in a row can nest a value as well.
        let nests = text.contains("namespace") || text.len() > 16 * SHORT;
        let length = text.len();
        let compile = move || {
            let mut environment = ENVIRONMENT.clone();
            environment.add_template_owned(NAME, text).map_err(|error| invalid(&error))?;
            Ok(Self { environment, nests })
        };
        if length <= SHORT { compile() } else { deep_stack::run(length * STACK_PER_BYTE, compile)? }
    }

    fn render(&self, scope: Scope) -> Result<String, NodeError> {
        let tainted = scope.is_tainted();
        let mut output = Output(Vec::new());
        let result = self
            .environment
            .get_template(NAME)
            .and_then(|template| {
                template.render_captured_to(Jinja::from_object(scope), &mut output)
            })
            .map(drop);
        result.map_err(|error| failure(&error, tainted))?;
        Ok(String::from_utf8(output.0).expect("the language writes whole texts"))
    }
}

impl InlineNode for Template {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        ctx.config::<TemplateConfig>()?;
        let scope = Scope::new(ctx)?;
        let output = if self.nests {
            deep_stack::run(NESTING_STACK, || self.render(scope))?
        } else {
            self.render(scope)
        };
        Ok(NodeOutput::of("output", output?))
    }
}

fn invalid(error: &minijinja::Error) -> NodeError {
    NodeError::config(format!("template, {}: {}", place(error), describe(error)))
}

/// Where something went wrong.
fn place(error: &minijinja::Error) -> String {
    let line = error.line().unwrap_or(1);
    match error.template_source().zip(error.range()) {
        Some((text, range)) => {
            let (line, column) = position(text, range.start);
            format!("line {line}, column {column}")
        }
        None => format!("line {line}"),
    }
}

/// What went wrong, without the place.
fn describe(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

fn failure(error: &minijinja::Error, tainted: bool) -> NodeError {
    // What an error says may quote a value.
    let problem = if tainted { error.kind().to_string() } else { describe(error) };
    let message = format!("template, {}: {problem}", place(error));
    match error.kind() {
        ErrorKind::UndefinedError => NodeError::new("template.undefined", message)
            .with_hint("say what to write instead: `{{ name | default('') }}`"),
        ErrorKind::OutOfFuel => NodeError::new("template.out_of_fuel", message)
            .with_hint(format!("one rendering may take {FUEL} steps")),
        ErrorKind::WriteFailure => {
            let message = format!("the text is longer than {MAX_OUTPUT} bytes");
            NodeError::new("template.too_large", message)
        }
        _ => NodeError::new("template.failed", message),
    }
}

/// Collects the text, up to [`MAX_OUTPUT`].
struct Output(Vec<u8>);

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The names that a template sees.
struct Scope {
    ports: Object,
    values: Option<Object>,
}

impl Scope {
    fn new(ctx: &NodeContext) -> Result<Self, NodeError> {
        let values = ctx.input("values");
        let mut ports =
            Object::from_entries(ctx.inputs().map(|(port, value)| (port, value.clone())))?;
        if let Some(values) = values {
            ports.insert("values", values.clone())?;
        }
        let as_object = |values: &Value| {
            let kind = values.kind();
            values
                .as_object()
                .cloned()
                .ok_or_else(|| NodeError::invalid_input("values", "an object", kind))
        };
        Ok(Self { ports, values: values.map(as_object).transpose()? })
    }

    fn is_tainted(&self) -> bool {
        self.ports.is_tainted()
    }

    fn get(&self, name: &str) -> Option<Jinja> {
        if name == "input" {
            return Some(to_jinja(&Value::Object(self.ports.clone())));
        }
        let value = self.ports.get(name).or_else(|| self.values.as_ref()?.get(name));
        value.map(to_jinja)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ports.fmt(f)
    }
}

impl JinjaObject for Scope {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.get(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Jinja> {
        self.get(key)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.ports.keys().map(Jinja::from).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error_of, output_of};
    use super::*;

    #[track_caller]
    fn check(template: &str, inputs: serde_json::Value, expected: &str) {
        let output = output_of(&TemplateFactory, json!({ "template": template }), inputs, "output");
        assert_eq!(output.as_str(), Some(expected), "{template}");
    }

    #[test]
    fn the_whole_language_works() {
        let rows = json!({ "rows": [{ "n": 1 }, { "n": 2 }] });
        check("{% for r in rows if r.n > 1 %}{{ r.n }}{% endfor %}", rows, "2");
        check("{% set x = 1 %}{{ x + 1 }}{# no #}\n", json!({}), "2\n");
        check("{% if a is defined %}a{% else %}b{% endif %}", json!({}), "b");
        check("{% raw %}awk '{%s}' ${#x}{% endraw %}", json!({}), "awk '{%s}' ${#x}");
        let total = "{% set t = namespace(n=0) %}{% for i in x %}{% set t.n = t.n + i %}{% endfor %}{{ t.n }}";
        check(total, json!({ "x": [1, 2, 3] }), "6");
    }

    #[test]
    fn values_are_written_as_text() {
        check("{{ a }}{{ b }} {{ c }}", json!({ "a": "<é>", "b": 1.0, "c": true }), "<é>1.0 true");
        let object = json!({ "a": { "x": ["é", null] } });
        check("{{ a }} {{ a.x }}", object, r#"{"x":["é",null]} ["é",null]"#);
        let scalars = json!({ "a": true, "b": null });
        check("{{ [a, b, {'c': 1.5}] }}", scalars, r#"[true,null,{"c":1.5}]"#);
        check("{{ a }} {{ 'x' if not a }}", json!({ "a": null }), "null x");
        check("{{ a | tojson }}", json!({ "a": "\"" }), "\"\\\"\"");
    }

    #[test]
    fn ports_go_before_values() {
        let inputs = json!({ "a": 1, "my-port": 2, "values": { "a": 10, "b": 20 } });
        check(
            "{{ a }} {{ b }} {{ input['my-port'] }} {{ values.a }} {{ input.a }}",
            inputs,
            "1 20 2 10 1",
        );
    }

    #[track_caller]
    fn check_error(template: &str, inputs: serde_json::Value, code: &str) -> NodeError {
        let error = error_of(&TemplateFactory, json!({ "template": template }), inputs);
        assert_eq!(error.code(), code, "{error}");
        error
    }

    #[test]
    fn errors_have_codes_and_lines() {
        let error = check_error("a\n{{ name }}", json!({}), "template.undefined");
        assert_eq!(
            error.message(),
            "template, line 2, column 4: undefined value: `name` is undefined"
        );
        let error = check_error("a\nb\n{% for %}", json!({}), "config.invalid");
        assert!(error.message().starts_with("template, line 3, column 8: syntax error"), "{error}");
        check_error("awk '{%s}'", json!({}), "config.invalid");
        check_error("{{ 1 + [] }}", json!({}), "template.failed");
        check_error("{{ range }}", json!({}), "template.failed");
        check_error("{% include 'x' %}", json!({}), "config.invalid");
        check_error("{{ a }}", json!({ "values": [] }), "input.invalid");
        check_error(&" ".repeat(MAX_LENGTH + 1), json!({}), "config.invalid");
        let loops =
            "{% for i in range(1000) %}{% for j in range(1000) %}{{ i }}{% endfor %}{% endfor %}";
        check_error(loops, json!({}), "template.out_of_fuel");
        let long = "{% set x = 'x' * 1000000 %}{% for i in range(100) %}{{ x }}{% endfor %}";
        check_error(long, json!({}), "template.too_large");
    }

    #[test]
    fn messages_do_not_show_secrets() {
        let node = Template::compile("{{ key | int }}".to_owned()).unwrap();
        let config = json_object(json!({ "template": "" }));
        let secret = Value::from("s3cret").tainted();
        let ctx = NodeContext::builder().input("key", secret).config(config).build();
        let error = node.call(&ctx).unwrap_err();
        assert_eq!(error.code(), "template.failed");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }

    fn json_object(json: serde_json::Value) -> Object {
        Value::from_json(json).unwrap().as_object().unwrap().clone()
    }

    #[test]
    fn no_template_overflows_the_stack() {
        let fill = |unit: &str| unit.repeat((MAX_LENGTH - 100) / unit.len());
        for unit in ["-", "1+", "not ", "1~"] {
            let _ = Template::compile(format!("{{{{ {}1 }}}}", fill(unit)));
        }
        let _ = Template::compile(format!("{{{{ a{} }}}}", fill("|e")));
        let _ = Template::compile(format!("{{% if 0 %}}{}{{% endif %}}", fill("{% elif 0 %}")));
        let _ = Template::compile(fill("{% if 1 %}"));
        let nest = |by: &str| {
            format!(
                "{{% set ns = namespace(x=[]) %}}{{% for i in range(100000) %}}\
                 {{% set ns.x = {by} %}}{{% endfor %}}{{{{ ns.x }}}}"
            )
        };
        let inputs = json!({});
        for by in ["[ns.x]", "{'a': [[[ns.x]]]}"] {
            let config = json!({ "template": nest(by) });
            let _ = super::super::testing::run(&TemplateFactory, config, inputs.clone());
        }
        let row = "{% set x = [x] %}";
        let config = json!({ "template": "{% set x = 1 %}".to_owned() + &fill(row) });
        let _ = super::super::testing::run(&TemplateFactory, config, inputs.clone());
        let deep = "{% for x in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}";
        check_error(deep, inputs, "template.failed");
    }
}
