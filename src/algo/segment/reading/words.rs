//! Segments in plain words: "recent, frequent, high basket value".
//!
//! Names of features that everybody uses have words of their own; any other feature is high or low, a count is many or few, and
//! a level of a text column is what the segment's rows mostly are.

use super::profile::ProfileRow;
use crate::algo::segment::input::features::Level;

/// A mean this many deviations from the population's is worth a word.
const NOTABLE: f64 = 0.4;
/// And this many, "very".
const STRIKING: f64 = 1.5;
/// Phrases of a segment at first; there are more only where it would be another segment's as well.
const PHRASES: usize = 3;

/// What a feature is called when it is low and when it is high, by a word of its name.
const KNOWN: [(&[&str], &str, &str); 4] = [
    (&["recency", "days_since", "since_last", "inactive_days", "last_seen"], "recent", "long away"),
    (&["frequency"], "infrequent", "frequent"),
    (&["monetary", "spend", "spending", "revenue", "turnover"], "low spend", "high spend"),
    (&["tenure", "customer_age", "membership_days"], "new", "long-standing"),
];

/// Words for each segment of a profile, in its order, from the features that differ most from the population. No two are the
/// same.
pub fn in_plain_words(profile: &[ProfileRow]) -> Vec<String> {
    let segments: Vec<&[ProfileRow]> = profile.chunk_by(|a, b| a.segment == b.segment).collect();
    let phrases: Vec<Vec<String>> = segments.iter().map(|rows| phrases(rows)).collect();
    let of_segment =
        |segment: usize, n: usize| match &phrases[segment][..n.min(phrases[segment].len())] {
            [] => "average".to_owned(),
            phrases => phrases.join(", "),
        };
    let mut all: Vec<String> =
        (0..segments.len()).map(|segment| of_segment(segment, PHRASES)).collect();
    for n in PHRASES + 1..=phrases.iter().map(Vec::len).max().unwrap_or(0) {
        for segment in twins(&all) {
            all[segment] = of_segment(segment, n);
        }
    }
    for segment in twins(&all) {
        all[segment] = format!("{} ({})", all[segment], segments[segment][0].segment);
    }
    all
}

/// Positions of words that occur more than once.
fn twins(all: &[String]) -> Vec<usize> {
    let mut counts = std::collections::HashMap::<&str, usize>::new();
    for words in all {
        *counts.entry(words).or_default() += 1;
    }
    (0..all.len()).filter(|&idx| counts[all[idx].as_str()] > 1).collect()
}

/// The notable features of a segment, most distinctive first.
fn phrases(rows: &[ProfileRow]) -> Vec<String> {
    let mut notable: Vec<&ProfileRow> =
        rows.iter().filter(|row| row.apart.abs() >= NOTABLE).collect();
    notable.sort_by(|a, b| b.apart.abs().total_cmp(&a.apart.abs()));
    // What the rows are says what they are not.
    let column = |row: &ProfileRow| row.level.as_ref().map(|level| level.column.clone());
    let is_said = |row: &ProfileRow| row.level.is_some() && row.mean > 0.5;
    let said: Vec<Option<String>> =
        notable.iter().filter(|row| is_said(row)).map(|row| column(row)).collect();
    let is_implied =
        |row: &ProfileRow| row.level.is_some() && !is_said(row) && said.contains(&column(row));
    notable.iter().filter(|row| !is_implied(row)).map(|row| phrase(row)).collect()
}

fn phrase(row: &ProfileRow) -> String {
    if let Some(level) = &row.level {
        return level_phrase(row, level);
    }
    let very = if row.apart.abs() >= STRIKING { "very " } else { "" };
    let is_high = row.apart > 0.0;
    // Of the same length as the feature's name, whose case is kept.
    let name = row.feature.to_ascii_lowercase();
    let known = KNOWN.iter().find(|(words, ..)| words.iter().any(|word| has_word(&name, word)));
    let spoken = row.feature.replace('_', " ");
    let counted = ["n_", "num_", "number_of_", "count_of_"]
        .iter()
        .find_map(|start| name.starts_with(start).then(|| &row.feature[start.len()..]))
        .or_else(|| name.ends_with("_count").then(|| &row.feature[..name.len() - "_count".len()]));
    match (known, counted) {
        (Some((_, _, high)), _) if is_high => format!("{very}{high}"),
        (Some((_, low, _)), _) => format!("{very}{low}"),
        (None, Some(things)) => {
            format!("{very}{} {}", if is_high { "many" } else { "few" }, things.replace('_', " "))
        }
        (None, None) => format!("{very}{} {spoken}", if is_high { "high" } else { "low" }),
    }
}

/// Whether a name has these words, one after the other: `recency_days` has `recency`, `frequency` is not in `infrequency`.
fn has_word(name: &str, words: &str) -> bool {
    let is_edge =
        |character: Option<char>| character.is_none_or(|character| !character.is_alphanumeric());
    name.match_indices(words).any(|(start, _)| {
        is_edge(name[..start].chars().next_back())
            && is_edge(name[start + words.len()..].chars().next())
    })
}

fn level_phrase(row: &ProfileRow, Level { column, level, other }: &Level) -> String {
    // Of two levels the one that more rows have is told.
    let is_other = row.mean < 0.5 || (row.mean == 0.5 && row.apart < 0.0);
    let (mean, apart, level) = match other {
        Some(other) if is_other => (1.0 - row.mean, -row.apart, other),
        _ => (row.mean, row.apart, level),
    };
    let spoken = format!("{} {level}", column.replace('_', " "));
    match mean {
        all if all >= 0.95 => spoken,
        most if most > 0.5 => format!("mostly {spoken}"),
        none if none <= 0.02 => format!("no {spoken}"),
        _ if apart > 0.0 => format!("more {spoken}"),
        _ => format!("less {spoken}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments of features, each with its mean and its deviation from the population.
    #[track_caller]
    fn check_words(segments: &[&[(&str, f64)]], expected: &[&str]) {
        let rows = segments.iter().enumerate().flat_map(|(segment, features)| {
            features.iter().map(move |&(feature, z)| ProfileRow {
                segment: segment as u32 + 1,
                feature: feature.into(),
                mean: z,
                population_mean: 0.0,
                z,
                apart: z,
                level: None,
            })
        });
        assert_eq!(in_plain_words(&rows.collect::<Vec<_>>()), expected);
    }

    #[track_caller]
    fn check_levels(levels: &[(&str, f64, f64)], expected: &str) {
        let rows = levels.iter().map(|&(feature, mean, z)| ProfileRow {
            segment: 1,
            feature: feature.into(),
            mean,
            population_mean: 0.3,
            z,
            apart: z,
            level: feature.split_once('=').map(|(column, level)| level_of(column, level)),
        });
        assert_eq!(in_plain_words(&rows.collect::<Vec<_>>()), [expected]);
    }

    /// As `male|female`, which is of two.
    fn level_of(column: &str, level: &str) -> Level {
        let (level, other) = match level.split_once('|') {
            Some((level, other)) => (level, Some(other.into())),
            None => (level, None),
        };
        Level { column: column.into(), level: level.into(), other }
    }

    #[test]
    fn of_two_levels_the_one_that_most_rows_have_is_told() {
        check_levels(&[("sex=m|f", 1.0, 1.4)], "sex m");
        check_levels(&[("sex=m|f", 0.01, -0.9)], "sex f");
        check_levels(&[("sex=m|f", 0.7, 0.9)], "mostly sex m");
        check_levels(&[("sex=m|f", 0.2, -0.9)], "mostly sex f");
        check_levels(&[("sex=m|f", 0.5, -0.9)], "more sex f");
        check_levels(&[("sex=m|f", 0.5, 0.9)], "more sex m");
    }

    #[test]
    fn the_words_name_the_most_distinctive_features_first() {
        check_words(
            &[
                &[("recency", -0.6), ("basket_value", 2.0), ("frequency", 0.5), ("age", 0.45)],
                &[("recency", 0.1)],
            ],
            &["very high basket value, recent, frequent", "average"],
        );
    }

    #[test]
    fn features_that_everybody_uses_have_words_of_their_own() {
        check_words(
            &[
                &[("recency_days", 1.9), ("Monetary", -1.0), ("n_orders", 0.5)],
                &[("tenure", -0.7), ("visit_count", -1.6)],
            ],
            &["very long away, low spend, many orders", "very few visit, new"],
        );
        check_words(
            &[&[("infrequency", 1.0), ("precency", -1.0)]],
            &["high infrequency, low precency"],
        );
    }

    #[test]
    fn words_differ_even_where_segments_do_not() {
        check_words(&[&[("x", 1.0)], &[("x", 1.1)]], &["high x (1)", "high x (2)"]);
        let four = |last: f64| [("a", 1.3), ("b", 1.2), ("c", 1.1), ("d", last)];
        check_words(
            &[&four(1.0), &four(-1.0)],
            &["high a, high b, high c, high d", "high a, high b, high c, low d"],
        );
    }

    #[test]
    fn a_level_is_what_the_rows_mostly_are() {
        check_levels(
            &[("home_region=north", 1.0, 1.4), ("home_region=south", 0.0, -0.7)],
            "home region north",
        );
        check_levels(&[("r=north", 0.6, 1.4), ("r=south", 0.1, -0.7)], "mostly r north");
        check_levels(
            &[("r=north", 0.4, 0.5), ("r=south", 0.1, -0.7), ("r=west", 0.0, -0.6)],
            "less r south, no r west, more r north",
        );
    }
}
