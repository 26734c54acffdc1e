//! The planner: from a model and what is asked for to the best plan.
//!
//! The smallest ring that has room for a plan has the best one: a larger one is slower. So rings are tried,
//! the smallest first ([`crate::within`] plans for one); where replies are to be private, [`crate::private`]
//! tries them. A plan without evaluation keys is another kind, and the cheaper one is taken. All is
//! deterministic: the same model, options and cost model give the same plan.

use crate::expected::Expected;
use crate::literature::{Chain, batch};
use crate::options::{Options, Packing};
use crate::parameters::{DEGREES, parameters_of, too_deep};
use crate::within::{cost, plan_within, plan_without};
use crate::{Error, Plan, Recipe, keyless, private};
use blindsight_layers::LayerGraph;
use blindsight_network::Model;

/// The best plan for a model.
///
/// # Errors
/// Where the model is not of a shape that a plan exists for, does not fit the ring degree asked for (or any),
/// or no plan keeps keys, encoded model and error within the limits; each with the figures.
pub fn plan(model: &Model, options: &Options) -> Result<Plan, Error> {
    // Before probe inputs run through it.
    check_size(model)?;
    plan_expecting(model, &Expected::of(model)?, options)
}

/// A plan of more multiplications than this would take many minutes to find and many more to run.
const MOST_MULTIPLICATIONS: u64 = 1 << 29;

/// Checks that a network is of a size that is planned for, which takes no time.
///
/// # Errors
/// Where it has too many multiplications, with how many, and what to do.
pub fn check_size(model: &Model) -> Result<(), Error> {
    match model.graph.multiplications()? {
        count if count <= MOST_MULTIPLICATIONS => Ok(()),
        count => Err(Error::does_not_fit(
            "the number of the network's multiplications",
            count,
            format!("at most {MOST_MULTIPLICATIONS}: take smaller images, fewer channels, or larger strides"),
        )),
    }
}

/// The best plan for a model of such scores.
fn plan_expecting(model: &Model, expected: &Expected, options: &Options) -> Result<Plan, Error> {
    let is_clean = options.reply.kappa().is_none();
    match options.packing {
        Packing::Keyless => plan_keyless(model, expected, options),
        Packing::Auto if is_clean && !options.is_batch() => {
            let with_keys = plan_with_keys(model, expected, options);
            cheaper(with_keys, plan_keyless(model, expected, options), model, options)
        }
        _ => plan_with_keys(model, expected, options),
    }
}

/// The cheaper of two plans; the first where the second is none.
fn cheaper(
    first: Result<Plan, Error>,
    second: Result<Plan, Error>,
    model: &Model,
    options: &Options,
) -> Result<Plan, Error> {
    match (first, second) {
        (Ok(first), Ok(second)) => {
            let cost = |plan: &Plan| cost(model, plan, &plan.public.validated_parameters()?, options);
            Ok(if cost(&second)? < cost(&first)? { second } else { first })
        }
        (Err(_), Ok(second)) => Ok(second),
        (first, Err(_)) => first,
    }
}

/// The plan without evaluation keys, in the smallest ring that has room for it: a larger one is slower, and
/// no more exact.
fn plan_keyless(model: &Model, expected: &Expected, options: &Options) -> Result<Plan, Error> {
    if options.reply.kappa().is_some() {
        let reason = "what was not relinearised shows more of the weights, which masking does not hide: ask for another representation";
        return Err(Error::NotOffered { what: "reply", asked: options.reply.to_string(), reason });
    }
    let chain = Chain::new(&LayerGraph::new(&model.graph, &model.metadata)?)?;
    let options = &Options { packing: Packing::Keyless, ..options.clone() };
    let mut refused = None;
    for degree in options.ring_degree.map_or(DEGREES.to_vec(), |degree| vec![degree]) {
        let parameters = keyless::parameters(&chain, degree, expected.bound, options.security);
        match parameters.and_then(|parameters| plan_within(model, expected, &parameters, options)) {
            Ok(plan) => return Ok(plan),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.expect("there are degrees to try"))
}

/// The best plan with evaluation keys, or a named one.
fn plan_with_keys(model: &Model, expected: &Expected, options: &Options) -> Result<Plan, Error> {
    let graph = LayerGraph::new(&model.graph, &model.metadata)?;
    if options.is_batch() && options.reply.kappa().is_none() {
        return plan_batch(model, expected, &Chain::new(&graph)?, options);
    }
    let levels = match options.packing {
        Packing::Lola(lola) => lola.depth(&Chain::new(&graph)?),
        _ => graph.depth(),
    };
    if options.reply.kappa().is_some() {
        return private::plan(model, expected, options, levels);
    }
    let security = options.security;
    if let Some(degree) = options.ring_degree {
        return plan_within(model, expected, &parameters_of(degree, levels, security)?, options);
    }
    let mut refused = None;
    for parameters in DEGREES.into_iter().filter_map(|degree| parameters_of(degree, levels, security).ok()) {
        match plan_within(model, expected, &parameters, options) {
            Err(error) if error.is_misfit() => refused = Some(error),
            done => return done,
        }
    }
    Err(refused.unwrap_or_else(|| too_deep(levels, security)))
}

/// The plan for batches, in the smallest ring that has room for it.
fn plan_batch(model: &Model, expected: &Expected, chain: &Chain, options: &Options) -> Result<Plan, Error> {
    let security = options.security;
    let parameters = |degree| batch::parameters(chain, degree, expected.bound, security);
    if let Some(degree) = options.ring_degree {
        return plan_within(model, expected, &parameters(degree)?, options);
    }
    let mut refused = None;
    for parameters in DEGREES.into_iter().filter_map(|degree| parameters(degree).ok()) {
        match plan_within(model, expected, &parameters, options) {
            Err(error) if error.is_misfit() => refused = Some(error),
            done => return done,
        }
    }
    Err(refused.unwrap_or_else(|| too_deep(chain.depth(), security)))
}

/// What the planner would have chosen if the packing of its plan were not offered, with keys in the same ring
/// where it has any; `None` where no other fits, and for plans that were asked for by name.
///
/// # Errors
/// Those of a model that cannot be planned.
pub fn runner_up(model: &Model, plan: &Plan, options: &Options) -> Result<Option<Plan>, Error> {
    if options.packing != Packing::Auto {
        return Ok(None);
    }
    let expected = &Expected::of(model)?;
    let other = match plan.recipe() {
        Recipe::Layers(chosen) => {
            let parameters = plan.public.validated_parameters()?;
            let searched = plan_without(model, expected, &parameters, options, Packing::of(chosen));
            cheaper(searched, plan_keyless(model, expected, options), model, options)
        }
        Recipe::Keyless => plan_with_keys(model, expected, options),
        Recipe::Batch | Recipe::Lola(_) => return Ok(None),
    };
    match other {
        Err(error) if error.is_misfit() || matches!(error, Error::Limit { .. }) => Ok(None),
        plan => plan.map(Some),
    }
}
