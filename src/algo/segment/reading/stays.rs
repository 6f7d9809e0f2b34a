//! Who moved between segments, from when each key entered a segment and left it.

/// A key's time in a segment; times are in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stay {
    pub key: String,
    pub segment: Option<i32>,
    pub entered_at: i64,
    /// None while it lasts.
    pub left_at: Option<i64>,
}

impl Stay {
    /// Whether it says anything of what happened from then on. The changes from then on are those of such stays alone.
    pub fn touches(&self, since: i64) -> bool {
        self.entered_at >= since || self.left_at.is_some_and(|left_at| left_at >= since)
    }
}

/// A key's change of segment: None before the first one and after the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub key: String,
    pub from: Option<i32>,
    pub to: Option<i32>,
    pub at: i64,
}

/// The changes from `since` on, oldest first, then by key and by where to. A key that leaves one segment at the moment at which it
/// enters the next moves from the one to the other.
pub fn changes(mut stays: Vec<Stay>, since: i64) -> Vec<Change> {
    stays.sort_by(|a, b| {
        let time = |stay: &Stay| (stay.entered_at, stay.left_at.is_none(), stay.left_at);
        a.key.cmp(&b.key).then_with(|| time(a).cmp(&time(b)))
    });
    let mut changes = Vec::new();
    for (index, stay) in stays.iter().enumerate() {
        let same_key = |other: &&Stay| other.key == stay.key;
        let before = index.checked_sub(1).and_then(|before| stays.get(before)).filter(same_key);
        let next = stays.get(index + 1).filter(same_key);
        let change = |from, to, at| Change { key: stay.key.clone(), from, to, at };
        if stay.entered_at >= since {
            let before = before.filter(|before| before.left_at == Some(stay.entered_at));
            let from = before.and_then(|before| before.segment);
            changes.push(change(from, stay.segment, stay.entered_at));
        }
        if let Some(left_at) = stay.left_at.filter(|left_at| *left_at >= since)
            && next.is_none_or(|next| next.entered_at != left_at)
        {
            changes.push(change(stay.segment, None, left_at));
        }
    }
    changes.sort_by(|a, b| {
        let order = |change: &Change| (change.at, change.to.is_none(), change.to);
        a.at.cmp(&b.at).then_with(|| a.key.cmp(&b.key)).then_with(|| order(a).cmp(&order(b)))
    });
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        stays: &[(&str, i32, i64, Option<i64>)],
        since: i64,
        expected: &[(&str, Option<i32>, Option<i32>, i64)],
    ) {
        let stays = stays.iter().map(|&(key, segment, entered_at, left_at)| Stay {
            key: key.into(),
            segment: Some(segment),
            entered_at,
            left_at,
        });
        let found = changes(stays.filter(|stay| stay.touches(since)).collect(), since);
        let expected: Vec<Change> = expected
            .iter()
            .map(|&(key, from, to, at)| Change { key: key.into(), from, to, at })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn nobody_moves_without_stays() {
        check(&[], 0, &[]);
    }

    #[test]
    fn a_key_moves_where_it_leaves_and_enters_at_once() {
        let stays = [
            ("a", 1, 10, Some(20)),
            ("a", 2, 20, Some(30)),
            ("a", 3, 40, None),
            ("b", 1, 20, None),
        ];
        let all = [
            ("a", None, Some(1), 10),
            ("a", Some(1), Some(2), 20),
            ("b", None, Some(1), 20),
            ("a", Some(2), None, 30),
            ("a", None, Some(3), 40),
        ];
        check(&stays, 0, &all);
        check(&stays, 20, &all[1..]);
        check(&stays, 21, &all[3..]);
        check(&stays, 41, &[]);
    }
}
