//! Which of a graph's outputs is the score, and why: by types, names, widths, and what the graph does.
//!
//! An output that repeats an input is none, nor is a label. A classifier with one output for each class has its last class last.

use super::super::onnx_scan::{Element, Kind, Origin, Port, Summary};
use super::{Error, names};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) output: String,
    /// For the caller to read.
    pub(super) reason: String,
    /// Which part of the output is the score, unless the graph says it itself.
    pub(super) part: &'static str,
    /// The score is a regressor's value, and no probability.
    pub(super) is_value: bool,
    /// The output has one value for each row, so no column of it is a class.
    pub(super) is_single: bool,
}

pub(super) fn choose(summary: &Summary, wanted: Option<&str>) -> Result<Chosen, Error> {
    let outputs: Vec<Output> = summary
        .outputs
        .iter()
        .enumerate()
        .map(|(index, port)| Output { port, origin: summary.origins.get(index) })
        .collect();
    match wanted {
        Some(wanted) => named(&outputs, wanted),
        None => found(&outputs),
    }
}

#[derive(Clone, Copy)]
struct Output<'a> {
    port: &'a Port,
    origin: Option<&'a Origin>,
}

fn named(outputs: &[Output], wanted: &str) -> Result<Chosen, Error> {
    let ports = outputs.iter().map(|output| output.port);
    let output = outputs
        .iter()
        .find(|output| output.port.name == wanted)
        .ok_or_else(|| Error::UnknownOutput { output: wanted.to_owned(), outputs: names(ports) })?;
    if !output.has_numbers() {
        return Err(Error::OutputWithoutNumbers { output: wanted.to_owned() });
    }
    if let (true, Some(n)) = (output.is_whole(), output.n_columns().filter(|&n| n > 1)) {
        return Err(Error::ManyWholeNumbers { output: wanted.to_owned(), n });
    }
    Ok(output.chosen("it was asked for by name".to_owned()))
}

/// A classifier's ZipMap, else what is called a probability, else a score, else any output of fractions.
fn found(outputs: &[Output]) -> Result<Chosen, Error> {
    let (echoes, others): (Vec<Output>, Vec<Output>) =
        outputs.iter().copied().partition(Output::is_echo);
    // Of one output alone nothing is to be chosen.
    let (candidates, n_echoes) =
        if outputs.len() == 1 { (outputs.to_vec(), 0) } else { (others, echoes.len()) };
    let left_out = match n_echoes {
        0 => String::new(),
        1 => "; one output repeats inputs".to_owned(),
        n => format!("; {n} outputs repeat inputs"),
    };
    if let Some(map) = candidates.iter().find(|output| output.is_map()) {
        return Ok(map.chosen(format!("it gives each class its probability{left_out}")));
    }
    let fractions: Vec<Output> = candidates.into_iter().filter(Output::has_fractions).collect();
    let is_label = |output: &Output| output.lower_name().contains("label");
    let unlabelled: Vec<Output> =
        fractions.iter().filter(|output| !is_label(output)).copied().collect();
    let by_name = |words: &[&str]| -> Vec<Output> {
        let is_called =
            |output: &&Output| words.iter().any(|word| output.lower_name().contains(word));
        unlabelled.iter().filter(is_called).copied().collect()
    };
    let ranks = [
        (by_name(&["prob"]), "it is called a probability"),
        (by_name(&["score", "predict"]), "it is called a score"),
        (unlabelled.clone(), "no other output has fractions"),
        (fractions, "no other output has fractions"),
    ];
    for (found, reason) in ranks {
        let reason = match &found[..] {
            [] => continue,
            [_] => reason.to_owned(),
            _ if found.iter().all(Output::may_be_one_column) => {
                format!(
                    "it is the last of {} outputs of fractions, one for each class",
                    found.len()
                )
            }
            several => {
                let single: Vec<&Output> =
                    several.iter().filter(|output| output.n_columns() == Some(1)).collect();
                let [only] = single[..] else {
                    return Err(Error::SeveralScores {
                        outputs: names(several.iter().map(|output| output.port)),
                    });
                };
                let reason = "it alone has one fraction for each row";
                return Ok(only.chosen(format!("{reason}{left_out}")));
            }
        };
        if let Some(last) = found.last() {
            return Ok(last.chosen(format!("{reason}{left_out}")));
        }
    }
    Err(Error::NoScore { outputs: names(outputs.iter().map(|output| output.port)) })
}

impl Output<'_> {
    fn chosen(&self, reason: String) -> Chosen {
        let is_value = self.origin.is_some_and(|origin| {
            origin.operator.as_ref().is_some_and(|operator| operator.ends_with("Regressor"))
                && origin.post_transform.as_ref().is_none_or(|transform| transform == "NONE")
        });
        let part = match self.n_columns() {
            _ if self.is_map() => "; the score is the last class's",
            Some(2..) => "; the score is its last column",
            _ => "",
        };
        Chosen {
            output: self.port.name.clone(),
            reason,
            part,
            is_value,
            is_single: self.n_columns() == Some(1),
        }
    }

    fn is_map(&self) -> bool {
        matches!(self.port.kind, Kind::MapSequence { .. })
    }

    fn is_echo(&self) -> bool {
        self.origin.is_some_and(|origin| origin.is_echo)
    }

    fn has_fractions(&self) -> bool {
        matches!(self.port.kind, Kind::Tensor { element: Element::Float | Element::Double, .. })
    }

    fn is_whole(&self) -> bool {
        let Kind::Tensor { element, .. } = self.port.kind else { return false };
        matches!(element, Element::Int64 | Element::Int32 | Element::Bool)
    }

    fn has_numbers(&self) -> bool {
        self.is_map() || self.has_fractions() || self.is_whole()
    }

    /// How many values it has for each row; None where the graph leaves it open.
    fn n_columns(&self) -> Option<i64> {
        let Kind::Tensor { ranked: true, shape, .. } = &self.port.kind else { return None };
        let columns = shape.get(1..).unwrap_or_default();
        columns.iter().try_fold(1_i64, |n, &dimension| n.checked_mul(dimension?))
    }

    fn may_be_one_column(&self) -> bool {
        self.n_columns().is_none_or(|n| n == 1)
    }

    fn lower_name(&self) -> String {
        self.port.name.to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fractions(name: &str, width: Option<i64>) -> Port {
        let shape = vec![None, width];
        let kind = Kind::Tensor { element: Element::Float, ranked: true, shape };
        Port { name: name.into(), kind }
    }

    fn whole(name: &str, width: i64) -> Port {
        let shape = vec![None, Some(width)];
        let kind = Kind::Tensor { element: Element::Int64, ranked: true, shape };
        Port { name: name.into(), kind }
    }

    /// The first `n_echoes` outputs repeat inputs.
    fn chosen(outputs: Vec<Port>, n_echoes: usize, wanted: Option<&str>) -> Result<String, Error> {
        let origin = |index| Origin { is_echo: index < n_echoes, ..Origin::default() };
        let summary = Summary {
            ir_version: 8,
            opsets: vec![],
            producer: String::new(),
            producer_version: String::new(),
            graph: String::new(),
            inputs: vec![],
            origins: (0..outputs.len()).map(origin).collect(),
            outputs,
            classes: None,
            metadata: vec![],
        };
        choose(&summary, wanted).map(|chosen| chosen.output)
    }

    #[track_caller]
    fn check(outputs: Vec<Port>, n_echoes: usize, expected: &str) {
        assert_eq!(chosen(outputs, n_echoes, None).as_deref(), Ok(expected));
    }

    #[test]
    fn names_widths_and_echoes_tell_the_score() {
        let one = Some(1);
        check(vec![whole("label", 1), fractions("no", one), fractions("yes", one)], 0, "yes");
        check(vec![fractions("a", one), fractions("b", one), fractions("s", None)], 2, "s");
        check(vec![fractions("Score", one), fractions("Probability", one)], 0, "Probability");
        check(vec![fractions("predicted_label", one), fractions("margin", one)], 0, "margin");
        check(vec![fractions("embedding", Some(64)), fractions("y", one)], 0, "y");
        check(vec![fractions("scores", Some(2)), fractions("hidden", Some(8))], 0, "scores");
        check(vec![fractions("y", one)], 1, "y");
    }

    #[test]
    fn what_no_output_tells_is_refused() {
        let wide = |name: &str| fractions(name, Some(3));
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let several = Err(Error::SeveralScores { outputs: names(&["one", "two"]) });
        assert_eq!(chosen(vec![wide("one"), wide("two")], 0, None), several);
        let none = Err(Error::NoScore { outputs: names(&["a", "label"]) });
        assert_eq!(chosen(vec![fractions("a", Some(1)), whole("label", 1)], 1, None), none);
        let items = Err(Error::ManyWholeNumbers { output: "items".into(), n: 10 });
        assert_eq!(chosen(vec![whole("items", 10)], 0, Some("items")), items);
        assert_eq!(chosen(vec![whole("label", 1)], 0, Some("label")).as_deref(), Ok("label"));
    }
}
