//! `models`: what is shipped.

use crate::failure::Outcome;
use crate::figures::{count, percent};
use crate::page::{Page, Shown};
use crate::report::{Output, emit};
use crate::table::Table;
use crate::{progress, shipped};
use blindsight_network::Model;
use serde::Serialize;

/// Lists the shipped models: data set, layers, parameters, accuracy
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  blindsight models\n  blindsight models --json")]
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
    pub fn run(&self, output: Output) -> Outcome {
        let models = progress::spinning("reading the models", || {
            shipped::names().map(|name| row(shipped::model(name)?)).collect::<Outcome<_>>()
        })?;
        emit(&Report { models }, output)
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

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        let mut table = Table::new(["model", "data set", "layers", "parameters", "accuracy"]).texts(2);
        for model in &self.models {
            let accuracy = model.accuracy.map_or("unknown".into(), percent);
            let dataset = model.dataset.clone().unwrap_or("unknown".into());
            let (layers, parameters) = (model.layers.len().to_string(), count(model.parameters as u64));
            table.row([model.name.clone(), dataset, layers, parameters, accuracy]);
        }
        page.table(&table);
        for model in &self.models {
            page.gap();
            model.show(page);
        }
    }
}

impl Shown for Row {
    fn show(&self, page: &mut Page) {
        page.item(&self.name, self.description.as_deref().unwrap_or("no description"));
        let mut table = Table::new(["layer", "kind", "output"]).texts(2);
        table.row(["input", "", self.input.as_str()]);
        for layer in &self.layers {
            table.row([layer.name.as_str(), layer.kind, &layer.output]);
        }
        page.table(&table);
    }
}
