use super::*;
use crate::algo::frame::{Column, Frame, MISSING, Values};
use crate::algo::random::Random;
use crate::algo::score::{Params, fit};
use crate::algo::stop::Watch;

struct Case {
    name: &'static str,
    scorer: Scorer,
    /// Rows to score: what the fit saw, unseen levels, missing values.
    frame: Frame,
}

fn cases() -> Vec<Case> {
    // A time stamp in milliseconds, of which a float loses minutes.
    let offset = |x: f64| 1.7e12 + x;
    vec![
        case("mixed", ["x", "y", "city", "plan"], ["no", "yes"], None, |x| x),
        // Whole classes, the first of them positive, and names that the graph wants for itself.
        case(
            "names",
            ["label", "probabilities", "persona_logit", "ü ' \""],
            ["0", "1"],
            Some("0"),
            |x| x,
        ),
        case("offset", ["x", "y", "c", "d"], ["false", "true"], None, offset),
        case("huge", ["x", "y", "c", "d"], ["-5", "12"], None, |x| x * 1e37),
        numbers_only(),
        text_only(),
    ]
}

fn case(
    name: &'static str,
    names: [&str; 4],
    classes: [&str; 2],
    positive: Option<&str>,
    spread: impl Fn(f64) -> f64,
) -> Case {
    let n_rows = 600;
    let mut random = Random::new(2, 0);
    let (mut x, mut y, mut c, mut d, mut target) = (vec![], vec![], vec![], vec![], vec![]);
    let rare: Vec<String> = (0..60).map(|i| format!("rare {i}")).collect();
    for _ in 0..n_rows {
        let value = 6.0 * random.uniform() - 3.0;
        x.push(if random.below(5) == 0 { f64::NAN } else { spread(value) });
        y.push(random.below(4) as f64);
        let level = [Some("north"), Some("south"), Some(""), None][random.below(4)];
        c.push(level);
        let plan = ["basic", "plus", rare[random.below(60)].as_str()][random.below(3)];
        d.push(Some(plan));
        let up = if plan == "plus" { 0.8 } else { -0.2 };
        let bought = value + up + 3.0 * random.uniform() > 1.5;
        target.push(Some(classes[usize::from(bought)]));
    }
    let columns = vec![
        Column::number(names[0], x),
        Column::text(names[2], c),
        Column::number(names[1], y),
        Column::text(names[3], d),
    ];
    let frame = Frame { n_rows, columns };
    let mut scorer = fitted(&frame, &Column::text("y", target), positive);
    // Scored besides: levels that no fit saw, and missing where the fit had none.
    let mut frame = frame;
    if let Values::Text { codes, dictionary } = &mut frame.columns[3].values {
        codes[0] = dictionary.len() as u32;
        dictionary.push("unseen".into());
        codes[1] = MISSING;
    }
    if let Values::Text { codes, dictionary } = &mut frame.columns[1].values {
        codes[2] = dictionary.len() as u32;
        dictionary.push("unseen".into());
    }
    if name == "offset" {
        // As if by hand: a filled value other than the center.
        if let Kind::Number { mean, .. } = &mut scorer.inputs[0].kind {
            *mean += 1.0;
        }
    }
    Case { name, scorer, frame }
}

fn fitted(frame: &Frame, target: &Column, positive: Option<&str>) -> Scorer {
    let positive = positive.map(str::to_owned);
    let params = Params { positive, ..Params::default() }.check().unwrap();
    fit(frame, target, &params, &Watch::new()).unwrap().scorer
}

fn numbers_only() -> Case {
    let columns = vec![Column::number("x", (0..50).map(f64::from).collect())];
    let frame = Frame { n_rows: 50, columns };
    let target = Column::integer("y", (0..50).map(|i| i64::from(i % 3 == 0)).collect());
    Case { name: "numbers_only", scorer: fitted(&frame, &target, None), frame }
}

fn text_only() -> Case {
    let columns = vec![Column::text("c", (0..50).map(|i| ["a", "b", "c"].get(i % 4).copied()))];
    let frame = Frame { n_rows: 50, columns };
    let target = Column::integer("y", (0..50).map(|i| i64::from(i % 3 == 0)).collect());
    Case { name: "text_only", scorer: fitted(&frame, &target, None), frame }
}

/// What scripts/check_onnx_export.py compares: the rows, native scores, names and marks.
fn expected_json(case: &Case, export: &Export) -> serde_json::Value {
    let cells = |column: &Column| match &column.values {
        Values::Number(values) => serde_json::json!(**values),
        Values::Integer(values) => serde_json::json!(**values),
        Values::Text { codes, dictionary } => {
            let level = |&code: &u32| dictionary.get(code as usize);
            serde_json::json!(codes.iter().map(level).collect::<Vec<_>>())
        }
    };
    let columns = case.frame.columns.iter().map(|column| (column.name.clone(), cells(column)));
    serde_json::json!({
        "columns": columns.collect::<serde_json::Map<_, _>>(),
        "missing_text": export.missing_text.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "label_output": export.label_output,
        "probabilities_output": export.probabilities_output,
        "classes": case.scorer.classes,
        "positive": case.scorer.positive,
        "scores": case.scorer.score_frame(&case.frame, &Watch::new()).unwrap(),
    })
}

/// With PERSONA_ONNX_DUMP=dir it leaves the graphs and their expected scores there for the script.
#[test]
fn every_case_exports() {
    let dump = std::env::var_os("PERSONA_ONNX_DUMP").map(std::path::PathBuf::from);
    for case in cases() {
        let exported = export(&case.scorer).unwrap();
        assert_eq!(exported, export(&case.scorer).unwrap());
        let expected = expected_json(&case, &exported);
        let Some(dir) = &dump else { continue };
        std::fs::create_dir_all(dir).unwrap();
        std::fs::write(dir.join(case.name).with_extension("onnx"), &exported.onnx).unwrap();
        let json = serde_json::to_string(&expected).unwrap();
        std::fs::write(dir.join(case.name).with_extension("json"), json).unwrap();
    }
}

#[test]
fn names_of_the_graph_give_way_to_those_of_inputs() {
    let case = cases().remove(1);
    let exported = export(&case.scorer).unwrap();
    assert_eq!(exported.label_output, "label_");
    assert_eq!(exported.probabilities_output, "probabilities_");
    assert_eq!(Names::new(&case.scorer.inputs).prefix, "persona__");
}

#[test]
fn the_empty_string_stands_for_missing_unless_it_is_a_level() {
    let exported = export(&cases().remove(0).scorer).unwrap();
    let expected = [("city", "<missing>"), ("plan", "")];
    assert_eq!(exported.missing_text, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    let levels = ["", "<missing>"].map(String::from).to_vec();
    let kind = Kind::Category { levels, missing: true, other: false };
    assert_eq!(missing_mark(&kind), "<<missing>>");
}
