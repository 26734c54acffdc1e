//! Fusion: the same function with fewer nodes.
//!
//! Between two activations everything is linear. First every operator becomes a linear map, a polynomial or a
//! product ([`lower`]). Then linear nodes are merged into the linear nodes that read them ([`merge`],
//! [`compose`]) and units that are constant or that nothing reads are dropped ([`dead`]), over and over.
//! Quadratic polynomials become squares, what is before and after them linear ([`polynomials`]), and is
//! merged in turn. Channels that are far larger or smaller than their neighbours are scaled ([`equalise`]).

mod compose;
mod dead;
mod equalise;
mod lower;
mod maps;
mod merge;
mod net;
mod polynomials;
mod selection;
mod sparse;
#[cfg(test)]
pub(crate) mod tests;

use crate::layer::{Padding, product};
use crate::{
    Error, Fused, FusedNode, FusedOperation, Graph, LinearMap, Metadata, Operator, Shape, Source, limits,
};
use net::Net;
use std::collections::HashSet;

/// How many times the multiplications may become so that a level is saved.
const COST_OF_A_LEVEL: f64 = 1.25;
/// The most nodes of a network in which nodes that are worth repeating are looked for.
const MOST_TRIED: usize = 256;

impl Graph {
    /// The equal network that an encrypted plan is made of: linear nodes, polynomials and products.
    ///
    /// - Batch normalisation, other affine maps and average pooling become part of the neighbouring linear
    ///   node; where there is none, a 1x1 depthwise convolution, or a depthwise one, is left.
    /// - A linear node is merged into the one linear node that reads it where that is sound at the padding
    ///   and takes no more multiplications; pooling, and a sum of what is not linear, are merged in any case.
    ///   A constant that enters a zero-padded convolution becomes a bias that depends on the position
    ///   ([`crate::Bias::PerElement`]).
    /// - A sum is a linear node with a term for each summand; so is what reads a concatenation.
    /// - `a x^2 + b x + c` is `s (sqrt|a| x + s sqrt|a| b/2a)^2 + (c - b^2/4a)` with `s` the sign of `a`,
    ///   where `x` is linear and read by nothing else, and the vertex is near: what is before and after the
    ///   square is linear. Elsewhere what reads it reads `x^2` and `x`. `x^2` itself is left exactly as it
    ///   is.
    /// - Polynomials of a higher degree are left, their arguments scaled to magnitudes of about one at most.
    /// - Units of a linear node that are constant or that nothing reads are left out.
    /// - Channels far from the usual magnitude are scaled to it; `metadata` says how large inputs are.
    ///
    /// A merged node has the name of the part with the most multiplications. Where several nodes come of
    /// one, the later ones have a number after its name.
    ///
    /// Fails on a graph that [`Graph::shapes`] refuses, on activations that are no polynomials, on windows of
    /// pools above [`crate::limits`], and where merged weights overflow.
    pub fn fused(&self, metadata: &Metadata) -> Result<Fused, Error> {
        let shapes = self.shapes()?;
        self.check_pools(&shapes)?;
        let mut net = lower::lowered(self, &shapes)?;
        net.recorded = self.recorded(metadata);
        net.sweep();
        reduce(&mut net)?;
        net = polynomials::rewritten(net);
        reduce(&mut net)?;
        net = shortened(net)?;
        equalise::equalised(&mut net, metadata);
        merge::all(&mut net, false);
        net.sweep();
        reduce(&mut net)?;
        finish(&mut net);
        net.check_finite()?;
        distinguish(&mut net.fused.nodes);
        Ok(net.fused)
    }

    /// Refuses pools whose windows would take absurdly many weights.
    fn check_pools(&self, shapes: &[Shape]) -> Result<(), Error> {
        let mut weights = 0u64;
        for (node, shape) in self.nodes.iter().zip(shapes) {
            if let Operator::AveragePool(pool) = &node.operator {
                let even = pool.include_padding || pool.padding == Padding::default();
                let outputs = if even { shape.channels } else { shape.elements() };
                weights = weights.saturating_add(product(&[outputs, pool.kernel[0], pool.kernel[1]]) as u64);
            }
        }
        limits::check(|| "weights of all pools' windows".into(), weights, limits::PARAMETERS as u64)
    }

    /// For polynomials by name what is recorded of the node that they read.
    fn recorded(&self, metadata: &Metadata) -> std::collections::HashMap<String, f64> {
        let polynomials = self.nodes.iter().filter(|n| matches!(n.operator, Operator::Polynomial(_)));
        let recorded = polynomials.filter_map(|node| match node.inputs[0] {
            Source::Input => None,
            Source::Node(read) => Some((node.name.clone(), metadata.ranges.get(&self.nodes[read].name)?.max)),
        });
        recorded.collect()
    }
}

/// Merges and drops until nothing changes. Every round but the last leaves fewer nodes, units or weights.
/// Fails where weights overflow.
fn reduce(net: &mut Net) -> Result<(), Error> {
    loop {
        let before = net.fused.clone();
        merge::all(net, true);
        net.sweep();
        dead::dropped(net);
        // What is not a number equals nothing, itself neither: without this, the rounds would not end.
        net.check_finite()?;
        if net.fused == before {
            return Ok(());
        }
    }
}

/// The network with linear nodes repeated in their readers, where that shortens the longest path at little
/// cost.
fn shortened(mut net: Net) -> Result<Net, Error> {
    if net.nodes().len() > MOST_TRIED {
        return Ok(net);
    }
    let mut node = 0;
    while node < net.nodes().len() {
        let (depth, cost) = (net.depth(), net.total_cost() as f64);
        match merge::repeated(&net, node) {
            Some(mut shorter)
                if shorter.depth() < depth && shorter.total_cost() as f64 <= COST_OF_A_LEVEL * cost =>
            {
                reduce(&mut shorter)?;
                net = shorter;
            }
            _ => node += 1,
        }
    }
    Ok(net)
}

/// Makes the last node linear.
fn finish(net: &mut Net) {
    if net.linear(net.output).is_none() {
        let shape = net.shape(net.output);
        let identity = LinearMap::of_factors(vec![1.0; shape.channels]);
        net.output = net.push_map("identity", shape, net.output, identity);
    }
    debug_assert!(net.nodes().last().is_some_and(|n| matches!(n.operation, FusedOperation::Linear { .. })));
}

/// Gives every node a name of its own: one node of a file may have become several.
fn distinguish(nodes: &mut [FusedNode]) {
    let mut taken: HashSet<String> = nodes.iter().map(|node| node.name.clone()).collect();
    let mut seen = HashSet::new();
    for node in nodes {
        if seen.insert(node.name.clone()) {
            continue;
        }
        let mut numbered = (2..).map(|number| format!("{}/{number}", node.name));
        node.name = numbered.find(|name| !taken.contains(name)).expect("numbers do not end");
        taken.insert(node.name.clone());
        seen.insert(node.name.clone());
    }
}
