//! Algorithms and their parameters, each declared once: the declaration says what may be given, what holds where nothing is, and what
//! a list of all algorithms shows.
//!
//! A parameter is a constant of one of four types, so that it is read by its constant and comes back as its type. Values come
//! as JSON text, as somebody wrote them, and may be anything.

use std::fmt;
use std::ops::{Bound, RangeBounds};

use serde_json::{Value as Json, json};

/// What a model can be fitted by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Algorithm {
    pub name: &'static str,
    /// What it does, in a line.
    pub meaning: &'static str,
    /// The paper or the book.
    pub source: &'static str,
    pub parameters: &'static [Parameter],
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Parameter {
    Whole(Whole),
    Number(Number),
    Word(Word),
    Flag(Flag),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Whole {
    pub name: &'static str,
    pub meaning: &'static str,
    pub least: i64,
    pub most: i64,
    pub default: i64,
}

/// A finite number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number {
    pub name: &'static str,
    pub meaning: &'static str,
    pub least: Bound<f64>,
    pub most: Bound<f64>,
    pub default: f64,
}

/// One of some words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Word {
    pub name: &'static str,
    pub meaning: &'static str,
    pub words: &'static [&'static str],
    pub default: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flag {
    pub name: &'static str,
    pub meaning: &'static str,
    pub default: bool,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("unknown parameter \"{name}\"")]
    Unknown { name: String, algorithm: &'static Algorithm },
    #[error("invalid value for \"{name}\"")]
    Invalid { name: &'static str, valid: String },
    #[error("parameter \"{name}\" is missing")]
    Missing { name: &'static str },
}

impl Algorithm {
    /// The names of its parameters, in a list.
    pub fn names(&self) -> String {
        self.parameters.iter().map(Parameter::name).collect::<Vec<_>>().join(", ")
    }

    pub fn defaults(&'static self) -> Settings {
        Settings { values: self.parameters.iter().map(Parameter::default).collect(), of: self }
    }

    /// The values that were stored with a model, which are all of them and no others.
    pub fn stored(
        &'static self,
        stored: &serde_json::Map<String, Json>,
    ) -> Result<Settings, Error> {
        let mut settings = self.defaults();
        for (name, value) in stored {
            settings.set(name, &value.to_string())?;
        }
        let missing = |parameter: &&Parameter| !stored.contains_key(parameter.name());
        match self.parameters.iter().find(missing) {
            Some(parameter) => Err(Error::Missing { name: parameter.name() }),
            None => Ok(settings),
        }
    }
}

/// The algorithm of this name among these, or the names there are.
pub fn named(name: &str, all: &[&'static Algorithm]) -> Result<&'static Algorithm, String> {
    let names = || all.iter().map(|algorithm| algorithm.name).collect::<Vec<_>>().join(", ");
    all.iter().find(|algorithm| algorithm.name == name).copied().ok_or_else(names)
}

/// The words of pairs of a word and what it stands for.
pub const fn words<T: Copy, const N: usize>(all: &[(&'static str, T); N]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut place = 0;
    while place < N {
        words[place] = all[place].0;
        place += 1;
    }
    words
}

/// A value for each parameter of one algorithm, each within its range.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    of: &'static Algorithm,
    /// In the order of the algorithm's parameters.
    values: Vec<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    Whole(i64),
    Number(f64),
    Word(&'static str),
    Flag(bool),
}

impl Settings {
    /// The algorithm whose they are.
    pub fn algorithm(&self) -> &'static Algorithm {
        self.of
    }

    /// Takes a value in JSON for the parameter of this name.
    pub fn set(&mut self, name: &str, json: &str) -> Result<(), Error> {
        let mut all = self.of.parameters.iter().zip(&mut self.values);
        let Some((parameter, value)) = all.find(|(parameter, _)| parameter.name() == name) else {
            return Err(Error::Unknown { name: name.to_owned(), algorithm: self.of });
        };
        let invalid = || Error::Invalid { name: parameter.name(), valid: parameter.valid() };
        *value = parameter.read(json).ok_or_else(invalid)?;
        Ok(())
    }

    /// These with another value for one parameter.
    pub fn with(mut self, name: &str, json: &str) -> Result<Self, Error> {
        self.set(name, json)?;
        Ok(self)
    }

    /// Where the algorithm has no such parameter its default holds, here and for the other types.
    pub fn whole(&self, parameter: &Whole) -> i64 {
        match self.value(parameter.name) {
            Some(Value::Whole(value)) => value,
            _ => parameter.default,
        }
    }

    pub fn number(&self, parameter: &Number) -> f64 {
        match self.value(parameter.name) {
            Some(Value::Number(value)) => value,
            _ => parameter.default,
        }
    }

    pub fn word(&self, parameter: &Word) -> &'static str {
        match self.value(parameter.name) {
            Some(Value::Word(value)) => value,
            _ => parameter.default,
        }
    }

    /// What the word stands for, among the pairs that the parameter has its words of.
    pub fn meant<T: Copy, const N: usize>(
        &self,
        parameter: &Word,
        all: &[(&'static str, T); N],
    ) -> T {
        let word = self.word(parameter);
        all.iter().find(|(one, _)| *one == word).unwrap_or(&all[0]).1
    }

    pub fn flag(&self, parameter: &Flag) -> bool {
        match self.value(parameter.name) {
            Some(Value::Flag(value)) => value,
            _ => parameter.default,
        }
    }

    fn value(&self, name: &str) -> Option<Value> {
        let mut all = self.of.parameters.iter().zip(&self.values);
        all.find(|(parameter, _)| parameter.name() == name).map(|(_, value)| *value)
    }

    /// All of them, as they are stored with a model.
    pub fn to_json(&self) -> serde_json::Map<String, Json> {
        let all = self.of.parameters.iter().zip(&self.values);
        all.map(|(parameter, value)| (parameter.name().to_owned(), value.to_json())).collect()
    }
}

impl Parameter {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Whole(Whole { name, .. })
            | Self::Number(Number { name, .. })
            | Self::Word(Word { name, .. })
            | Self::Flag(Flag { name, .. }) => name,
        }
    }

    pub const fn meaning(&self) -> &'static str {
        match self {
            Self::Whole(Whole { meaning, .. })
            | Self::Number(Number { meaning, .. })
            | Self::Word(Word { meaning, .. })
            | Self::Flag(Flag { meaning, .. }) => meaning,
        }
    }

    /// As SQL calls it.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Whole(_) => "bigint",
            Self::Number(_) => "double precision",
            Self::Word(_) => "text",
            Self::Flag(_) => "boolean",
        }
    }

    /// As SQL writes it.
    pub fn default_value(&self) -> String {
        self.default().to_string()
    }

    /// Numbers as PostgreSQL writes a range, `[0,1)`, and words in a list; every flag is in range.
    pub fn range(&self) -> Option<String> {
        match self {
            Self::Whole(Whole { least: i64::MIN, most: i64::MAX, .. }) => Some("(,)".to_owned()),
            Self::Whole(whole) => Some(format!("[{},{}]", whole.least, whole.most)),
            Self::Number(number) => Some(number.range()),
            Self::Word(word) => Some(word.words.join(", ")),
            Self::Flag(_) => None,
        }
    }

    /// What may be given, for a hint.
    pub fn valid(&self) -> String {
        match self {
            Self::Whole(Whole { least: i64::MIN, most: i64::MAX, .. }) => {
                "a whole number".to_owned()
            }
            Self::Whole(Whole { least, most, .. }) => {
                format!("a whole number from {least} to {most}")
            }
            Self::Number(number) => number.valid(),
            Self::Word(word) => word.words.join(", "),
            Self::Flag(_) => "true, false".to_owned(),
        }
    }

    fn default(&self) -> Value {
        match self {
            Self::Whole(whole) => Value::Whole(whole.default),
            Self::Number(number) => Value::Number(number.default),
            Self::Word(word) => Value::Word(word.default),
            Self::Flag(flag) => Value::Flag(flag.default),
        }
    }

    /// The value, if it is one of this type and within the range.
    fn read(&self, json: &str) -> Option<Value> {
        match self {
            Self::Whole(Whole { least, most, .. }) => {
                let value = whole(json)?;
                (*least..=*most).contains(&value).then_some(Value::Whole(value))
            }
            Self::Number(number) => {
                let value: f64 = serde_json::from_str(json).ok()?;
                let is_valid = value.is_finite() && (number.least, number.most).contains(&value);
                // Of the two zeros one is stored.
                is_valid.then_some(Value::Number(value + 0.0))
            }
            Self::Word(word) => {
                let value: String = serde_json::from_str(json).ok()?;
                word.words.iter().find(|known| **known == value).map(|known| Value::Word(known))
            }
            Self::Flag(_) => serde_json::from_str(json).ok().map(Value::Flag),
        }
    }
}

impl Number {
    fn range(&self) -> String {
        let least = match self.least {
            Bound::Included(least) => format!("[{}", shown(least)),
            Bound::Excluded(least) => format!("({}", shown(least)),
            Bound::Unbounded => "(".to_owned(),
        };
        match self.most {
            Bound::Included(most) => format!("{least},{}]", shown(most)),
            Bound::Excluded(most) => format!("{least},{})", shown(most)),
            Bound::Unbounded => format!("{least},)"),
        }
    }

    fn valid(&self) -> String {
        let least = match self.least {
            Bound::Included(least) => format!(" of at least {}", shown(least)),
            Bound::Excluded(least) => format!(" above {}", shown(least)),
            Bound::Unbounded => String::new(),
        };
        let and = if least.is_empty() { "" } else { " and" };
        match self.most {
            Bound::Included(most) => format!("a number{least}{and} of at most {}", shown(most)),
            Bound::Excluded(most) => format!("a number{least}{and} below {}", shown(most)),
            Bound::Unbounded => format!("a number{least}"),
        }
    }
}

/// A whole number, also as jsonb keeps one of a numeric with places behind the point.
fn whole(json: &str) -> Option<i64> {
    let (number, places) = json.split_once('.').unwrap_or((json, ""));
    let is_whole = places.bytes().all(|digit| digit == b'0');
    serde_json::from_str(if is_whole { number } else { json }).ok()
}

/// Without a row of zeros where the number is far from 1.
fn shown(value: f64) -> String {
    let is_near = value == 0.0 || (1e-4..1e7).contains(&value.abs());
    if is_near { value.to_string() } else { format!("{value:e}") }
}

impl Value {
    fn to_json(self) -> Json {
        match self {
            Self::Whole(value) => json!(value),
            Self::Number(value) => json!(value),
            Self::Word(value) => json!(value),
            Self::Flag(value) => json!(value),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Whole(value) => value.fmt(f),
            Self::Number(value) => f.write_str(&shown(*value)),
            Self::Word(value) => value.fmt(f),
            Self::Flag(value) => value.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
