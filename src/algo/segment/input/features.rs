//! What the dimensions of a fit are: a number each, or an indicator of a level of a text column.
//!
//! A text column becomes one indicator per level, 1 where the row has the level and 0 elsewhere. Indicators are
//! neither centred nor divided by their deviation, which would make a rare level count more than a common one: two rows of
//! different levels lie the square root of 2 apart, as two rows that differ by 1.4 deviations in a number.
//!
//! A column of two levels is one indicator, of the level that sorts last, so that it is the same one at every refit. It is
//! multiplied by the square root of 2 and centred between the two: all distances are those that two indicators would make.

use std::collections::BTreeMap;
use std::iter::zip;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rows::{Cells, Columns};
use crate::algo::encode::categories::{Categories, Encoder};
use crate::algo::frame::{Column, MISSING, Values, base_name};
use crate::algo::memory::{self, Refused};
use crate::algo::segment::error::{Error, Malformed};
use crate::algo::segment::limits::{MAX_FEATURES, MAX_LEVELS};
use crate::algo::segment::params::Scaling;

/// How much a column may count against others.
const WEIGHTS: std::ops::RangeInclusive<f64> = 1e-9..=1e9;

/// A text column as dimensions: its indicators, in the order of the levels, begin at `first`. Of two levels there is one indicator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Category {
    pub column: String,
    pub first: u32,
    pub levels: Categories,
}

/// The dimensions of a fit, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    pub names: Vec<String>,
    pub categories: Vec<Category>,
    /// What each dimension's squared difference is multiplied by.
    pub(crate) weights: Vec<f64>,
    /// How each dimension is scaled, where columns are scaled in ways of their own.
    scalings: Option<Vec<Scaling>>,
    /// What stands for a missing value of each dimension; empty where nothing does.
    pub(crate) fill: Vec<f64>,
}

/// What the dimensions of a fit or of a model are.
#[derive(Debug, Clone, Copy)]
pub struct Dimensions<'a> {
    pub(crate) names: &'a [String],
    pub(crate) categories: &'a [Category],
    pub(crate) fill: &'a [f64],
}

/// What a model looks for in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// The dimension of this place.
    Number(&'a str, usize),
    /// The category of this place.
    Category(&'a str, usize),
}

impl<'a> Wanted<'a> {
    /// Its column, and whether that is to hold numbers.
    pub(crate) fn column(self) -> (&'a str, bool) {
        match self {
            Wanted::Number(name, _) => (name, true),
            Wanted::Category(name, _) => (name, false),
        }
    }
}

impl Features {
    /// Numbers of these names, each counting as much as any other.
    pub fn numbers(names: Vec<String>) -> Self {
        Self {
            weights: vec![1.0; names.len()],
            categories: Vec::new(),
            scalings: None,
            fill: Vec::new(),
            names,
        }
    }

    /// The dimensions that columns come to. Weights are by column: all elements of an array `v`, which are the columns `v[1]`,
    /// `v[2]`, …, go by `v` as well.
    pub fn of(columns: &[Column], weights: &BTreeMap<String, f64>) -> Result<Self, Error> {
        let known = |name: &String| {
            columns.iter().any(|column| column.name == *name || base_name(&column.name) == name)
        };
        for (name, &weight) in weights {
            if !known(name) {
                return Err(Error::UnknownWeight { column: name.clone() });
            }
            if !WEIGHTS.contains(&weight) {
                return Err(Error::InvalidWeight { column: name.clone(), weight });
            }
        }
        let mut features = Self::numbers(Vec::new());
        for column in columns {
            let weight = [column.name.as_str(), base_name(&column.name)]
                .iter()
                .find_map(|name| weights.get(*name))
                .copied()
                .unwrap_or(1.0);
            match &column.values {
                Values::Text { codes, dictionary } => {
                    let category = Category {
                        column: column.name.clone(),
                        first: features.names.len() as u32,
                        levels: levels(codes, dictionary)?,
                    };
                    features.names.extend(category.indicated().iter().map(Level::indicator));
                    features.categories.push(category);
                }
                Values::Number(_) | Values::Integer(_) => features.names.push(column.name.clone()),
            }
            features.weights.resize(features.names.len(), weight);
        }
        Ok(features)
    }

    /// With ways to scale some columns by; the others are scaled as standard. An array's elements go by its name as well. Refuses
    /// what is no column of numbers.
    pub fn scaled_by(mut self, ways: &BTreeMap<String, Scaling>) -> Result<Self, Error> {
        let indicators = self.dimensions().indicators();
        let way = |name: &String| {
            [name.as_str(), base_name(name)].iter().find_map(|name| ways.get(*name)).copied()
        };
        let numbers: Vec<&String> = zip(&self.names, &indicators)
            .filter_map(|(name, is_indicator)| (!is_indicator).then_some(name))
            .collect();
        let is_known = |way: &String| {
            numbers.iter().any(|name| *name == way || base_name(name) == way.as_str())
        };
        if let Some(column) = ways.keys().find(|way| !is_known(way)) {
            let mut known: Vec<String> =
                numbers.iter().map(|name| base_name(name).into()).collect();
            known.dedup();
            return Err(Error::UnknownScaling { column: column.clone(), known });
        }
        let scalings = zip(&self.names, indicators).map(|(name, is_indicator)| {
            if is_indicator { Scaling::Standard } else { way(name).unwrap_or(Scaling::Standard) }
        });
        self.scalings = Some(scalings.collect());
        Ok(self)
    }

    /// How each dimension is scaled, where all that have no way of their own are scaled so.
    pub(crate) fn scalings(&self, scaling: Scaling) -> Vec<Scaling> {
        let mut scalings = self.scalings.clone().unwrap_or_else(|| vec![scaling; self.len()]);
        // An indicator is what it is, but for the unit of a fit without scaling.
        for category in &self.categories {
            let own = if scaling == Scaling::None { scaling } else { Scaling::Standard };
            scalings[category.dimensions()].fill(own);
        }
        scalings
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub fn dimensions(&self) -> Dimensions<'_> {
        Dimensions { names: &self.names, categories: &self.categories, fill: &self.fill }
    }

    /// The column that a dimension is of, as the source has it.
    pub(crate) fn column(&self, dimension: usize) -> &str {
        let category =
            self.categories.iter().find(|category| category.dimensions().contains(&dimension));
        match category {
            Some(category) => &category.column,
            None => self.names.get(dimension).map_or("", String::as_str),
        }
    }
}

impl Category {
    pub(crate) fn dimensions(&self) -> std::ops::Range<usize> {
        let first = self.first as usize;
        let n = if self.pair().is_some() { 1 } else { self.levels.n_names() };
        first..first.saturating_add(n)
    }

    /// The places of the two levels of a column that has no others, the one that sorts last behind.
    pub(crate) fn pair(&self) -> Option<[usize; 2]> {
        match self.levels.levels.as_slice() {
            [(one, _), (other, _)] if self.levels.max_levels.is_none() => {
                Some(if one < other { [0, 1] } else { [1, 0] })
            }
            _ => None,
        }
    }

    /// The level of each of its dimensions.
    fn indicated(&self) -> Vec<Level> {
        let names = self.levels.names();
        let level = |place: usize, other: Option<usize>| Level {
            column: self.column.clone(),
            level: names[place].clone(),
            other: other.map(|other| names[other].clone()),
        };
        match self.pair() {
            Some([first, last]) => vec![level(last, Some(first))],
            None => (0..names.len()).map(|place| level(place, None)).collect(),
        }
    }

    /// Validates one that was parsed from bytes of any origin, among so many dimensions.
    pub(crate) fn check(&self, n_features: usize) -> Result<(), Malformed> {
        let fits = self.levels.levels.len() <= MAX_FEATURES && self.dimensions().end <= n_features;
        if fits && self.levels.check().is_ok() { Ok(()) } else { Err(Malformed::Category) }
    }

    pub fn indicators(&self) -> Indicators {
        Indicators {
            dimensions: self.dimensions(),
            encoder: self.levels.encoder(),
            last: self.pair().map(|[_, last]| last),
        }
    }
}

/// What the indicators of a text column are, for the levels of rows.
#[derive(Debug)]
pub struct Indicators {
    dimensions: std::ops::Range<usize>,
    encoder: Encoder,
    /// The place of the level that the one indicator of two is of.
    last: Option<usize>,
}

/// The one indicator of two levels where a row has a level that the fit did not see: as far from the one as from the other.
const NEITHER: f64 = 0.5;

impl Indicators {
    /// Sets those of a row whose dimensions are 0. A level that the fit did not see is none of its levels; NaN is a missing one.
    pub fn set(&self, level: Option<&str>, row: &mut [f64]) {
        let own = &mut row[self.dimensions.clone()];
        match (level.map(|level| self.encoder.place(level)), self.last) {
            (None, _) => own.fill(f64::NAN),
            (Some(Some(place)), None) => own[place] = 1.0,
            (Some(Some(place)), Some(last)) => own[0] = f64::from(u8::from(place == last)),
            (Some(None), None) => (),
            (Some(None), Some(_)) => own[0] = NEITHER,
        }
    }
}

impl<'a> Dimensions<'a> {
    /// The level of each dimension that is an indicator, and its column.
    pub(crate) fn levels(self) -> Vec<Option<Level>> {
        let mut levels = vec![None; self.names.len()];
        for category in self.categories {
            for (place, level) in category.dimensions().zip(category.indicated()) {
                levels[place] = Some(level);
            }
        }
        levels
    }

    /// Whether each dimension is an indicator.
    pub(crate) fn indicators(self) -> Vec<bool> {
        let mut indicators = vec![false; self.names.len()];
        self.categories.iter().for_each(|category| indicators[category.dimensions()].fill(true));
        indicators
    }

    /// What to look for in a row: numbers in the order of the dimensions, then categories.
    pub fn wanted(self) -> impl Iterator<Item = Wanted<'a>> {
        let is_indicator = self.indicators();
        let numbers = self.names.iter().enumerate().filter(move |(place, _)| !is_indicator[*place]);
        let numbers = numbers.map(|(place, name)| Wanted::Number(name, place));
        let categories = self.categories.iter().enumerate();
        numbers.chain(categories.map(|(place, category)| Wanted::Category(&category.column, place)))
    }

    /// The columns that hold the dimensions, or the name of one that is missing or of another type.
    pub fn bind<'c>(self, columns: &'c [Column]) -> Result<Columns<'c>, Error> {
        let mut cells: Vec<Option<Cells>> = self.names.iter().map(|_| None).collect();
        for wanted in self.wanted() {
            let (name, _) = wanted.column();
            let found = columns.iter().find(|column| column.name == name);
            match (wanted, found.map(|column| &column.values)) {
                (Wanted::Number(_, place), Some(Values::Number(values))) => {
                    cells[place] = Some(match self.fill.get(place) {
                        Some(&fill) => Cells::Filled { values, fill },
                        None => Cells::Numbers(values),
                    });
                }
                (Wanted::Category(_, place), Some(Values::Text { codes, dictionary })) => {
                    let category = &self.categories[place];
                    let encoder = category.levels.encoder();
                    let places: Arc<[_]> =
                        dictionary.iter().map(|level| encoder.place(level)).collect();
                    for (place, dimension) in category.dimensions().enumerate() {
                        let (level, unseen) = match category.pair() {
                            Some([_, last]) => (last, NEITHER),
                            None => (place, 0.0),
                        };
                        let places = places.clone();
                        let missing = self.fill.get(dimension).copied().unwrap_or(f64::NAN);
                        cells[dimension] =
                            Some(Cells::Indicator { codes, places, level, unseen, missing });
                    }
                }
                _ => return Err(Error::MissingColumn { column: name.to_owned() }),
            }
        }
        Ok(Columns(cells.into_iter().flatten().collect()))
    }
}

/// A level of a text column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    pub column: String,
    pub level: String,
    /// What rows are that are not of the level, where that is one other.
    pub other: Option<String>,
}

impl Level {
    /// How its indicator is named.
    fn indicator(&self) -> String {
        format!("{}={}", self.column, self.level)
    }
}

/// The levels of a column: at most [`MAX_LEVELS`], the most frequent first.
fn levels(codes: &[u32], dictionary: &[String]) -> Result<Categories, Refused> {
    let mut counts = memory::filled(0u64, dictionary.len())?;
    for &code in codes.iter().filter(|code| **code != MISSING) {
        counts[code as usize] += 1;
    }
    // A key has a level for each row: most of them are not copied.
    let mut levels = Vec::new();
    for (level, &n) in dictionary.iter().zip(&counts).filter(|(_, n)| **n > 0) {
        memory::push(&mut levels, (level.as_str(), n))?;
    }
    Ok(Categories::most_frequent_of(levels, MAX_LEVELS))
}
