//! What our own stack can do at most: a hello world, and the least that could be called a booking server.
//!
//! Both run as processes of their own, like the server, and are asked by the same clients. The prototype takes a
//! booking as JSON, counts its slot and inserts its row, many in one transaction, and answers after the commit. It
//! validates nothing, promises nothing and remembers nothing else.

use super::ground::connect;
use super::setback::Setback;
use super::wire::{Maker, request};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

const QUEUES: i64 = 8;
const SLOTS: i64 = 960;
const PLACES: i64 = 1_000_000;
/// As many as the store gathers.
const GROUP: usize = 256;
const WAITING: usize = 4096;

/// Kills its process when it is dropped.
pub struct Prototype {
    pub address: SocketAddr,
    _child: Child,
}

impl Prototype {
    /// Starts this program as a hello world, or on that database (`sqlite:FILE` or `postgres://…`).
    pub async fn start(database: Option<&str>) -> Result<Prototype, Setback> {
        let failed = Setback::while_doing("a prototype cannot be started");
        let program = std::env::current_exe().map_err(&failed)?;
        let mut child = Command::new(program)
            .args(["bench", "--prototype", database.unwrap_or("hello")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(&failed)?;
        let told = child.stdout.take().map(BufReader::new);
        let line = match told {
            Some(told) => told.lines().next_line().await.map_err(&failed)?,
            None => None,
        };
        let address = line.and_then(|line| line.trim().parse().ok());
        Ok(Prototype {
            address: address
                .ok_or_else(|| Setback::Broken("a prototype did not start".to_owned()))?,
            _child: child,
        })
    }
}

/// The requests for both.
pub fn bookings() -> Maker {
    Arc::new(|index| {
        let body = json!({
            "queue": index as i64 % QUEUES, "slot": (index as i64).wrapping_mul(7919) % SLOTS,
            "desired_response_type": "Voice", "customer_number": super::town::number(index), "customer_name": "Ada",
            "subject": "A question about the last bill", "udata": {"language": "en-US"},
        });
        request(
            "POST",
            "/",
            &format!("Idempotency-Key: {index}\r\n"),
            &body.to_string(),
        )
    })
}

/// The process itself: prints its address and serves until it is killed.
pub async fn run(database: &str) -> ExitCode {
    match serve(database).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(setback) => {
            eprintln!("ringback bench: {setback}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(database: &str) -> Result<(), Setback> {
    let app = if database == "hello" {
        Router::new().route("/", post(hello))
    } else {
        let (sender, receiver) = mpsc::channel(WAITING);
        match database.strip_prefix("sqlite:") {
            Some(path) => {
                let conn = sqlite(path)?;
                std::thread::spawn(move || write_sqlite(conn, receiver));
            }
            None => {
                let client = postgres(database).await?;
                tokio::spawn(write_postgres(client, receiver));
            }
        }
        Router::new().route("/", post(book)).with_state(sender)
    };
    let failed = Setback::while_doing("no socket for a prototype");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(&failed)?;
    println!("{}", listener.local_addr().map_err(&failed)?);
    axum::serve(
        axum::serve::ListenerExt::tap_io(listener, |io| {
            // As the server does; what cannot be set is only slower.
            drop(io.set_nodelay(true));
        }),
        app,
    )
    .await
    .map_err(&failed)
}

async fn hello(Json(asked): Json<Value>) -> (StatusCode, Json<Value>) {
    (
        StatusCode::CREATED,
        Json(json!({"hello": asked["customer_name"]})),
    )
}

struct Job {
    place: i64,
    doc: String,
    done: oneshot::Sender<bool>,
}

type Jobs = mpsc::Sender<Job>;

async fn book(State(jobs): State<Jobs>, Json(asked): Json<Value>) -> (StatusCode, Json<Value>) {
    let (Some(queue), Some(slot)) = (asked["queue"].as_i64(), asked["slot"].as_i64()) else {
        return (StatusCode::BAD_REQUEST, Json(Value::Null));
    };
    let (done, answer) = oneshot::channel();
    let job = Job {
        place: queue * SLOTS + slot,
        doc: asked.to_string(),
        done,
    };
    if jobs.send(job).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(Value::Null));
    }
    match answer.await {
        Ok(true) => (StatusCode::CREATED, Json(asked)),
        Ok(false) => (StatusCode::CONFLICT, Json(Value::Null)),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, Json(Value::Null)),
    }
}

fn sqlite(path: &str) -> Result<Connection, Setback> {
    let failed = Setback::while_doing("no database for a prototype");
    let conn = Connection::open(path).map_err(&failed)?;
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE slots (place INTEGER PRIMARY KEY, taken INTEGER NOT NULL);
         CREATE TABLE bookings (id INTEGER PRIMARY KEY, place INTEGER NOT NULL, doc TEXT NOT NULL);
         WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {})
         INSERT INTO slots SELECT i, 0 FROM n;",
        QUEUES * SLOTS
    ))
    .map_err(&failed)?;
    Ok(conn)
}

fn write_sqlite(conn: Connection, mut jobs: mpsc::Receiver<Job>) {
    let mut group = Vec::new();
    while jobs.blocking_recv_many(&mut group, GROUP) > 0 {
        let jobs = std::mem::take(&mut group);
        match write_group(&conn, &jobs) {
            Ok(taken) => answer(jobs, &taken),
            // Whoever asked hears that nothing came of it.
            Err(error) => eprintln!("the prototype's database failed: {error}"),
        }
    }
}

fn write_group(conn: &Connection, jobs: &[Job]) -> rusqlite::Result<Vec<bool>> {
    let transaction = conn.unchecked_transaction()?;
    let mut taken = Vec::with_capacity(jobs.len());
    {
        let mut take = transaction
            .prepare_cached("UPDATE slots SET taken = taken + 1 WHERE place = ?1 AND taken < ?2")?;
        let mut insert =
            transaction.prepare_cached("INSERT INTO bookings (place, doc) VALUES (?1, ?2)")?;
        for job in jobs {
            let had = take.execute((job.place, PLACES))? == 1;
            if had {
                insert.execute((job.place, &job.doc))?;
            }
            taken.push(had);
        }
    }
    transaction.commit()?;
    Ok(taken)
}

fn answer(jobs: Vec<Job>, taken: &[bool]) {
    for (job, had) in jobs.into_iter().zip(taken) {
        // A client that is gone needs no answer.
        let _ = job.done.send(*had);
    }
}

async fn postgres(url: &str) -> Result<tokio_postgres::Client, Setback> {
    let client = connect(url).await?;
    client
        .batch_execute(&format!(
            "CREATE TABLE slots (place bigint PRIMARY KEY, taken bigint NOT NULL) WITH (fillfactor = 50);
             CREATE TABLE bookings (id bigserial PRIMARY KEY, place bigint NOT NULL, doc text NOT NULL);
             INSERT INTO slots SELECT i, 0 FROM generate_series(0, {}) i",
            QUEUES * SLOTS - 1
        ))
        .await
        .map_err(Setback::while_doing("no database for a prototype"))?;
    Ok(client)
}

/// One statement a group, which is one transaction. A slot takes all that a group wants of it, or none.
const GROUPED: &str = "\
WITH asked AS (SELECT * FROM unnest($1::bigint[], $2::text[]) AS a (place, doc)),
     wanted AS (SELECT place, count(*) AS n FROM asked GROUP BY place),
     taken AS (UPDATE slots s SET taken = taken + n FROM wanted w
               WHERE s.place = w.place AND s.taken + n <= $3 RETURNING s.place),
     written AS (INSERT INTO bookings (place, doc)
                 SELECT a.place, a.doc FROM asked a JOIN taken USING (place))
SELECT place FROM taken";

async fn write_postgres(client: tokio_postgres::Client, mut jobs: mpsc::Receiver<Job>) {
    let statement = match client.prepare(GROUPED).await {
        Ok(statement) => statement,
        Err(error) => {
            eprintln!("the prototype's database refuses: {error}");
            return;
        }
    };
    let mut group = Vec::new();
    while jobs.recv_many(&mut group, GROUP).await > 0 {
        let jobs = std::mem::take(&mut group);
        let places: Vec<i64> = jobs.iter().map(|job| job.place).collect();
        let docs: Vec<&str> = jobs.iter().map(|job| job.doc.as_str()).collect();
        match client.query(&statement, &[&places, &docs, &PLACES]).await {
            Ok(rows) => {
                let had: std::collections::HashSet<i64> =
                    rows.iter().map(|row| row.get(0)).collect();
                let taken: Vec<bool> = places.iter().map(|place| had.contains(place)).collect();
                answer(jobs, &taken);
            }
            Err(error) => eprintln!("the prototype's database failed: {error}"),
        }
    }
}
