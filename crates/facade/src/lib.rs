//! Private inference of neural networks: a client encrypts an input, a server without any secret key runs a
//! network on the ciphertexts, the client decrypts the scores.
//!
//! This crate is what an application adds; it holds no code of its own. Its features choose the sides:
//! `client` (the secret key), `remote` (a client's connection over HTTPS), `server` (the model and its
//! plans), `fit` (ReLU and its kin into polynomials), `data` (images, tables and data sets from files).
//!
//! # A whole exchange
//!
//! ```
//! use blindsight::{Client, Image, Model, Options, PreparedModel, plan};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let onnx = include_bytes!("../../../models/lola-small-mnist.onnx");
//! let model = Model::from_bytes("digits", onnx)?;                  // or Model::load(path)
//! let image = Image::new(model.graph.input, vec![0; 28 * 28])?;    // or blindsight::data::open_image
//!
//! // Server: a plan. Its public part and its digest go to the client.
//! let plan = plan(&model, &Options::default())?;
//! // Client: a secret key for that plan; the evaluation keys go to the server.
//! let client = Client::generate(plan.public.clone(), plan.digest())?;
//! let keys = client.evaluation_keys(|_, _| ())?;
//! let request = client.encrypt(&image)?;
//! // Server: takes no secret.
//! let prepared = PreparedModel::new(&model, &plan)?;
//! let keys = prepared.read_keys(keys.as_slice())?;
//! let reply = prepared.infer(&keys, request.as_slice())?;
//! // Client.
//! let answer = client.decrypt(reply.as_slice())?;
//! println!("{} by a margin of {:?}", answer.name(), answer.margin);
//! # assert_eq!(answer.class, model.class(&model.scores(&image)?));
//! # Ok(())
//! # }
//! ```
//!
//! # Contract
//!
//! Everything here is the item of the same name in the crate that it comes from, with the contract that
//! stands there. With the feature `client` alone no code that reads weights' files into plans is compiled in.

pub use blindsight_layout::PublicPlan;
pub use blindsight_network::{Error as NetworkError, Image, Metadata, Model, Shape};

#[cfg(feature = "remote")]
pub use blindsight_client::remote;
#[cfg(feature = "client")]
pub use blindsight_client::{Classification, Client, Error as ClientError};
#[cfg(feature = "data")]
pub use blindsight_data as data;
#[cfg(feature = "fit")]
pub use blindsight_fit as fit;
#[cfg(feature = "server")]
pub use blindsight_planner::{Error as PlanError, Objective, Options, Plan, explain, notices, plan};
#[cfg(feature = "server")]
pub use blindsight_server::{ClientKeys, Error as ServerError, PreparedModel};
