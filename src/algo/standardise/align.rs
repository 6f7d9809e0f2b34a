//! Features of two summaries, found in one another by their names: the order of columns means nothing.

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// A feature of the one that the other has not.
    Missing { feature: String },
    /// One was made of rows and the other of arrays, whose features have no names.
    OneHasNoNames,
}

/// Where each of the `wanted` features is among the `given` ones; None where all are at their own place. Both are as many.
pub fn align(
    wanted: Option<&[String]>,
    given: Option<&[String]>,
) -> Result<Option<Vec<usize>>, Misfit> {
    if wanted == given {
        return Ok(None);
    }
    let (Some(wanted), Some(given)) = (wanted, given) else { return Err(Misfit::OneHasNoNames) };
    let place = |name: &String| {
        let place = given.iter().position(|other| other == name);
        place.ok_or_else(|| Misfit::Missing { feature: name.clone() })
    };
    wanted.iter().map(place).collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &str) -> Option<Vec<String>> {
        (!names.is_empty()).then(|| names.split(' ').map(str::to_owned).collect())
    }

    #[track_caller]
    fn check(wanted: &str, given: &str, expected: Result<Option<Vec<usize>>, Misfit>) {
        assert_eq!(align(names(wanted).as_deref(), names(given).as_deref()), expected);
    }

    #[test]
    fn features_are_found_by_name_in_any_order() {
        check("a b c", "a b c", Ok(None));
        check("", "", Ok(None));
        check("a b c", "c a b", Ok(Some(vec![1, 2, 0])));
        check("a b", "a c", Err(Misfit::Missing { feature: "b".into() }));
        check("a", "", Err(Misfit::OneHasNoNames));
        check("", "a", Err(Misfit::OneHasNoNames));
    }
}
