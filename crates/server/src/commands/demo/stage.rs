//! The server under demonstration: its configuration, its directory, its start and its end.

use super::super::callbacks::client::Client;
use super::Setback;
use super::town::{self, Town};
use crate::config::Config;
use crate::{telemetry, wiring};
use jiff::Timestamp;
use ringback_sip::Transport;
use ringback_store::Examination;
use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

pub struct Stage {
    server: wiring::Server,
    directory: Directory,
}

impl Stage {
    /// Writes the configuration an administrator would write, reads it as `serve` does, and starts.
    pub async fn set(listen: SocketAddr, town: &Town) -> Result<Stage, Setback> {
        let directory = Directory::make()?;
        let file = directory.0.join("ringback.toml");
        let text = configuration(listen, town);
        std::fs::write(&file, &text)
            .map_err(|error| Setback(format!("{} cannot be written: {error}", file.display())))?;
        let config = Config::parse(&file, &text, &[], Timestamp::now())
            .map_err(|error| Setback(error.to_string()))?;
        telemetry::start(&config.log);
        let server = wiring::start(config)
            .await
            .map_err(|error| Setback(error.to_string()))?;
        Ok(Stage { server, directory })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    pub fn config_file(&self) -> PathBuf {
        self.directory.0.join("ringback.toml")
    }

    pub fn client(&self) -> Result<Client, Setback> {
        Ok(Client::new(&self.url(), None)?)
    }

    /// Where phones register.
    pub fn sip(&self) -> Result<SocketAddr, Setback> {
        let sockets = self
            .server
            .sip
            .as_ref()
            .map(ringback_sip::SipEngine::local_addrs)
            .unwrap_or_default();
        let udp = sockets
            .iter()
            .find(|socket| socket.transport == Transport::Udp);
        udp.map(|socket| socket.addr)
            .ok_or_else(|| Setback("the server opened no SIP socket".to_owned()))
    }

    /// Checks the database and every chain of events.
    pub async fn examine(&self) -> Result<Examination, Setback> {
        self.server
            .store
            .examine()
            .await
            .map_err(|error| Setback(format!("the store cannot be examined: {error}")))
    }

    /// Stops in order and removes the directory.
    pub async fn strike(self) {
        let hurry = CancellationToken::new();
        hurry.cancel();
        self.server.stop(hurry).await;
    }
}

/// Removed when dropped, however the demonstration ends.
struct Directory(PathBuf);

impl Directory {
    fn make() -> Result<Directory, Setback> {
        let path =
            std::env::temp_dir().join(format!("ringback-demo-{:016x}", rand::random::<u64>()));
        // Not recursive: a directory that is there already is somebody else's.
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| Setback(format!("{} cannot be made: {error}", path.display())))?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_dir_all(path) {
        eprintln!(
            "ringback demo: {} could not be removed: {error}",
            path.display()
        );
    }
}

fn configuration(listen: SocketAddr, town: &Town) -> String {
    let (secret, user) = (&town.secret, town::TRUNK_USER);
    let (exchange, broken, switchboard) = (
        town.exchange.addr(),
        town.broken.addr(),
        town.switchboard.addr(),
    );
    let (letters, reception, dora) = (town.mailbox.addr(), town::RECEPTION, town::DORA);
    let [anna, ben, third] = town::AGENTS;
    let (anna_user, ben_user) = (town::user(anna), town::user(ben));
    // Waits are shortened to seconds and nights are working hours, because nobody watches for a day;
    // everything else is as in earnest.
    format!(
        r#"# The configuration of `ringback demo`. Never use it for anything else: the API is open to this machine.
[server]
listen = "{listen}"
data = "data"

[api]
open_on_loopback = true

[log]
level = "error"

[sip]
listen = ["udp:127.0.0.1:0"]

[sip.registrar]
realm = "ringback"
users = [
  {{ name = "{anna_user}", password = "{secret}" }},
  {{ name = "{ben_user}", password = "{secret}" }},
]

[[routes]]
kind = "sip"
name = "broken-trunk"
uri = "sip:{broken}"
ping = "0s"

[[routes]]
kind = "sip"
name = "town-trunk"
uri = "sip:{exchange}"
user = "{user}"
password = "{secret}"
ping = "0s"

[[routes]]
kind = "sip"
name = "switchboard"
uri = "sip:{switchboard}"
ping = "0s"

[[routes]]
kind = "smtp"
name = "letters"
host = "127.0.0.1"
port = {port}
security = "none"
from = "Town Billing <billing@demo.example>"

[[queues]]
id = "billing"
name = "Billing"
hours = {{ opening_hours = "24/7", time_zone = "Europe/London" }}
customer_hours = {{ from = "00:00:00", to = "23:59:59" }}
dial = {{ regions = ["GB"], default_region = "GB" }}
routes = {{ voice = ["broken-trunk", "town-trunk"], voip = ["direct"], email = ["letters"] }}
allow_private_addresses = true
ring_agent = "5s"
ring_customer = "4s"
wrap_up = "1s"
# The town is in a hurry: nobody here has to be told a minute ahead.
notice = "0s"
calls_per_number_per_day = 100
retry = {{ busy = {{ after = "3s", times = 3 }}, no_answer = {{ after = "4s", times = 9 }} }}

[[queues]]
id = "reception"
name = "Reception"
hours = {{ opening_hours = "24/7", time_zone = "Europe/London" }}
customer_hours = {{ from = "00:00:00", to = "23:59:59" }}
dial = {{ regions = ["GB"], default_region = "GB" }}
routes = {{ voice = ["broken-trunk", "town-trunk"], email = ["letters"] }}
ring_agent = "5s"
ring_customer = "4s"
calls_per_number_per_day = 100

[queues.delivery]
kind = "dn"
dn = "{reception}"
location = "switchboard"
max_concurrent = 2

[queues.email.template]
subject = "Re: {{{{subject}}}}"
text = """
Dear {{{{customer_name}}}},

thank you for writing to us. Your request has the number {{{{interaction_id}}}}.

{{{{queue}}}}
"""

[[agents]]
id = 1
name = "{anna}"
dn = "{anna_user}"
queues = ["billing"]
presence = "ready"
auto_accept = true

[[agents]]
id = 2
name = "{ben}"
dn = "{ben_user}"
queues = ["billing"]
presence = "ready"
auto_accept = true

[[agents]]
id = {dora}
name = "{third}"
dn = "dora"
queues = ["billing"]
presence = "ready"
"#,
        port = letters.port(),
    )
}
