//! Networks: reading, examining, fitting.

use crate::arrays::{matrix, rows};
use crate::errors::{FitError, InputError, ModelError, of_fit, of_input, of_network};
use crate::layers;
use crate::progress::Progress;
use blindsight_data::{Dataset, InputSpec, Split};
use blindsight_fit::{Options, Step};
use blindsight_network::{Image, Metadata, Model, Shape};
use blindsight_planner::check::Check;
use blindsight_planner::{explain, plan};
use numpy::{PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Serialize;
use std::path::PathBuf;

/// A network with all that its file says of it.
#[pyclass(frozen, module = "blindsight._engine")]
#[derive(Clone)]
pub struct Network {
    pub model: Model,
    /// The file that the model was read from, where it was written here: plans belong to it.
    file: Option<Vec<u8>>,
}

impl From<Model> for Network {
    fn from(model: Model) -> Self {
        Self { model, file: None }
    }
}

/// Where a network's file is: at a path, or in memory.
#[derive(FromPyObject)]
pub enum File {
    #[pyo3(transparent, annotation = "bytes")]
    Bytes(Vec<u8>),
    #[pyo3(transparent, annotation = "path")]
    Path(PathBuf),
}

/// Inputs as rows, their classes, and what these are called.
type Samples<'py> = (Bound<'py, PyArray2<f64>>, Vec<usize>, Option<Vec<String>>);

/// A document.
pub fn json(value: &impl Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| InputError::new_err(error.to_string()))
}

/// Does work on all cores.
pub fn on_all_cores<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match rayon::ThreadPoolBuilder::new().num_threads(cores).build() {
        Ok(pool) if cores > 1 => pool.install(work),
        // A system that gives no threads leaves this one.
        _ => work(),
    }
}

/// Images of 8-bit pixels, normalised: a row each.
pub fn pixels<'py>(
    py: Python<'py>,
    metadata: &Metadata,
    shape: Shape,
    images: &PyReadonlyArray2<'py, u8>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let images = images.as_array();
    let normalised = images.outer_iter().map(|image| {
        let image = Image::new(shape, image.to_vec()).map_err(of_input)?;
        metadata.normalise(&image).map_err(of_input)
    });
    matrix(py, &normalised.collect::<PyResult<Vec<_>>>()?)
}

#[pymethods]
impl Network {
    /// Reads an ONNX file.
    #[staticmethod]
    fn read(py: Python<'_>, file: File, name: &str) -> PyResult<Self> {
        let read = || match &file {
            File::Bytes(bytes) => Model::from_bytes(name, bytes),
            File::Path(path) => Model::load(path),
        };
        py.detach(read).map(Self::from).map_err(of_network)
    }

    #[getter]
    fn name(&self) -> &str {
        &self.model.name
    }

    /// Channels, height and width of the input.
    #[getter]
    fn shape(&self) -> (usize, usize, usize) {
        let Shape { channels, height, width } = self.model.graph.input;
        (channels, height, width)
    }

    #[getter]
    fn labels(&self) -> Vec<String> {
        self.model.metadata.labels.clone()
    }

    /// What the client applies to the scores.
    #[getter]
    fn output(&self) -> &'static str {
        self.model.output.name()
    }

    /// What is subtracted from each channel's pixels, as a share of 255, and what divides them then.
    #[getter]
    fn normalisation(&self) -> (Vec<f64>, Vec<f64>) {
        (self.model.metadata.mean.clone(), self.model.metadata.std.clone())
    }

    /// Up to so many inputs of a data set, spread evenly over it and normalised, their classes, and what
    /// these are called where the data say so.
    fn samples<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        count: usize,
        test: bool,
    ) -> PyResult<Samples<'py>> {
        let spec = InputSpec::of(&self.model);
        let (first, then) = if test { (Split::Test, Split::Train) } else { (Split::Train, Split::Test) };
        let read = || -> Result<_, blindsight_data::Error> {
            let data = Dataset::open(&path, first, &spec).or_else(|_| Dataset::open(&path, then, &spec))?;
            let count = data.len().min(count);
            let chosen = (0..count).map(|i| i * data.len() / count);
            let inputs = chosen
                .clone()
                .map(|n| data.input(n).map(|input| input.values))
                .collect::<Result<Vec<_>, _>>()?;
            let labels = chosen.filter_map(|n| data.label(n)).collect();
            Ok((inputs, labels, data.names().map(<[String]>::to_vec)))
        };
        let (inputs, labels, names) =
            py.detach(read).map_err(|error| InputError::new_err(error.to_string()))?;
        Ok((matrix(py, &inputs)?, labels, names))
    }

    /// The scores of normalised inputs, in the clear: a row each.
    fn scores<'py>(
        &self,
        py: Python<'py>,
        inputs: PyReadonlyArray2<'py, f64>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let inputs = rows(&inputs, self.model.graph.input.elements())?;
        let scores = py.detach(|| on_all_cores(|| self.model.graph.infer_batch(&inputs)));
        matrix(py, &scores.map_err(of_network)?)
    }

    /// The classes that rows of scores mean.
    fn classes(&self, scores: PyReadonlyArray2<'_, f64>) -> Vec<usize> {
        scores.as_array().outer_iter().map(|scores| self.model.class(&scores.to_vec())).collect()
    }

    /// Images of 8-bit pixels, normalised: a row each.
    fn normalised<'py>(
        &self,
        py: Python<'py>,
        images: PyReadonlyArray2<'py, u8>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        pixels(py, &self.model.metadata, self.model.graph.input, &images)
    }

    /// The same network, said otherwise how inputs are normalised and what its classes are called.
    fn described(
        &self,
        mean: Option<Vec<f64>>,
        std: Option<Vec<f64>>,
        labels: Option<Vec<String>>,
    ) -> PyResult<Self> {
        let mut model = self.model.clone();
        if mean.is_some() || std.is_some() {
            let metadata = model.metadata.clone();
            let (mean, std) = (mean.unwrap_or(metadata.mean.clone()), std.unwrap_or(metadata.std.clone()));
            model.metadata = metadata.with_normalisation(mean, std).map_err(of_network)?;
        }
        if let Some(labels) = labels {
            let (expected, found) = (model.metadata.labels.len(), labels.len());
            if expected != found {
                return Err(ModelError::new_err(format!(
                    "{found} labels: expected {expected}, one for each class"
                )));
            }
            model.metadata.labels = labels;
        }
        Ok(model.into())
    }

    /// The same network as a file of ours holds it: plans of it belong to that file.
    fn written(&self) -> PyResult<Self> {
        let file = self.model.to_onnx().map_err(of_network)?;
        let model = Model::from_bytes(&self.model.name, &file).map_err(of_network)?;
        Ok(Self { model, file: Some(file) })
    }

    /// The bytes of its ONNX file.
    fn onnx<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(match &self.file {
            Some(file) => PyBytes::new(py, file),
            None => PyBytes::new(py, &self.model.to_onnx().map_err(of_network)?),
        })
    }

    /// The layers as JSON, and their values: for whoever computes with them elsewhere.
    fn layers<'py>(&self, py: Python<'py>) -> PyResult<(String, Vec<Bound<'py, PyArray1<f64>>>)> {
        let (document, values) = layers::described(&self.model.graph);
        let arrays = values.into_iter().map(|values| PyArray1::from_slice(py, values)).collect();
        Ok((json(&document)?, arrays))
    }

    /// The same network with other values, in the order of [`layers`](Self::layers).
    fn with_values(&self, values: Vec<PyReadonlyArray1<'_, f64>>) -> PyResult<Self> {
        let mut model = self.model.clone();
        let values: Vec<Vec<f64>> = values.iter().map(|array| array.as_array().to_vec()).collect();
        layers::replace(&mut model.graph, values).map_err(ModelError::new_err)?;
        Self::from(model).written()
    }
}

/// All that keeps a file from running encrypted, as JSON.
#[pyfunction]
pub fn check(py: Python<'_>, file: File, name: &str) -> PyResult<String> {
    let examined = || match &file {
        File::Bytes(bytes) => Model::examine_bytes(name, bytes),
        File::Path(path) => Model::examine(path),
    };
    let examination = py.detach(examined).map_err(of_network)?;
    let options = blindsight_planner::Options::default();
    let explained = |model: &Model| {
        let plan = plan(model, &options).map_err(|error| error.to_string())?;
        explain(&plan, model, &options.cost).map_err(|error| error.to_string())
    };
    json(&py.detach(|| on_all_cores(|| Check::new(name, examination, explained))))
}

/// Fits polynomials on normalised inputs: the network, and the report as JSON.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "the names of Python's keyword arguments")]
pub fn fit(
    py: Python<'_>,
    network: &Network,
    inputs: PyReadonlyArray2<'_, f64>,
    labels: Option<Vec<usize>>,
    degree: Option<usize>,
    max_drop: f64,
    replace_max_pool: bool,
    seed: u64,
    progress: Option<Py<PyAny>>,
) -> PyResult<(Network, String)> {
    let model = &network.model;
    let inputs = rows(&inputs, model.graph.input.elements())?;
    if let Some(labels) = labels.as_ref().filter(|labels| labels.len() != inputs.len()) {
        let (found, expected) = (labels.len(), inputs.len());
        return Err(FitError::new_err(format!("{found} labels for {expected} inputs")));
    }
    let options = Options { degree, max_drop, replace_max_pool, seed, ..Options::default() };
    let mut progress = Progress::new(progress);
    let fitted = py.detach(|| {
        let mut tell = |step: Step<'_>| match step {
            Step::Fitting { node, nodes, .. } => progress.tell(node as u64, nodes as u64, "fitting"),
            Step::Planning { .. } => progress.tell(0, 0, "planning"),
            Step::Found(_) => {}
        };
        let labels = labels.as_deref();
        on_all_cores(|| {
            blindsight_fit::fit(&model.graph, &model.metadata, &inputs, labels, &options, &mut tell)
        })
    });
    progress.result()?;
    let fitted = fitted.map_err(of_fit)?;
    let report = json(&fitted.report)?;
    let model = Model { graph: fitted.graph, metadata: fitted.metadata, ..model.clone() };
    Ok((Network::from(model).written()?, report))
}
