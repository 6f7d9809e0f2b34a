//! The two classes of a target column, and which rows belong to the positive one.

use std::collections::BTreeSet;

use super::Error;
use crate::algo::frame::{Column, MISSING, Values};

#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// In sort order: of numbers by value, of text by bytes.
    pub classes: [String; 2],
    /// The position of the positive class in `classes`.
    pub positive: usize,
    /// Per row, whether it is of the positive class.
    pub labels: Vec<bool>,
}

pub fn code(target: &Column, positive: Option<&str>) -> Result<Target, Error> {
    match &target.values {
        Values::Integer(values) => two_classes(values.iter().copied(), positive),
        Values::Number(values) => {
            missing_rows(values.iter().filter(|value| value.is_nan()).count())?;
            two_classes(values.iter().map(|&value| Ordered(value + 0.0)), positive)
        }
        Values::Text { codes, dictionary } => {
            missing_rows(codes.iter().filter(|&&code| code == MISSING).count())?;
            let text = |&code: &u32| dictionary.get(code as usize).map_or("", String::as_str);
            two_classes(codes.iter().map(text), positive)
        }
    }
}

/// Per row whether it is of the positive class, where the classes are known.
pub fn labels(target: &Column, classes: &[String], positive: usize) -> Result<Vec<bool>, Error> {
    let label = |class: String| match classes.iter().position(|known| *known == class) {
        Some(position) => Ok(position == positive),
        None => Err(Error::UnknownClass { value: class, classes: classes.to_vec() }),
    };
    match &target.values {
        Values::Integer(values) => values.iter().map(|value| label(value.to_string())).collect(),
        Values::Number(values) => {
            missing_rows(values.iter().filter(|value| value.is_nan()).count())?;
            values.iter().map(|&value| label(Ordered(value + 0.0).to_string())).collect()
        }
        Values::Text { codes, dictionary } => {
            missing_rows(codes.iter().filter(|&&code| code == MISSING).count())?;
            let by_code: Vec<Result<bool, Error>> =
                dictionary.iter().map(|class| label(class.clone())).collect();
            let of = |&code: &u32| by_code.get(code as usize).cloned().unwrap_or(Ok(false));
            codes.iter().map(of).collect()
        }
    }
}

/// Which rows are of the class whose probability a graph gives.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelsOfGraph {
    pub labels: Vec<bool>,
    /// The target's two values, the class last, where their order alone says which one is the class.
    pub ordered: Option<[String; 2]>,
    /// A class that the graph has but a number for, and no row: the numbers may be an encoder's, and the target's values others.
    pub unseen: Option<String>,
}

/// By the names that the graph has for its classes. A boolean, and 0 and 1, say it themselves. Where the graph has no names, or
/// numbers its classes from 0, its classes are the target's two in sort order, as scikit-learn sorts them.
///
/// `positive` is the class's position among those of the graph; None for the last one.
pub fn labels_of_graph(
    target: &Column,
    classes: Option<&[String]>,
    positive: Option<usize>,
) -> Result<LabelsOfGraph, Error> {
    let said = |labels| LabelsOfGraph { labels, ordered: None, unseen: None };
    let classes = classes.unwrap_or_default();
    let mut numbered = classes.iter().enumerate();
    let may_stand_for_others = numbered.all(|(number, class)| *class == number.to_string());
    if !classes.is_empty() {
        match labels(target, classes, positive.unwrap_or(classes.len() - 1)) {
            Ok(labels) if may_stand_for_others => {
                return Ok(LabelsOfGraph { unseen: unseen(target, classes), ..said(labels) });
            }
            Err(Error::UnknownClass { .. }) if may_stand_for_others => {}
            // A boolean, or 0 and 1, may still say it.
            Err(error @ Error::UnknownClass { .. }) => {
                return by_itself(target, 1).map(said).map_err(|_| error);
            }
            found => return found.map(said),
        }
    }
    if let Ok(labels) = labels(target, &FALSE_TRUE.map(str::to_owned), 1) {
        return Ok(said(labels));
    }
    let is_first = positive == Some(0) && matches!(classes.len(), 0 | 2);
    let zero_one = ZERO_ONE.map(str::to_owned);
    let place = usize::from(!(is_first && classes.is_empty()));
    if let Ok(labels) = labels(target, &zero_one, place) {
        return Ok(LabelsOfGraph { unseen: unseen(target, &zero_one), ..said(labels) });
    }
    match code(target, None) {
        Ok(Target { classes: [low, high], labels, .. }) if is_first => Ok(LabelsOfGraph {
            ordered: Some([high, low]),
            ..said(labels.into_iter().map(|label| !label).collect())
        }),
        Ok(Target { classes, labels, .. }) => {
            Ok(LabelsOfGraph { ordered: Some(classes), ..said(labels) })
        }
        Err(Error::OneClass { value }) => Err(Error::UnnamedClasses { value }),
        Err(error) => Err(error),
    }
}

const FALSE_TRUE: [&str; 2] = ["false", "true"];
const ZERO_ONE: [&str; 2] = ["0", "1"];

fn by_itself(target: &Column, positive: usize) -> Result<Vec<bool>, Error> {
    labels(target, &FALSE_TRUE.map(str::to_owned), positive)
        .or_else(|_| labels(target, &ZERO_ONE.map(str::to_owned), positive))
}

/// The first of the classes that no row has.
fn unseen(target: &Column, classes: &[String]) -> Option<String> {
    let seen: BTreeSet<String> = match &target.values {
        Values::Integer(values) => texts(values.iter().copied()),
        Values::Number(values) => texts(values.iter().map(|&value| Ordered(value + 0.0))),
        Values::Text { codes, dictionary } => {
            texts(codes.iter().filter_map(|&code| dictionary.get(code as usize)))
        }
    };
    classes.iter().find(|class| !seen.contains(*class)).cloned()
}

fn texts<T: Ord + ToString>(values: impl Iterator<Item = T>) -> BTreeSet<String> {
    let distinct: BTreeSet<T> = values.collect();
    distinct.iter().map(T::to_string).collect()
}

fn missing_rows(rows: usize) -> Result<(), Error> {
    if rows == 0 { Ok(()) } else { Err(Error::MissingTarget { rows }) }
}

fn two_classes<T: Ord + Copy + ToString>(
    values: impl Iterator<Item = T> + Clone,
    positive: Option<&str>,
) -> Result<Target, Error> {
    let distinct: Vec<T> = values.clone().collect::<BTreeSet<T>>().into_iter().collect();
    let names = |n: usize| distinct.iter().take(n).map(T::to_string).collect::<Vec<_>>();
    let (low, high) = match distinct[..] {
        [] => return Err(Error::EmptyInput),
        [value] => return Err(Error::OneClass { value: value.to_string() }),
        [low, high] => (low, high),
        _ => return Err(Error::TooManyClasses { n: distinct.len(), examples: names(5) }),
    };
    let classes = [low.to_string(), high.to_string()];
    let positive = match positive {
        None => 1,
        Some(name) => classes.iter().position(|class| class == name).ok_or_else(|| {
            Error::UnknownPositive { positive: name.to_owned(), classes: names(2) }
        })?,
    };
    let positive_value = [low, high][positive];
    Ok(Target { classes, positive, labels: values.map(|value| value == positive_value).collect() })
}

/// A number without NaN, which has a total order and is written the shortest way.
#[derive(Debug, Clone, Copy)]
struct Ordered(f64);

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

impl std::fmt::Display for Ordered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_classes(target: Column, classes: [&str; 2], labels: &[bool]) {
        let found = code(&target, None).unwrap();
        assert_eq!(found.classes, classes);
        assert_eq!(found.positive, 1);
        assert_eq!(found.labels, labels);
    }

    #[track_caller]
    fn check_error(target: Column, positive: Option<&str>, expected: Error) {
        assert_eq!(code(&target, positive), Err(expected));
    }

    #[test]
    fn the_last_class_in_sort_order_is_positive() {
        check_classes(
            Column::text("y", ["true", "false", "true"].map(Some)),
            ["false", "true"],
            &[true, false, true],
        );
        check_classes(Column::integer("y", vec![1, 0]), ["0", "1"], &[true, false]);
        check_classes(Column::number("y", vec![-0.0, 1.0, 0.0]), ["0", "1"], &[false, true, false]);
        // Numbers sort by value: 9 before 10.
        check_classes(Column::integer("y", vec![10, 9]), ["9", "10"], &[true, false]);
    }

    #[test]
    fn the_caller_may_name_the_positive_class() {
        let found = code(&Column::text("y", ["no", "yes"].map(Some)), Some("no")).unwrap();
        assert_eq!((found.positive, found.labels), (0, vec![true, false]));
    }

    #[test]
    fn targets_without_two_classes_are_refused() {
        check_error(Column::integer("y", vec![]), None, Error::EmptyInput);
        check_error(
            Column::text("y", [Some("a"), Some("a")]),
            None,
            Error::OneClass { value: "a".into() },
        );
        let examples = ["1", "2", "3", "4", "5"].map(String::from).to_vec();
        check_error(
            Column::number("y", vec![6.0, 5.0, 4.0, 3.0, 2.0, 1.0]),
            None,
            Error::TooManyClasses { n: 6, examples },
        );
        check_error(
            Column::number("y", vec![f64::NAN, 1.0]),
            None,
            Error::MissingTarget { rows: 1 },
        );
        check_error(Column::text("y", [None, Some("a")]), None, Error::MissingTarget { rows: 1 });
    }

    #[test]
    fn a_later_target_is_coded_as_the_fit_coded_it() {
        let classes = ["0".to_owned(), "1".to_owned()];
        let number = Column::number("y", vec![1.0, -0.0]);
        assert_eq!(labels(&number, &classes, 1), Ok(vec![true, false]));
        let text = Column::text("y", [Some("1"), Some("0")]);
        assert_eq!(labels(&text, &classes, 0), Ok(vec![false, true]));
        let error = Error::UnknownClass { value: "2".into(), classes: classes.to_vec() };
        assert_eq!(labels(&Column::integer("y", vec![2]), &classes, 1), Err(error));
        let missing = Column::text("y", [None]);
        assert_eq!(labels(&missing, &classes, 1), Err(Error::MissingTarget { rows: 1 }));
    }

    fn of_graph(target: &Column, classes: Option<&[&str]>) -> Result<LabelsOfGraph, Error> {
        let classes: Option<Vec<String>> =
            classes.map(|classes| classes.iter().map(|&class| class.to_owned()).collect());
        labels_of_graph(target, classes.as_deref(), None)
    }

    #[track_caller]
    fn check_graph(target: Column, classes: Option<&[&str]>, expected: Result<&[bool], Error>) {
        let found = of_graph(&target, classes).map(|found| found.labels);
        assert_eq!(found, expected.map(<[bool]>::to_vec));
    }

    #[track_caller]
    fn check_order(target: Column, classes: Option<&[&str]>, expected: Option<[&str; 2]>) {
        let found = of_graph(&target, classes).unwrap().ordered;
        assert_eq!(found, expected.map(|both| both.map(str::to_owned)));
    }

    #[test]
    fn what_the_order_of_two_values_alone_decides_is_told() {
        let text = |values: &[&'static str]| Column::text("y", values.iter().copied().map(Some));
        check_order(text(&["won", "lost"]), None, Some(["lost", "won"]));
        check_order(text(&["kept", "churned"]), Some(&["0", "1"]), Some(["churned", "kept"]));
        check_order(Column::integer("y", vec![10, 9]), None, Some(["9", "10"]));
        check_order(Column::number("y", vec![1.0, -1.0]), None, Some(["-1", "1"]));
        check_order(text(&["won", "lost"]), Some(&["lost", "won"]), None);
        check_order(text(&["true", "false"]), None, None);
        check_order(Column::integer("y", vec![0, 1]), None, None);
        check_order(Column::number("y", vec![1.0]), Some(&["no", "yes"]), None);
    }

    #[test]
    fn the_target_of_a_graph_is_read_by_its_classes_or_by_itself() {
        let text = |values: &[&'static str]| Column::text("y", values.iter().copied().map(Some));
        let yes_no = || text(&["yes", "no", "yes"]);
        check_graph(yes_no(), None, Ok(&[true, false, true]));
        check_graph(yes_no(), Some(&["no", "yes"]), Ok(&[true, false, true]));
        // An encoder numbered the classes.
        check_graph(yes_no(), Some(&["0", "1"]), Ok(&[true, false, true]));
        check_graph(Column::integer("y", vec![-1, 1]), None, Ok(&[false, true]));
        check_graph(Column::number("y", vec![1.0, -1.0]), Some(&["-1", "1"]), Ok(&[true, false]));
        check_graph(Column::integer("y", vec![9, 10]), None, Ok(&[false, true]));
        // A boolean says which rows are positive, whatever the classes are called; one class alone is enough where it is known.
        check_graph(text(&["true", "false"]), Some(&["no", "yes"]), Ok(&[true, false]));
        check_graph(text(&["yes", "yes"]), Some(&["no", "yes"]), Ok(&[true, true]));
        check_graph(Column::integer("y", vec![1, 1]), None, Ok(&[true, true]));
        // Of three the last one, against all others.
        check_graph(text(&["a", "c", "b"]), Some(&["a", "b", "c"]), Ok(&[false, true, false]));
    }

    #[track_caller]
    fn check_class(
        target: Column,
        classes: Option<&[&str]>,
        positive: usize,
        labels: &[bool],
        ordered: Option<[&str; 2]>,
    ) {
        let classes: Option<Vec<String>> =
            classes.map(|classes| classes.iter().map(|&class| class.to_owned()).collect());
        let found = labels_of_graph(&target, classes.as_deref(), Some(positive)).unwrap();
        assert_eq!(found.labels, labels);
        assert_eq!(found.ordered, ordered.map(|both| both.map(str::to_owned)));
    }

    #[test]
    fn the_score_may_be_that_of_another_class_than_the_last() {
        let text = |values: &[&'static str]| Column::text("y", values.iter().copied().map(Some));
        check_class(text(&["no", "yes"]), Some(&["no", "yes"]), 0, &[true, false], None);
        check_class(text(&["b", "a"]), Some(&["a", "b", "c"]), 1, &[true, false], None);
        check_class(Column::integer("y", vec![0, 1]), Some(&["0", "1"]), 0, &[true, false], None);
        check_class(Column::integer("y", vec![0, 1]), None, 0, &[true, false], None);
        // A boolean is true for the class.
        check_class(text(&["true", "false"]), Some(&["0", "1"]), 0, &[true, false], None);
        // An encoder numbered them.
        let kept = || text(&["kept", "churned"]);
        check_class(kept(), Some(&["0", "1"]), 0, &[false, true], Some(["kept", "churned"]));
        check_class(kept(), None, 0, &[false, true], Some(["kept", "churned"]));
        check_class(kept(), Some(&["0", "1"]), 1, &[true, false], Some(["churned", "kept"]));
    }

    #[test]
    fn a_class_without_rows_is_told_where_the_graph_has_but_its_number() {
        let check = |values: Vec<i64>, classes: Option<&[&str]>, expected: Option<&str>| {
            let found = of_graph(&Column::integer("y", values), classes).unwrap().unseen;
            assert_eq!(found.as_deref(), expected);
        };
        check(vec![1, 1], Some(&["0", "1"]), Some("0"));
        check(vec![1, 2], Some(&["0", "1", "2"]), Some("0"));
        check(vec![1, 1], None, Some("0"));
        check(vec![0, 1], Some(&["0", "1"]), None);
        check(vec![1, 2], Some(&["0", "1"]), None);
        check(vec![2, 2], Some(&["1", "2"]), None);
        let found = of_graph(&Column::text("y", ["true"].map(Some)), Some(&["0", "1"])).unwrap();
        assert_eq!((found.labels, found.unseen), (vec![true], None));
    }

    #[test]
    fn a_target_that_no_class_of_a_graph_fits_is_refused() {
        let text = |values: &[&'static str]| Column::text("y", values.iter().copied().map(Some));
        let classes = vec!["no".to_owned(), "yes".to_owned()];
        let unknown = Error::UnknownClass { value: "maybe".into(), classes };
        check_graph(text(&["yes", "maybe"]), Some(&["no", "yes"]), Err(unknown));
        let unnamed = Error::UnnamedClasses { value: "yes".into() };
        check_graph(text(&["yes", "yes"]), None, Err(unnamed));
        let examples = ["a", "b", "c"].map(String::from).to_vec();
        check_graph(text(&["a", "b", "c"]), None, Err(Error::TooManyClasses { n: 3, examples }));
        check_graph(Column::text("y", [None]), None, Err(Error::MissingTarget { rows: 1 }));
    }

    #[test]
    fn an_unknown_positive_class_is_refused_with_the_classes_there_are() {
        check_error(
            Column::integer("y", vec![0, 1]),
            Some("true"),
            Error::UnknownPositive {
                positive: "true".into(),
                classes: vec!["0".into(), "1".into()],
            },
        );
    }
}
