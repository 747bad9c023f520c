//! A database to stand on: a PostgreSQL of the test's own, and databases in it that go away with whoever asked.
//!
//! A cluster lives in a temporary directory and listens on a port of its own. It is watched by a keeper, a
//! shell that waits for the end of a pipe: when the test's process ends, well or badly, the kernel closes the
//! pipe, and the keeper kills the cluster and removes the directory. Everything is asked through `psql`, so that
//! nothing here depends on a driver that may be what is being tested.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Names a PostgreSQL that is there already, as `postgres://user:password@host:port`, to be used in place of one
/// that the process starts for itself. The user must be allowed to create databases and roles.
pub const GIVEN: &str = "RINGBACK_TEST_POSTGRES";

/// How long a cluster may take to start, on a machine with other things to do.
const READY: Duration = Duration::from_secs(60);
/// Another program may take the port between our look at it and the start.
const STARTS: u32 = 5;

/// How a cluster is to be.
#[derive(Clone, Copy, Debug)]
pub struct Ground {
    /// What it says it has stored is on the disk. Costs time, and is needed only where something is killed.
    pub durable: bool,
    /// Addresses it listens on, as `listen_addresses` has them. Loopback needs no password for the superuser;
    /// everybody else needs one.
    pub listen: &'static str,
    pub max_connections: u32,
}

impl Ground {
    /// For cases by the hundred: fast, and of no use after a crash of the cluster itself.
    pub const QUICK: Ground = Ground {
        durable: false,
        listen: "127.0.0.1",
        max_connections: 300,
    };
    /// For whole systems: durable, and reachable from hosts of the test's own network.
    pub const DURABLE: Ground = Ground {
        durable: true,
        listen: "0.0.0.0",
        max_connections: 300,
    };
}

/// A running PostgreSQL.
#[derive(Debug)]
pub struct Cluster {
    /// Like `postgres://postgres@127.0.0.1:40123`, without a database.
    base: String,
    port: u16,
    _keeper: Option<Keeper>,
}

/// The cluster this process shares among its tests: the one that is given, or one of its own.
pub fn shared(ground: Ground) -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| match std::env::var(GIVEN) {
        Ok(url) => Cluster::given(&url),
        Err(_) => Cluster::start(ground),
    })
}

impl Cluster {
    /// One that somebody else keeps.
    pub fn given(url: &str) -> Cluster {
        let base = url.trim_end_matches('/').to_owned();
        let port = base
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok())
            .unwrap_or_else(|| {
                panic!("{GIVEN} must be like postgres://user@host:port, without a database")
            });
        Cluster {
            base,
            port,
            _keeper: None,
        }
    }

    pub fn start(ground: Ground) -> Cluster {
        let mut told = String::new();
        for _ in 0..STARTS {
            match Cluster::try_start(ground) {
                Ok(cluster) => return cluster,
                Err(log) => told = log,
            }
        }
        panic!("PostgreSQL does not start:\n{told}");
    }

    fn try_start(ground: Ground) -> Result<Cluster, String> {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let folder = folder("cluster");
        let data = folder.join("data");
        initialise(&data);
        // The first line that fits counts. A password is asked of everybody but the superuser from this machine.
        let doors = "local all postgres trust\nhost all postgres 127.0.0.1/32 trust\n\
                     host all all all scram-sha-256\nhost replication all all scram-sha-256\n";
        write_as_postgres(&data.join("pg_hba.conf"), doors);
        let mut server = vec![
            program("postgres").display().to_string(),
            "-D".to_owned(),
            data.display().to_string(),
        ];
        let mut settings = vec![
            format!("port={port}"),
            format!("listen_addresses={}", ground.listen),
            format!("unix_socket_directories={}", folder.display()),
            format!("max_connections={}", ground.max_connections),
            "shared_buffers=64MB".to_owned(),
            "timezone=UTC".to_owned(),
            "log_checkpoints=off".to_owned(),
        ];
        if !ground.durable {
            settings.extend(
                [
                    "fsync=off",
                    "synchronous_commit=off",
                    "full_page_writes=off",
                ]
                .map(str::to_owned),
            );
        }
        for setting in settings {
            server.extend(["-c".to_owned(), setting]);
        }
        let keeper = Keeper::start(&folder, &unprivileged(server));
        let base = format!("postgres://postgres@127.0.0.1:{port}");
        let until = Instant::now() + READY;
        loop {
            // Asked of this very cluster, by where its data is: another may have taken the port first.
            match psql(&format!("{base}/postgres"), "SHOW data_directory") {
                Ok(directory) if directory == data.display().to_string() => break,
                Ok(other) => return Err(format!("port {port} belongs to {other}")),
                Err(told) if keeper.has_ended() || Instant::now() > until => {
                    return Err(format!("{told}\n{}", keeper.log()));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
        Ok(Cluster {
            base,
            port,
            _keeper: Some(keeper),
        })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// An empty database, removed when it is dropped.
    pub fn database(&self) -> Database {
        self.create("")
    }

    /// A copy of another one, which nobody may be connected to at the moment.
    pub fn copy(&self, template: &Database) -> Database {
        self.create(&format!(" TEMPLATE {}", template.name))
    }

    fn create(&self, how: &str) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "rb_{}_{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let database = Database {
            base: self.base.clone(),
            name,
            port: self.port,
        };
        self.sql(&format!("CREATE DATABASE {}{how}", database.name));
        database
    }

    /// Makes a role with the rights that are named, or gives the one that is there a new password.
    pub fn role(&self, name: &str, password: &str, rights: &str) {
        // Many tests do this at the same time, some of them in another process.
        self.sql(&format!(
            "DO $$ BEGIN PERFORM pg_advisory_xact_lock(1);
             IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{name}') THEN
                 ALTER ROLE {name} LOGIN PASSWORD '{password}' {rights};
             ELSE
                 CREATE ROLE {name} LOGIN PASSWORD '{password}' {rights};
             END IF; END $$"
        ));
    }

    /// Runs SQL as the superuser; the rows as text, columns parted by `|`.
    pub fn sql(&self, sql: &str) -> String {
        told(psql(&format!("{}/postgres", self.base), sql), sql)
    }
}

/// A database of one test.
#[derive(Debug)]
pub struct Database {
    base: String,
    pub name: String,
    pub port: u16,
}

impl Database {
    /// As the superuser, from this machine.
    pub fn url(&self) -> String {
        format!("{}/{}", self.base, self.name)
    }

    /// As somebody, by another address of the same cluster.
    pub fn url_as(&self, role: &str, password: &str, address: &str) -> String {
        format!(
            "postgres://{role}:{password}@{address}:{}/{}",
            self.port, self.name
        )
    }

    /// Runs SQL in it as the superuser.
    pub fn sql(&self, sql: &str) -> String {
        told(psql(&self.url(), sql), sql)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        if let Err(error) = psql(&format!("{}/postgres", self.base), &sql) {
            eprintln!("the database {} is left behind: {error}", self.name);
        }
    }
}

/// Runs SQL by `psql` with any connection string; the rows, or what it complained of.
pub fn psql(url: &str, sql: &str) -> Result<String, String> {
    let output = Command::new("psql")
        .args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            url,
            "-c",
            sql,
        ])
        .env("PGCONNECT_TIMEOUT", "10")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("psql: {error}; {}", how_to_get_it()));
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// A program of PostgreSQL's. Debian keeps them apart by version, out of everybody's path.
pub fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let newest = versions
        .flatten()
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let path = entry.path().join("bin").join(name);
            path.exists().then_some((version, path))
        })
        .max();
    let in_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|path| path.exists())
    };
    newest
        .map(|(_, path)| path)
        .or_else(in_path)
        .unwrap_or_else(|| panic!("PostgreSQL's {name} is not installed; {}", how_to_get_it()))
}

fn how_to_get_it() -> &'static str {
    "script/test installs PostgreSQL (on Debian: apt-get install postgresql)"
}

/// The words that run a command as somebody PostgreSQL does not refuse: it will not work for root.
pub fn unprivileged(command: Vec<String>) -> Vec<String> {
    if !is_root() {
        return command;
    }
    let mut words: Vec<String> = [
        "setpriv",
        "--reuid=postgres",
        "--regid=postgres",
        "--clear-groups",
    ]
    .map(str::to_owned)
    .into();
    words.extend(command);
    words
}

fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| {
        let output = Command::new("id")
            .arg("-u")
            .output()
            .expect("id can be run");
        output.stdout.starts_with(b"0\n")
    })
}

/// A new folder that belongs to whom PostgreSQL runs as.
pub fn folder(what: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("ringback-{what}-{}", uuid::Uuid::now_v7()));
    fs::create_dir(&path).expect("a folder can be made");
    if is_root() {
        run(&[
            "chown".to_owned(),
            "postgres:".to_owned(),
            path.display().to_string(),
        ]);
    }
    path
}

fn initialise(data: &Path) {
    let command = vec![
        program("initdb").display().to_string(),
        "-D".to_owned(),
        data.display().to_string(),
        "-U".to_owned(),
        "postgres".to_owned(),
        "--auth=trust".to_owned(),
        "--encoding=UTF8".to_owned(),
        "--locale=C".to_owned(),
        "--no-sync".to_owned(),
        "--no-instructions".to_owned(),
    ];
    run(&unprivileged(command));
}

/// The file exists and belongs to the right one already; only its text is replaced.
fn write_as_postgres(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn run(words: &[String]) {
    let output = Command::new(&words[0])
        .args(&words[1..])
        .current_dir("/")
        .output();
    let output =
        output.unwrap_or_else(|error| panic!("{}: {error}; {}", words[0], how_to_get_it()));
    assert!(
        output.status.success(),
        "{}: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn told(result: Result<String, String>, sql: &str) -> String {
    result.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// The shell that outlives us by a moment, to clean up.
#[derive(Debug)]
struct Keeper {
    child: Child,
    log: PathBuf,
}

/// Its standard input is a pipe that nobody writes to. The end of it is the end of whom the server was for;
/// signals from a terminal are for them, not for the keeper. `QUIT` makes PostgreSQL stop at once.
const KEEPER: &str = r#"
trap '' INT TERM HUP
folder=$1
shift
( trap - INT TERM HUP; exec "$@" ) </dev/null &
server=$!
cat >/dev/null
kill -QUIT "$server" 2>/dev/null
wait "$server"
rm -rf "$folder"
"#;

impl Keeper {
    fn start(folder: &Path, server: &[String]) -> Keeper {
        let log = folder.join("log");
        let output = File::create(&log).expect("the log can be made");
        let errors = output.try_clone().expect("the log can be shared");
        let child = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(folder)
            .args(server)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .expect("a shell can be started");
        Keeper { child, log }
    }

    /// It said goodbye, say because the port was taken.
    fn has_ended(&self) -> bool {
        self.log().contains("database system is shut down")
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Closing the pipe is the word to go.
        drop(self.child.stdin.take());
        if let Err(error) = self.child.wait() {
            eprintln!("PostgreSQL's keeper: {error}");
        }
    }
}
