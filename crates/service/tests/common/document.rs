//! Exchanges held against the OpenAPI document: is this status of this operation there, with these headers
//! and such a body?

use super::raw::{Answer, Request};
use serde_json::{Value, json};
use std::sync::LazyLock;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(blindsight_service::OPENAPI).expect("JSON"));

/// Asserts that an answer is one that the document knows. Paths that it does not list are the page's.
pub fn check(request: &Request, answer: &Answer) {
    assert_eq!(answer.headers.get("blindsight-version").map(String::as_str), Some("1"), "{answer:?}");
    let Some(template) = template(&request.path) else { return };
    let operation = &DOCUMENT["paths"][&template][request.method.to_lowercase()];
    if operation.is_null() {
        assert_eq!(answer.status, 405, "{request:?}: {answer:?}");
        return;
    }
    let response = resolve(&operation["responses"][answer.status.to_string()]);
    assert!(!response.is_null(), "{} {template} is not in the document: {answer:?}", request.method);
    check_headers(response, answer);
    check_body(response, answer, request.method == "HEAD");
}

fn check_headers(response: &'static Value, answer: &Answer) {
    let Some(headers) = response["headers"].as_object() else { return };
    for (name, header) in headers {
        let header = resolve(header);
        match answer.headers.get(&name.to_lowercase()) {
            Some(value) => assert_valid(&header["schema"], &json!(value), name),
            // A conflict says where the upload stands only where that is the conflict.
            None => {
                assert!(header["required"] != true || answer.status == 409, "{name} is missing: {answer:?}")
            }
        }
    }
}

fn check_body(response: &'static Value, answer: &Answer, headless: bool) {
    let Some(content) = response["content"].as_object() else {
        assert!(answer.body.is_empty(), "a body that the document does not know: {answer:?}");
        return;
    };
    if headless {
        return;
    }
    let kind = answer.headers.get("content-type").cloned().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    let media = content.get(kind).unwrap_or_else(|| panic!("{kind:?} is not in the document: {answer:?}"));
    if kind.ends_with("json") {
        assert_valid(&media["schema"], &answer.json(), "body");
    }
}

/// The path of the document that a request's path is an instance of.
fn template(path: &str) -> Option<String> {
    let path: Vec<&str> = path.split('?').next()?.split('/').collect();
    let fits = |template: &str| {
        let template: Vec<&str> = template.split('/').collect();
        template.len() == path.len() && template.iter().zip(&path).all(|(t, p)| t.starts_with('{') || t == p)
    };
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    paths.keys().find(|template| fits(template)).cloned()
}

fn resolve(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            DOCUMENT.pointer(reference.trim_start_matches('#')).expect("a reference that leads somewhere")
        }
        None => value,
    }
}

/// Asserts that a value is what a schema of the document says.
fn assert_valid(schema: &Value, value: &Value, what: &str) {
    let mut root = schema.clone();
    root["components"] = DOCUMENT["components"].clone();
    let validator = jsonschema::validator_for(&root).unwrap_or_else(|error| panic!("{what}: {error}"));
    let errors: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{what}: {errors:?} in {value}");
}
