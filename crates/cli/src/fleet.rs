//! Fleets: how commands reach one, and what they publish in it.

use crate::failure::Outcome;
use blindsight_fleet::{Access, Bus, BusCounts, Depot, Fleet, SHARDS, Shared, StoredTokens, models};
use blindsight_network::Model;
use blindsight_planner::Plan;
use blindsight_service::{SharedTokens, Tokens};
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How to reach NATS.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Fleet")]
pub struct BusFlags {
    /// A file of NATS credentials (.creds)
    #[arg(long, value_name = "FILE", global = true, conflicts_with = "fleet_nkey")]
    fleet_credentials: Option<PathBuf>,
    /// A file with the seed of a NATS nkey
    #[arg(long, value_name = "FILE", global = true)]
    fleet_nkey: Option<PathBuf>,
    /// Authorities in PEM, one of which must have signed the NATS server's certificate: TLS is then required
    #[arg(long, value_name = "FILE", global = true)]
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
    bus: Bus,
    store: String,
    depot: Depot,
}

impl FrontFlags {
    /// Joins the fleet, if one is named.
    pub async fn join(&self, wait: Duration) -> Outcome<Option<Joined>> {
        let (Some(url), Some(store)) = (&self.fleet, &self.store) else { return Ok(None) };
        let depot = Depot::open(store)?;
        let shared = depot.agree(self.shards).await?;
        let bus = self.bus.connect(url, "blindsight front").await?;
        let fleet = Fleet::join(bus.clone(), depot.clone(), shared, wait).await?;
        Ok(Some(Joined { fleet, bus, store: store.clone(), depot }))
    }
}

impl Joined {
    /// The tokens that all fronts accept: in the store. Their uses are counted there, too, where it is a
    /// folder, and otherwise in JetStream, which knows revisions.
    pub async fn tokens(&self) -> Outcome<SharedTokens> {
        if let Some(folder) = self.depot.folder() {
            return Ok(SharedTokens::in_folder(folder)?);
        }
        self.bus.prepare_counts().await?;
        let counts = Arc::new(BusCounts::open(&self.bus).await?);
        let tokens = Tokens::of(StoredTokens::open(self.depot.clone()).await?)?;
        Ok(SharedTokens { tokens: Arc::new(tokens), counts })
    }

    /// Where they lie.
    pub fn tokens_place(&self) -> TokensPlace {
        TokensPlace::of_store(&self.store, &self.depot)
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

/// Where tokens lie, as `token` is told.
#[derive(Debug, Clone)]
pub enum TokensPlace {
    /// A server's folder, or the one that fronts share.
    Folder(PathBuf),
    /// A store in the cloud.
    Store(String),
}

impl TokensPlace {
    /// In the store at an address.
    pub fn of_store(address: &str, depot: &Depot) -> Self {
        depot.folder().map_or_else(|| Self::Store(address.into()), |folder| Self::Folder(folder.into()))
    }

    /// The flag of `token` that names it.
    pub fn flag(&self) -> String {
        match self {
            Self::Folder(_) => format!("--folder {self}"),
            Self::Store(_) => format!("--store {self}"),
        }
    }
}

impl fmt::Display for TokensPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Store(address) => address.fmt(f),
        }
    }
}

impl Serialize for TokensPlace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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
