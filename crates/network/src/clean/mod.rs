//! What is done to a graph once it is read: activations that are spelled out are recognised ([`spelled`]),
//! what the client can apply at the end is taken off, channels that come last come first, and what nothing
//! reads is dropped.

mod spelled;

use crate::layer::Affine;
use crate::{Activation, FinalActivation, Graph, Node, Operator, Selection, Shape, Source};

/// The most channels of an image.
const IMAGE_CHANNELS: usize = 4;

/// A graph without what is left to the client.
pub(crate) struct Cleaned {
    pub graph: Graph,
    /// What is left to the client.
    pub output: FinalActivation,
    /// Whether the input's channels came last.
    pub channels_last: bool,
}

/// The graph cleaned, whose nodes have these shapes, where the client applies `output` to its scores.
pub(crate) fn cleaned(graph: Graph, shapes: &[Shape], output: FinalActivation) -> Cleaned {
    let (mut graph, output) = without_end(spelled::recognised(graph, shapes), output);
    let channels_last = put_channels_first(&mut graph);
    Cleaned { graph: swept(graph), output, channels_last }
}

/// Takes off a sigmoid at the end, and the pair of a sigmoid and what it leaves to one.
fn without_end(mut graph: Graph, output: FinalActivation) -> (Graph, FinalActivation) {
    let end = through_reshapes(&graph, graph.output);
    match output {
        FinalActivation::None | FinalActivation::ArgMax => {}
        _ => return (graph, output),
    }
    if let Some(score) = score_of_pair(&graph, end) {
        graph.output = score;
        return (graph, FinalActivation::Sigmoid);
    }
    match sigmoid_of(&graph, end) {
        Some(scores) if output == FinalActivation::None => {
            graph.output = scores;
            (graph, FinalActivation::Sigmoid)
        }
        // The largest sigmoid is that of the largest score.
        Some(scores) => {
            graph.output = scores;
            (graph, output)
        }
        None => (graph, output),
    }
}

fn node(graph: &Graph, source: Source) -> Option<&Node> {
    match source {
        Source::Input => None,
        Source::Node(index) => graph.nodes.get(index),
    }
}

/// What a tensor is but for its shape.
fn through_reshapes(graph: &Graph, mut source: Source) -> Source {
    while let Some(Node { operator: Operator::Reshape(_), inputs, .. }) = node(graph, source) {
        source = inputs[0];
    }
    source
}

/// What a sigmoid is applied to.
fn sigmoid_of(graph: &Graph, source: Source) -> Option<Source> {
    match node(graph, source)? {
        Node { operator: Operator::Activation(Activation::Sigmoid), inputs, .. } => Some(inputs[0]),
        _ => None,
    }
}

/// The score `s` of a pair `1 - sigmoid(s)`, `sigmoid(s)`.
fn score_of_pair(graph: &Graph, source: Source) -> Option<Source> {
    let Node { operator: Operator::Concat, inputs, .. } = node(graph, source)? else { return None };
    let &[first, second] = inputs.as_slice() else { return None };
    let Node { operator: Operator::Affine(rest), inputs, .. } = node(graph, first)? else { return None };
    let is_rest = rest.scale == [-1.0] && rest.shift == [1.0] && inputs[0] == second;
    sigmoid_of(graph, second).filter(|_| is_rest)
}

/// Where all that reads the input reads it with its channels first, of which there are few, makes that the
/// input.
fn put_channels_first(graph: &mut Graph) -> bool {
    let last = graph.input;
    let first = Shape::new(last.width, last.channels, last.height);
    let readers: Vec<usize> =
        (0..graph.nodes.len()).filter(|n| graph.nodes[*n].inputs.contains(&Source::Input)).collect();
    let moves = |reader: &usize| match &graph.nodes[*reader].operator {
        Operator::Reshape(shape) => *shape == first && first.channels == 1,
        Operator::Selection(selection) => moves_channels_first(selection, first),
        _ => false,
    };
    let is_image = first.channels <= IMAGE_CHANNELS && first.height > 1 && first.width > 1;
    if !is_image || readers.is_empty() || graph.output == Source::Input || !readers.iter().all(moves) {
        return false;
    }
    graph.input = first;
    let moved = |source: Source| match source {
        Source::Node(index) if readers.binary_search(&index).is_ok() => Source::Input,
        other => other,
    };
    graph.nodes.iter_mut().flat_map(|node| &mut node.inputs).for_each(|source| *source = moved(*source));
    graph.output = moved(graph.output);
    // They read what they made: nothing reads them any more.
    readers.iter().for_each(|reader| graph.nodes[*reader].operator = Operator::Reshape(first));
    true
}

fn moves_channels_first(selection: &Selection, first: Shape) -> bool {
    let place = |i: usize| {
        let (channel, position) = (i / first.positions(), i % first.positions());
        position * first.channels + channel
    };
    selection.shape == first
        && selection.elements.iter().enumerate().all(|(i, e)| e.is_some_and(|e| e as usize == place(i)))
}

/// The graph without nodes that nothing reads.
fn swept(graph: Graph) -> Graph {
    let mut read = vec![false; graph.nodes.len()];
    let mark = |read: &mut Vec<bool>, source: Source| {
        if let Source::Node(index) = source {
            read[index] = true;
        }
    };
    mark(&mut read, graph.output);
    for index in (0..graph.nodes.len()).rev() {
        if read[index] {
            graph.nodes[index].inputs.iter().for_each(|source| mark(&mut read, *source));
        }
    }
    let mut rebuilt = Rebuilt::new(graph.input);
    for (node, read) in graph.nodes.into_iter().zip(read) {
        match read {
            true => rebuilt.copy(node),
            false => rebuilt.places.push(Source::Input),
        }
    }
    rebuilt.finish(graph.output)
}

/// A graph in the making from another one, whose nodes have other places in it.
struct Rebuilt {
    graph: Graph,
    /// Where the other graph's nodes are, so far.
    places: Vec<Source>,
}

impl Rebuilt {
    fn new(input: Shape) -> Self {
        Self { graph: Graph { input, nodes: vec![], output: Source::Input }, places: vec![] }
    }

    /// Where an operand of the other graph is.
    fn place(&self, source: Source) -> Source {
        match source {
            Source::Input => Source::Input,
            Source::Node(index) => self.places[index],
        }
    }

    fn push(&mut self, name: &str, operator: Operator, inputs: Vec<Source>) -> Source {
        self.graph.nodes.push(Node { name: name.to_string(), operator, inputs });
        Source::Node(self.graph.nodes.len() - 1)
    }

    /// Appends the other graph's next node.
    fn copy(&mut self, node: Node) {
        let inputs = node.inputs.iter().map(|source| self.place(*source)).collect();
        self.graph.nodes.push(Node { inputs, ..node });
        self.places.push(Source::Node(self.graph.nodes.len() - 1));
    }

    fn finish(mut self, output: Source) -> Graph {
        self.graph.output = self.place(output);
        self.graph
    }
}

/// Whether an affine map changes nothing, but for rounding.
fn is_identity(affine: &Affine) -> bool {
    const ROUNDING: f64 = 1e-6;
    affine.scale.iter().all(|scale| (scale - 1.0).abs() < ROUNDING) && affine.shift.iter().all(|s| *s == 0.0)
}
