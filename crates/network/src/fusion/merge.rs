//! Merging of linear nodes into the linear nodes that read them.
//!
//! The bias of a composition is its value at zero: the second map's value at the first one's bias. That is a
//! bias for each element where the second map pads, and comes out as one for each channel where it does not.

use super::compose::Composition;
use super::net::Net;
use crate::layer::Bias;
use crate::{FusedNode, FusedOperation, LinearMap, LinearTerm, Shape, Source, limits};

/// The most terms of a node that more than one node reads a copy of.
const MOST_COPIED_TERMS: usize = 4;
/// The most terms of a node.
const MOST_TERMS: usize = 64;

/// Merges, first to last, what can be merged. `structured`: no convolution may become a list of weights.
pub(super) fn all(net: &mut Net, structured: bool) {
    let mut readers = net.readers();
    for index in 0..net.nodes().len() {
        if readers[index] == 0 {
            continue;
        }
        let mut merging = Merging { net, readers: &mut readers, structured };
        merging.combine(index);
        while let Some(position) = merging.next(index) {
            merging.absorb(index, position);
            merging.combine(index);
        }
    }
}

/// Lets every reader of a linear node compute it, if all of them can.
pub(super) fn repeated(net: &Net, node: usize) -> Option<Net> {
    let source = Source::Node(node);
    let mut readers = net.nodes().iter().filter(|reader| reader.sources().contains(&source));
    let linear = |node: &FusedNode| matches!(node.operation, FusedOperation::Linear { .. });
    if net.linear(source).is_none() || net.output == source || !readers.all(linear) {
        return None;
    }
    let mut copy = Net { fused: net.fused.clone(), output: net.output, recorded: net.recorded.clone() };
    let mut readers = copy.readers();
    for index in node + 1..copy.nodes().len() {
        let mut merging = Merging { net: &mut copy, readers: &mut readers, structured: true };
        while let Some(position) = merging.reads(index, node) {
            merging.compositions(index, position)?;
            merging.absorb(index, position);
        }
        merging.combine(index);
    }
    if readers[node] > 0 {
        return None;
    }
    copy.sweep();
    Some(copy)
}

struct Merging<'n> {
    net: &'n mut Net,
    readers: &'n mut [usize],
    structured: bool,
}

impl Merging<'_> {
    fn terms(&self, index: usize) -> &[LinearTerm] {
        self.net.linear(Source::Node(index)).map_or(&[], |(terms, _)| terms)
    }

    /// The first term of a node that can and should take in what it reads.
    fn next(&self, index: usize) -> Option<usize> {
        (0..self.terms(index).len()).find(|position| self.is_worth_it(index, *position))
    }

    /// The first term that reads `node`.
    fn reads(&self, index: usize, node: usize) -> Option<usize> {
        self.terms(index).iter().position(|term| term.source == Source::Node(node))
    }

    /// The node that a term reads, if that is linear.
    fn producer(&self, index: usize, position: usize) -> Option<usize> {
        let Source::Node(producer) = self.terms(index)[position].source else { return None };
        self.net.linear(Source::Node(producer)).map(|_| producer)
    }

    /// Shapes of what a producer's term reads, of the producer, and of its reader.
    fn shapes(&self, of: Source, producer: usize, index: usize) -> [Shape; 3] {
        [self.net.shape(of), self.net.nodes()[producer].shape, self.net.nodes()[index].shape]
    }

    /// Each of the producer's terms, composed with the reader's; `None` where one cannot be.
    fn compositions(&self, index: usize, position: usize) -> Option<Vec<(Source, Composition<'_>)>> {
        let producer = self.producer(index, position)?;
        let reader = &self.terms(index)[position].map;
        let terms = self.terms(producer).iter().map(|term| {
            let shapes = self.shapes(term.source, producer, index);
            let composition = Composition::of(&term.map, reader, shapes, self.structured)?;
            let cost = composition.cost(shapes);
            let bounded =
                cost.weights <= limits::PARAMETERS as u64 && cost.work <= limits::MERGE_MULTIPLICATIONS;
            bounded.then_some((term.source, composition))
        });
        terms.collect()
    }

    /// Whether merging is sound and either takes no more multiplications, or makes pooling or a mere sum
    /// vanish: they are worth no level of a ciphertext of their own.
    fn is_worth_it(&self, index: usize, position: usize) -> bool {
        let Some(producer) = self.producer(index, position) else { return false };
        let own = self.terms(producer);
        let scales = own.iter().all(|term| term.map.channel_factors().is_some());
        let only_reader = self.readers[producer] == 1;
        if !(only_reader || scales && own.len() == 1) {
            return false;
        }
        if self.terms(index).len() + own.len() > MOST_TERMS {
            return false;
        }
        let Some(compositions) = self.compositions(index, position) else { return false };
        let merged = compositions.iter().fold(0u64, |sum, (source, composition)| {
            sum.saturating_add(composition.cost(self.shapes(*source, producer, index)).multiplications)
        });
        let reader = self.terms(index)[position].map.multiplications(self.net.nodes()[index].shape);
        let apart = self.net.cost(producer).saturating_add(reader);
        let pooling = own.len() == 1 && own[0].map.is_pooling();
        merged <= apart || pooling || (scales && own.len() <= MOST_COPIED_TERMS)
    }

    /// Merges what a term reads into the node. Needs what [`Self::compositions`] accepts.
    fn absorb(&mut self, index: usize, position: usize) {
        let Some(producer) = self.producer(index, position) else { return };
        let Some(compositions) = self.compositions(index, position) else { return };
        let terms: Vec<LinearTerm> = compositions
            .into_iter()
            .map(|(source, composition)| {
                let map = composition.build(self.shapes(source, producer, index));
                LinearTerm { source, map }
            })
            .collect();
        let bias = self.bias(index, position, producer);
        let larger = self.net.cost(producer) >= self.net.cost(index);
        let last = self.readers[producer] == 1;
        self.readers[producer] -= 1;
        if !last {
            self.count(&terms, 1);
        }
        let name = self.net.nodes()[producer].name.clone();
        let node = &mut self.net.fused.nodes[index];
        if larger && last {
            node.name = name;
        }
        if let FusedOperation::Linear { terms: own, bias: old } = &mut node.operation {
            own.splice(position..=position, terms);
            *old = bias;
        }
    }

    fn count(&mut self, terms: &[LinearTerm], times: usize) {
        for term in terms {
            if let Source::Node(read) = term.source {
                self.readers[read] += times;
            }
        }
    }

    /// The node's bias with what the producer's becomes.
    fn bias(&self, index: usize, position: usize, producer: usize) -> Bias {
        let Some((terms, own)) = self.net.linear(Source::Node(index)) else {
            return Bias::PerChannel(vec![]);
        };
        let Some((_, bias)) = self.net.linear(Source::Node(producer)) else { return own.clone() };
        if bias.values().iter().all(|b| *b == 0.0) {
            return own.clone();
        }
        let (from, to) = (self.net.nodes()[producer].shape, self.net.nodes()[index].shape);
        let mut sum = own.elements(to);
        terms[position].map.add_to(from, to, &bias.elements(from), &mut sum);
        Bias::from_elements(sum, to)
    }

    /// Makes one term of those that read the same, where that is as cheap, and leaves out those that are
    /// zero.
    fn combine(&mut self, index: usize) {
        let to = self.net.nodes()[index].shape;
        let mut terms = self.terms(index).to_vec();
        if terms.len() < 2 {
            return;
        }
        let mut kept: Vec<LinearTerm> = vec![];
        for term in terms.drain(..) {
            let from = self.net.shape(term.source);
            let same = kept.iter_mut().filter(|k| k.source == term.source);
            let sum = same.map(|k| (k.map.sum(&term.map, from, to), k)).find(|(sum, _)| sum.is_some());
            match sum {
                Some((Some(sum), one)) => {
                    one.map = sum;
                    self.readers_of(term.source);
                }
                _ => kept.push(term),
            }
        }
        let zero = |map: &LinearMap| map.weights().iter().all(|w| *w == 0.0);
        let some = kept.iter().position(|term| !zero(&term.map)).unwrap_or(0);
        let mut dropped = vec![];
        let mut at = 0;
        kept.retain(|term| {
            let keep = at == some || !zero(&term.map);
            at += 1;
            if !keep {
                dropped.push(term.source);
            }
            keep
        });
        dropped.into_iter().for_each(|source| self.readers_of(source));
        if let FusedOperation::Linear { terms, .. } = &mut self.net.fused.nodes[index].operation {
            *terms = kept;
        }
    }

    /// One reader less.
    fn readers_of(&mut self, source: Source) {
        if let Source::Node(read) = source {
            self.readers[read] -= 1;
        }
    }
}
