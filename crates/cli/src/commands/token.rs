//! `token`: who may use a server.

use crate::configuration;
use crate::failure::Outcome;
use crate::report::{Facts, Table, emit};
use blindsight_service::{ClientName, Entry, State, Tokens};
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Makes, revokes and lists the tokens of a server
///
/// A token stands for a client. Only its hash is kept: it is shown once, when it is made. A running server takes notice at once.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  blindsight token create alice --days 90\n  blindsight token revoke alice\n  blindsight token list"
)]
pub struct Token {
    #[command(subcommand)]
    action: Action,
    /// The server's folder [default: blindsight/server in the data folder]
    #[arg(long, value_name = "DIR", global = true)]
    folder: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Makes a token for a client, and shows it
    #[command(after_help = "Example:\n  blindsight token create alice --days 90")]
    Create {
        /// The client's name: 1 to 64 of a-z A-Z 0-9 . _ -
        name: ClientName,
        /// Days after which the token ends (default: it does not)
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36500))]
        days: Option<u32>,
        /// In place of the client's present token; the client keeps its keys
        #[arg(long)]
        replace: bool,
    },
    /// Revokes a client's token at once; the server deletes the client's keys within a minute
    #[command(after_help = "Example:\n  blindsight token revoke alice")]
    Revoke {
        /// The client's name
        name: ClientName,
    },
    /// Lists clients and what their tokens are good for
    #[command(after_help = "Example:\n  blindsight token list")]
    List,
}

#[derive(Debug, Serialize)]
struct Created {
    client: String,
    token: String,
    expires: Option<u64>,
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
}

impl Token {
    pub fn run(&self, json: bool) -> Outcome {
        let tokens = Tokens::open(&configuration::server_folder(self.folder.as_deref())?)?;
        match &self.action {
            Action::Create { name, days, replace } => {
                let expires = days.map(|days| now() + u64::from(days) * 86_400);
                let token = tokens.create(name, expires, *replace)?.reveal().to_string();
                emit(&Created { client: name.to_string(), token, expires }, json)
            }
            Action::Revoke { name } => {
                tokens.revoke(name)?;
                emit(&Revoked { client: name.to_string() }, json)
            }
            Action::List => {
                let rows = tokens.list()?.into_iter().map(|(name, entry)| Row::new(&name, &entry));
                emit(&List { tokens: rows.collect() }, json)
            }
        }
    }
}

impl Row {
    fn new(name: &ClientName, entry: &Entry) -> Self {
        let state = match entry.state(now()) {
            State::Valid => "valid",
            State::Expired => "expired",
            State::Revoked => "revoked",
        };
        Self { client: name.to_string(), state, created: entry.created, expires: entry.expires }
    }
}

impl fmt::Display for Created {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = Facts::default()
            .fact("client", &self.client)
            .fact("token", format!("{} (shown only now)", self.token))
            .fact("use it", "as BLINDSIGHT_TOKEN, or behind #token= in the page's address");
        write!(f, "{facts}")
    }
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "the token of {} is revoked; a running server deletes its keys within a minute",
            self.client
        )
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = |time: u64| (time as f64 - now() as f64) / 86_400.0;
        let mut table = Table::new(["client", "token", "made, days ago", "ends, in days"]).left(2);
        for row in &self.tokens {
            let ends = row.expires.map_or("never".into(), |end| format!("{:.1}", days(end)));
            table.row([row.client.clone(), row.state.into(), format!("{:.1}", -days(row.created)), ends]);
        }
        write!(f, "{table}")
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
