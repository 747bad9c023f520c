//! One connection, driven by the thread that uses it, with its statements kept prepared.
//!
//! Verbs are plain functions, so a question to the database waits here until it is answered. The connection's own
//! future is polled by the same wait: no other thread is woken on the way.

use super::faults::Fault;
use super::target::Target;
use futures::future::join_all;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;

/// An answer that takes longer than this will not come: the connection is given up.
const PATIENCE: Duration = Duration::from_secs(15);
/// A walk through everything may take its time.
const LONG: Duration = Duration::from_secs(12 * 3600);
/// What a walk through everything is better served with than short questions are.
const STILL: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
     SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;
     SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; SET LOCAL enable_bitmapscan = on; SET LOCAL enable_seqscan = on";

/// A value for a statement, which knows the type it has there.
pub(super) trait Value: Sync {
    fn sql(&self) -> &(dyn ToSql + Sync);
    fn kind(&self) -> Type;
}

macro_rules! values {
    ($($rust:ty => $kind:ident),+ $(,)?) => {
        $(impl Value for $rust {
            fn sql(&self) -> &(dyn ToSql + Sync) {
                self
            }
            fn kind(&self) -> Type {
                Type::$kind
            }
        })+
    };
}

values! {
    i64 => INT8,
    i32 => INT4,
    bool => BOOL,
    &str => TEXT,
    String => TEXT,
    Uuid => UUID,
    &[u8] => BYTEA,
    Option<i64> => INT8,
    Option<&str> => TEXT,
    Option<String> => TEXT,
    Option<Uuid> => UUID,
    Vec<i64> => INT8_ARRAY,
    Vec<i32> => INT4_ARRAY,
    Vec<bool> => BOOL_ARRAY,
    Vec<&str> => TEXT_ARRAY,
    Vec<String> => TEXT_ARRAY,
    Vec<Uuid> => UUID_ARRAY,
    Vec<Vec<u8>> => BYTEA_ARRAY,
    Vec<Option<i64>> => INT8_ARRAY,
    Vec<Option<&str>> => TEXT_ARRAY,
    Vec<Option<String>> => TEXT_ARRAY,
    Vec<Option<Uuid>> => UUID_ARRAY,
    Vec<Option<bool>> => BOOL_ARRAY,
}

/// One statement of a flight.
pub(super) enum Ask<'a> {
    /// Sent as it is, without values.
    Plain(&'static str),
    With(&'a str, Vec<&'a dyn Value>),
}

pub(super) struct Session {
    runtime: Rc<Runtime>,
    client: Client,
    statements: RefCell<HashMap<String, Statement>>,
    /// Behind a pooler that lends a connection for one transaction only, nothing prepared lasts.
    prepares: bool,
    patience: Cell<Duration>,
}

impl Session {
    /// Connects on the thread's own runtime.
    pub fn connect(runtime: &Rc<Runtime>, target: &Target) -> Result<Session, Fault> {
        let client = runtime.block_on(async {
            let (client, connection) = target.connect().await?;
            tokio::spawn(connection);
            target.be_missed(&client).await?;
            let setup = target.session_setup();
            if !setup.is_empty() {
                client.batch_execute(&setup).await.map_err(Fault::from)?;
            }
            Ok::<Client, Fault>(client)
        })?;
        Ok(Session {
            runtime: Rc::clone(runtime),
            client,
            statements: RefCell::default(),
            prepares: target.prepares(),
            patience: Cell::new(PATIENCE),
        })
    }

    pub fn is_lost(&self) -> bool {
        self.client.is_closed()
    }

    pub fn plain(&self, sql: &str) -> Result<(), Fault> {
        self.patiently(self.client.batch_execute(sql))
    }

    /// Everything is read as it stands now, until `go_on`.
    pub fn hold_still(&self) -> Result<(), Fault> {
        self.plain(STILL)?;
        // What was prepared for short questions is planned anew.
        self.statements.borrow_mut().clear();
        self.patience.set(LONG);
        Ok(())
    }

    pub fn go_on(&self) -> Result<(), Fault> {
        self.patience.set(PATIENCE);
        self.statements.borrow_mut().clear();
        self.plain("ROLLBACK")
    }

    /// Sends several statements at once and waits for all answers: one journey. The first fault is the one told;
    /// those behind it in a transaction only say that it is over.
    pub fn fly(&self, asks: &[Ask<'_>]) -> Result<Vec<Vec<Row>>, Fault> {
        if self.prepares {
            for ask in asks {
                if let Ask::With(sql, values) = ask {
                    self.prepare(sql, values)?;
                }
            }
        }
        let statements = self.statements.borrow();
        let answers = self.patiently(async {
            let journeys = asks.iter().map(|ask| self.ask(ask, &statements));
            Ok::<_, tokio_postgres::Error>(join_all(journeys).await)
        })?;
        answers
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
            .map_err(Fault::from)
    }

    async fn ask(
        &self,
        ask: &Ask<'_>,
        statements: &HashMap<String, Statement>,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        match ask {
            Ask::Plain(sql) => self.client.batch_execute(sql).await.map(|()| Vec::new()),
            Ask::With(sql, values) => match statements.get(*sql) {
                Some(statement) => {
                    let values: Vec<&(dyn ToSql + Sync)> =
                        values.iter().map(|value| value.sql()).collect();
                    self.client.query(statement, &values).await
                }
                None => {
                    let values: Vec<(&(dyn ToSql + Sync), Type)> = values
                        .iter()
                        .map(|value| (value.sql(), value.kind()))
                        .collect();
                    self.client.query_typed(sql, &values).await
                }
            },
        }
    }

    fn prepare(&self, sql: &str, values: &[&dyn Value]) -> Result<(), Fault> {
        if self.statements.borrow().contains_key(sql) {
            return Ok(());
        }
        let kinds: Vec<Type> = values.iter().map(|value| value.kind()).collect();
        let statement = self.patiently(self.client.prepare_typed(sql, &kinds))?;
        let mut statements = self.statements.borrow_mut();
        // Lists are put together from what was asked: their kinds are few, but bounded all the same.
        if statements.len() >= 512 {
            statements.clear();
        }
        statements.insert(sql.to_owned(), statement);
        Ok(())
    }

    fn patiently<T>(
        &self,
        future: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Fault> {
        self.runtime.block_on(async {
            match tokio::time::timeout(self.patience.get(), future).await {
                Ok(answer) => answer.map_err(Fault::from),
                Err(_) => Err(Fault::Lost("the database does not answer".to_owned())),
            }
        })
    }
}
