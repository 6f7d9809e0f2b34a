use super::*;

const HOSTILE: &str = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>&\u{202e}\0";

/// k segments over d features, every picture there.
fn report(k: u32, d: usize) -> SegmentsReport {
    let value = |a: usize, b: usize| (a * 7 + b * 3) as f64 % 11.0 / 2.0 - 2.75;
    let segment = |segment: u32| SegmentView {
        segment,
        name: (segment % 2 == 1).then(|| format!("name {segment}")),
        words: format!("high feature_{segment}, low feature_0"),
        size: 1_000 + u64::from(segment),
        share: 1.0 / f64::from(k),
        mean: (0..d).map(|feature| value(segment as usize, feature) * 1e3).collect(),
        z: (0..d).map(|feature| value(segment as usize, feature)).collect(),
    };
    let labels = (0..50 * k).map(|row| (row, row % k + 1));
    SegmentsReport {
        model: "customers".into(),
        version: 3,
        fitted_at: "2025-01-31 02:00".into(),
        n_rows: 1_234_567,
        features: (0..d).map(|feature| format!("feature_{feature}")).collect(),
        population_mean: vec![12_345.678; d],
        segments: (1..=k).map(segment).collect(),
        quality: QualityView {
            inertia: 45_678.9,
            iterations: 17,
            is_converged: true,
            silhouette: Some(0.4321),
            davies_bouldin: Some(0.9),
            calinski_harabasz: Some(1e6),
        },
        map: Some(MapView {
            points: labels
                .clone()
                .map(|(row, segment)| MapPoint {
                    x: segment as f32 + row as f32 / 100.0,
                    y: (row % 17) as f32,
                    segment,
                })
                .collect(),
            centroids: (0..k).map(|segment| (segment as f32 + 1.0, 8.0)).collect(),
            explained: [0.4, 0.2],
            n_rows: u64::from(50 * k),
        }),
        silhouette: Some(SilhouetteView {
            widths: labels
                .map(|(row, segment)| (segment, (row % 13) as f32 / 13.0 - 0.2))
                .collect(),
            n_rows: u64::from(50 * k),
        }),
        flow: Some(FlowView {
            from_version: 2,
            to_version: 3,
            flows: (1..=k)
                .flat_map(|from| [(from, from, 90), (from, from % k + 1, 10)])
                .map(|(from, to, n_rows)| Flow { from: Some(from), to: Some(to), n_rows })
                .chain([Flow { from: None, to: Some(1), n_rows: 5 }])
                .collect(),
        }),
    }
}

/// Every page: tags closed in order, nothing active, nothing from outside, no number that is none.
#[track_caller]
fn check(report: &SegmentsReport) -> String {
    let page = segments_page(report);
    assert_eq!(page, segments_page(&report.clone()), "the same report gives the same page");
    assert!(page.is_ascii());
    let tags = tags(&page);
    let mut open = Vec::new();
    for tag in &tags {
        let name = tag.trim_matches('/').split([' ', '\n']).next().unwrap();
        match (tag.starts_with('/'), tag.ends_with('/')) {
            (true, _) => assert_eq!(open.pop(), Some(name), "closes in order"),
            (_, true) => {}
            _ if ["!doctype", "meta", "wbr"].contains(&name) => {}
            _ => open.push(name),
        }
        assert!(
            !["script", "img", "link", "iframe", "object", "base", "a"].contains(&name),
            "{tag}"
        );
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        for (idx, attribute) in tag.split('"').step_by(2).enumerate() {
            assert!(!attribute.trim_start().starts_with("on"), "attribute {idx} of {tag}");
        }
    }
    assert_eq!(open, [""; 0]);
    for outside in ["http://", "https://", "url(", "@import", "<script"] {
        assert!(!page.contains(outside), "{outside}");
    }
    let words = page.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
    let odd: Vec<String> = words.filter(|word| word == "nan" || word == "inf").collect();
    assert_eq!(odd, [""; 0]);
    page
}

/// What stands between `<` and `>`; a bare `>` in the style is no tag's.
fn tags(page: &str) -> Vec<&str> {
    page.split('<').skip(1).map(|rest| rest.split_once('>').expect("a tag ends").0).collect()
}

#[track_caller]
fn check_says(report: &SegmentsReport, expected: &[&str]) {
    let page = check(report);
    for expected in expected {
        assert!(page.contains(&ascii((*expected).to_owned())), "{expected} is not in {page}");
    }
}

#[track_caller]
fn check_number(value: f64, expected: &str) {
    assert_eq!(svg::number(value), expected);
}

#[test]
fn a_page_tells_the_model_and_shows_every_picture() {
    let expected = [
        "<h1>customers</h1>",
        "<dd>1\u{202f}234\u{202f}567</dd>",
        "Map of 250 rows in 5 segments",
        "Silhouette widths of 5 segments",
        "Between the versions 55 of 505 rows, 10.9\u{a0}%, changed",
        "<title>1 \u{2192} 2: 10</title>",
        "<td class=\"figure\">45\u{202f}700</td>",
    ];
    check_says(&report(5, 3), &expected);
}

#[test]
fn pages_are_well_formed_for_any_number_of_segments_and_features() {
    for (k, d) in [(1, 1), (2, 1), (5, 60), (12, 24), (40, 8), (200, 30)] {
        check(&report(k, d));
    }
}

#[test]
fn of_many_features_those_that_differ_most_are_shown() {
    let mut report = report(3, 60);
    for view in &mut report.segments {
        view.z.fill(0.5);
        view.z[59] = f64::from(view.segment);
    }
    check_says(&report, &["24 of 60 features", "title=\"feature_59\"", "title=\"feature_22\""]);
    assert!(!segments_page(&report).contains("title=\"feature_23\""));
}

#[test]
fn of_many_segments_the_largest_are_shown() {
    let page = check(&report(200, 2));
    assert!(page.contains("The 60 largest of 200 segments are shown"));
    assert!(page.contains("name 199") && !page.contains("name 139<"));
}

#[test]
fn hostile_text_is_inert() {
    let mut report = report(3, 2);
    report.model = HOSTILE.into();
    report.fitted_at = HOSTILE.into();
    report.features = vec![HOSTILE.into(), HOSTILE.repeat(50)];
    for view in &mut report.segments {
        view.name = (view.segment > 1).then(|| HOSTILE.repeat(10));
        view.words = HOSTILE.into();
    }
    let page = check(&report);
    assert!(page.contains("<h1>&lt;script&gt;alert('x')&lt;/script&gt;&quot;&gt;&lt;img"));
    assert!(!page.contains('\0') && !page.contains('\u{202e}'));
}

#[test]
fn text_changes_no_tag_and_hides_nothing() {
    let page = |text: &str| {
        let mut report = report(3, 2);
        (report.model, report.fitted_at) = (text.into(), text.into());
        report.features.fill(text.into());
        for view in &mut report.segments {
            (view.name, view.words) = ((view.segment > 1).then(|| text.into()), text.into());
        }
        check(&report)
    };
    let names = |page: &str| -> Vec<String> {
        tags(page).iter().map(|tag| tag.split(' ').next().unwrap().to_owned()).collect()
    };
    let plain = names(&page("plain"));
    for text in [
        "\"'`= ' onload='x \" onload=\"x &quot;&lt;&#0;\\\"",
        "</style><b></title><p>]]></svg>--><!--",
        "\0\u{1}\u{7f}\u{85}",
        "a\r\n\tb\u{202a}\u{202e}\u{2066}\u{2069}",
        "",
    ] {
        let page = page(text);
        assert_eq!(names(&page), plain, "{text:?}");
        let hidden = |c: char| c.is_control() || "\u{202a}\u{202e}\u{2066}\u{2069}".contains(c);
        assert!(!page.contains(hidden), "{text:?}");
    }
    assert!(page("a\r\n\tb\u{1}c").contains("title=\"a   b&#65533;c\""));
}

#[test]
fn what_is_missing_is_explained() {
    let mut report = report(4, 2);
    (report.map, report.silhouette, report.flow) = (None, None, None);
    let expected = ["The map needs the rows", "Silhouettes need the rows", "no earlier version"];
    check_says(&report, &expected);
    report.segments.truncate(1);
    check_says(&report, &["All rows are in one segment", "Silhouettes compare segments"]);
}

#[test]
fn empty_vectors_make_a_page() {
    let mut report = report(2, 2);
    report.map =
        Some(MapView { points: vec![], centroids: vec![], explained: [0.0; 2], n_rows: 0 });
    report.silhouette = Some(SilhouetteView { widths: vec![], n_rows: 0 });
    report.flow = Some(FlowView { from_version: 1, to_version: 2, flows: vec![] });
    check(&report);
    report.population_mean.clear();
    report.segments.iter_mut().for_each(|view| (view.mean, view.z) = (vec![], vec![]));
    check(&report);
    (report.segments, report.features) = (vec![], vec![]);
    check(&report);
}

#[test]
fn numbers_that_are_none_are_dashes() {
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut report = report(3, 2);
        report.population_mean[0] = odd;
        for view in &mut report.segments {
            (view.share, view.mean[1], view.z[1]) = (odd, odd, odd);
        }
        report.quality.inertia = odd;
        report.quality.silhouette = Some(odd);
        let map = report.map.as_mut().unwrap();
        (map.points[0].x, map.points[3].y, map.centroids[1].0) =
            (odd as f32, odd as f32, odd as f32);
        map.explained = [odd; 2];
        report.silhouette.as_mut().unwrap().widths[0].1 = odd as f32;
        check_says(&report, &["--z:0%", "<b>&#8211;</b><small>&#8211;</small>"]);
    }
}

#[test]
fn huge_values_stay_in_the_picture() {
    let mut report = report(3, 2);
    report.segments[0].z[0] = 1e300;
    report.segments[1].mean[0] = -f64::MAX;
    report.segments[2].size = u64::MAX;
    let map = report.map.as_mut().unwrap();
    (map.points[0].x, map.centroids[2].1) = (f32::MAX, f32::MIN);
    report.flow.as_mut().unwrap().flows[0].n_rows = u64::MAX;
    check(&report);
}

#[test]
fn rows_in_one_place_make_a_map() {
    let mut report = report(2, 2);
    let map = report.map.as_mut().unwrap();
    map.points.iter_mut().for_each(|point| (point.x, point.y) = (1e30, -7.0));
    map.centroids.fill((1e30, -7.0));
    check(&report);
}

#[test]
fn a_far_row_is_drawn_at_the_edge_and_counted() {
    let mut report = report(10, 2);
    report.map.as_mut().unwrap().points[7].x = 1e6;
    check_says(&report, &["One row farther out is drawn at the edge."]);
}

#[test]
fn numbers_have_three_digits_and_their_thousands_apart() {
    check_number(0.0, "0");
    check_number(-0.0, "0");
    check_number(0.5, "0.500");
    check_number(9.999, "10.0");
    check_number(-12.345, "\u{2212}12.3");
    check_number(99.96, "100");
    check_number(999.6, "1\u{202f}000");
    check_number(1_234_567.0, "1\u{202f}230\u{202f}000");
    check_number(0.000_123_4, "0.000123");
    check_number(1.0e-9, "1.00e\u{2212}9");
    check_number(6.02e23, "6.02e23");
    check_number(f64::MAX, "1.80e308");
    check_number(f64::NAN, "–");
    check_number(f64::INFINITY, "–");
}

#[test]
fn deviations_have_a_sign_unless_they_are_none() {
    let cases = [(1.25, "+1.2"), (-0.3, "\u{2212}0.3"), (-0.04, "0.0"), (1e4, "+10\u{202f}000")];
    for (z, expected) in cases {
        assert_eq!(svg::deviations(z), expected);
    }
}

#[test]
fn long_text_ends_in_an_ellipsis() {
    assert_eq!(svg::shorten("short", 5), "short");
    assert_eq!(svg::shorten("longer text", 8), "longer…");
    assert_eq!(svg::shorten("日本語", 6), "日本語");
    assert_eq!(svg::shorten("日本語日本語", 6), "日本…");
}

#[test]
fn neighboring_segments_differ_in_colour() {
    let colours: std::collections::BTreeSet<String> = (1..=36).map(svg::colour).collect();
    assert_eq!(colours.len(), 36);
}
