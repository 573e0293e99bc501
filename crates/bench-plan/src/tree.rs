//! A value whose keys decide how it is read, with the place of each part: for lists of actions.

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::ops::Range;
use toml::Spanned;

/// A value and its place in the text; 0..0 for one that comes from elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub value: Tree,
    pub span: Range<usize>,
}

/// Any value.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    Text(String),
    Integer(i64),
    Float(f64),
    Truth(bool),
    List(Vec<Node>),
    /// In the order of the text.
    Table(Vec<(Spanned<String>, Node)>),
    /// Only outside of plans: TOML has none.
    Null,
}

impl Tree {
    /// "a text", "a list", for messages.
    pub fn noun(&self) -> &'static str {
        match self {
            Tree::Text(_) => "a text",
            Tree::Integer(_) | Tree::Float(_) => "a number",
            Tree::Truth(_) => "true or false",
            Tree::List(_) => "a list",
            Tree::Table(_) => "a table",
            Tree::Null => "nothing",
        }
    }
}

impl Node {
    /// A value without a place.
    pub fn of(value: Tree) -> Self {
        Self { value, span: 0..0 }
    }

    /// Replaces each `{name}` in every text by the text that belongs to the name.
    #[must_use]
    pub fn with(&self, name: &str, text: &str) -> Self {
        let value = match &self.value {
            Tree::Text(own) => Tree::Text(own.replace(&format!("{{{name}}}"), text)),
            Tree::List(items) => Tree::List(items.iter().map(|item| item.with(name, text)).collect()),
            Tree::Table(entries) => {
                Tree::Table(entries.iter().map(|(key, value)| (key.clone(), value.with(name, text))).collect())
            }
            other => other.clone(),
        };
        Self { value, span: self.span.clone() }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Tree>::deserialize(from)?;
        let span = spanned.span();
        Ok(Self { value: spanned.into_inner(), span })
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Tree;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true or false, a list or a table")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Tree, E> {
                Ok(Tree::Text(text.to_owned()))
            }
            fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Tree, E> {
                Ok(Tree::Truth(truth))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Tree, E> {
                Ok(Tree::Integer(number))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Tree, E> {
                Ok(i64::try_from(number).map_or(Tree::Float(number as f64), Tree::Integer))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Tree, E> {
                Ok(Tree::Float(number))
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Tree, S::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Tree::List(items))
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Tree, M::Error> {
                let mut entries = Vec::new();
                while let Some((key, value)) = map.next_entry::<Spanned<String>, Node>()? {
                    entries.push((key, value));
                }
                // A table of TOML comes in the order of its names.
                entries.sort_by_key(|(key, _)| key.span().start);
                Ok(Tree::Table(entries))
            }
        }
        from.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml::de::{DeTable, DeValue, ValueDeserializer};

    #[test]
    fn every_part_has_its_place() {
        let text = r#"do = [ { rail = "3V3", on = true }, { wait = "5 ms" } ]"#;
        let table = DeTable::parse(text).unwrap();
        #[derive(serde::Deserialize)]
        struct File {
            r#do: Vec<Node>,
        }
        let whole = Spanned::new(0..0, DeValue::Table(table.into_inner()));
        let file = File::deserialize(ValueDeserializer::from(whole)).unwrap();
        let Tree::Table(entries) = &file.r#do[0].value else { panic!("{file:?}", file = file.r#do) };
        let places: Vec<&str> =
            entries.iter().flat_map(|(key, value)| [&text[key.span()], &text[value.span.clone()]]).collect();
        assert_eq!(places, ["rail", "\"3V3\"", "on", "true"]);
        assert_eq!(&text[file.r#do[1].span.clone()], "{ wait = \"5 ms\" }");
    }

    #[test]
    fn names_in_braces_are_replaced() {
        let node = Node::of(Tree::List(vec![Node::of(Tree::Text("{pin}.volts of {pin}".into()))]));
        let Tree::List(items) = node.with("pin", "A0").value else { panic!("no list") };
        assert_eq!(items[0].value, Tree::Text("A0.volts of A0".into()));
    }
}
