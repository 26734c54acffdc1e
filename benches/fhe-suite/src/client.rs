//! The client's processes: the only ones that know the secret key and the inputs.

use crate::instance::{Instance, create, open};
use crate::pixels::Images;
use crate::{During, Failure, Outcome, Submission};
use blindsight_ckks::wire::{FRAME_BYTES, Frames};
use blindsight_client::Error::{Garbage, WrappedAround};
use blindsight_client::{Classification, Client};
use blindsight_network::{Image, Shape};
use std::fs;
use std::io::{BufRead, Read, Write};
use std::path::Path;

/// What stands in place of a class where the client refused a reply: no image is of this class.
const REFUSED: &str = "-1";

/// Makes a secret key, and the evaluation keys that the plan asks for. The secret key of an earlier run goes
/// with the folder: the harness does the same with all of an instance's files.
///
/// # Errors
/// Where files cannot be written, and where the system gives no randomness.
pub fn key_generation(instance: &Instance, submission: &Submission) -> Outcome {
    let plan = submission.plan()?;
    let client = Client::generate(plan.public.clone(), plan.digest())?;
    let path = instance.secret_key();
    let folder = path.parent().expect("a folder of the instance");
    if folder.is_dir() {
        fs::remove_dir_all(folder).during(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).during(|| format!("cannot write {}", folder.display()))?;
    client.save(&path)?;
    write(&instance.evaluation_keys(), &client.evaluation_keys(|_, _| ())?)
}

/// Reads the harness's text: what is left are the pixels.
///
/// # Errors
/// For text that is no images of the model's shape.
pub fn preprocess_input(instance: &Instance, submission: &Submission) -> Outcome {
    let (shape, path) = (submission.plan()?.public.input.shape(), instance.test_pixels());
    let mut pixels = create(&instance.pixels())?;
    for image in Images::new(open(&path)?, shape) {
        pixels.write_all(&image.during(|| path.display().to_string())?)?;
    }
    Ok(pixels.flush()?)
}

/// Encrypts the images, as many to a request as the plan's requests hold.
///
/// # Errors
/// Where the key or the pixels are not this plan's, and where the system gives no randomness.
pub fn encode_encrypt_input(instance: &Instance, submission: &Submission) -> Outcome {
    let client = load(instance, submission)?;
    let (each, shape) = (client.plan().input.images(), client.plan().input.shape());
    let mut source = open(&instance.pixels())?;
    let mut requests = create(&instance.requests())?;
    loop {
        let images = images(&mut source, shape, each).during(|| instance.pixels().display().to_string())?;
        if images.is_empty() {
            return Ok(requests.flush()?);
        }
        requests.write_all(&client.encrypt_images(&images)?)?;
    }
}

/// Decrypts the replies: for each image a line with its class and its scores. They are not counted under the
/// key: it lasts for one run, and nobody but its owner sees what comes out.
///
/// # Errors
/// For replies that are not to this client's requests, and for fewer or more than there are images.
pub fn decrypt_decode(instance: &Instance, submission: &Submission) -> Outcome {
    let client = load(instance, submission)?;
    let each = client.plan().input.images();
    let mut left = fs::metadata(instance.pixels())?.len() as usize / client.plan().input.shape().elements();
    let mut replies =
        Frames::new(open(&instance.replies())?, client.cost().reply_bytes as usize - FRAME_BYTES);
    let mut answers = create(&instance.answers())?;
    while let Some(reply) = replies.next()? {
        if left == 0 {
            return Err(Failure::new("more replies than there are images: compute them anew"));
        }
        let count = left.min(each);
        match client.decrypt_images(&reply[..], count) {
            Ok(read) => read.iter().try_for_each(|answer| write_answer(&mut answers, answer))?,
            Err(Garbage { .. } | WrappedAround { .. }) => {
                (0..count).try_for_each(|_| writeln!(answers, "{REFUSED}"))?;
            }
            Err(error) => return Err(error.into()),
        }
        left -= count;
    }
    match left {
        0 => Ok(answers.flush()?),
        _ => Err(Failure::new(format!("no replies to the last {left} images: compute them anew"))),
    }
}

/// Leaves of each answer its class.
///
/// # Errors
/// Where files cannot be read or written.
pub fn postprocess(instance: &Instance, _submission: &Submission) -> Outcome {
    let mut predictions = create(&instance.predictions())?;
    for answer in open(&instance.answers())?.lines() {
        writeln!(predictions, "{}", answer?.split(' ').next().unwrap_or(REFUSED))?;
    }
    Ok(predictions.flush()?)
}

/// The client whose secret key the first process left.
fn load(instance: &Instance, submission: &Submission) -> Outcome<Client> {
    let plan = submission.plan()?;
    let (digest, path) = (plan.digest(), instance.secret_key());
    Client::load(plan.public, digest, &path).during(|| path.display().to_string())
}

/// The next images, at most so many; none at the end.
fn images(source: &mut impl Read, shape: Shape, most: usize) -> Outcome<Vec<Image>> {
    let mut pixels = vec![];
    source.take((most * shape.elements()) as u64).read_to_end(&mut pixels)?;
    Ok(pixels
        .chunks(shape.elements())
        .map(|image| Image::new(shape, image.to_vec()))
        .collect::<Result<_, _>>()?)
}

fn write_answer(answers: &mut impl Write, answer: &Classification) -> std::io::Result<()> {
    write!(answers, "{}", answer.class)?;
    let decimals = answer.decimals();
    answer.scores.iter().try_for_each(|score| write!(answers, " {score:.decimals$}"))?;
    writeln!(answers)
}

fn write(path: &Path, bytes: &[u8]) -> Outcome {
    let mut file = create(path)?;
    Ok(file.write_all(bytes).and_then(|()| file.flush())?)
}
