//! How well a model ranks what its users went on to take: every item they had not, in full, without sampling.
//!
//! Sampled candidates change which model wins (Krichene and Rendle 2020), so none are sampled. Users are matched by key. What
//! a user had is what the model learned from: what was held out of a fit is ahead of it. A user of whom it learned nothing
//! would get its popular items, which says nothing about it: such users are counted, and not measured. Items that it has not
//! learned count as missed. The popular items are measured beside it, on the same users.

use super::{Error, Interactions, Keys, Pages, Recommender, page::By, sparse::Sparse};
use crate::algo::{
    metrics::ranking::{AtK, at_k},
    stop::Watch,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// None where no user of whom the model knows took anything new.
    pub quality: Option<Quality>,
    /// Users who took something, and of whom the model has learned nothing.
    pub n_unknown_users: usize,
}

/// Means over the users of whom the model has learned, and who took something new.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Places measured.
    pub k: usize,
    pub ndcg: f64,
    pub precision: f64,
    pub recall: f64,
    pub map: f64,
    pub n_users: usize,
    /// Share of the model's items that are on anyone's page.
    pub coverage: f64,
    /// What the most popular items that each user had not would have had.
    pub popular_ndcg: f64,
}

pub fn evaluate(
    model: &Recommender,
    taken: &Interactions,
    k: usize,
    watch: &Watch,
) -> Result<Evaluation, Error> {
    evaluate_histories(model, (&taken.user_keys, &taken.item_keys, &taken.histories), k, watch)
}

/// As [`evaluate`], of what was held out of the interactions that the model was made of.
pub(super) fn evaluate_held_out(
    model: &Recommender,
    held_out: &Sparse,
    k: usize,
    watch: &Watch,
) -> Result<Evaluation, Error> {
    evaluate_histories(model, (&model.user_keys, &model.item_keys, held_out), k, watch)
}

fn evaluate_histories(
    model: &Recommender,
    (user_keys, item_keys, histories): (&Keys, &Keys, &Sparse),
    k: usize,
    watch: &Watch,
) -> Result<Evaluation, Error> {
    if k == 0 {
        return Err(Error::InvalidParameter { name: "k", value: 0.0, expected: "at least 1" });
    }
    let user_codes = user_keys.codes_in(&model.user_keys);
    // Unknown items get codes above the model's: relevant, and never on a page.
    let item_codes: Vec<u32> = (0u32..)
        .zip(item_keys.codes_in(&model.item_keys))
        .map(|(item, code)| code.unwrap_or((model.n_items() as u32).saturating_add(item)))
        .collect();
    watch.check()?;

    let mut n_unknown_users = 0;
    let mut users = Vec::new();
    let mut relevant_items: Vec<Vec<u32>> = Vec::new();
    for (user, code) in user_codes.into_iter().enumerate() {
        let items = histories.row(user).0;
        let seen = code.map_or(&[][..], |code| model.learned().row(code as usize).0);
        let Some(code) = code.filter(|_| !seen.is_empty()) else {
            n_unknown_users += usize::from(!items.is_empty());
            continue;
        };
        let items = items.iter().map(|&item| item_codes[item as usize]);
        let relevant: Vec<u32> = items.filter(|item| seen.binary_search(item).is_err()).collect();
        if !relevant.is_empty() {
            users.push(code);
            relevant_items.push(relevant);
        }
    }
    if users.is_empty() {
        return Ok(Evaluation { quality: None, n_unknown_users });
    }
    let pages = model.pages_of_learned(By::Learner, &users, k, watch)?;
    let means = means(&pages, &relevant_items, k);
    let popular = match model.learner.personal() {
        None => means,
        Some(_) => {
            let pages = model.pages_of_learned(By::Popularity, &users, k, watch)?;
            self::means(&pages, &relevant_items, k)
        }
    };
    let mut shown = vec![false; model.n_items()];
    for place in (0..pages.len()).flat_map(|position| pages.page(position)) {
        shown[place.item as usize] = true;
    }
    let n_shown = shown.iter().filter(|shown| **shown).count();
    let n_learned = model.popularity().iter().filter(|n_users| **n_users > 0).count();
    let quality = Quality {
        k,
        ndcg: means.ndcg,
        precision: means.precision,
        recall: means.recall,
        map: means.average_precision,
        n_users: users.len(),
        coverage: n_shown as f64 / n_learned.max(1) as f64,
        popular_ndcg: popular.ndcg,
    };
    Ok(Evaluation { quality: Some(quality), n_unknown_users })
}

fn means(pages: &Pages, relevant_items: &[Vec<u32>], k: usize) -> AtK {
    let mut sum = AtK::default();
    let mut ranked = Vec::new();
    for (position, relevant) in relevant_items.iter().enumerate() {
        ranked.clear();
        ranked.extend(pages.page(position).iter().map(|recommendation| recommendation.item));
        if let Some(measures) = at_k(&ranked, relevant, k) {
            sum.ndcg += measures.ndcg;
            sum.precision += measures.precision;
            sum.recall += measures.recall;
            sum.average_precision += measures.average_precision;
        }
    }
    let n = relevant_items.len() as f64;
    AtK {
        ndcg: sum.ndcg / n,
        precision: sum.precision / n,
        recall: sum.recall / n,
        average_precision: sum.average_precision / n,
    }
}
