//! The noise that masks a reply.

use crate::Error;
use blindsight_ckks::masking::{MOST_NOISE_BITS, noise_bits, noise_deviation, with_zero};
use blindsight_layers::Assembly;
use blindsight_layout::{Masking, ReplyErrors};

/// What is wrong in a reply once it is masked, and the noise that masks it, whose coefficients have these
/// errors, run by run.
///
/// # Errors
/// Where there are no integers for so much noise.
pub(crate) fn masked(
    assembly: &Assembly,
    runs: &[Vec<f64>],
    kappa: u32,
) -> Result<(ReplyErrors, Option<Masking>), Error> {
    let (parameters, scale) = (assembly.circuit.parameters(), assembly.reply.scale);
    let coefficients = runs.first().map_or(0, Vec::len);
    let deviation =
        |i: usize| (runs.iter().map(|run| run[i].powi(2)).sum::<f64>() / runs.len() as f64).sqrt();
    let deviations: Vec<f64> =
        (0..coefficients).map(|i| with_zero(parameters, deviation(i), scale)).collect();
    let bits = noise_bits(kappa, &deviations, scale);
    if bits > f64::from(MOST_NOISE_BITS) {
        let expected = format!("at most {MOST_NOISE_BITS}: ask for a smaller kappa than {kappa}");
        return Err(Error::does_not_fit("bits of noise in the reply", bits, expected));
    }
    let noise_bits = bits as u32;
    let added = with_zero(parameters, 0.0, scale).hypot(noise_deviation(noise_bits, scale));
    let errors = assembly.reply.with_noise(assembly.reply.errors(runs), added);
    Ok((errors, Some(Masking { kappa, noise_bits })))
}
