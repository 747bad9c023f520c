//! The OpenAPI document as one readable page.

use super::node::Node;
use super::{escape, prose};
use std::fmt::Write;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The page's body.
pub fn render() -> String {
    let json = crate::openapi().to_json().unwrap_or_default();
    let Ok(document) = serde_json::from_str::<Node>(&json) else {
        return String::new();
    };
    let mut html = String::new();
    let page = Page {
        document: &document,
    };
    page.head(&mut html);
    for tag in document.get("tags").map_or(&[][..], Node::items) {
        page.tag(&mut html, tag);
    }
    page.schemas(&mut html);
    html
}

struct Page<'a> {
    document: &'a Node,
}

impl<'a> Page<'a> {
    fn head(&self, html: &mut String) {
        let text = |path: &[&str]| self.document.at(path).map_or("", Node::text);
        let _ = write!(
            html,
            "<h1>{} HTTP API</h1><p>{}</p><p>{}</p><nav><ul>",
            escape(text(&["info", "title"])),
            prose(text(&["info", "description"])),
            prose(text(&[
                "components",
                "securitySchemes",
                "api_key",
                "description"
            ]))
        );
        for (_, method, path, operation) in self.operations() {
            let _ = write!(
                html,
                "<li><a href=\"#{}\"><span class=\"method\">{}</span> <code>{}</code></a></li>",
                anchor(operation),
                method.to_uppercase(),
                escape(path)
            );
        }
        html.push_str("</ul></nav>");
    }

    /// Tag, method, path and operation of all operations.
    fn operations(&self) -> Vec<(&'a str, &'static str, &'a str, &'a Node)> {
        let mut found = Vec::new();
        for (path, item) in self.document.get("paths").map_or(&[][..], Node::fields) {
            for method in METHODS {
                if let Some(operation) = item.get(method) {
                    let tag = operation
                        .get("tags")
                        .and_then(|tags| tags.items().first())
                        .map_or("", Node::text);
                    found.push((tag, method, path.as_str(), operation));
                }
            }
        }
        found
    }

    fn tag(&self, html: &mut String, tag: &Node) {
        let name = tag.get("name").map_or("", Node::text);
        let _ = write!(
            html,
            "<h2>{}</h2><p>{}</p>",
            escape(name),
            prose(tag.get("description").map_or("", Node::text))
        );
        for (of, method, path, operation) in self.operations() {
            if of == name {
                self.operation(html, method, path, operation);
            }
        }
    }

    fn operation(&self, html: &mut String, method: &str, path: &str, operation: &Node) {
        let text = |name: &str| operation.get(name).map_or("", Node::text);
        let _ = write!(
            html,
            "<h3 id=\"{}\">{}</h3><p><span class=\"method\">{}</span> <code>{}</code></p><p>{}</p>",
            anchor(operation),
            escape(text("summary")),
            method.to_uppercase(),
            escape(path),
            prose(text("description"))
        );
        let scopes: Vec<&str> = operation
            .get("security")
            .map_or(&[][..], Node::items)
            .iter()
            .filter_map(|one| one.get("api_key"))
            .flat_map(|scopes| scopes.items().iter().map(Node::text))
            .collect();
        if scopes.is_empty() {
            html.push_str("<p>Needs no key.</p>");
        } else {
            let _ = write!(
                html,
                "<p>Scope: <code>{}</code></p>",
                escape(&scopes.join(" or "))
            );
        }
        let parameters = operation.get("parameters").map_or(&[][..], Node::items);
        if !parameters.is_empty() {
            html.push_str("<table><tr><th>parameter</th><th>in</th><th>meaning</th></tr>");
            for parameter in parameters {
                let of = |name: &str| parameter.get(name).map_or("", Node::text);
                let _ = write!(
                    html,
                    "<tr><td><code>{}</code></td><td>{}</td><td>{} <span class=\"type\">{}</span></td></tr>",
                    escape(of("name")),
                    escape(of("in")),
                    prose(of("description")),
                    self.kind(parameter.get("schema"))
                );
            }
            html.push_str("</table>");
        }
        if let Some((mime, content)) = operation
            .at(&["requestBody", "content"])
            .and_then(|content| content.fields().first())
        {
            let _ = write!(
                html,
                "<p>Body: {} <code>{}</code></p>",
                self.kind(content.get("schema")),
                escape(mime)
            );
            let one = content.get("example").map(|example| ("Example", example));
            let several = content
                .get("examples")
                .map_or(&[][..], Node::fields)
                .iter()
                .filter_map(|(_, example)| {
                    Some((
                        example.get("summary").map_or("Example", Node::text),
                        example.get("value")?,
                    ))
                });
            for (summary, example) in one.into_iter().chain(several) {
                let _ = write!(
                    html,
                    "<h4>{}</h4><pre>{}</pre>",
                    escape(summary),
                    escape(&example.pretty(0))
                );
            }
        }
        html.push_str("<table><tr><th>answer</th><th>meaning</th></tr>");
        for (status, response) in operation.get("responses").map_or(&[][..], Node::fields) {
            let kind = response
                .get("content")
                .and_then(|content| content.fields().first());
            let _ = write!(
                html,
                "<tr><td>{}</td><td>{} <span class=\"type\">{}</span></td></tr>",
                escape(status),
                prose(response.get("description").map_or("", Node::text)),
                self.kind(kind.and_then(|(_, content)| content.get("schema")))
            );
        }
        html.push_str("</table>");
    }

    fn schemas(&self, html: &mut String) {
        html.push_str("<h2>Types</h2>");
        for (name, schema) in self
            .document
            .at(&["components", "schemas"])
            .map_or(&[][..], Node::fields)
        {
            let _ = write!(
                html,
                "<h3 id=\"type-{0}\">{0}</h3><p>{1}</p>",
                escape(name),
                prose(schema.get("description").map_or("", Node::text))
            );
            let fields = schema.get("properties").map_or(&[][..], Node::fields);
            if fields.is_empty() {
                let _ = write!(html, "<p>{}</p>", self.kind(Some(schema)));
                continue;
            }
            let required: Vec<&str> = schema
                .get("required")
                .map_or(&[][..], Node::items)
                .iter()
                .map(Node::text)
                .collect();
            html.push_str("<table><tr><th>field</th><th>type</th><th>meaning</th></tr>");
            for (field, schema) in fields {
                let mark = if required.contains(&field.as_str()) {
                    " *"
                } else {
                    ""
                };
                let _ = write!(
                    html,
                    "<tr><td><code>{}</code>{mark}</td><td>{}</td><td>{}</td></tr>",
                    escape(field),
                    self.kind(Some(schema)),
                    prose(schema.get("description").map_or("", Node::text))
                );
            }
            html.push_str("</table>");
            if let Some(example) = schema
                .get("examples")
                .and_then(|examples| examples.items().first())
            {
                let _ = write!(html, "<pre>{}</pre>", escape(&example.pretty(0)));
            }
        }
        html.push_str("<p>* always there (or required)</p>");
    }

    /// A type in a few words, with a link where it has a name.
    fn kind(&self, schema: Option<&Node>) -> String {
        let Some(schema) = schema else {
            return String::new();
        };
        if let Some(reference) = schema.get("$ref") {
            let name = reference.text().rsplit('/').next().unwrap_or("");
            return format!("<a href=\"#type-{0}\">{0}</a>", escape(name));
        }
        for choice in ["oneOf", "anyOf", "allOf"] {
            if let Some(list) = schema.get(choice) {
                let kinds: Vec<String> = list
                    .items()
                    .iter()
                    .map(|one| self.kind(Some(one)))
                    .collect();
                return kinds.join(" or ");
            }
        }
        let names: Vec<&str> = match schema.get("type") {
            Some(Node::List(items)) => items.iter().map(Node::text).collect(),
            Some(one) => vec![one.text()],
            None => Vec::new(),
        };
        let mut kind = escape(&names.join(" or "));
        if names.contains(&"array") {
            let _ = write!(kind, " of {}", self.kind(schema.get("items")));
        }
        if let Some(format) = schema.get("format") {
            let _ = write!(kind, " ({})", escape(format.text()));
        }
        kind
    }
}

fn anchor(operation: &Node) -> String {
    escape(operation.get("operationId").map_or("", Node::text))
}
