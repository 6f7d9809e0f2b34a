//! What may be the score: an output, or several that are columns of one value, as skl2onnx writes zipmap='columns'.

use super::{Chosen, Error, Machine, Output};

pub(super) struct Candidate<'a> {
    /// In the graph's order, which is that of the classes.
    outputs: Vec<Output<'a>>,
    /// The name of the value that they are columns of.
    value: Option<&'a str>,
}

/// In the order of their first outputs.
pub(super) fn candidates<'a>(outputs: impl Iterator<Item = Output<'a>>) -> Vec<Candidate<'a>> {
    let mut found: Vec<Candidate> = Vec::new();
    for output in outputs {
        let value = value_of_column(&output);
        let known = found.iter_mut().find(|known| value.is_some() && known.value == value);
        match known {
            Some(known) => known.outputs.push(output),
            None => found.push(Candidate { outputs: vec![output], value }),
        }
    }
    found
}

/// The value that a node reckons, of which the output may be a column.
fn value_of_column<'a>(output: &Output<'a>) -> Option<&'a str> {
    let origin = output.origin?;
    // Columns of a table that the graph brings along are looked up by different keys.
    let is_reckoned = origin.operator.as_ref().is_some_and(|operator| operator != "Constant");
    let may_be_column = output.n_columns().is_none_or(|n| n == 1);
    (is_reckoned && may_be_column && !origin.is_echo).then_some(origin.value.as_str())
}

impl Candidate<'_> {
    pub(super) fn chosen(&self, reason: &str, left_out: &str) -> Result<Chosen, Error> {
        let (n, value) = (self.outputs.len(), self.value.unwrap_or_default());
        let is_reversed = n == 2 && self.outputs[0].machine() == Some(Machine::Reversed);
        let (place, which) = if is_reversed { (0, "first") } else { (n - 1, "last") };
        if n == 1 {
            return self.outputs[place].unscaled(format!("{reason}{left_out}"));
        }
        // A regressor of several targets has no classes.
        let of_what = if self.is_of_regressor() { "" } else { ", one for each class" };
        let reason = format!("it is the {which} of {n} columns of \"{value}\"{of_what}{left_out}");
        let class = self.class_at(place);
        Ok(Chosen { class, ..self.outputs[place].unscaled(reason)? })
    }

    fn is_of_regressor(&self) -> bool {
        let operator = self.outputs[0].origin.and_then(|origin| origin.operator.as_deref());
        operator.is_some_and(|operator| operator.ends_with("Regressor"))
    }

    /// Which class of how many an output is of.
    pub(super) fn class_of(&self, name: &str) -> Option<(usize, usize)> {
        let place = self.outputs.iter().position(|output| output.port.name == name)?;
        self.class_at(place)
    }

    fn class_at(&self, place: usize) -> Option<(usize, usize)> {
        match self.outputs.len() {
            _ if self.is_of_regressor() => None,
            1 => None,
            2 if self.outputs[0].machine() == Some(Machine::Reversed) => Some((1 - place, 2)),
            n => Some((place, n)),
        }
    }

    /// By the name of the value: those of its columns are the names of the classes, which tell only if all do.
    pub(super) fn is_called(&self, words: &[&str]) -> bool {
        let is_called = |name: &str| words.iter().any(|word| name.contains(word));
        let is_value_called = || is_called(&self.value.unwrap_or_default().to_lowercase());
        self.outputs.iter().all(|output| is_called(&output.lower_name()))
            || self.outputs.len() > 1 && is_value_called()
    }

    pub(super) fn is_label(&self) -> bool {
        self.outputs.iter().all(Output::is_label)
    }

    /// One number for each row, or for each class.
    pub(super) fn is_narrow(&self) -> bool {
        self.outputs.len() > 1 || self.outputs[0].n_columns() == Some(1)
    }

    /// Several numbers for each row for sure.
    pub(super) fn is_wide(&self) -> bool {
        self.outputs.len() == 1 && self.outputs[0].n_columns().is_some_and(|n| n > 1)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.outputs.iter().map(|output| output.port.name.clone())
    }
}
