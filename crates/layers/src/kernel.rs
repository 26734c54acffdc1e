//! What a layer kernel is.
//!
//! A kernel computes linear layers in one way. The planner asks it which forms it can bring a tensor into and
//! what that costs; a plan that chose it asks it to build the operations. To add one, write a file with these
//! two traits, give it a variant of [`LayerChoice`] and name it in [`crate::kernels`].

use crate::choice::LayerChoice;
use crate::cost::{Cost, CostFunction};
use crate::graph::{Layer, LayerGraph};
use crate::pointwise::PointwiseKernel;
use crate::{Error, reply_rows};
use blindsight_circuit::{Builder, Counts, Value};
use blindsight_ckks::{Level, Parameters, Scale};
use blindsight_layout::{InputLayout, Layout, Placement, ReplyLayout};
use std::sync::Arc;

/// One way to compute linear layers.
pub trait LayerKernel: Sync {
    /// The forms that it may bring a layer's output into. A product needs its factors in one layout: where
    /// the output is multiplied with other tensors, `alike` are the layouts that these may have.
    fn candidates(&self, network: &Network<'_>, index: usize, alike: &[Layout]) -> Vec<Form>;

    /// What its steps cost in a network. What is found out on the way is remembered.
    fn costs<'a>(&self, network: &'a Network<'a>, costs: &'a dyn CostFunction) -> Box<dyn StepCosts + 'a>;

    /// Checks that a choice, whoever it came from, can be built at a site.
    ///
    /// # Errors
    /// With what is wrong with it.
    fn check(&self, site: &Site<'_>, choice: &LayerChoice) -> Result<(), Error>;

    /// What the client writes, where the kernel reads something else than the image in a layout.
    ///
    /// # Errors
    /// For a layer that the kernel cannot compute.
    fn input(&self, _site: &Site<'_>, _choice: &LayerChoice) -> Result<Option<InputLayout>, Error> {
        Ok(None)
    }

    /// How the scores are read where it computes the last layer: values that repeat over all slots.
    ///
    /// # Errors
    /// Where there is no room for them.
    fn reply(&self, site: &Site<'_>, bound: f64) -> Result<ReplyLayout, Error> {
        Ok(site.periodic_reply(bound)?)
    }

    /// The operations of a choice that passed [`check`](Self::check). `values` are the ciphertexts of all
    /// operands, term by term, at the layer's level; those of the output come out a level below.
    ///
    /// # Errors
    /// Those of the circuit.
    fn build(
        &self,
        site: &Site<'_>,
        choice: &LayerChoice,
        reply: &Arc<ReplyLayout>,
        b: &mut Builder,
        values: &[Value],
    ) -> Result<Vec<Value>, Error>;

    /// Why the layer is computed as it is, in words and figures; `counts` is what it was counted to take.
    fn reason(&self, site: &Site<'_>, choice: &LayerChoice, reply: &ReplyLayout, counts: &Counts) -> String;
}

/// What a kernel's steps cost in a network: bounds first, which are never too high.
pub trait StepCosts: Sync {
    /// What layer `index` costs at least, from a form of its main operand to a form of its output.
    fn lower_bound(&self, index: usize, from: &Form, to: &Form) -> Cost;

    /// A closer bound, which takes some milliseconds to find; [`Cost::NEVER`] where the step cannot be.
    fn closer_bound(&self, step: &Step<'_>) -> Cost;

    /// The cheapest way to compute a step, and what it costs; `None` where it cannot be.
    fn cost(&self, step: &Step<'_>) -> Option<(Cost, LayerChoice)>;
}

/// What a tensor may be on the way of a plan.
#[allow(clippy::large_enum_variant, reason = "nearly all are in slots")]
pub enum Form {
    /// The im2col form of the first convolution's image, which the client writes.
    Im2col,
    /// In slots, in a layout.
    Slots(Arrangement),
    /// The scores as coefficients of one product.
    Coefficients,
}

impl Form {
    /// The layout of a tensor in slots.
    pub fn slots(&self) -> Option<&Arrangement> {
        match self {
            Self::Slots(arrangement) => Some(arrangement),
            Self::Im2col | Self::Coefficients => None,
        }
    }
}

/// A tensor in a layout that it may have, written out.
pub struct Arrangement {
    /// The layout that it is computed in, of partial sums.
    pub partial: Layout,
    /// The same, written out.
    pub partial_placement: Arc<Placement>,
    /// Where whole sums lie.
    pub layout: Layout,
    /// The same, written out.
    pub placement: Arc<Placement>,
}

impl Arrangement {
    /// The tensor that is computed in a layout of partial sums.
    pub fn new(partial: Layout) -> Self {
        let layout = partial.sums();
        let [partial_placement, placement] =
            [&partial, &layout].map(|layout| Arc::new(Placement::new(layout)));
        Self { partial, partial_placement, layout, placement }
    }
}

/// A layer between tensors.
pub struct Step<'a> {
    /// Which layer.
    pub index: usize,
    /// The form of the tensor that each of its terms reads.
    pub from: Vec<&'a Form>,
    /// The form of its output.
    pub to: &'a Form,
}

/// A network in a ring.
pub struct Network<'a> {
    /// The layers.
    pub graph: &'a LayerGraph,
    /// The ring.
    pub parameters: &'a Parameters,
    /// What no score's magnitude should exceed.
    pub bound: f64,
    /// The last layer with a row for each value of a reply whose values repeat over the slots, where there is
    /// room.
    pub extended: Option<Layer>,
}

impl<'a> Network<'a> {
    /// A network whose scores are at most `bound` in magnitude.
    pub fn new(graph: &'a LayerGraph, parameters: &'a Parameters, bound: f64) -> Self {
        let site = Site { graph, parameters, index: graph.layers.len() - 1, from: vec![] };
        let reply = site.periodic_reply(bound).ok();
        let extended = reply.map(|reply| reply_rows::extended(&reply, graph.last()));
        Self { graph, parameters, bound, extended }
    }

    /// Whether a layer is the last.
    pub fn is_last(&self, index: usize) -> bool {
        index + 1 == self.graph.layers.len()
    }

    /// A layer by rows; of the last the rows are those of the reply, where its values repeat over the slots.
    pub fn rows(&self, index: usize) -> &Layer {
        let extended = self.extended.as_ref().filter(|_| self.is_last(index));
        extended.unwrap_or(&self.graph.layers[index])
    }
}

/// A layer in its place in a plan.
#[derive(Clone)]
pub struct Site<'a> {
    /// The layers.
    pub graph: &'a LayerGraph,
    /// The ring.
    pub parameters: &'a Parameters,
    /// Which layer.
    pub index: usize,
    /// The layout of each operand, whole sums; `None` for one that has none.
    pub from: Vec<Option<&'a Layout>>,
}

impl Site<'_> {
    /// The layer.
    pub fn layer(&self) -> &Layer {
        &self.graph.layers[self.index]
    }

    /// Whether it is the last.
    pub fn is_last(&self) -> bool {
        self.index + 1 == self.graph.layers.len()
    }

    /// The layouts of all operands.
    ///
    /// # Errors
    /// Where one has none.
    pub fn layouts(&self) -> Result<Vec<&Layout>, Error> {
        let layouts: Option<Vec<&Layout>> = self.from.iter().copied().collect();
        layouts.ok_or_else(|| Error::plan("a layer reads an image whose layout is missing"))
    }

    /// The layout of the operand that was computed last.
    ///
    /// # Errors
    /// Where it has none.
    pub fn main(&self) -> Result<&Layout, Error> {
        let layer = self.layer();
        let main = layer.terms.iter().position(|term| std::ptr::eq(term, layer.main())).unwrap_or(0);
        let layout = self.from.get(main).copied().flatten();
        layout.ok_or_else(|| Error::plan("a layer reads an image whose layout is missing"))
    }

    /// The scale that the output comes out at: what suits a polynomial that reads it, else the nominal one.
    pub fn scale(&self, output: &Layout) -> Scale {
        let polynomials = self.layer().pointwise.iter().filter_map(|pointwise| {
            let kernel = PointwiseKernel::new(&pointwise.operation, &output.sums());
            kernel.input_scale(self.parameters, pointwise.level)
        });
        polynomials.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or(self.parameters.nominal_scale())
    }

    /// The reply whose values repeat over all slots.
    ///
    /// # Errors
    /// Where there is no room for them.
    pub fn periodic_reply(&self, bound: f64) -> Result<ReplyLayout, blindsight_layout::Error> {
        let (scores, modulus) = (self.graph.last().rows(), self.parameters.modulus(Level(0)));
        ReplyLayout::periodic(scores, bound, modulus, self.parameters.slots())
    }
}
