//! JSON that keeps the order in which it was written: fields stay in the reference's order on the page.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `null`, a truth value, a number: as it is written.
    Plain(String),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.fields()
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, node)| node)
    }

    /// Follows several names.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, name| node.get(name))
    }

    pub fn fields(&self) -> &[(String, Node)] {
        match self {
            Node::Object(fields) => fields,
            Node::Plain(_) | Node::Text(_) | Node::List(_) => &[],
        }
    }

    pub fn items(&self) -> &[Node] {
        match self {
            Node::List(items) => items,
            Node::Plain(_) | Node::Text(_) | Node::Object(_) => &[],
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Node::Text(text) | Node::Plain(text) => text,
            Node::List(_) | Node::Object(_) => "",
        }
    }

    /// Written out again, indented.
    pub fn pretty(&self, depth: usize) -> String {
        let indent = "  ".repeat(depth + 1);
        let end = "  ".repeat(depth);
        let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
        match self {
            Node::Plain(text) => text.clone(),
            Node::Text(text) => quoted(text),
            Node::List(items) if items.is_empty() => "[]".to_owned(),
            Node::Object(fields) if fields.is_empty() => "{}".to_owned(),
            Node::List(items) => {
                let lines: Vec<String> = items
                    .iter()
                    .map(|item| format!("{indent}{}", item.pretty(depth + 1)))
                    .collect();
                format!("[\n{}\n{end}]", lines.join(",\n"))
            }
            Node::Object(fields) => {
                let line = |(name, node): &(String, Node)| {
                    format!("{indent}{}: {}", quoted(name), node.pretty(depth + 1))
                };
                let lines: Vec<String> = fields.iter().map(line).collect();
                format!("{{\n{}\n{end}}}", lines.join(",\n"))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Plain("null".to_owned()))
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Node, E> {
        Ok(Node::Plain(yes.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Plain(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Plain(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Plain(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = entries.next_entry()? {
            fields.push(field);
        }
        Ok(Node::Object(fields))
    }
}
