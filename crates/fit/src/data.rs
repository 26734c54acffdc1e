//! The calibration data: checked, and a part of it held back.

use std::sync::Arc;

use blindsight_network::{Graph, Metadata, Shape, probe};

use crate::Error;
use crate::batch::Batch;

/// One image in so many is held back.
const HELD_BACK: usize = 5;
/// The fewest inputs that a fit makes sense of.
const FEWEST: usize = 50;

/// Inputs that the fit learns from, followed by those that it is judged on, followed by the planner's probe.
#[derive(Debug)]
pub(crate) struct Data {
    pub inputs: Arc<Batch>,
    /// How many of them the fit learns from.
    pub calibration: usize,
    /// The class of each, where known.
    pub labels: Option<Vec<usize>>,
    /// The places that they had before.
    pub order: Vec<usize>,
}

impl Data {
    /// Checks the inputs and labels of a network, and sets a fifth of them apart, by `seed`. The planner
    /// looks at a probe image, by the metadata's range of inputs, which must not be outside of what is
    /// fitted.
    pub fn new(
        graph: &Graph,
        metadata: &Metadata,
        inputs: &[Vec<f64>],
        labels: Option<&[usize]>,
        seed: u64,
    ) -> Result<Self, Error> {
        check(graph.input, metadata.labels.len(), inputs, labels)?;
        let mut order: Vec<usize> = (0..inputs.len()).collect();
        order.sort_by(|a, b| share(seed, *a as u64).total_cmp(&share(seed, *b as u64)));
        let calibration = inputs.len() - inputs.len() / HELD_BACK;
        let labels = labels.map(|labels| order.iter().map(|n| labels[*n]).collect());
        let mut batch = Batch::of(graph.input, inputs, &order);
        let probe = probe::usual(graph.input, metadata);
        batch.values.extend(probe.iter().map(|v| *v as f32));
        Ok(Self { inputs: batch.into(), calibration, labels, order })
    }

    /// How many inputs there are, without the probe.
    pub fn len(&self) -> usize {
        self.order.len()
    }
}

/// How much wider than what was seen the range of inputs is, on each side, as a share of it.
const RANGE_MARGIN: f64 = 0.1;

/// The range of inputs: the one that is said, or where inputs lie beyond it, a wider one. A client clamps
/// what lies outside, so that standardised features, say, would come out wrong in the range of pixels.
pub(crate) fn range(said: (f64, f64), inputs: &[Vec<f64>]) -> (f64, f64) {
    let values = || inputs.iter().flatten().filter(|v| v.is_finite());
    let low = values().copied().fold(said.0, f64::min);
    let high = values().copied().fold(said.1, f64::max);
    // Rounding of what normalisation gave is not beyond.
    let slack = 1e-6 * (said.1 - said.0);
    let margin = RANGE_MARGIN * (high - low);
    let least = if low < said.0 - slack { low - margin } else { said.0 };
    let largest = if high > said.1 + slack { high + margin } else { said.1 };
    (least, largest)
}

/// What the numbers of a table or a series usually are: in turn their upper and their lower quartiles, which
/// are nobody's. `None` for images, whose pixels have one range.
pub(crate) fn usual(shape: Shape, inputs: &[Vec<f64>]) -> Option<Vec<f64>> {
    if inputs.is_empty() || (shape.height > 1 && shape.width > 1) {
        return None;
    }
    let quartile = |element: usize| {
        let mut values: Vec<f64> = inputs.iter().filter_map(|input| input.get(element).copied()).collect();
        values.sort_by(f64::total_cmp);
        let quarter = values.len() / 4;
        values.get(if element.is_multiple_of(2) { values.len() - 1 - quarter } else { quarter }).copied()
    };
    (0..shape.elements()).map(quartile).collect()
}

fn check(shape: Shape, classes: usize, inputs: &[Vec<f64>], labels: Option<&[usize]>) -> Result<(), Error> {
    let refused = |what: String, expected: String, found: String| Err(Error::Data { what, expected, found });
    if inputs.len() < FEWEST {
        let expected = format!("{FEWEST} or more (a thousand or two do well)");
        return refused("inputs to calibrate with".into(), expected, inputs.len().to_string());
    }
    for (n, input) in inputs.iter().enumerate() {
        if input.len() != shape.elements() {
            let expected = format!("{} values ({shape}, as the network takes)", shape.elements());
            return refused(format!("input {n}"), expected, format!("{} values", input.len()));
        }
        if let Some(place) = input.iter().position(|v| !(*v as f32).is_finite()) {
            let expected = "finite numbers within single precision (clean the data)".into();
            return refused(format!("value {place} of input {n}"), expected, input[place].to_string());
        }
    }
    let Some(labels) = labels else { return Ok(()) };
    if labels.len() != inputs.len() {
        let expected = format!("{}, one for each input", inputs.len());
        return refused("labels".into(), expected, labels.len().to_string());
    }
    match labels.iter().position(|label| *label >= classes) {
        Some(n) => {
            let expected = format!("a class below {classes}, as many as the network has");
            refused(format!("label of input {n}"), expected, labels[n].to_string())
        }
        None => Ok(()),
    }
}

/// A number from 0 to 1 that looks random, the same for the same arguments (SplitMix64; Steele, Lea and
/// Flood, OOPSLA 2014).
pub(crate) fn share(seed: u64, index: u64) -> f64 {
    let mut z = seed.wrapping_add((index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindsight_network::Source;

    fn refused(inputs: &[Vec<f64>], labels: Option<&[usize]>) -> String {
        let graph = Graph { input: Shape::vector(2), nodes: vec![], output: Source::Input };
        Data::new(&graph, &Metadata::new(graph.input, 2), inputs, labels, 1)
            .expect_err("unfit data")
            .to_string()
    }

    #[test]
    fn unfit_data_are_named() {
        let good = vec![vec![0.5, 1.0]; 60];
        assert!(refused(&good[..9], None).contains("50 or more"));
        assert!(refused(&good, Some(&[0; 59])).contains("60, one for each"));
        assert!(refused(&good, Some(&[2; 60])).contains("below 2"));
        for (value, named) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (1e300, "1000")] {
            let mut bad = good.clone();
            bad[17][1] = value;
            let message = refused(&bad, None);
            assert!(message.contains("value 1 of input 17") && message.contains(named), "{message}");
        }
        let mut short = good;
        short[3].pop();
        assert!(refused(&short, None).contains("input 3"));
    }

    #[test]
    fn inputs_widen_the_range_where_they_lie_beyond_it() {
        assert_eq!(range((0.0, 1.0), &[vec![0.25, 1.0 + 1e-9], vec![0.0, 0.5]]), (0.0, 1.0));
        let (low, high) = range((0.0, 1.0), &[vec![-3.0, 0.5], vec![5.0, f64::NAN]]);
        assert!((low + 3.8).abs() < 1e-12 && (high - 5.8).abs() < 1e-12, "{low} {high}");
        assert_eq!(range((-1.0, 1.0), &[vec![-2.0]]), (-2.3, 1.0));
    }

    #[test]
    fn a_fifth_is_held_back_and_none_is_lost() {
        let graph = Graph { input: Shape::vector(100), nodes: vec![], output: Source::Input };
        let inputs: Vec<Vec<f64>> = (0..100).map(|n| vec![f64::from(n); 100]).collect();
        let labels: Vec<usize> = (0..100).collect();
        let metadata = Metadata::new(graph.input, 100);
        let data = Data::new(&graph, &metadata, &inputs, Some(&labels), 7).expect("sound data");
        assert_eq!((data.calibration, data.len()), (80, 100));
        let mut found = data.labels.clone().expect("labels");
        assert!(found.iter().enumerate().all(|(n, label)| data.inputs.image(n)[0] == *label as f32));
        assert_ne!(found, labels);
        found.sort_unstable();
        assert_eq!(found, labels);
    }

    #[test]
    fn what_is_usual_of_a_table_is_each_features_own() {
        let rows: Vec<Vec<f64>> = (0..100).map(|i| vec![f64::from(i), 1e3 * f64::from(i), -1.0]).collect();
        assert_eq!(usual(Shape::vector(3), &rows), Some(vec![74.0, 25e3, -1.0]));
        assert_eq!(usual(Shape::new(2, 1, 1), &[vec![0.5, 2.0]]), Some(vec![0.5, 2.0]));
        assert_eq!(usual(Shape::new(1, 2, 2), &[vec![0.0; 4]]), None, "an image");
        assert_eq!(usual(Shape::vector(3), &[]), None);
    }
}
