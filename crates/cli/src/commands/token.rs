//! `token`: who may use a server.

use crate::configuration;
use crate::failure::Outcome;
use crate::figures::{count, milliseconds};
use crate::fleet::BusFlags;
use crate::page::{Facts, Page, Shown};
use crate::report::{Output, emit};
use crate::table::Table;
use blindsight_fleet::{BusCounts, Depot, StoredTokens};
use blindsight_service::{ClientName, Entry, Rate, Scope, State, Tokens, Used};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;

/// Makes, revokes and lists the tokens of a server
///
/// A token stands for a client. Only its hash is kept: it is shown once, when it is made. A running server
/// takes notice at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight token create alice --days 90
  blindsight token create bob --model cryptonets-mnist \\
    --rate 10/min --budget 10000
  blindsight token revoke alice
  blindsight token list
  blindsight token list --store s3://BUCKET/fleet \
    --fleet tls://nats.example.org")]
pub struct Token {
    #[command(subcommand)]
    action: Action,
    /// The server's folder [default: blindsight/server in the data folder]
    #[arg(long, value_name = "DIR", global = true)]
    folder: Option<PathBuf>,
    /// In place of a folder, the store of a fleet: file:///FOLDER, or s3://BUCKET/PREFIX where that was built
    /// in; its fronts take notice within seconds
    #[arg(long, value_name = "URL", global = true, conflicts_with = "folder")]
    store: Option<String>,
    /// The fleet's NATS, where the uses of tokens are counted that lie in S3: `list` shows them
    #[arg(long, value_name = "URL", global = true, requires = "store")]
    fleet: Option<String>,
    #[command(flatten)]
    bus: BusFlags,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Makes a token for a client, and shows it
    #[command(after_help = "Examples:
  blindsight token create alice --days 90
  blindsight token create bob --model cryptonets-mnist \\
    --rate 10/min --budget 10000")]
    Create {
        /// The client's name: 1 to 64 of a-z A-Z 0-9 . _ -
        name: ClientName,
        /// Days after which the token ends (default: it does not)
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36500))]
        days: Option<u32>,
        /// A model that the token is for, by the name that it is served under; may be given several times
        /// (default: all that are served)
        #[arg(long = "model", value_name = "MODEL")]
        models: Vec<String>,
        /// The most inferences in any period: N/s, N/min, N/h or N/d
        #[arg(long, value_name = "N/PERIOD")]
        rate: Option<Rate>,
        /// The most inferences all together
        #[arg(long, value_name = "N")]
        budget: Option<u64>,
        /// In place of the client's present token; the client keeps its keys
        #[arg(long)]
        replace: bool,
    },
    /// Revokes a client's token at once; the server deletes the client's keys within a minute
    #[command(after_help = "Examples:\n  blindsight token revoke alice")]
    Revoke {
        /// The client's name
        name: ClientName,
    },
    /// Lists clients and what their tokens are good for
    #[command(after_help = "Examples:\n  blindsight token list")]
    List,
}

#[derive(Debug, Serialize)]
struct Created {
    client: String,
    token: String,
    expires: Option<u64>,
    #[serde(flatten)]
    scope: Scope,
}

#[derive(Debug, Serialize)]
struct Revoked {
    client: String,
}

#[derive(Debug, Serialize)]
struct List {
    tokens: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    client: String,
    state: &'static str,
    created: u64,
    expires: Option<u64>,
    /// Its models; none where it is for all.
    models: Vec<String>,
    rate: Option<Rate>,
    budget: Option<u64>,
    /// Inferences so far; unknown where they are counted in a fleet's NATS, and it is not named.
    used: Option<u64>,
    /// Inferences that are left of the budget.
    left: Option<u64>,
}

/// The tokens, and what was used of them where that is known.
struct Opened {
    tokens: Tokens,
    used: Option<Used>,
}

impl Token {
    pub fn run(&self, output: Output) -> Outcome {
        // What lies behind a network is looked at from its threads.
        let runtime = Runtime::new()?;
        let Opened { tokens, used } = self.open(&runtime)?;
        match &self.action {
            Action::Create { name, days, models, rate, budget, replace } => {
                let expires = days.map(|days| now() + u64::from(days) * 86_400);
                let scope = Scope { models: models.clone(), rate: *rate, budget: *budget };
                let token = tokens.create_scoped(name, expires, scope.clone(), *replace)?;
                let (client, token) = (name.to_string(), token.reveal().to_string());
                emit(&Created { client, token, expires, scope }, output)
            }
            Action::Revoke { name } => {
                tokens.revoke(name)?;
                emit(&Revoked { client: name.to_string() }, output)
            }
            Action::List => {
                let used = |entry: &Entry| used.as_ref().map(|used| used.of(entry));
                let row = |(name, entry): (ClientName, Entry)| Row::new(&name, &entry, used(&entry));
                let rows = tokens.list()?.into_iter().map(row);
                emit(&List { tokens: rows.collect() }, output)
            }
        }
    }

    fn open(&self, runtime: &Runtime) -> Outcome<Opened> {
        let Some(address) = &self.store else {
            return Opened::in_folder(&configuration::server_folder(self.folder.as_deref())?);
        };
        let depot = Depot::open(address)?;
        match depot.folder() {
            Some(folder) => Opened::in_folder(folder),
            None => runtime.block_on(self.open_store(depot.clone())),
        }
    }

    async fn open_store(&self, depot: Depot) -> Outcome<Opened> {
        let tokens = Tokens::of(StoredTokens::open(depot).await?)?;
        let Some(url) = &self.fleet else { return Ok(Opened { tokens, used: None }) };
        let bus = self.bus.connect(url, "blindsight token").await?;
        let counts = BusCounts::open(&bus).await?;
        let used = tokio::task::block_in_place(|| Used::shared(&counts))?;
        Ok(Opened { tokens, used: Some(used) })
    }
}

impl Opened {
    fn in_folder(folder: &Path) -> Outcome<Self> {
        Ok(Self { tokens: Tokens::open(folder)?, used: Some(Used::read(folder)?) })
    }
}

impl Row {
    fn new(name: &ClientName, entry: &Entry, used: Option<u64>) -> Self {
        let state = match entry.state(now()) {
            State::Valid => "valid",
            State::Expired => "expired",
            State::Revoked => "revoked",
        };
        let Scope { models, rate, budget } = entry.scope.clone();
        Self {
            client: name.to_string(),
            state,
            created: entry.created,
            expires: entry.expires,
            models,
            rate,
            budget,
            used,
            left: budget.zip(used).map(|(budget, used)| budget.saturating_sub(used)),
        }
    }
}

impl Shown for Created {
    fn show(&self, page: &mut Page) {
        let facts = Facts::default()
            .fact("client", &self.client)
            .fact("token", format!("{} (shown only now)", self.token))
            .fact("good for", good_for(&self.scope.models, self.scope.rate, self.scope.budget))
            .fact("use it", "as BLINDSIGHT_TOKEN, or behind #token= in the page's address");
        page.facts(facts);
    }
}

impl Shown for Revoked {
    fn show(&self, page: &mut Page) {
        page.say(format!(
            "the token of {} is revoked; a running server deletes its keys within a minute",
            self.client
        ));
    }
}

impl Shown for List {
    fn show(&self, page: &mut Page) {
        let time = |seconds: u64| milliseconds(seconds as f64 * 1e3);
        let mut table = Table::new(["client", "token", "good for", "made", "ends", "used"]).texts(3);
        for row in &self.tokens {
            let ends = row.expires.map_or("never".into(), |end| match end.checked_sub(now()) {
                Some(left) => format!("in {}", time(left)),
                None => "has ended".into(),
            });
            let made = format!("{} ago", time(now().saturating_sub(row.created)));
            let scope = good_for(&row.models, row.rate, row.budget);
            let used = row.used.map_or("unknown".into(), count);
            table.row([row.client.clone(), row.state.into(), scope, made, ends, used]);
        }
        page.table(&table);
        if self.tokens.iter().any(|row| row.used.is_none()) {
            page.say("What was used is counted in the fleet's NATS: name it with --fleet.");
        }
    }
}

/// A scope in a few words.
fn good_for(models: &[String], rate: Option<Rate>, budget: Option<u64>) -> String {
    let models = if models.is_empty() { "all models".into() } else { models.join(", ") };
    let rate = rate.map(|rate| format!("; {rate}")).unwrap_or_default();
    let budget = budget.map(|budget| format!("; {budget} in all")).unwrap_or_default();
    format!("{models}{rate}{budget}")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
