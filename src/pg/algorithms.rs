//! `algorithms`: what each kind of models can be fitted by, and the parameters of each, from their declarations.

use pgrx::prelude::*;

use super::kind::Kind;
use crate::algo::declared::Algorithm;
use crate::algo::segment::params::KMEANS;
use crate::algo::shapes::GAUSSIAN_MIXTURE;
use crate::algo::{recommend, score};

/// The algorithms of a kind: a fit is given one by name, or is an aggregate of that name.
fn of(kind: Kind) -> Vec<&'static Algorithm> {
    match kind {
        Kind::Scorer => score::algorithms(),
        Kind::Recommender => recommend::algorithms(),
        Kind::Segments => vec![&KMEANS, &GAUSSIAN_MIXTURE],
    }
}

type Row = (
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    String,
    String,
);

#[pg_extern]
fn algorithm_rows() -> TableIterator<
    'static,
    (
        name!(kind, String),
        name!(algorithm, String),
        name!(parameter, Option<String>),
        name!(type, Option<String>),
        name!(default_value, Option<String>),
        name!(range, Option<String>),
        name!(meaning, String),
        name!(source, String),
    ),
> {
    let all = Kind::ALL.into_iter();
    TableIterator::new(all.flat_map(|kind| of(kind).into_iter().flat_map(move |a| rows(kind, a))))
}

/// One that says what the algorithm is, then one for each of its parameters.
fn rows(kind: Kind, algorithm: &Algorithm) -> Vec<Row> {
    let (kind, name, source) = (kind.to_string(), algorithm.name, algorithm.source);
    let own = [(None, None, None, None, algorithm.meaning)].into_iter();
    let parameters = algorithm.parameters.iter().map(|parameter| {
        let (of_type, default) = (parameter.type_name().to_owned(), parameter.default_value());
        let named = Some(parameter.name().to_owned());
        (named, Some(of_type), Some(default), parameter.range(), parameter.meaning())
    });
    own.chain(parameters)
        .map(|(parameter, of_type, default, range, meaning)| {
            let (meaning, source) = (meaning.to_owned(), source.to_owned());
            (kind.clone(), name.to_owned(), parameter, of_type, default, range, meaning, source)
        })
        .collect()
}
