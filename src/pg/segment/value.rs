//! `persona.kmeans`: what the aggregate returns, and the functions that use it on arrays and records.

use pgrx::prelude::*;

use crate::algo::segment::{KMeans, Prepared};
use crate::pg::error::Report;
use crate::pg::rows::applied::{Applied, answers};
use crate::pg::types::value::Value;
use crate::pg::types::value_type::value_type;

value_type!(KMeans: "kmeans", "segments", postcard; kmeans_in, kmeans_out, kmeans_send, kmeans_recv);

impl Applied for KMeans {
    type Prepared = Prepared;

    fn prepared(self) -> Result<(Vec<String>, Prepared), Report> {
        let prepared = self.prepare();
        Ok((self.features, prepared))
    }
}

answers! {
    KMeans:
    kmeans_segment_array, kmeans_segment_record, kmeans_segment_text => segment -> i32;
    kmeans_distance_array, kmeans_distance_record, kmeans_distance_text => distance -> f64;
    kmeans_second_segment_array, kmeans_second_segment_record, kmeans_second_segment_text => second_segment -> i32;
    kmeans_anomaly_array, kmeans_anomaly_record, kmeans_anomaly_text => anomaly -> f64;
}

fn segment(prepared: &Prepared, row: &[f64]) -> Option<i32> {
    prepared.segment(row).map(|segment| segment as i32)
}

fn distance(prepared: &Prepared, row: &[f64]) -> Option<f64> {
    prepared.distance(row)
}

fn second_segment(prepared: &Prepared, row: &[f64]) -> Option<i32> {
    prepared.second_segment(row).map(|segment| segment as i32)
}

fn anomaly(prepared: &Prepared, row: &[f64]) -> Option<f64> {
    prepared.anomaly(row)
}

#[pg_extern]
fn kmeans_centroids(
    kmeans: Value<KMeans>,
) -> TableIterator<
    'static,
    (name!(segment, i32), name!(size, i64), name!(feature, String), name!(centroid, f64)),
> {
    let model = kmeans.0;
    let d = model.features.len();
    TableIterator::new((0..model.centroids.len()).map(move |cell| {
        let segment = cell / d;
        (
            segment as i32 + 1,
            model.sizes[segment] as i64,
            model.features[cell % d].clone(),
            model.shown_centroid(cell),
        )
    }))
}
