//! What the measurements stand on: a directory of their own, fresh databases, and the real server as a process.

use super::catalogue::Place;
use super::setback::Setback;
use super::wire::{Answer, Connection, request};
use crate::clock::{SystemChance, SystemClock};
use ringback_callbacks::clock::Clock;
use ringback_callbacks::ids::{QueueId, TenantId};
use ringback_callbacks::queue::Queue;
use ringback_scheduling::Almanac;
use ringback_store::{OpenOptions, Store};
use serde_json::Value;
use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio_postgres::NoTls;

/// Removed when dropped, however the measurement ends.
pub struct Directory(PathBuf);

impl Directory {
    pub fn make(parent: &Path) -> Result<Directory, Setback> {
        let path = parent.join(format!("ringback-bench-{:016x}", rand::random::<u64>()));
        // Not recursive: a directory that is there already is somebody else's.
        let made = DirBuilder::new().mode(0o700).create(&path);
        let what = format!("{} cannot be made", path.display());
        made.map_err(Setback::while_doing(&what))?;
        Ok(Directory(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!(
                "ringback bench: {} could not be removed: {error}",
                self.0.display()
            );
        }
    }
}

/// Where databases are made: a directory, or a PostgreSQL server.
#[derive(Clone, Debug)]
pub enum House {
    Files(PathBuf),
    Server(String),
}

impl House {
    /// `sqlite:DIR` or `postgres://…`.
    pub fn parse(url: &str) -> Result<House, String> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            return Ok(House::Files(PathBuf::from(path)));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(House::Server(url.to_owned()));
        }
        Err("must be sqlite:DIR or postgres://USER@HOST:PORT/DATABASE".to_owned())
    }

    pub fn place(&self) -> Place {
        match self {
            House::Files(_) => Place::Sqlite,
            House::Server(_) => Place::Postgres,
        }
    }

    /// An empty database, on the server or in a directory of its own.
    pub async fn fresh(&self) -> Result<Database, Setback> {
        let name = format!("ringback_bench_{:016x}", rand::random::<u64>());
        match self {
            House::Files(parent) => {
                let directory = Directory::make(parent)?;
                Ok(Database {
                    place: Place::Sqlite,
                    url: format!("sqlite:{}", directory.path().join("ringback.db").display()),
                    lives: Lives::In { directory },
                })
            }
            House::Server(server) => {
                let what = "the database's URL cannot be read";
                let mut url = url::Url::parse(server).map_err(Setback::while_doing(what))?;
                url.set_path(&name);
                execute(server, &format!("CREATE DATABASE {name}")).await?;
                Ok(Database {
                    place: Place::Postgres,
                    url: url.to_string(),
                    lives: Lives::On {
                        server: server.clone(),
                        name,
                    },
                })
            }
        }
    }
}

/// A database that was made for one measurement.
pub struct Database {
    pub place: Place,
    pub url: String,
    lives: Lives,
}

enum Lives {
    In { directory: Directory },
    On { server: String, name: String },
}

impl Database {
    pub async fn open(&self) -> Result<Arc<dyn Store>, Setback> {
        let options = OpenOptions::default();
        let opened = ringback_store::open(&self.url, options, Arc::new(SystemChance)).await;
        opened.map_err(Setback::while_doing("the store cannot be opened"))
    }

    /// What an operator's database has had after months, and this one not yet.
    pub async fn settle_down(&self) -> Result<(), Setback> {
        match &self.lives {
            Lives::In { .. } => Ok(()),
            Lives::On { .. } => {
                execute(&self.url, "VACUUM ANALYZE").await?;
                execute(&self.url, "CHECKPOINT").await
            }
        }
    }

    pub async fn clear(self) -> Result<(), Setback> {
        match self.lives {
            Lives::In { directory } => {
                drop(directory);
                Ok(())
            }
            Lives::On { server, name } => {
                execute(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await
            }
        }
    }
}

/// A connection for the bench's own questions.
pub async fn connect(url: &str) -> Result<tokio_postgres::Client, Setback> {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .map_err(Setback::while_doing("PostgreSQL does not answer"))?;
    tokio::spawn(async move {
        // Its end is told to whoever asks next.
        drop(connection.await);
    });
    Ok(client)
}

async fn execute(url: &str, statement: &str) -> Result<(), Setback> {
    let client = connect(url).await?;
    let done = client.batch_execute(statement).await;
    done.map_err(Setback::while_doing("PostgreSQL refuses"))
}

/// Makes a queue through the store.
pub async fn put_queue(store: &dyn Store, id: &str, rules: Value) -> Result<Queue, Setback> {
    let wrong = Setback::while_doing("a queue of the bench is wrong");
    let queue = Queue {
        tenant: TenantId::default(),
        id: QueueId::parse(id).map_err(|_| Setback::Broken(format!("{id} is no queue's id")))?,
        rules: serde_json::from_value(rules).map_err(wrong)?,
        intake_paused: false,
        dialling_paused: false,
        removed: false,
        created_at: SystemClock.now(),
        revision: 0,
    };
    let checked = queue.rules.check(&Almanac::default(), queue.created_at);
    checked.map_err(|problems| Setback::Broken(format!("a queue of the bench: {problems:?}")))?;
    let made = store.put_queue(queue, None).await;
    made.map_err(Setback::while_doing("a queue was refused"))
}

/// `ringback serve` as a process of its own, as it would run anywhere, and its only voice route.
pub struct Server {
    pub address: SocketAddr,
    pub pid: u32,
    /// From the start of the process to its first answer.
    pub start: Duration,
    child: Child,
    _directory: Directory,
}

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);

impl Server {
    /// `peer` is where calls go.
    pub async fn start(
        parent: &Path,
        database: &Database,
        peer: Option<SocketAddr>,
    ) -> Result<Server, Setback> {
        let directory = Directory::make(parent)?;
        let file = directory.path().join("ringback.toml");
        let mut text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ndata = \"data\"\ndatabase = \"{}\"\nshutdown_limit = \"1s\"\n\n\
             [api]\nopen_on_loopback = true\nrequests_per_second = 0\n\n\
             [dispatch]\nmax_carried = 5000\n\n[sip]\nlisten = [\"udp:127.0.0.1:0\"]\nmax_calls = 5000\n",
            database.url
        );
        if let Some(peer) = peer {
            text.push_str(&format!(
                "\n[[routes]]\nkind = \"sip\"\nname = \"peer\"\nuri = \"sip:{peer}\"\nping = \"0s\"\n\
                 session_timer = false\ncalls_per_second = 1000.0\nconcurrent = 5000\n"
            ));
        }
        let failed = Setback::while_doing("the server cannot be started");
        std::fs::write(&file, text).map_err(&failed)?;
        let log = std::fs::File::create(directory.path().join("log")).map_err(&failed)?;
        let program = std::env::current_exe().map_err(&failed)?;
        let began = Instant::now();
        let mut child = Command::new(program)
            .args(["serve", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(&failed)?;
        let listen = directory.path().join("data").join("listen");
        let address = loop {
            let told = std::fs::read_to_string(&listen).unwrap_or_default();
            if let Ok(address) = told.trim().parse() {
                break address;
            }
            let gone = child.try_wait().map_err(&failed)?;
            if gone.is_some() || began.elapsed() > START_LIMIT {
                let log = std::fs::read_to_string(directory.path().join("log"));
                let last = log.unwrap_or_default();
                let last = last.lines().last().unwrap_or("no word").to_owned();
                return Err(Setback::Broken(format!("the server did not start: {last}")));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        let mut connection = Connection::open(address).await?;
        let answer = connection
            .ask(&request("GET", "/v1/callbacks?limit=1", "", ""))
            .await?;
        if answer.status != 200 {
            let words = format!("the first answer was {}", answer.status);
            return Err(Setback::Broken(words));
        }
        let pid = child
            .id()
            .ok_or_else(|| Setback::Broken("the server is gone".to_owned()))?;
        Ok(Server {
            address,
            pid,
            start: began.elapsed(),
            child,
            _directory: directory,
        })
    }

    pub async fn get(&self, path: &str) -> Result<Answer, Setback> {
        let mut connection = Connection::open(self.address).await?;
        connection.ask(&request("GET", path, "", "")).await
    }

    /// Callbacks of a queue in that inner state.
    pub async fn count(&self, queue: &str, state: &str) -> Result<u64, Setback> {
        Ok(self.counts(queue).await?[state].as_u64().unwrap_or(0))
    }

    /// Callbacks of a queue that have not ended.
    pub async fn open(&self, queue: &str) -> Result<u64, Setback> {
        let counts = self.counts(queue).await?;
        let counts = counts.as_object().into_iter().flatten();
        Ok(counts.filter_map(|(_, count)| count.as_u64()).sum())
    }

    async fn counts(&self, queue: &str) -> Result<Value, Setback> {
        let answer = self.get(&format!("/v1/queues/{queue}")).await?;
        let mut view: Value = serde_json::from_slice(&answer.body)
            .map_err(Setback::while_doing("a queue cannot be read"))?;
        Ok(view["counts"].take())
    }

    /// As an operator stops it. One that does not end is killed.
    pub async fn stop(mut self) -> Result<(), Setback> {
        let failed = Setback::while_doing("the server cannot be stopped");
        let told = Command::new("kill")
            .args(["-TERM", &self.pid.to_string()])
            .status()
            .await;
        told.map_err(&failed)?;
        if tokio::time::timeout(STOP_LIMIT, self.child.wait())
            .await
            .is_err()
        {
            self.child.kill().await.map_err(&failed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_house_is_known_by_its_url() {
        let place = |url| House::parse(url).map(|house| house.place());
        assert_eq!(place("sqlite:/somewhere"), Ok(Place::Sqlite));
        assert_eq!(
            place("postgres://bench@127.0.0.1:5433/postgres"),
            Ok(Place::Postgres)
        );
        assert!(place("mysql://x").is_err());
    }
}
