//! Plans whose replies are private: what they take, and how they are found.
//!
//! **The arithmetic.** Noise that hides an error is `2^kappa` times as large as the error may be
//! ([`blindsight_ckks::masking`]), and it is the error that scores have in the end. With `n` coefficients in
//! a reply and a margin of four it is `kappa + log2(4 n)` bits above the deviation of their errors, less
//! about one for that of uniform noise: 26 bits at a `kappa` of 20 and 25 coefficients. So scores that are to
//! be as exact as those of a clean reply have to be computed 26 bits more exactly. Errors are what divisions
//! round, so they shrink as scales grow; the scale of a level is the product of its primes, and a prime has
//! at most 30 bits. Private plans therefore have two primes a level, which one rescale divides by at once.
//! That is twice the limbs at every level, and more bits of modulus than small rings have, so usually twice
//! the degree, too: about four times the work.
//!
//! The noise need not be as small as errors usually are. It may come to a hundredth of what scores usually
//! are; levels are as wide as that takes, and no wider, for wider ones leave less room for special primes.
//!
//! The base, which the reply is sent in, is of two primes, too: the encryption of zero that makes a reply
//! fresh has an error of its own, `2^9` in integers, which has to be flooded with the others.

use crate::error::Limit;
use crate::expected::Expected;
use crate::options::Options;
use crate::parameters::{DEGREES, NARROWEST_LEVEL, WIDEST_LEVEL, wide_parameters};
use crate::within::plan_within;
use crate::{Error, Plan};
use blindsight_network::Model;

/// The best plan with private replies: of the smallest ring that has room for levels so wide that the noise
/// is tolerable; where none has, of the ring where there is least noise, if its reply holds that.
///
/// # Errors
/// As [`crate::plan`], and where no ring has room, with what there is and what it would take.
pub(crate) fn plan(
    model: &Model,
    expected: &Expected,
    options: &Options,
    levels: usize,
) -> Result<Plan, Error> {
    if options.is_batch() {
        let reason =
            "a batch's weights are of 31 bits, too coarse to be flooded: ask for another representation";
        return Err(Error::NotOffered { what: "reply", asked: options.reply.to_string(), reason });
    }
    let ask = Ask { model, expected, options, levels };
    let degrees = options.ring_degree.map_or(DEGREES.to_vec(), |degree| vec![degree]);
    let (mut best, mut refused): (Option<Plan>, Option<Error>) = (None, None);
    let has_room = |degree: &usize| ask.parameters(*degree, NARROWEST_LEVEL).is_ok();
    for degree in degrees.into_iter().filter(has_room) {
        match ask.within(degree) {
            Ok(plan) if ask.is_tolerable(&plan) => return Ok(plan),
            Ok(plan) if best.as_ref().is_some_and(|best| error(best) <= error(&plan)) => {}
            Ok(plan) => best = Some(plan),
            Err(error) if error.is_misfit() || error.is_beyond(Limit::Error) => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    best.ok_or_else(|| ask.no_room(refused))
}

fn error(plan: &Plan) -> f64 {
    plan.public.predicted_error
}

/// What is asked for.
struct Ask<'a> {
    model: &'a Model,
    expected: &'a Expected,
    options: &'a Options,
    levels: usize,
}

impl Ask<'_> {
    /// Bits by which levels are first taken to be wider than those of other plans, beside `kappa`.
    const WIDER: u32 = 26 + 4;

    fn tolerable(&self) -> f64 {
        let noise = self.expected.tolerable_noise();
        self.options.max_error.map_or(noise, |most| noise.min(most))
    }

    fn is_tolerable(&self, plan: &Plan) -> bool {
        error(plan) <= self.tolerable()
    }

    /// The best plan in a ring. Noise is in proportion to the scale: one plan tells how wide levels should
    /// be, a second one has these.
    fn within(&self, degree: usize) -> Result<Plan, Error> {
        let kappa = self.options.reply.kappa().unwrap_or_default();
        let widest = (NARROWEST_LEVEL..=WIDEST_LEVEL)
            .rev()
            .find(|bits| self.parameters(degree, *bits).is_ok())
            .unwrap_or(NARROWEST_LEVEL);
        let first = (Self::WIDER + kappa).clamp(NARROWEST_LEVEL, widest);
        let tried = self.at(degree, first);
        let found = match &tried {
            Ok(plan) => error(plan),
            Err(Error::Limit { limit: Limit::Error, actual, .. }) => *actual,
            Err(_) => return tried,
        };
        let wider = (found / self.tolerable()).log2().ceil();
        let bits = (f64::from(first) + wider).clamp(NARROWEST_LEVEL.into(), widest.into()) as u32;
        let is_good = bits <= first && self.shape(degree, bits)? == self.shape(degree, first)?;
        if is_good { tried } else { self.at(degree, bits).or(tried) }
    }

    fn parameters(&self, degree: usize, bits: u32) -> Result<blindsight_ckks::Parameters, Error> {
        wide_parameters(degree, self.levels, self.options.security, bits)
    }

    /// What the time of a key-switch depends on.
    fn shape(&self, degree: usize, bits: u32) -> Result<(usize, usize), Error> {
        let parameters = self.parameters(degree, bits)?;
        Ok((parameters.literal().digit_limbs, parameters.special().len()))
    }

    fn at(&self, degree: usize, bits: u32) -> Result<Plan, Error> {
        plan_within(self.model, self.expected, &self.parameters(degree, bits)?, self.options)
    }

    /// The refusal where no ring has room: by the last reason, or because none has so many levels.
    fn no_room(&self, refused: Option<Error>) -> Error {
        match refused {
            Some(Error::Limit { limit: Limit::Error, actual, allowed }) => self.too_noisy(actual, allowed),
            Some(other) => other,
            None => self.too_deep(),
        }
    }

    fn too_noisy(&self, actual: f64, allowed: f64) -> Error {
        let kappa = self.options.reply.kappa().unwrap_or_default();
        let fewer = (actual / allowed).log2().ceil();
        let what = format!("noise in the scores of a private reply with kappa {kappa}");
        let expected = format!(
            "at most {allowed:.3e}, which takes a kappa that is smaller by {fewer} (--kappa), or a clean reply"
        );
        Error::does_not_fit(what, format!("{actual:.3e}"), expected)
    }

    fn too_deep(&self) -> Error {
        let security = self.options.security;
        let degrees = self.options.ring_degree.map_or(DEGREES.to_vec(), |degree| vec![degree]);
        let fits = |degree, levels| wide_parameters(degree, levels, security, NARROWEST_LEVEL).is_ok();
        let most = |degree| (1..self.levels).rev().find(|levels| fits(degree, *levels)).unwrap_or(0);
        let deepest = degrees.into_iter().map(|degree| (most(degree), degree)).max();
        let (most, degree) = deepest.expect("there are degrees to try");
        let what = format!("a private reply's {} levels of two primes", self.levels);
        let expected = format!(
            "{most} at most, which ring degree {degree} has at {security} bits of security: take a larger ring, a clean reply, or a network of fewer levels"
        );
        Error::does_not_fit(what, self.levels, expected)
    }
}
