//! Fleets: how commands reach one, and what they publish in it.

use crate::failure::Outcome;
use blindsight_fleet::{Access, Bus, Depot, Fleet, SHARDS, Shared, models};
use blindsight_network::Model;
use blindsight_planner::Plan;
use std::path::PathBuf;
use std::time::Duration;

/// How to reach NATS.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Fleet")]
pub struct BusFlags {
    /// A file of NATS credentials (.creds)
    #[arg(long, value_name = "FILE", conflicts_with = "fleet_nkey")]
    fleet_credentials: Option<PathBuf>,
    /// A file with the seed of a NATS nkey
    #[arg(long, value_name = "FILE")]
    fleet_nkey: Option<PathBuf>,
    /// Authorities in PEM, one of which must have signed the NATS server's certificate: TLS is then required
    #[arg(long, value_name = "FILE")]
    fleet_ca: Option<PathBuf>,
}

impl BusFlags {
    /// Connects; `role` is the name that NATS shows.
    pub async fn connect(&self, url: &str, role: &str) -> Outcome<Bus> {
        let access = Access {
            url: url.into(),
            credentials: self.fleet_credentials.clone(),
            nkey: self.fleet_nkey.clone(),
            ca: self.fleet_ca.clone(),
        };
        Ok(Bus::connect(&access, role).await?)
    }
}

/// What a front needs to be one.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Fleet")]
pub struct FrontFlags {
    /// Have a fleet of workers compute, over NATS with JetStream: nats://HOST:PORT or tls://HOST:PORT
    #[arg(long, value_name = "URL", requires = "store")]
    fleet: Option<String>,
    /// Where the fleet's keys, large requests, models and plans lie: file:///FOLDER, or s3://BUCKET/PREFIX
    /// where that was built in
    #[arg(long, value_name = "URL", requires = "fleet")]
    store: Option<String>,
    /// Shards of clients, when a fleet is made: two to four times as many as there will be workers
    #[arg(long, value_name = "N", default_value_t = SHARDS, requires = "fleet", value_parser = clap::value_parser!(u16).range(1..=4096))]
    shards: u16,
    #[command(flatten)]
    bus: BusFlags,
}

/// A fleet that a front has joined.
pub struct Joined {
    pub fleet: Fleet,
    depot: Depot,
}

impl FrontFlags {
    /// Joins the fleet, if one is named.
    pub async fn join(&self, wait: Duration) -> Outcome<Option<Joined>> {
        let (Some(url), Some(store)) = (&self.fleet, &self.store) else { return Ok(None) };
        let depot = Depot::open(store)?;
        let shared = depot.agree(self.shards).await?;
        let bus = self.bus.connect(url, "blindsight front").await?;
        let fleet = Fleet::join(bus, depot.clone(), shared, wait).await?;
        Ok(Some(Joined { fleet, depot }))
    }
}

impl Joined {
    /// The folder that tokens of all fronts lie in, where the store is one.
    pub fn tokens(&self) -> Option<PathBuf> {
        self.depot.folder().map(PathBuf::from)
    }

    /// The plan that the fleet serves a model by: the one that it has, or else the one that `make` gives,
    /// which is published then. With `replan` always that one.
    pub async fn plan(
        &self,
        model: &Model,
        file: Vec<u8>,
        replan: bool,
        make: impl FnOnce() -> Outcome<Plan>,
    ) -> Outcome<Plan> {
        let known = models::plan_of(&self.depot, model).await?.filter(|_| !replan);
        let plan = match known {
            Some(plan) => plan,
            None if replan => {
                let plan = make()?;
                models::replace(&self.depot, model, file, &plan).await?;
                plan
            }
            None => models::publish(&self.depot, model, file, make()?).await?,
        };
        self.fleet.offer(&model.name, &plan.digest()).await?;
        Ok(plan)
    }
}

/// What the fleet of a store agrees on, once a front has made it.
pub async fn agreed(depot: &Depot) -> Outcome<Shared> {
    loop {
        if let Some(shared) = depot.agreed().await? {
            return Ok(shared);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
