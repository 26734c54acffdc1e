//! `models`: what is shipped.

use crate::failure::Outcome;
use crate::report::{Table, emit};
use crate::shipped;
use blindsight_network::Model;
use serde::Serialize;
use std::fmt;

/// Lists the shipped models: data set, layers, parameters, accuracy
#[derive(Debug, clap::Args)]
pub struct Models {}

#[derive(Debug, Serialize)]
struct Report {
    models: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    description: Option<String>,
    dataset: Option<String>,
    input: String,
    layers: Vec<Layer>,
    parameters: usize,
    accuracy: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Layer {
    name: String,
    kind: &'static str,
    output: String,
}

impl Models {
    pub fn run(&self, json: bool) -> Outcome {
        let models = shipped::names().map(|name| row(shipped::model(name)?)).collect::<Outcome<_>>()?;
        emit(&Report { models }, json)
    }
}

fn row(model: Model) -> Outcome<Row> {
    let shapes = model.graph.shapes()?;
    let layers = model.graph.nodes.iter().zip(shapes).map(|(layer, shape)| Layer {
        name: layer.name.clone(),
        kind: layer.operator.name(),
        output: shape.to_string(),
    });
    Ok(Row {
        layers: layers.collect(),
        input: model.graph.input.to_string(),
        parameters: model.graph.parameters(),
        name: model.name,
        description: model.metadata.description,
        dataset: model.metadata.dataset,
        accuracy: model.metadata.accuracy,
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(["model", "data set", "layers", "parameters", "accuracy"]).left(2);
        for model in &self.models {
            let accuracy = model.accuracy.map_or("unknown".into(), |a| format!("{:.2} %", 100.0 * a));
            let dataset = model.dataset.clone().unwrap_or("unknown".into());
            let (layers, parameters) = (model.layers.len().to_string(), model.parameters.to_string());
            table.row([model.name.clone(), dataset, layers, parameters, accuracy]);
        }
        write!(f, "{table}")?;
        self.models.iter().try_for_each(|model| write!(f, "\n{model}"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.name, self.description.as_deref().unwrap_or("no description"))?;
        let mut table = Table::new(["layer", "kind", "output"]).left(2);
        table.row(["input", "", self.input.as_str()]);
        for layer in &self.layers {
            table.row([layer.name.as_str(), layer.kind, &layer.output]);
        }
        write!(f, "{table}")
    }
}
