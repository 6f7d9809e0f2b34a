//! Figures of the fit, each with the direction in which it is better.

use maud::{Markup, html};

use super::svg::{count, number};
use super::{QualityView, section as framed};

pub(super) fn section(view: &QualityView) -> Markup {
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
    let picture = html! {
        table .quality {
            thead { tr { th scope="col" { "Figure" } th .figure scope="col" { "Value" } } }
            tbody {
                @for (what, value, meaning) in rows {
                    tr { th scope="row" { (what) small { (meaning) } } td .figure { (value) } }
                }
            }
        }
    };
    let reading = html! {
        (view.silhouette.map_or("", verdict))
        "The figures serve to compare versions of one model; none of them says whether the segments are useful."
    };
    framed("quality", "Quality", picture, reading)
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
