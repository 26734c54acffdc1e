//! Linear maps as kernels see them against plain inference.

use super::{figures, image, model};
use blindsight_layers::LayerGraph;
use proptest::prelude::*;

proptest! {
    /// Rows times a vector are what plain inference gives, by both ways to look at weights.
    #[test]
    fn rows_compute_the_layer(f in figures()) {
        let Some(model) = model(&f) else { return Ok(()) };
        let graph = LayerGraph::new(&model.graph, &model.metadata).unwrap();
        let (layer, linear) = (&graph.layers[0], &graph.layers[0].terms[0].linear);
        let image = image(&f);
        let expected = &model.graph.fused(&model.metadata).unwrap().trace(&image).unwrap()[0];
        for (row, expected) in expected.iter().enumerate() {
            let (mut sum, mut seen) = (layer.bias[row], 0);
            linear.for_each_weight(row, |column, w| {
                assert_eq!(linear.weight(row, column), w);
                sum += w * image[column];
                seen += 1;
            });
            prop_assert!((sum - expected).abs() < 1e-9);
            let supports: Vec<_> = linear.supports().iter().filter(|s| s.rows.contains(&row)).collect();
            prop_assert_eq!(supports.len(), 1);
            prop_assert_eq!(supports[0].columns.len(), seen);
            prop_assert!(supports[0].columns.iter().all(|c| linear.weight(row, *c) != 0.0));
            let all = (0..linear.columns()).filter(|c| linear.weight(row, *c) != 0.0).count();
            prop_assert_eq!(all, seen);
        }
    }
}
