//! How large a graph gets once the functions that the model brings along are put in the place of their calls.
//!
//! ONNX Runtime does so before anything else. Thirty functions that each call the one before twice fit in 2 KB and become
//! a thousand million nodes. So the size is reckoned first: that of a function is its own nodes, and for each call the
//! callee's size. Each function is reckoned once; its height, the calls below it, is kept beside its size.

use std::collections::HashMap;

use super::protobuf::{Fields, Value};
use super::{Error, MAX_CALL_DEPTH, MAX_NODES};

/// Domain and name. Overloads count as one function, the sum of them all.
type Key<'a> = (&'a str, &'a str);

/// The nodes of a graph or a function, those of its sub-graphs among them, and the model's own functions that they call.
#[derive(Debug, Default)]
struct Body<'a> {
    nodes: u64,
    calls: HashMap<Key<'a>, u64>,
}

#[derive(Debug, Clone, Copy)]
struct Reckoned {
    size: u64,
    height: usize,
}

/// Refuses a model that has too many nodes after that, or calls functions within functions too deep: also without end.
///
/// Runs after the walk, which has counted nodes and bounded their nesting.
pub(super) fn check(model: &[u8]) -> Result<(), Error> {
    let mut functions: HashMap<Key, Body> = HashMap::new();
    each_bytes(model, 25, |function| {
        functions.entry(function_key(function)?).or_default();
        Ok(())
    })?;
    if functions.is_empty() {
        return Ok(());
    }
    let is_function = |key: Key| functions.contains_key(&key);
    let mut main = Body::default();
    each_bytes(model, 7, |graph| main.add_nodes(graph, 1, &is_function))?;
    let mut bodies: HashMap<Key, Body> = HashMap::new();
    each_bytes(model, 25, |function| {
        let body = bodies.entry(function_key(function)?).or_default();
        body.add_nodes(function, 7, &is_function)
    })?;
    reckon(&main, &bodies, &mut HashMap::new(), 0).map(drop)
}

fn reckon<'a>(
    body: &Body<'a>,
    functions: &HashMap<Key<'a>, Body<'a>>,
    known: &mut HashMap<Key<'a>, Reckoned>,
    depth: usize,
) -> Result<Reckoned, Error> {
    let too_deep = Error::CallsTooDeep { allowed: MAX_CALL_DEPTH };
    if depth > MAX_CALL_DEPTH {
        return Err(too_deep);
    }
    let mut reckoned = Reckoned { size: body.nodes, height: 0 };
    for (key, &count) in &body.calls {
        let callee = match (known.get(key), functions.get(key)) {
            (Some(&callee), _) => callee,
            (None, Some(function)) => {
                let callee = reckon(function, functions, known, depth + 1)?;
                known.insert(*key, callee);
                callee
            }
            (None, None) => continue,
        };
        reckoned.size = reckoned.size.saturating_add(count.saturating_mul(callee.size));
        reckoned.height = reckoned.height.max(callee.height + 1);
    }
    if reckoned.size > MAX_NODES as u64 {
        let what = "nodes with its functions inlined";
        return Err(Error::TooMany { what, allowed: MAX_NODES });
    }
    if depth + reckoned.height > MAX_CALL_DEPTH {
        return Err(too_deep);
    }
    Ok(reckoned)
}

impl<'a> Body<'a> {
    /// Those of a graph or of a function, which have them in different fields.
    fn add_nodes(
        &mut self,
        holder: &'a [u8],
        field: u32,
        is_function: &impl Fn(Key<'a>) -> bool,
    ) -> Result<(), Error> {
        each_bytes(holder, field, |node| {
            self.nodes += 1;
            let key = key(node, 7, 4)?;
            if is_function(key) {
                *self.calls.entry(key).or_default() += 1;
            }
            each_bytes(node, 5, |attribute| {
                for number in [6, 11] {
                    each_bytes(attribute, number, |graph| self.add_nodes(graph, 1, is_function))?;
                }
                Ok(())
            })
        })
    }
}

fn function_key(function: &[u8]) -> Result<Key<'_>, Error> {
    key(function, 10, 1)
}

fn key(message: &[u8], domain_field: u32, name_field: u32) -> Result<Key<'_>, Error> {
    let (mut domain, mut name) = ("", "");
    // Of a field that is there twice the last one counts, for every reader.
    each_bytes(message, domain_field, |bytes| {
        domain = super::name(bytes)?;
        Ok(())
    })?;
    each_bytes(message, name_field, |bytes| {
        name = super::name(bytes)?;
        Ok(())
    })?;
    // Two names of the same domain.
    Ok((if domain == "ai.onnx" { "" } else { domain }, name))
}

fn each_bytes<'a>(
    message: &'a [u8],
    number: u32,
    mut each: impl FnMut(&'a [u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next_field()? {
        if let (true, Value::Bytes(bytes)) = (field.number == number, field.value) {
            each(bytes)?;
        }
    }
    Ok(())
}
