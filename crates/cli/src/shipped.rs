//! What the binary carries: trained models, and digits drawn for the project.

use crate::failure::{During, Failure, Outcome};
use blindsight_data::decode_image;
use blindsight_network::{Examination, Image, Model};
use std::path::Path;

/// A shipped model, from the repository's folder of models.
macro_rules! model {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../../models/", $name, ".onnx")))
    };
}

/// Names and ONNX files of the shipped models.
/// A static, since each place that names a constant may get a copy of it, of 33 MB.
static MODELS: &[(&str, &[u8])] = &[
    model!("cryptonets-mnist"),
    model!("cryptonets-pruned-mnist"),
    model!("lola-small-mnist"),
    model!("mlp-mnist"),
    model!("conv2x2-mnist"),
    model!("tutorial-mnist"),
    #[cfg(feature = "large-models")]
    model!("lenet-mnist"),
    #[cfg(feature = "large-models")]
    model!("lola-cifar10"),
    #[cfg(feature = "large-models")]
    model!("cifar10-fast"),
    #[cfg(feature = "large-models")]
    model!("cifar10"),
];

/// PNG files of the drawn digits, each at its own index.
static DIGITS: [&[u8]; 10] = [
    include_bytes!("../../../samples/digit-0.png"),
    include_bytes!("../../../samples/digit-1.png"),
    include_bytes!("../../../samples/digit-2.png"),
    include_bytes!("../../../samples/digit-3.png"),
    include_bytes!("../../../samples/digit-4.png"),
    include_bytes!("../../../samples/digit-5.png"),
    include_bytes!("../../../samples/digit-6.png"),
    include_bytes!("../../../samples/digit-7.png"),
    include_bytes!("../../../samples/digit-8.png"),
    include_bytes!("../../../samples/digit-9.png"),
];

/// The names of the shipped models.
pub fn names() -> impl Iterator<Item = &'static str> {
    MODELS.iter().map(|(name, _)| *name)
}

/// The shipped model of that name, or else the one in the ONNX file at that path.
pub fn model(name_or_path: &str) -> Outcome<Model> {
    match place(name_or_path)? {
        Place::Shipped(name, bytes) => {
            Model::from_bytes(name, bytes).during(|| format!("shipped model {name}"))
        }
        Place::File(path) => Model::load(path).during(|| format!("model {}", path.display())),
    }
}

/// The file of the shipped model of that name, or else of the one at that path.
pub fn bytes(name_or_path: &str) -> Outcome<Vec<u8>> {
    match place(name_or_path)? {
        Place::Shipped(_, bytes) => Ok(bytes.to_vec()),
        Place::File(path) => std::fs::read(path).during(|| format!("model {}", path.display())),
    }
}

/// Everything that keeps the shipped model of that name, or else the one in the ONNX file at that path, from
/// running encrypted.
pub fn examine(name_or_path: &str) -> Outcome<Examination> {
    match place(name_or_path)? {
        Place::Shipped(name, bytes) => {
            Model::examine_bytes(name, bytes).during(|| format!("shipped model {name}"))
        }
        Place::File(path) => Model::examine(path).during(|| format!("model {}", path.display())),
    }
}

/// Where a model is.
enum Place<'a> {
    Shipped(&'static str, &'static [u8]),
    File(&'a Path),
}

fn place(name_or_path: &str) -> Outcome<Place<'_>> {
    if let Some((name, bytes)) = MODELS.iter().find(|(name, _)| *name == name_or_path) {
        return Ok(Place::Shipped(name, bytes));
    }
    let path = Path::new(name_or_path);
    if !path.exists() {
        let shipped: Vec<_> = names().collect();
        return Err(Failure::new(format!(
            "no model {name_or_path:?}: expected the path of an .onnx file or a shipped model ({})",
            shipped.join(", ")
        )));
    }
    Ok(Place::File(path))
}

/// The drawn digit, as an image for `model`.
pub fn digit(digit: usize, model: &Model) -> Outcome<Image> {
    let decoded = decode_image("the drawing", DIGITS[digit], model.graph.input);
    Ok(decoded.during(|| format!("drawn digit {digit}"))?.0)
}
