//! The resource `Zone`: to a zone as text.

use serde::Deserialize;
use strait_federation::{DEFAULT_TTL, RecordDocument, TemplateDocument, ZoneDocument};

use super::objects::Resource;

/// What is wanted of a zone.
#[derive(Debug, Deserialize)]
struct Spec {
    name: String,
    #[serde(default = "default_ttl")]
    ttl: u32,
    #[serde(default)]
    records: Vec<Record>,
    #[serde(default)]
    templates: Vec<Template>,
    #[serde(default)]
    text: String,
}

#[derive(Debug, Deserialize)]
struct Record {
    name: String,
    #[serde(rename = "type")]
    rtype: String,
    ttl: Option<u32>,
    value: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Template {
    #[serde(rename = "match")]
    pattern: String,
    #[serde(rename = "type")]
    rtype: String,
    ttl: Option<u32>,
    answer: String,
}

fn default_ttl() -> u32 {
    DEFAULT_TTL
}

/// What the resource wants, or why it cannot be read.
pub(super) fn document(resource: &Resource) -> Result<ZoneDocument, String> {
    let spec = Spec::deserialize(&resource.spec).map_err(|error| format!("spec: {error}"))?;
    let read = |(index, record): (usize, Record)| {
        let Record { name, rtype, ttl, value, values } = record;
        if value.is_some() && !values.is_empty() {
            return Err(format!(
                "spec.records[{index}] ({} {}): it has value and values; keep one of them",
                name.escape_debug(),
                rtype.escape_debug()
            ));
        }
        Ok(RecordDocument { name, rtype, ttl, values: value.into_iter().chain(values).collect() })
    };
    let template = |Template { pattern, rtype, ttl, answer }| TemplateDocument { pattern, rtype, ttl, answer };
    Ok(ZoneDocument {
        name: resource.metadata.name.clone(),
        apex: spec.name.strip_suffix('.').filter(|name| !name.is_empty()).unwrap_or(&spec.name).to_owned(),
        ttl: spec.ttl,
        records: spec.records.into_iter().enumerate().map(read).collect::<Result<_, _>>()?,
        templates: spec.templates.into_iter().map(template).collect(),
        text: spec.text,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    fn read(spec: Value) -> Result<ZoneDocument, String> {
        document(&serde_json::from_value(json!({ "metadata": { "name": "corp" }, "spec": spec })).unwrap())
    }

    #[test]
    fn every_key_of_the_spec_is_read() {
        let document = read(json!({
            "name": "corp.example.com.", "ttl": 60, "text": "a A 192.0.2.1",
            "records": [
                { "name": "@", "type": "A", "value": "192.0.2.1" },
                { "name": "*", "type": "TXT", "ttl": 5, "values": ["x", "y"] },
            ],
            "templates": [{ "match": "a(?<n>.)", "type": "A", "ttl": 6, "answer": "192.0.2.{{ n }}" }],
        }))
        .unwrap();
        let record = |name: &str, rtype: &str, ttl, values: &[&str]| RecordDocument {
            name: name.to_owned(),
            rtype: rtype.to_owned(),
            ttl,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let expected = ZoneDocument {
            name: "corp".to_owned(),
            apex: "corp.example.com".to_owned(),
            ttl: 60,
            records: vec![record("@", "A", None, &["192.0.2.1"]), record("*", "TXT", Some(5), &["x", "y"])],
            templates: vec![TemplateDocument {
                pattern: "a(?<n>.)".to_owned(),
                rtype: "A".to_owned(),
                ttl: Some(6),
                answer: "192.0.2.{{ n }}".to_owned(),
            }],
            text: "a A 192.0.2.1".to_owned(),
        };
        assert_eq!(document, expected);
        assert_eq!(read(json!({ "name": "corp.example.com" })).unwrap().ttl, 300, "as in a configuration file");
    }

    #[test]
    fn what_is_no_zone_says_why() {
        // (spec, part of the error)
        let cases = [
            (json!(null), "spec: invalid type"),
            (json!({}), "missing field `name`"),
            (json!({ "name": "a", "ttl": -1 }), "-1"),
            (json!({ "name": "a", "records": [{ "name": "@", "value": "x" }] }), "missing field `type`"),
            (json!({ "name": "a", "templates": [{ "match": "a", "type": "A" }] }), "missing field `answer`"),
            (
                json!({ "name": "a", "records": [{ "name": "w", "type": "A", "value": "x", "values": ["y"] }] }),
                "spec.records[0] (w A): it has value and values; keep one of them",
            ),
        ];
        for (spec, part) in cases {
            let error = read(spec).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
