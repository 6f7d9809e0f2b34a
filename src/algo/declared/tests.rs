use super::*;

const DEPTH: Whole = Whole { name: "depth", meaning: "levels", least: 1, most: 30, default: 6 };
const RATE: Number = Number {
    name: "rate",
    meaning: "a step",
    least: Bound::Excluded(0.0),
    most: Bound::Included(1.0),
    default: 0.25,
};
const LOSS: Word =
    Word { name: "loss", meaning: "a loss", words: &["log", "hinge"], default: "log" };
const BOTH: Flag = Flag { name: "both", meaning: "a flag", default: false };
/// One that the algorithm does not have.
const OTHER: Whole = Whole { name: "other", meaning: "", least: 0, most: 9, default: 4 };

static SAMPLE: Algorithm = Algorithm {
    name: "sample",
    meaning: "does nothing",
    source: "nobody",
    parameters: &[
        Parameter::Whole(DEPTH),
        Parameter::Number(RATE),
        Parameter::Word(LOSS),
        Parameter::Flag(BOTH),
    ],
};
static PLAIN: Algorithm =
    Algorithm { name: "plain", meaning: "does less", source: "nobody", parameters: &[] };

#[track_caller]
fn check_refused(name: &str, json: &str, expected: &str) {
    let mut settings = SAMPLE.defaults();
    let found = settings.set(name, json);
    let valid = match found {
        Err(Error::Invalid { valid, .. }) => valid,
        Err(Error::Unknown { algorithm, .. }) => algorithm.names(),
        found => panic!("{name} = {json}: {found:?}"),
    };
    assert_eq!(valid, expected);
    assert_eq!(settings, SAMPLE.defaults());
}

#[test]
fn what_is_not_given_has_its_default() {
    let mut settings = SAMPLE.defaults();
    settings.set("rate", "1").unwrap();
    settings.set("loss", "\"hinge\"").unwrap();
    assert_eq!((settings.whole(&DEPTH), settings.number(&RATE)), (6, 1.0));
    assert_eq!((settings.word(&LOSS), settings.flag(&BOTH)), ("hinge", false));
    assert_eq!(settings.whole(&OTHER), 4);
}

#[test]
fn values_of_another_type_or_out_of_range_are_refused() {
    let depth = "a whole number from 1 to 30";
    for json in [
        "0",
        "31",
        "-1",
        "2.5",
        "2.05",
        "31.0",
        "1e400",
        "99999999999999999999",
        "\"6\"",
        "null",
        "[6]",
    ] {
        check_refused("depth", json, depth);
    }
    // As jsonb keeps the 2.00 of a numeric(4, 2).
    let mut settings = SAMPLE.defaults();
    settings.set("depth", "2.00").unwrap();
    assert_eq!(settings.whole(&DEPTH), 2);
    let rate = "a number above 0 and of at most 1";
    for json in ["0", "-0.0", "1.0000001", "1e400", "-1e400", "\"NaN\"", "true", "{}"] {
        check_refused("rate", json, rate);
    }
    for json in ["\"Log\"", "\"\"", "1", "null"] {
        check_refused("loss", json, "log, hinge");
    }
    for json in ["1", "\"true\"", "null"] {
        check_refused("both", json, "true, false");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    check_refused("depth", &deep, depth);
    check_refused("rate", &deep, rate);
}

#[test]
fn a_parameter_that_nobody_knows_is_refused_with_those_there_are() {
    check_refused("Depth", "6", "depth, rate, loss, both");
    check_refused("other", "4", "depth, rate, loss, both");
    let refused = PLAIN.defaults().set("depth", "6");
    let expected = Error::Unknown { name: "depth".into(), algorithm: &PLAIN };
    assert_eq!(refused, Err(expected));
}

#[test]
fn both_ends_of_a_range_are_told_as_they_are() {
    let number = |least, most| Parameter::Number(Number { least, most, ..RATE });
    let of = |least, most| (number(least, most).range().unwrap(), number(least, most).valid());
    use Bound::*;
    assert_eq!(of(Included(0.0), Unbounded), ("[0,)".into(), "a number of at least 0".into()));
    let half_open = ("(0,1]".into(), "a number above 0 and of at most 1".into());
    assert_eq!(of(Excluded(0.0), Included(1.0)), half_open);
    assert_eq!(of(Unbounded, Excluded(0.5)), ("(,0.5)".into(), "a number below 0.5".into()));
    let far = ("[1e-10,2.5e9)".into(), "a number of at least 1e-10 and below 2.5e9".into());
    assert_eq!(of(Included(1e-10), Excluded(2.5e9)), far);
    assert_eq!(of(Unbounded, Unbounded), ("(,)".into(), "a number".into()));
    assert_eq!(SAMPLE.parameters[0].range().unwrap(), "[1,30]");
    assert_eq!(SAMPLE.parameters[2].range().unwrap(), "log, hinge");
    assert_eq!(SAMPLE.parameters[3].range(), None);
    let defaults: Vec<String> = SAMPLE.parameters.iter().map(Parameter::default_value).collect();
    assert_eq!(defaults, ["6", "0.25", "log", "false"]);
}

#[test]
fn what_is_stored_comes_back_and_nothing_else_does() {
    let mut settings = SAMPLE.defaults();
    settings.set("rate", "0.1").unwrap();
    settings.set("both", "true").unwrap();
    let mut stored = settings.to_json();
    assert_eq!(SAMPLE.stored(&stored), Ok(settings));
    assert!(matches!(PLAIN.stored(&stored), Err(Error::Unknown { .. })));
    stored["rate"] = json!(7);
    assert!(matches!(SAMPLE.stored(&stored), Err(Error::Invalid { name: "rate", .. })));
    stored.remove("rate");
    assert_eq!(SAMPLE.stored(&stored), Err(Error::Missing { name: "rate" }));
}

#[test]
fn an_algorithm_is_found_by_its_name() {
    let all = [&SAMPLE, &PLAIN];
    assert_eq!(named("plain", &all), Ok(&PLAIN));
    assert_eq!(named("Plain", &all), Err("sample, plain".to_owned()));
}
