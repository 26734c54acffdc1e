//! One encrypted inference of the shipped network, on one thread: from expanded ciphertexts to the reply, for
//! the plans of two objectives.

use blindsight_client::Client;
use blindsight_data::open_image;
use blindsight_network::Model;
use blindsight_planner as planner;
use blindsight_planner::{Objective, Options};
use blindsight_server::PreparedModel;
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::path::Path;

fn inference(c: &mut Criterion) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let model = Model::load(&root.join("models/cryptonets-mnist.onnx")).expect("the shipped model");
    let (image, _) =
        open_image(&root.join("samples/digit-4.png"), model.graph.input).expect("a sample digit");
    for objective in [Objective::Latency, Objective::Operations] {
        let plan = planner::plan(&model, &Options { objective, ..Options::default() }).expect("a plan");
        let prepared = PreparedModel::new(&model, &plan).expect("the plan's own model");
        let client = Client::generate(plan.public.clone(), plan.digest()).expect("randomness");
        let keys = client.evaluation_keys(|_, _| ()).expect("keys");
        let keys = prepared.read_keys(keys.as_slice()).expect("this client's keys");
        let bytes = client.encrypt(&image).expect("an image in range");
        let request = prepared.read_request(&keys, bytes.as_slice()).expect("this client's request");
        c.bench_function(&format!("inference, best for {objective}"), |b| {
            let again = || request.clone();
            b.iter_with_setup(again, |request| prepared.compute(&keys, black_box(request)).unwrap());
        });
        c.bench_function(&format!("parse and expand a request, best for {objective}"), |b| {
            b.iter(|| prepared.read_request(&keys, black_box(bytes.as_slice())).unwrap());
        });
        c.bench_function(&format!("encrypt an image, best for {objective}"), |b| {
            b.iter(|| client.encrypt(black_box(&image)).unwrap());
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50);
    targets = inference
}
criterion_main!(benches);
