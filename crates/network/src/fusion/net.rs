//! The network while it is being fused.

use std::collections::HashMap;

use super::maps::no_bias;
use crate::layer::Bias;
use crate::{Error, Fused, FusedNode, FusedOperation, LinearMap, LinearTerm, Shape, Source};

/// The nodes so far, and what of them the scores are.
pub(super) struct Net {
    pub fused: Fused,
    pub output: Source,
    /// For polynomials by name the largest magnitude that their input was seen to have.
    pub recorded: HashMap<String, f64>,
}

impl Net {
    pub(super) fn new(input: Shape) -> Self {
        Self { fused: Fused { input, nodes: vec![] }, output: Source::Input, recorded: HashMap::new() }
    }

    pub(super) fn nodes(&self) -> &[FusedNode] {
        &self.fused.nodes
    }

    pub(super) fn shape(&self, source: Source) -> Shape {
        self.fused.shape(source)
    }

    /// Appends a node.
    pub(super) fn push(&mut self, name: &str, shape: Shape, operation: FusedOperation) -> Source {
        self.fused.nodes.push(FusedNode { name: name.to_string(), shape, operation });
        Source::Node(self.fused.nodes.len() - 1)
    }

    /// Appends a linear node of one term.
    pub(super) fn push_map(&mut self, name: &str, shape: Shape, source: Source, map: LinearMap) -> Source {
        self.push_linear(name, shape, vec![LinearTerm { source, map }], no_bias(shape))
    }

    pub(super) fn push_linear(
        &mut self,
        name: &str,
        shape: Shape,
        terms: Vec<LinearTerm>,
        bias: Bias,
    ) -> Source {
        self.push(name, shape, FusedOperation::Linear { terms, bias })
    }

    /// Appends a factor and a summand for each channel, unless they change nothing.
    pub(super) fn push_affine(
        &mut self,
        name: &str,
        source: Source,
        scale: Vec<f64>,
        shift: Vec<f64>,
    ) -> Source {
        if scale.iter().all(|s| *s == 1.0) && shift.iter().all(|s| *s == 0.0) {
            return source;
        }
        let terms = vec![LinearTerm { source, map: LinearMap::of_factors(scale) }];
        self.push_linear(name, self.shape(source), terms, Bias::PerChannel(shift))
    }

    /// How often each node is read, the output among the readers.
    pub(super) fn readers(&self) -> Vec<usize> {
        let mut readers = vec![0; self.nodes().len()];
        let sources = self.nodes().iter().flat_map(|node| node.sources());
        for source in sources.chain([self.output]) {
            if let Source::Node(index) = source {
                readers[index] += 1;
            }
        }
        readers
    }

    /// The terms and the bias of what is read, where that is a linear node.
    pub(super) fn linear(&self, source: Source) -> Option<(&[LinearTerm], &Bias)> {
        let Source::Node(index) = source else { return None };
        match &self.nodes()[index].operation {
            FusedOperation::Linear { terms, bias } => Some((terms, bias)),
            _ => None,
        }
    }

    /// Multiplications of a node.
    pub(super) fn cost(&self, index: usize) -> u64 {
        let node = &self.nodes()[index];
        match &node.operation {
            FusedOperation::Linear { terms, .. } => terms
                .iter()
                .fold(0, |sum: u64, term| sum.saturating_add(term.map.multiplications(node.shape))),
            FusedOperation::Polynomial { polynomial, .. } => {
                (node.shape.elements() as u64).saturating_mul(polynomial.degree() as u64)
            }
            FusedOperation::Product(_) => node.shape.elements() as u64,
        }
    }

    /// Multiplications of all nodes.
    pub(super) fn total_cost(&self) -> u64 {
        (0..self.nodes().len()).fold(0, |sum, index| sum.saturating_add(self.cost(index)))
    }

    /// Levels on the longest path to each node.
    pub(super) fn depths(&self) -> Vec<usize> {
        let mut depths: Vec<usize> = vec![];
        for node in self.nodes() {
            let before = node.sources().into_iter().map(|source| match source {
                Source::Input => 0,
                Source::Node(index) => depths[index],
            });
            let own = match &node.operation {
                FusedOperation::Polynomial { polynomial, .. } => polynomial.depth(),
                _ => 1,
            };
            depths.push(own + before.max().unwrap_or(0));
        }
        depths
    }

    /// Levels of the whole.
    pub(super) fn depth(&self) -> usize {
        match self.output {
            Source::Input => 0,
            Source::Node(index) => self.depths()[index],
        }
    }

    /// Removes the nodes that nothing reads.
    pub(super) fn sweep(&mut self) {
        let mut live = vec![false; self.nodes().len()];
        let mark = |source: Source, live: &mut Vec<bool>| {
            if let Source::Node(index) = source {
                live[index] = true;
            }
        };
        mark(self.output, &mut live);
        for index in (0..live.len()).rev() {
            if live[index] {
                self.nodes()[index].sources().into_iter().for_each(|source| mark(source, &mut live));
            }
        }
        let mut places = vec![Source::Input; live.len()];
        let mut kept = 0;
        for (place, live) in places.iter_mut().zip(&live) {
            if *live {
                *place = Source::Node(kept);
                kept += 1;
            }
        }
        let mut live = live.into_iter();
        self.fused.nodes.retain(|_| live.next().unwrap_or(false));
        let moved = |source: &mut Source| {
            if let Source::Node(index) = *source {
                *source = places[index];
            }
        };
        self.fused.nodes.iter_mut().for_each(|node| node.for_each_source(moved));
        moved(&mut self.output);
    }

    /// Refuses weights that are not finite.
    pub(super) fn check_finite(&self) -> Result<(), Error> {
        for node in self.nodes() {
            let what = || format!("weights of {}", node.name);
            match &node.operation {
                FusedOperation::Linear { terms, bias } => {
                    for values in terms.iter().map(|t| t.map.weights()).chain([bias.values()]) {
                        crate::error::check_finite(&what(), values)?;
                    }
                }
                FusedOperation::Polynomial { polynomial, .. } => {
                    for values in &polynomial.coefficients {
                        crate::error::check_finite(&what(), values)?;
                    }
                }
                FusedOperation::Product(_) => {}
            }
        }
        Ok(())
    }
}

impl FusedNode {
    /// What it reads, in order.
    pub fn sources(&self) -> Vec<Source> {
        match &self.operation {
            FusedOperation::Linear { terms, .. } => terms.iter().map(|t| t.source).collect(),
            FusedOperation::Polynomial { source, .. } => vec![*source],
            FusedOperation::Product(sources) => sources.to_vec(),
        }
    }

    pub(super) fn for_each_source(&mut self, f: impl Fn(&mut Source)) {
        match &mut self.operation {
            FusedOperation::Linear { terms, .. } => terms.iter_mut().for_each(|t| f(&mut t.source)),
            FusedOperation::Polynomial { source, .. } => f(source),
            FusedOperation::Product(sources) => sources.iter_mut().for_each(f),
        }
    }
}
