//! Kubernetes objects, as YAML documents.

use serde_json::Value;

/// The objects of one file or of one rendering.
pub(crate) struct Manifests(Vec<Value>);

impl Manifests {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let objects: Vec<Value> =
            serde_saphyr::from_multiple(text).map_err(|error| format!("{error}\n{text}"))?;
        Ok(Self(objects.into_iter().filter(|o| !o.is_null()).collect()))
    }

    /// Of these objects.
    pub(crate) fn of(objects: Vec<Value>) -> Self {
        Self(objects)
    }

    pub(crate) fn all(&self) -> &[Value] {
        &self.0
    }

    pub(crate) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |o| text(o, "/kind") == kind)
    }

    pub(crate) fn only(&self, kind: &str) -> Result<&Value, String> {
        let mut objects = self.of_kind(kind);
        match (objects.next(), objects.next()) {
            (Some(object), None) => Ok(object),
            (first, _) => Err(format!(
                "{} {kind}",
                if first.is_some() { "two" } else { "no" }
            )),
        }
    }

    /// In order, once for each object.
    pub(crate) fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<_> = self.0.iter().map(|o| text(o, "/kind")).collect();
        kinds.sort_unstable();
        kinds
    }
}

/// What is at a JSON pointer, or null.
pub(crate) fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// The text at a JSON pointer, or none of it.
pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    at(value, pointer).as_str().unwrap_or_default()
}

/// The items of the list at a JSON pointer.
pub(crate) fn list<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> {
    at(value, pointer).as_array().into_iter().flatten()
}

/// Whether the labels at `pointer` are all among `labels`, and there is one.
pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object();
    wanted.is_some_and(|wanted| {
        !wanted.is_empty()
            && wanted
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
    })
}
