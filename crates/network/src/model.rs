use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::{Error, FinalActivation, Fused, Graph, Image, Metadata, limits, onnx};

/// A network with all that its file says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The file's name without its ending, or the name given.
    pub name: String,
    /// The layers.
    pub graph: Graph,
    /// What a client needs to know beside them.
    pub metadata: Metadata,
    /// What the file applies to the scores, and the client applies in its stead: the graph ends in scores.
    pub output: FinalActivation,
    /// What was read otherwise than it stands in the file, a sentence each.
    pub remarks: Vec<String>,
    /// SHA-256 of the file, and of those beside it that hold its weights.
    pub digest: [u8; 32],
}

impl Model {
    /// Reads an ONNX file, and the files beside it that it says hold its weights. Refuses one that cannot
    /// be read, is larger than [`limits::MODEL_BYTES`], or that [`Model::from_bytes`] refuses.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let mut decoded = Decoded::open(path)?;
        decoded.gather()?;
        decoded.imported()
    }

    /// Reads the bytes of an ONNX file.
    ///
    /// Refuses, naming the node and the figures: bytes that are no ONNX model; an operator, or a form of
    /// one, that is not supported; a missing initialiser; shapes that do not fit; nodes in a circle;
    /// weights that are not finite; anything above [`limits`]. A graph that passes can be run.
    /// [`Model::examine_bytes`] does not end at the first of these.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        Decoded::new(name, bytes.into())?.imported()
    }

    /// The network that an encrypted plan is made of; see [`Graph::fused`].
    pub fn fused(&self) -> Result<Fused, Error> {
        self.graph.fused(&self.metadata)
    }

    /// The network's input for an image, normalised. Refuses an image of another size than the network's.
    pub fn input(&self, image: &Image) -> Result<Vec<f64>, Error> {
        image.expect_shape(self.graph.input)?;
        self.metadata.normalise(image)
    }

    /// The scores of an image, computed in the clear; refuses what [`Model::input`] refuses.
    pub fn scores(&self, image: &Image) -> Result<Vec<f64>, Error> {
        self.graph.infer(&self.input(image)?)
    }

    /// The layer whose output goes furthest beyond what it was over the training images, for a normalised
    /// input; `None` where none does, and where nothing is recorded. Fails as [`Graph::infer`] does.
    ///
    /// An encrypted run has room for what training showed, and some more: what lies beyond may come out
    /// wrong.
    pub fn furthest_out(&self, input: &[f64]) -> Result<Option<FarOut<'_>>, Error> {
        let layers = self.graph.nodes.iter().zip(self.graph.trace(input)?);
        let far_out = layers.filter_map(|(layer, output)| {
            let expected = self.metadata.ranges.get(&layer.name)?.max;
            let found = output.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
            (found > expected).then_some(FarOut { layer: &layer.name, found, expected })
        });
        Ok(far_out.max_by(|a, b| a.times().total_cmp(&b.times())))
    }

    /// The bytes of an ONNX file of this model, as [`Graph::to_onnx`] writes it and fails, with what is
    /// applied to the scores at the end; where that is the index of the largest, the file gives the scores.
    pub fn to_onnx(&self) -> Result<Vec<u8>, Error> {
        Ok(prost::Message::encode_to_vec(&onnx::written(&self.graph, &self.metadata, self.output)?))
    }

    /// The class that scores mean: see [`FinalActivation::class_of`].
    pub fn class(&self, scores: &[f64]) -> usize {
        FinalActivation::class_of(scores, self.metadata.labels.len())
    }

    /// The index of the largest of `scores`, the first of equals: the class that they mean. Zero where
    /// there are none.
    pub fn class_of(scores: &[f64]) -> usize {
        (1..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best })
    }
}

/// A model's file, decoded and not yet understood.
pub(crate) struct Decoded<'b> {
    name: String,
    pub(crate) proto: onnx::proto::Model,
    /// The file's bytes, and those of the files beside it that hold its weights.
    files: Vec<Cow<'b, [u8]>>,
    folder: PathBuf,
}

impl<'b> Decoded<'b> {
    pub(crate) fn new(name: &str, bytes: Cow<'b, [u8]>) -> Result<Self, Error> {
        let proto = onnx::decode(&bytes)?;
        Ok(Self { name: name.to_string(), proto, files: vec![bytes], folder: PathBuf::new() })
    }

    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let bytes = read_bounded(path, "bytes of the model file", limits::MODEL_BYTES)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        Ok(Self { folder, ..Self::new(&name, bytes.into())? })
    }

    /// Reads the files beside it that it says hold its weights.
    pub(crate) fn gather(&mut self) -> Result<(), Error> {
        self.files.extend(onnx::gathered(&mut self.proto, &self.folder)?.into_iter().map(Cow::from));
        Ok(())
    }

    /// Bytes of all files.
    pub(crate) fn length(&self) -> usize {
        self.files.iter().map(|bytes| bytes.len()).sum()
    }

    fn imported(&self) -> Result<Model, Error> {
        self.model(onnx::import(&self.proto, self.length())?)
    }

    /// The model of what was imported from this file.
    pub(crate) fn model(&self, imported: onnx::Imported) -> Result<Model, Error> {
        let onnx::Imported { graph, output, labels, remarks } = imported;
        let metadata = self.metadata(&graph, output, labels)?;
        let names = self.names();
        metadata.check_ranges(|name| names.contains(name) || graph.nodes.iter().any(|n| n.name == name))?;
        let digest = self.files.iter().fold(Sha256::new(), |digest, bytes| digest.chain_update(bytes));
        let (name, digest) = (self.name.clone(), digest.finalize().into());
        Ok(Model { name, graph, metadata, output, remarks, digest })
    }

    /// The names of all nodes and of their outputs. Nodes that importing left out, such as a Flatten, may
    /// have a range, too.
    fn names(&self) -> HashSet<&str> {
        let nodes = self.proto.graph.iter().flat_map(|graph| &graph.node);
        nodes.flat_map(|node| std::iter::once(&node.name).chain(&node.output)).map(String::as_str).collect()
    }

    /// What the file says of its network beside the nodes. Where it names no classes, the operators may have.
    fn metadata(
        &self,
        graph: &Graph,
        output: FinalActivation,
        labels: Option<Vec<String>>,
    ) -> Result<Metadata, Error> {
        let scores = graph.output_shape()?.elements();
        let entries = self.proto.metadata_props.iter().map(|e| (e.key.as_str(), e.value.as_str()));
        let fits = |labels: &Vec<String>| labels.len() == scores || (labels.len() == 2 && scores == 1);
        let numbered = || (0..output.classes(scores)).map(|class| class.to_string()).collect();
        Metadata::parse(graph.input, scores, labels.filter(fits).unwrap_or_else(numbered), entries)
    }
}

/// A layer's output that is larger than any over the training images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FarOut<'a> {
    /// The layer.
    pub layer: &'a str,
    /// Its largest magnitude.
    pub found: f64,
    /// The largest over the training images.
    pub expected: f64,
}

impl FarOut<'_> {
    /// How many times it is what was expected.
    fn times(&self) -> f64 {
        self.found / self.expected
    }
}

impl std::fmt::Display for FarOut<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { layer, found, expected } = self;
        write!(
            f,
            "the output of {layer} reaches {found:.2}, over the training images at most {expected:.2}: the image is unlike those the model was made for"
        )
    }
}

/// The bytes of a file, or the error that it is longer than `limit`, found before more is read.
pub(crate) fn read_bounded(path: &Path, what: &str, limit: u64) -> Result<Vec<u8>, Error> {
    let io = |source| Error::Io { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(io)?;
    limits::check(|| what.to_string(), file.metadata().map_err(io)?.len(), limit)?;
    let mut bytes = Vec::new();
    // A file may grow, and a device has no length: the limit holds for what is read, too.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(io)?;
    limits::check(|| what.to_string(), bytes.len() as u64, limit)?;
    Ok(bytes)
}
