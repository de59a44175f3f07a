//! The `transform.*` nodes.

mod aggregate;
mod base64;
mod canonical;
mod csv;
mod csv_format;
mod csv_parse;
mod expression;
mod filter;
mod hash;
mod jinja;
#[cfg(feature = "jq")]
mod jq;
mod json_parse;
mod json_stringify;
mod jsonlogic;
mod map;
mod order;
mod records;
mod sort;
mod tally;
mod template;
#[cfg(test)]
mod testing;
pub(crate) mod text;
#[cfg(feature = "validate")]
mod validate;
mod xml_parse;

use flowcore::NodeRegistry;

pub(crate) fn register(registry: &mut NodeRegistry) {
    registry.register(aggregate::AggregateFactory);
    registry.register(base64::Base64Factory);
    registry.register(csv_format::CsvFormatFactory);
    registry.register(csv_parse::CsvParseFactory);
    registry.register(filter::FilterFactory);
    registry.register(hash::HashFactory);
    #[cfg(feature = "jq")]
    registry.register(jq::JqFactory);
    registry.register(json_parse::JsonParseFactory);
    registry.register(json_stringify::JsonStringifyFactory);
    registry.register(jsonlogic::JsonLogicFactory);
    registry.register(map::MapFactory);
    registry.register(sort::SortFactory);
    registry.register(template::TemplateFactory);
    #[cfg(feature = "validate")]
    registry.register(validate::ValidateFactory);
    registry.register(xml_parse::XmlParseFactory);
}
