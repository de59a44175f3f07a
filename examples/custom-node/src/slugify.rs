//! `text.slugify`: a title as part of a web address.

use flowcore::{
    Effect, Execution, InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory,
    NodeInstance, NodeOutput, Port,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// The config of `text.slugify`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct SlugifyConfig {
    /// What stands between words.
    separator: String,
    /// The most characters; words that do not fit are left out.
    max_length: usize,
}

impl Default for SlugifyConfig {
    fn default() -> Self {
        Self { separator: "-".to_owned(), max_length: 60 }
    }
}

/// Makes `text.slugify` nodes.
pub(crate) struct SlugifyFactory;

impl NodeFactory for SlugifyFactory {
    fn node_type(&self) -> &str {
        "text.slugify"
    }

    fn instance(&self, _config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        Ok(NodeInstance::Inline(Box::new(Slugify)))
    }

    fn descriptor(&self) -> NodeDescriptor {
        NodeDescriptor::new("text.slugify")
            .summary("Turns a title into part of a web address")
            .input(Port::new("text").description("The title.").typed::<String>().required())
            .output(Port::new("slug").description("Words in lower case.").typed::<String>())
            .config::<SlugifyConfig>()
            .effect(Effect::Pure)
            .execution(Execution::Inline)
            .example(
                "A title",
                json!({}),
                json!({ "text": "Rust, in 10 Minutes!" }),
                json!({ "slug": "rust-in-10-minutes" }),
            )
    }
}

struct Slugify;

impl InlineNode for Slugify {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        let config = ctx.config::<SlugifyConfig>()?;
        let slug = slugify(ctx.string_input("text")?, &config);
        if slug.is_empty() {
            return Err(NodeError::new("slugify.empty", "the text has no letters and no digits"));
        }
        Ok(NodeOutput::of("slug", slug))
    }
}

fn slugify(text: &str, config: &SlugifyConfig) -> String {
    let mut slug = String::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let word = word.to_lowercase();
        let separator = if slug.is_empty() { "" } else { config.separator.as_str() };
        let length =
            [&slug, separator, &word].iter().map(|part| part.chars().count()).sum::<usize>();
        if length > config.max_length {
            break;
        }
        slug.push_str(separator);
        slug.push_str(&word);
    }
    slug
}

#[cfg(test)]
mod tests {
    use flowcore::Object;

    use super::*;

    fn slug_of(text: &str, config: serde_json::Value) -> Result<String, NodeError> {
        let config = flowcore::Value::from_json(config).unwrap();
        let config: Object = config.as_object().unwrap().clone();
        let ctx = NodeContext::builder().input("text", text).config(config).build();
        let output = Slugify.call(&ctx)?;
        Ok(output.get("slug").unwrap().as_str().unwrap().to_owned())
    }

    #[test]
    fn titles_become_slugs() {
        assert_eq!(slug_of("Hello, World!", json!({})).unwrap(), "hello-world");
        assert_eq!(slug_of("Çay & Kahve", json!({})).unwrap(), "çay-kahve");
        assert_eq!(slug_of("one two", json!({ "separator": "_" })).unwrap(), "one_two");
        assert_eq!(slug_of("one two three", json!({ "max_length": 8 })).unwrap(), "one-two");
    }

    #[test]
    fn a_text_without_words_is_an_error() {
        assert_eq!(slug_of("…", json!({})).unwrap_err().code(), "slugify.empty");
        assert_eq!(slug_of("a", json!({ "sep": "" })).unwrap_err().code(), "config.invalid");
    }

    #[test]
    fn examples_of_the_descriptor_are_right() {
        let descriptor = SlugifyFactory.descriptor();
        for example in &descriptor.examples {
            let text = example.inputs["text"].as_str().unwrap();
            let slug = slug_of(text, example.config.clone()).unwrap();
            assert_eq!(slug, example.outputs["slug"], "{}", example.title);
        }
    }
}
