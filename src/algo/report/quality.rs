//! Figures of the fit, each with the direction in which it is better.

use super::svg::{count, number};
use super::{QualityView, section as framed};

pub(super) fn section(view: &QualityView) -> String {
    let figure = |value: Option<f64>| number(value.unwrap_or(f64::NAN));
    let ended = if view.is_converged {
        "until the segments settled"
    } else {
        "stopped at the limit before the segments settled"
    };
    let rows = [
        ("Silhouette", figure(view.silhouette), "\u{2212}1 to 1, more is better"),
        ("Davies\u{2013}Bouldin", figure(view.davies_bouldin), "from 0, less is better"),
        ("Calinski\u{2013}Harabasz", figure(view.calinski_harabasz), "from 0, more is better"),
        ("Inertia", number(view.inertia), "less is better, for the same number of segments"),
        ("Iterations", count(u64::from(view.iterations)), ended),
    ];
    let rows = rows.map(|(what, value, meaning)| {
        format!(
            "<tr><th scope=\"row\">{what}<small>{meaning}</small></th><td class=\"figure\">{value}</td></tr>\n"
        )
    });
    let picture = format!(
        "<table class=\"quality\">\n<thead><tr><th scope=\"col\">Figure</th><th scope=\"col\" class=\"figure\">Value\
         </th></tr></thead>\n<tbody>\n{}</tbody>\n</table>\n",
        rows.concat()
    );
    let reading = format!(
        "{}The figures serve to compare versions of one model; none of them says whether the segments are useful.",
        view.silhouette.map_or("", verdict)
    );
    framed("quality", "Quality", &picture, &reading)
}

/// Bounds after Kaufman and Rousseeuw, Finding Groups in Data, 1990, chapter 2.
fn verdict(silhouette: f64) -> &'static str {
    match silhouette {
        s if s > 0.7 => "By the silhouette the segments are far apart. ",
        s if s > 0.5 => "By the silhouette the segments are well apart. ",
        s if s > 0.25 => "By the silhouette the segments touch and partly overlap. ",
        s if s.is_finite() => {
            "By the silhouette the segments overlap: their borders are drawn through a crowd. "
        }
        _ => "",
    }
}
