//! What tests need to know of the JSON Schema of a type.

use std::collections::BTreeSet;

use schemars::{JsonSchema, schema_for};
use serde_json::{Map, Value};

/// The fields of an object of this type, in all its variants. `type` is not among them.
#[must_use]
pub fn fields_of<T: JsonSchema>() -> BTreeSet<String> {
    let schema = schema_for!(T).to_value();
    let definitions = schema.get("$defs").and_then(Value::as_object).cloned();
    let mut fields = BTreeSet::new();
    collect(&schema, &definitions.unwrap_or_default(), &mut fields);
    fields.remove("type");
    fields
}

fn collect(schema: &Value, definitions: &Map<String, Value>, fields: &mut BTreeSet<String>) {
    let list = |key: &str| {
        schema
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let variants = list("oneOf").chain(list("anyOf")).chain(list("allOf"));
    let reference = schema.get("$ref").and_then(Value::as_str);
    let name = reference.and_then(|it| it.strip_prefix("#/$defs/"));
    let referenced = name.and_then(|name| definitions.get(name));
    for part in variants.chain(referenced) {
        collect(part, definitions, fields);
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    fields.extend(properties.into_iter().flat_map(Map::keys).cloned());
}
