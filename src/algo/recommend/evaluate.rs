//! How well a model ranks what its users went on to take: every item they had not, in full, without sampling.
//!
//! Sampled candidates change which model wins (Krichene and Rendle 2020), so none are sampled. Users are matched by key;
//! one whom the model does not know gets its popular items, as in service, and items it does not know count as missed.

use super::{Error, Interactions, Recommender};
use crate::algo::{
    metrics::ranking::{AtK, at_k},
    stop::Watch,
};
use serde::{Deserialize, Serialize};

/// Means over the users with something held out.
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
}

/// `None` where no user has anything held out that the model had not seen.
pub fn evaluate(
    model: &Recommender,
    held_out: &Interactions,
    k: usize,
    watch: &Watch,
) -> Result<Option<Quality>, Error> {
    if k == 0 {
        return Err(Error::InvalidParameter { name: "k", value: 0.0, expected: "at least 1" });
    }
    let user_codes = held_out.user_keys.codes_in(&model.user_keys);
    // Unknown items get codes above the model's: relevant, and never on a page.
    let item_codes: Vec<u32> = (0u32..)
        .zip(held_out.item_keys.codes_in(&model.item_keys))
        .map(|(item, code)| code.unwrap_or((model.n_items() as u32).saturating_add(item)))
        .collect();
    watch.check()?;

    let mut users = Vec::new();
    let mut relevant_items: Vec<Vec<u32>> = Vec::new();
    for (user, code) in user_codes.into_iter().enumerate() {
        let seen = code.map_or(&[][..], |code| model.histories.row(code as usize).0);
        let items = held_out.histories.row(user).0.iter().map(|&item| item_codes[item as usize]);
        let relevant: Vec<u32> = items.filter(|item| seen.binary_search(item).is_err()).collect();
        if !relevant.is_empty() {
            users.push(code);
            relevant_items.push(relevant);
        }
    }
    if users.is_empty() {
        return Ok(None);
    }

    let pages = model.recommend_users(&users, k, true, watch)?;
    let mut sum = AtK::default();
    let mut shown = vec![false; model.n_items()];
    let mut ranked = Vec::new();
    for (position, relevant) in relevant_items.iter().enumerate() {
        ranked.clear();
        ranked.extend(pages.page(position).iter().map(|recommendation| recommendation.item));
        ranked.iter().for_each(|&item| shown[item as usize] = true);
        if let Some(measures) = at_k(&ranked, relevant, k) {
            sum.ndcg += measures.ndcg;
            sum.precision += measures.precision;
            sum.recall += measures.recall;
            sum.average_precision += measures.average_precision;
        }
    }
    let n = users.len() as f64;
    let n_shown = shown.iter().filter(|shown| **shown).count();
    Ok(Some(Quality {
        k,
        ndcg: sum.ndcg / n,
        precision: sum.precision / n,
        recall: sum.recall / n,
        map: sum.average_precision / n,
        n_users: users.len(),
        coverage: n_shown as f64 / model.n_items().max(1) as f64,
    }))
}
