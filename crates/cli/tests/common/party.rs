//! A client of a server, with keys and a request.
#![allow(dead_code, reason = "each test file uses a part")]

use super::common::digit;
use blindsight_client::Client;
use blindsight_client::remote::{Error, Server};
use blindsight_data::open_image;
use blindsight_network::Shape;
use blindsight_protocol::Address;
use std::path::Path;

pub const MODEL: &str = "cryptonets-mnist";

/// What a client has: made once.
pub struct Party {
    pub model: &'static str,
    pub client: Client,
    pub keys: Vec<u8>,
    pub request: Vec<u8>,
    pub address: Address,
}

impl Party {
    pub fn new(server: &Server) -> Self {
        Self::of(MODEL, server)
    }

    pub fn of(model: &'static str, server: &Server) -> Self {
        let (plan, digest) = server.plan(model).expect("a plan");
        let client = Client::generate(plan, digest).expect("a client");
        let keys = client.evaluation_keys(|_, _| {}).expect("keys");
        let shape = Shape { channels: 1, height: 28, width: 28 };
        let (image, _) = open_image(Path::new(&digit(6)), shape).expect("a drawn digit");
        let request = client.encrypt(&image).expect("a request");
        Self { model, address: Address::of(&keys), client, keys, request }
    }

    pub fn register(&self, server: &Server) {
        server.register_keys(&self.keys, |_, _| {}).expect("registered");
    }

    /// Whether the server answers; the answer is right.
    pub fn is_served(&self, server: &Server) -> Result<(), Error> {
        let reply = server.infer(self.model, self.address, self.request.clone())?;
        assert_eq!(self.client.decrypt(&reply.frame[..]).expect("a reply").label, "6");
        Ok(())
    }
}
