//! The rows of the last layer that a reply asks for: the scores' own, those of their range checks, and zeros.

use crate::graph::Layer;
use crate::linear::Linear;
use blindsight_layout::ReplyLayout;

/// The weights of each value that is not zero, by a term of the last layer: its index in the reply, and its
/// row.
pub fn rows(reply: &ReplyLayout, last: &Linear) -> Vec<(usize, Vec<f64>)> {
    let row = |r: usize| {
        let mut weights = vec![0.0; last.columns()];
        last.for_each_weight(r, |column, w| weights[column] = w);
        weights
    };
    let rows: Vec<_> = (0..last.rows()).map(row).collect();
    let divided = |weights: &Vec<f64>| weights.iter().map(|w| w / reply.range_check_divisor).collect();
    let checks: Vec<_> = reply.range_checks.iter().copied().zip(rows.iter().map(divided)).collect();
    reply.scores.iter().copied().zip(rows).chain(checks).collect()
}

/// The last layer with a row for each value.
pub fn extended(reply: &ReplyLayout, last: &Layer) -> Layer {
    last.with_rows(reply.biases(&last.bias), |linear| {
        let mut all = vec![vec![]; reply.values().len()];
        rows(reply, linear).into_iter().for_each(|(index, row)| all[index] = row);
        all.iter_mut().for_each(|row| row.resize(linear.columns(), 0.0));
        all.concat()
    })
}
