//! `transform.xml_parse`: XML text to a value.

mod element;

use std::borrow::Cow;

use flowcore::value::MAX_DEPTH;
use flowcore::{
    InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory, NodeInstance,
    NodeOutput, Port, Value,
};
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::records::pure_inline;
use super::text::{TextOrBytes, position, text_input};
use crate::error::with_cause;
use element::{Element, Shape};

const DESCRIPTION: &str = "\
Reads one XML document in UTF-8. The value is an object with one key, the name of the root element.

| XML | Value |
|---|---|
| an element with text only, `<a>1</a>` | the text: `\"1\"` |
| an empty element, `<a/>` | the empty text |
| an attribute, `<a id=\"1\"/>` | the key `@id` of the element's object |
| an element within, `<a><b/></a>` | the key `b` of the element's object |
| several of the same name | an array, where the first of them stands |
| text beside attributes or elements | the key `#text`, all of it in one piece |

Everything is text: `transform.map` makes numbers of it. One element and several of its name look \
different, unless the name is in `arrays`: then it is always an array. White space around text is \
taken off, unless `trim` is off; text that is only white space between elements does not count.

Names keep their prefixes as they are written (`soap:Body`), and declarations of namespaces are \
attributes like any other (`@xmlns:soap`). Comments and processing instructions are left out. \
A document type is skipped: it defines no entities, and nothing is read from elsewhere, so an \
entity other than `&lt;`, `&gt;`, `&amp;`, `&apos;` and `&quot;` is an error.";

/// The config of `transform.xml_parse`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct XmlParseConfig {
    /// Names of elements that become an array even when there is only one of them.
    arrays: Vec<String>,
    /// Whether white space around text is taken off.
    trim: bool,
    /// The largest text that is read, in bytes.
    max_bytes: usize,
}

impl Default for XmlParseConfig {
    fn default() -> Self {
        Self { arrays: Vec::new(), trim: true, max_bytes: 16 * 1024 * 1024 }
    }
}

/// Makes `transform.xml_parse`.
pub(super) struct XmlParseFactory;

impl NodeFactory for XmlParseFactory {
    fn node_type(&self) -> &'static str {
        "transform.xml_parse"
    }

    fn instance(&self, _config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        Ok(NodeInstance::Inline(Box::new(XmlParse)))
    }

    fn descriptor(&self) -> NodeDescriptor {
        pure_inline("transform.xml_parse")
            .summary("Read a value out of XML text")
            .description(DESCRIPTION)
            .config::<XmlParseConfig>()
            .input(Port::new("xml").typed::<TextOrBytes>().required().description("The XML text"))
            .output(Port::new("parsed").description("The value"))
            .example(
                "An order",
                json!({}),
                json!({
                    "xml": "<order id=\"A-1\"><item>tea</item><item>coffee</item><paid/></order>"
                }),
                json!({
                    "parsed": {
                        "order": { "@id": "A-1", "item": ["tea", "coffee"], "paid": "" }
                    }
                }),
            )
            .example(
                "A name that is always an array",
                json!({ "arrays": ["item"] }),
                json!({ "xml": "<order><item unit=\"kg\">tea</item></order>" }),
                json!({
                    "parsed": { "order": { "item": [{ "@unit": "kg", "#text": "tea" }] } }
                }),
            )
    }
}

struct XmlParse;

impl InlineNode for XmlParse {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        let config = ctx.config::<XmlParseConfig>()?;
        let text = text_input(ctx, "xml")?;
        if text.len() > config.max_bytes {
            let message = format!("the text is larger than {} bytes", config.max_bytes);
            return Err(NodeError::new("xml.too_large", message).with_hint("raise `max_bytes`"));
        }
        let secret = ctx.required_input("xml")?.is_tainted();
        let shape = Shape { arrays: &config.arrays, trim: config.trim };
        let parsed = Document::new(text, secret, shape).read()?;
        Ok(NodeOutput::of("parsed", parsed))
    }
}

/// A document that is being read.
struct Document<'a> {
    text: &'a str,
    secret: bool,
    shape: Shape<'a>,
    reader: Reader<&'a [u8]>,
    version: XmlVersion,
    /// The elements that are open, the root first.
    open: Vec<Element>,
    root: Option<Value>,
}

impl<'a> Document<'a> {
    fn new(text: &'a str, secret: bool, shape: Shape<'a>) -> Self {
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let (open, root) = (Vec::new(), None);
        Self { text, secret, shape, reader, version: XmlVersion::Implicit1_0, open, root }
    }

    fn read(mut self) -> Result<Value, NodeError> {
        loop {
            let event = self.reader.read_event().map_err(|error| self.broken(&error))?;
            match event {
                Event::Start(tag) => self.start(&tag)?,
                Event::End(_) => self.end()?,
                Event::Text(text) => {
                    let content = text.xml_content(self.version).into_owned();
                    self.add_text(&content)?;
                }
                Event::CData(text) => {
                    let content = text.xml_content(self.version).into_owned();
                    self.add_text(&content)?;
                }
                Event::GeneralRef(reference) => self.reference(&reference)?,
                Event::Decl(declaration) => {
                    self.version =
                        declaration.xml_version().map_err(|error| self.broken(&error))?;
                }
                Event::Eof => return self.finish(),
                // Never interpreted: what a document type defines is unknown.
                Event::DocType(_) | Event::Comment(_) | Event::PI(_) | Event::Empty(_) => {}
            }
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), NodeError> {
        if self.open.is_empty() && self.root.is_some() {
            return Err(self.syntax("there is more than one root element"));
        }
        // The object of the root, and one for each element.
        if self.open.len() + 1 >= usize::from(MAX_DEPTH) {
            return Err(self.too_deep());
        }
        let name = tag.name();
        self.check_name(name.as_ref())?;
        let mut element = Element::new(name.as_ref());
        // Its own check compares each attribute with each.
        for attribute in tag.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| self.broken(&error))?;
            let value = attribute.normalized_value(self.version);
            let value = value.map_err(|error| self.broken(&error))?;
            self.check_name(attribute.key.as_ref())?;
            if !element.add_attribute(attribute.key.as_ref(), &value) {
                return Err(self.syntax("an attribute stands twice"));
            }
        }
        self.open.push(element);
        Ok(())
    }

    fn end(&mut self) -> Result<(), NodeError> {
        let Some(element) = self.open.pop() else {
            return Err(self.syntax("an element ends that did not begin"));
        };
        let (name, value) = element.finish(&self.shape).map_err(|_| self.too_deep())?;
        match self.open.last_mut() {
            Some(parent) => parent.add_child(name, value),
            None => {
                let mut document = Element::new("");
                document.add_child(name, value);
                let (_, value) = document.finish(&self.shape).map_err(|_| self.too_deep())?;
                self.root = Some(value);
            }
        }
        Ok(())
    }

    fn add_text(&mut self, text: &str) -> Result<(), NodeError> {
        match self.open.last_mut() {
            Some(element) => element.add_text(text),
            None if text.trim().is_empty() => {}
            None => return Err(self.syntax("there is text outside of the root element")),
        }
        Ok(())
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), NodeError> {
        let character = reference.resolve_char_ref().map_err(|error| self.broken(&error))?;
        let text: Cow<'_, str> = match character {
            Some(character) => character.to_string().into(),
            None => resolve_xml_entity(reference).ok_or_else(|| self.unknown_entity())?.into(),
        };
        self.add_text(&text)
    }

    fn finish(self) -> Result<Value, NodeError> {
        if !self.open.is_empty() {
            return Err(self.syntax("the text ends within an element"));
        }
        match self.root {
            Some(root) => Ok(root),
            None => Err(self.syntax("there is no element")),
        }
    }

    /// The parser takes nearly everything for a name.
    fn check_name(&self, name: &str) -> Result<(), NodeError> {
        let mut signs = name.chars();
        let begins = signs.next().is_some_and(|sign| sign.is_alphabetic() || "_:".contains(sign));
        let goes_on =
            |sign: char| sign.is_alphanumeric() || !sign.is_ascii() || "_:-.".contains(sign);
        let is_name = begins && signs.all(goes_on);
        is_name.then_some(()).ok_or_else(|| self.syntax("a name has signs that names do not have"))
    }

    fn place(&self) -> String {
        let offset = self.reader.buffer_position().min(self.text.len() as u64);
        let offset = usize::try_from(offset).unwrap_or(self.text.len());
        let (line, column) = position(self.text, offset);
        format!("before line {line}, column {column}")
    }

    fn syntax(&self, problem: &str) -> NodeError {
        NodeError::new("xml.syntax", format!("{problem}, {}", self.place()))
    }

    fn too_deep(&self) -> NodeError {
        let message = format!("elements are nested too deep, {}", self.place());
        NodeError::new("xml.too_deep", message)
            .with_hint("a value has at most 100 levels; an element and an array are one each")
    }

    fn unknown_entity(&self) -> NodeError {
        let message = format!("there is an entity that XML does not define, {}", self.place());
        NodeError::new("xml.unknown_entity", message)
            .with_hint("what a document type defines is not read")
    }

    /// What the parser says may show what it read.
    fn broken(&self, error: &(dyn std::error::Error + 'static)) -> NodeError {
        use quick_xml::Error::Escape;
        use quick_xml::escape::EscapeError::UnrecognizedEntity;

        if let Some(Escape(UnrecognizedEntity(..))) = error.downcast_ref() {
            return self.unknown_entity();
        }
        let failure = self.syntax("the text is not XML");
        if self.secret { failure } else { with_cause(failure, &error.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error_of, output_of};
    use super::*;

    fn parse(config: serde_json::Value, xml: &str) -> String {
        output_of(&XmlParseFactory, config, json!({ "xml": xml }), "parsed").to_json_text()
    }

    #[track_caller]
    fn check(xml: &str, expected: &str) {
        assert_eq!(parse(json!({}), xml), expected);
    }

    #[test]
    fn elements_attributes_and_text() {
        check("<a/>", r#"{"a":""}"#);
        check("<a></a>", r#"{"a":""}"#);
        check("<a> x  y </a>", r#"{"a":"x  y"}"#);
        check("<a b='1' c=\"2\"/>", r#"{"a":{"@b":"1","@c":"2"}}"#);
        check("<a b='1'>x</a>", r##"{"a":{"@b":"1","#text":"x"}}"##);
        check("<a>\n  <b/>\n  <c>1</c>\n</a>", r#"{"a":{"b":"","c":"1"}}"#);
        check("<a><b>1</b><c/><b>2</b><b>3</b></a>", r#"{"a":{"b":["1","2","3"],"c":""}}"#);
        check("<p>Hello <b>you</b> there</p>", r##"{"p":{"b":"you","#text":"Hello  there"}}"##);
    }

    #[test]
    fn entities_sections_and_what_is_left_out() {
        check("<a>&lt;&#65;&#x42;&amp;&quot;&apos;&gt;</a>", r#"{"a":"<AB&\"'>"}"#);
        check("<a b='&lt;&#10;x'/>", r#"{"a":{"@b":"<\nx"}}"#);
        check("<a>x<![CDATA[<b>&amp;]]>y</a>", r#"{"a":"x<b>&amp;y"}"#);
        check(
            "<?xml version='1.0' encoding='UTF-8'?><!DOCTYPE a><!-- c --><a>1<!-- c -->2<?p i?></a>\n",
            r#"{"a":"12"}"#,
        );
        check("\u{feff}<a>é</a>", r#"{"a":"é"}"#);
        check("<a>1\r\n2</a>", r#"{"a":"1\n2"}"#);
    }

    #[test]
    fn namespaces_are_kept_as_written() {
        check(
            "<s:Envelope xmlns:s='urn:x'><s:Body><m xmlns='urn:y'/></s:Body></s:Envelope>",
            r#"{"s:Envelope":{"@xmlns:s":"urn:x","s:Body":{"m":{"@xmlns":"urn:y"}}}}"#,
        );
    }

    #[test]
    fn arrays_and_white_space_as_configured() {
        let config = json!({ "arrays": ["b", "a"], "trim": false });
        assert_eq!(parse(config.clone(), "<a><b> 1 </b></a>"), r#"{"a":[{"b":[" 1 "]}]}"#);
        assert_eq!(parse(config, "<a> \n<c> </c></a>"), r#"{"a":[{"c":" "}]}"#);
    }

    #[track_caller]
    fn check_error(xml: &str, code: &str, message: &str) {
        let error = error_of(&XmlParseFactory, json!({}), json!({ "xml": xml }));
        assert_eq!((error.code(), error.message()), (code, message), "{error}");
        assert!(!error.is_retryable());
    }

    #[test]
    fn what_is_not_xml_has_a_place() {
        for (xml, message) in [
            ("", "there is no element, before line 1, column 1"),
            ("text", "there is text outside of the root element, before line 1, column 5"),
            ("<a>\n", "the text ends within an element, before line 2, column 1"),
            ("<a/><b/>", "there is more than one root element, before line 1, column 9"),
            ("<a b='1' b='2'/>", "an attribute stands twice, before line 1, column 17"),
            ("<1a/>", "a name has signs that names do not have, before line 1, column 6"),
            ("<a><$/></a>", "a name has signs that names do not have, before line 1, column 8"),
        ] {
            check_error(xml, "xml.syntax", message);
        }
        for xml in [
            "<a></b>",
            "</a>",
            "<a",
            "<a b=1/>",
            "<a b/>",
            "<a>&</a>",
            "<a>&#xFFFFFFFF;</a>",
            "<!-- ",
            "<a>&#0;</a>",
        ] {
            let error = error_of(&XmlParseFactory, json!({}), json!({ "xml": xml }));
            assert_eq!(error.code(), "xml.syntax", "{xml}: {error}");
        }
    }

    #[test]
    fn nothing_is_expanded_and_nothing_is_fetched() {
        let bomb = "<!DOCTYPE a [<!ENTITY x 'ha'><!ENTITY y '&x;&x;&x;'>]><a>&y;</a>";
        let external = "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a b='&x;'/>";
        for xml in [bomb, external] {
            let error = error_of(&XmlParseFactory, json!({}), json!({ "xml": xml }));
            assert_eq!(error.code(), "xml.unknown_entity", "{error}");
        }
    }

    #[test]
    fn size_and_depth_are_limited() {
        let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        let depth = |xml: &str| {
            output_of(&XmlParseFactory, json!({}), json!({ "xml": xml }), "parsed").depth()
        };
        assert_eq!(depth(&nested(99)), 99);
        let error = error_of(&XmlParseFactory, json!({}), json!({ "xml": nested(100) }));
        assert_eq!(error.code(), "xml.too_deep");
        let hostile = "<a>".repeat(1_000_000);
        let error = error_of(&XmlParseFactory, json!({}), json!({ "xml": hostile }));
        assert_eq!(error.code(), "xml.too_deep");
        let arrays = json!({ "arrays": ["a"] });
        let error = error_of(&XmlParseFactory, arrays, json!({ "xml": nested(60) }));
        assert_eq!(error.code(), "xml.too_deep");
        let small = json!({ "max_bytes": 3 });
        let error = error_of(&XmlParseFactory, small, json!({ "xml": "<a/>" }));
        assert_eq!(error.code(), "xml.too_large");
    }

    #[test]
    fn many_attributes_and_children_are_no_trouble() {
        let attributes: String = (0..50_000).map(|n| format!(" a{n}='{n}'")).collect();
        let children: String = (0..50_000).map(|n| format!("<b{n}/>")).collect();
        let xml = format!("<a{attributes}>{children}</a>");
        let parsed = output_of(&XmlParseFactory, json!({}), json!({ "xml": xml }), "parsed");
        assert_eq!(parsed.get("a").unwrap().as_object().unwrap().len(), 100_000);
    }

    #[test]
    fn a_secret_text_is_not_shown() {
        let ctx = NodeContext::builder().input("xml", Value::from("<a></s3cret>").tainted());
        let error = XmlParse.call(&ctx.build()).unwrap_err();
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }

    #[test]
    fn bad_configs_and_inputs_are_named() {
        let code = |config, inputs| error_of(&XmlParseFactory, config, inputs).code().to_owned();
        assert_eq!(code(json!({ "arrays": "item" }), json!({ "xml": "<a/>" })), "config.invalid");
        assert_eq!(code(json!({ "array": [] }), json!({ "xml": "<a/>" })), "config.invalid");
        assert_eq!(code(json!({}), json!({})), "input.missing");
        assert_eq!(code(json!({}), json!({ "xml": 1 })), "input.invalid");
        assert_eq!(code(json!({}), json!({ "xml": { "$bytes": "/w==" } })), "input.not_utf8");
    }
}
