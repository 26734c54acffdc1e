//! `serve`: the server over HTTPS.

use crate::arguments::{ModelArgument, PlanFlags};
use crate::failure::{During, Failure, Outcome};
use crate::fleet::{FrontFlags, TokensPlace};
use crate::page::{Facts, Page, Shown};
use crate::report::{Output, emit};
use crate::{configuration, plan_file, progress};
use blindsight_layout::DEFAULT_KEY_QUOTA;
use blindsight_network::Model;
use blindsight_planner::Plan;
use blindsight_service::{
    Audit, Catalogue, Extras, Identity, Limits, Listener, Service, Signer, TokenError, Tokens, Transport,
};
use serde::Serialize;
use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Serves models over HTTPS, and the page to try them
///
/// At the first start a certificate, a plan for each model and a token for this user are made and kept in the
/// folder; afterwards `blindsight classify --server` on this machine needs nothing but the address. Tokens
/// for others are made with `blindsight token create`. Ctrl-C or SIGTERM ends the server when what runs has
/// finished. The server takes no secret key, and logs nothing that clients send or are called.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight serve --model cryptonets-mnist
  blindsight serve --model a.onnx --model b.onnx --address 0.0.0.0:8443 \\
    --host example.org --metrics 127.0.0.1:9464
  blindsight serve --model cryptonets-mnist --address 0.0.0.0:8080 \\
    --plain-http --tls-proxy nginx")]
pub struct Serve {
    /// A model to serve: an .onnx file, or the name of a shipped model; may be given several times
    #[arg(long = "model", value_name = "MODEL", required = true)]
    models: Vec<ModelArgument>,
    /// Where clients connect to
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8443")]
    address: SocketAddr,
    /// Where everything is kept that lasts: certificate, tokens, plans, clients' keys [default:
    /// blindsight/server in the data folder]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Where Prometheus finds figures, at /metrics (not offered otherwise)
    #[arg(long, value_name = "IP:PORT")]
    metrics: Option<SocketAddr>,
    /// Make the plans anew, with the plan flags; clients will register new keys
    #[arg(long)]
    replan: bool,
    /// Adds a line of JSON for each request: who, which model, what, sizes, outcome; no content. SIGHUP opens
    /// the file anew
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// Signs the models with the key in this file, which `blindsight signing-key` makes: clients can pin it
    #[arg(long, value_name = "FILE")]
    sign: Option<PathBuf>,
    #[command(flatten)]
    transport: TransportFlags,
    #[command(flatten)]
    fleet: FrontFlags,
    #[command(flatten)]
    limits: LimitFlags,
    /// How requests are logged on stderr
    #[arg(long, value_name = "FORM", default_value = "text")]
    log: Log,
    #[command(flatten)]
    plan: PlanFlags,
}

/// What connections speak.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Transport")]
struct TransportFlags {
    /// A name or address that the certificate made at the first start is for, besides this machine's own; may
    /// be given several times
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Certificate chain in PEM, in place of one of our own making
    #[arg(long, value_name = "FILE", requires = "private_key")]
    certificate: Option<PathBuf>,
    /// The certificate's private key in PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    private_key: Option<PathBuf>,
    /// HTTP in the clear: on loopback, or with --tls-proxy
    #[arg(long, conflicts_with_all = ["certificate", "hosts"])]
    plain_http: bool,
    /// Names what speaks TLS in front of this server: only then --plain-http is allowed beyond loopback
    #[arg(long, value_name = "NAME", requires = "plain_http")]
    tls_proxy: Option<String>,
    /// The address that a proxy in front connects from: its connections carry many clients, each bounded by
    /// the last address in X-Forwarded-For; may be given several times
    #[arg(long = "proxy-address", value_name = "IP")]
    proxies: Vec<IpAddr>,
}

/// What clients may take.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
struct LimitFlags {
    /// Inferences at once [default: the machine's cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Requests that wait besides those; beyond them, clients are told to come again
    #[arg(long, value_name = "N", default_value_t = 64)]
    queue: u16,
    /// Requests at once of one client
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = clap::value_parser!(u16).range(1..))]
    per_client: u16,
    /// Connections at once from one address, which several clients may share
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..))]
    per_address: u16,
    /// MiB of keys that one client may store
    #[arg(long, value_name = "MIB", default_value_t = (DEFAULT_KEY_QUOTA >> 20) as u32)]
    quota: u32,
    /// MiB of expanded keys in memory
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    key_memory: u32,
    /// Seconds without a byte after which a client is given up
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=3600))]
    stall: u16,
}

/// How a server logs on stderr.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Log {
    Text,
    Json,
    Off,
}

/// Where things lie that last.
struct Places {
    folder: PathBuf,
    tokens: TokensPlace,
}

/// What is said when the server stands.
#[derive(Debug, Serialize)]
struct Report {
    address: String,
    /// With a token in its fragment, where one is known here.
    page: String,
    fingerprint: Option<String>,
    /// The key that signs the models.
    signing_key: Option<String>,
    models: Vec<String>,
    metrics: Option<SocketAddr>,
    folder: PathBuf,
    /// Where tokens lie: a folder, or a fleet's store.
    tokens: TokensPlace,
    #[serde(skip)]
    token: Option<String>,
}

impl Serve {
    pub fn run(&self, output: Output) -> Outcome {
        self.log.start();
        let folder = configuration::server_folder(self.folder.as_deref())?;
        let transport = self.transport.check(self.address)?;
        let models = self.models.iter().map(ModelArgument::load).collect::<Outcome<Vec<Model>>>()?;
        let limits = Limits { proxies: self.transport.proxies.clone(), ..self.limits.limits() };
        let runtime = tokio::runtime::Runtime::new()?;
        let fleet = runtime.block_on(self.fleet.join(limits.wait))?;
        let mut catalogue = Catalogue::default();
        for (argument, model) in self.models.iter().zip(&models) {
            let plan = match &fleet {
                None => self.pinned_plan(model, &folder)?,
                Some(fleet) => {
                    let make = || self.plan.plan(model);
                    runtime.block_on(fleet.plan(model, argument.bytes()?, self.replan, make))?
                }
            };
            progress::spinning("encoding the model", || catalogue.add(model, &plan))?;
        }
        let identity = transport.then(|| self.transport.identity(&folder, self.address)).transpose()?;
        let mut extras = self.extras(identity.as_ref().map(Identity::fingerprint))?;
        let mut tokens = TokensPlace::Folder(folder.clone());
        if let Some(joined) = fleet {
            extras.registry = Some(joined.fleet.registry());
            extras.tokens = Some(runtime.block_on(joined.tokens())?);
            tokens = joined.tokens_place();
            extras.compute = Some(Arc::new(joined.fleet));
        }
        let service = Service::open_with(&folder, catalogue, limits, extras.clone())?;
        let names = models.into_iter().map(|model| model.name).collect();
        runtime.block_on(self.serve(service, extras, identity, names, Places { folder, tokens }, output))
    }

    async fn serve(
        &self,
        service: Arc<Service>,
        extras: Extras,
        identity: Option<Identity>,
        models: Vec<String>,
        Places { folder, tokens }: Places,
        output: Output,
    ) -> Outcome {
        let stop = stop_signal()?;
        reopen_at_hangup(extras.audit.clone())?;
        let fingerprint = identity.as_ref().map(Identity::fingerprint);
        let transport = identity.map_or(Transport::Plain, Transport::Tls);
        let listener = Listener::bind(self.address, self.metrics, transport);
        let listener = listener.await.during(|| format!("cannot listen on {}", self.address))?;
        let address = self.transport.url(listener.address()?);
        // A fleet's tokens may lie behind a network.
        let token =
            tokio::task::block_in_place(|| first_token(service.tokens(), &address, fingerprint.as_deref()))?;
        let page = match &token {
            Some(token) => format!("{address}/#token={token}"),
            None => format!("{address}/"),
        };
        let metrics = listener.metrics_address()?;
        let signing_key = extras.signer.as_ref().map(|signer| signer.public());
        emit(
            &Report { address, page, fingerprint, signing_key, models, metrics, folder, tokens, token },
            output,
        )?;
        listener.serve(service, stop).await;
        Ok(())
    }

    /// What the service does besides, as the flags say.
    fn extras(&self, certificate: Option<String>) -> Outcome<Extras> {
        let mut extras = Extras::default();
        if let Some(path) = &self.audit {
            let audit = Audit::open(path).during(|| format!("cannot write {}", path.display()))?;
            extras.audit = Some(Arc::new(audit));
        }
        if let Some(path) = &self.sign {
            extras.signer = Some(Arc::new(Signer::read(path)?.behind(certificate)));
        }
        Ok(extras)
    }

    /// The plan that the model was served by before, or a new one: keys are made for a plan, so it must not
    /// change by itself.
    fn pinned_plan(&self, model: &Model, folder: &Path) -> Outcome<Plan> {
        let path = folder.join("plans").join(format!("{}.plan", model.name));
        if path.exists() && !self.replan {
            let plan = plan_file::read(&path)?;
            if plan.model_digest() == &model.digest {
                return Ok(plan);
            }
        }
        let plan = self.plan.plan(model)?;
        std::fs::create_dir_all(folder.join("plans"))
            .during(|| format!("cannot write {}", path.display()))?;
        plan_file::write(&plan, &path)?;
        Ok(plan)
    }
}

impl TransportFlags {
    /// Whether to speak TLS. In the clear only where nobody else can listen, or where somebody says that TLS
    /// is spoken in front.
    fn check(&self, address: SocketAddr) -> Outcome<bool> {
        if self.plain_http && !address.ip().is_loopback() && self.tls_proxy.is_none() {
            return Err(Failure::new(format!(
                "--plain-http on {address}: tokens would travel in the clear; name the proxy that speaks TLS in front with --tls-proxy, or leave --plain-http out"
            )));
        }
        Ok(!self.plain_http)
    }

    fn identity(&self, folder: &Path, address: SocketAddr) -> Outcome<Identity> {
        match (&self.certificate, &self.private_key) {
            (Some(certificate), Some(key)) => Ok(Identity::from_files(certificate, key)?),
            _ => {
                let mut names = self.hosts.clone();
                names.push(address.ip().to_string());
                Ok(Identity::self_signed(folder, &names)?)
            }
        }
    }

    /// What a client on this machine, or one that knows a name given here, calls the server.
    fn url(&self, bound: SocketAddr) -> String {
        let scheme = if self.plain_http { "http" } else { "https" };
        match self.hosts.first() {
            Some(host) => format!("{scheme}://{host}:{}", bound.port()),
            None if bound.ip().is_unspecified() => format!("{scheme}://127.0.0.1:{}", bound.port()),
            None => format!("{scheme}://{bound}"),
        }
    }
}

impl LimitFlags {
    fn limits(&self) -> Limits {
        let default = Limits::default();
        Limits {
            threads: self.threads.map_or(default.threads, usize::from),
            queue: self.queue.into(),
            places_per_client: self.per_client.into(),
            connections_per_address: self.per_address.into(),
            quota: u64::from(self.quota) << 20,
            cache: (self.key_memory as usize) << 20,
            stall: Duration::from_secs(self.stall.into()),
            head: Duration::from_secs(self.stall.into()),
            ..default
        }
    }
}

impl Log {
    /// From now on.
    pub fn start(self) {
        let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false);
        match self {
            Self::Text => log.with_ansi(false).init(),
            Self::Json => log.json().flatten_event(true).init(),
            Self::Off => {}
        }
    }
}

/// The token of this user for this server: made at the first start, and kept where `classify --server` finds
/// it.
fn first_token(tokens: &Tokens, address: &str, fingerprint: Option<&str>) -> Outcome<Option<String>> {
    if !tokens.list()?.is_empty() {
        let known = configuration::servers()?.remove(address);
        let valid = |token: &String| tokens.accepts(token).unwrap_or(false);
        return Ok(known.map(|known| known.token).filter(valid));
    }
    let token = match tokens.create(&"local".parse()?, None, false) {
        // Another front of a fleet was quicker.
        Err(TokenError::Exists(_)) => return Ok(None),
        made => made?.reveal().to_string(),
    };
    let fingerprint = fingerprint.map(String::from);
    let known = configuration::KnownServer { token: token.clone(), fingerprint, ca: None, pin: None };
    configuration::remember_server(address, known)?;
    Ok(Some(token))
}

/// Ready when somebody wants the server to end.
pub fn stop_signal() -> Outcome<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => (),
                _ = terminate.recv() => (),
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// Opens the audit log anew at each SIGHUP, after it was moved away.
#[cfg(unix)]
fn reopen_at_hangup(audit: Option<Arc<Audit>>) -> Outcome {
    use tokio::signal::unix::{SignalKind, signal};
    let Some(audit) = audit else { return Ok(()) };
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            if let Err(error) = audit.reopen() {
                eprintln!("the audit log cannot be opened anew, lines go on where they went: {error}");
            }
        }
    });
    Ok(())
}

#[cfg(not(unix))]
fn reopen_at_hangup(_: Option<Arc<Audit>>) -> Outcome {
    Ok(())
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        // What is printed elsewhere than on a terminal ends in logs, where a token has no place.
        let shown = self.token.as_ref().filter(|_| std::io::stdout().is_terminal());
        let address = &self.address;
        let link = shown.map_or(format!("{address}/#token=TOKEN"), |_| self.page.clone());
        let token = shown.map_or("TOKEN", String::as_str);
        page.facts(self.facts(link));
        page.gap();
        page.say("This user, on this machine:");
        page.command(&[format!("blindsight classify --server {address} digit.png")]);
        page.say("Others, each with a token of their own:");
        page.command(&["blindsight token create NAME".into(), self.tokens.flag()]);
        let mut classify = vec![format!("BLINDSIGHT_TOKEN={token} blindsight classify digit.png")];
        classify.push(format!("--server {address}"));
        classify.extend(self.fingerprint.as_ref().map(|fingerprint| format!("--fingerprint {fingerprint}")));
        page.command(&classify);
    }
}

impl Report {
    fn facts(&self, link: String) -> Facts {
        let mut facts = Facts::default()
            .fact("serving", self.models.join(", "))
            .fact("address", &self.address)
            .fact("page", link)
            .fact("folder", self.folder.display().to_string());
        if let Some(fingerprint) = &self.fingerprint {
            facts = facts.fact("fingerprint", fingerprint);
        }
        if let Some(key) = &self.signing_key {
            facts = facts.fact("signed by", format!("{key}: clients pin it with --pin"));
        }
        match self.metrics {
            Some(metrics) => facts.fact("figures", format!("http://{metrics}/metrics")),
            None => facts,
        }
    }
}
