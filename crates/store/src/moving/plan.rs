//! What is moved: every table with its columns, as both databases have them.

use bytes::BytesMut;
use sha2::{Digest, Sha256};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

/// One value of a row, the same whichever database it stands in. It has no `Debug`: most of them are personal.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Small(i32),
    Bool(bool),
    Text(String),
    Uuid(Uuid),
    Bytes(Vec<u8>),
    Texts(Vec<String>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Small,
    Bool,
    Text,
    Uuid,
    Bytes,
    /// A list, which SQLite keeps as JSON or in rows of its own.
    Texts,
}

pub(crate) struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// What SQLite is asked for.
    pub from: &'static str,
}

pub(crate) struct Table {
    pub name: &'static str,
    /// The key's columns come first.
    pub columns: &'static [Column],
    pub key: usize,
    /// Where SQLite has the rows.
    pub from: &'static str,
    /// Whether several rows there are one row here.
    pub distinct: bool,
    /// Rows of one batch at most, where they are large.
    most: usize,
}

impl Table {
    pub fn bite(&self, batch: usize) -> usize {
        batch.clamp(1, self.most)
    }

    /// The key of the last row.
    pub fn key_of(&self, rows: &[Vec<Cell>]) -> Option<Vec<Cell>> {
        rows.last().map(|row| row[..self.key].to_vec())
    }
}

impl Kind {
    pub fn sql(self) -> Type {
        match self {
            Kind::Int => Type::INT8,
            Kind::Small => Type::INT4,
            Kind::Bool => Type::BOOL,
            Kind::Text => Type::TEXT,
            Kind::Uuid => Type::UUID,
            Kind::Bytes => Type::BYTEA,
            Kind::Texts => Type::TEXT_ARRAY,
        }
    }
}

impl Cell {
    /// Each value with its kind and its length, so that no two rows come to the same bytes.
    pub fn hash_into(&self, hash: &mut Sha256) {
        let mut add = |kind: u8, bytes: &[u8]| {
            hash.update([kind]);
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        match self {
            Cell::Null => add(0, &[]),
            Cell::Int(number) => add(1, &number.to_be_bytes()),
            Cell::Small(number) => add(2, &number.to_be_bytes()),
            Cell::Bool(flag) => add(3, &[u8::from(*flag)]),
            Cell::Text(text) => add(4, text.as_bytes()),
            Cell::Uuid(id) => add(5, id.as_bytes()),
            Cell::Bytes(bytes) => add(6, bytes),
            Cell::Texts(texts) => {
                add(7, &(texts.len() as u64).to_be_bytes());
                for text in texts {
                    add(4, text.as_bytes());
                }
            }
        }
    }
}

impl std::fmt::Debug for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl ToSql for Cell {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Cell::Null => Ok(IsNull::Yes),
            Cell::Int(value) => value.to_sql(kind, out),
            Cell::Small(value) => value.to_sql(kind, out),
            Cell::Bool(value) => value.to_sql(kind, out),
            Cell::Text(value) => value.to_sql(kind, out),
            Cell::Uuid(value) => value.to_sql(kind, out),
            Cell::Bytes(value) => value.to_sql(kind, out),
            Cell::Texts(value) => value.to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column {
        name,
        kind,
        from: "",
    }
}

const fn made(name: &'static str, kind: Kind, from: &'static str) -> Column {
    Column { name, kind, from }
}

const fn table(name: &'static str, key: usize, columns: &'static [Column]) -> Table {
    Table {
        name,
        columns,
        key,
        from: "",
        distinct: false,
        most: 2000,
    }
}

use Kind::{Bool, Bytes, Int, Small, Text, Texts, Uuid as Id};

/// Every table that holds something of its own. Calls of the last day and the places counted of each slot are made
/// from these at the end.
pub(crate) const TABLES: &[Table] = &[
    table(
        "queues",
        2,
        &[
            column("tenant", Text),
            column("id", Text),
            column("intake_paused", Bool),
            column("dialling_paused", Bool),
            column("removed", Bool),
            column("created_at", Int),
            column("revision", Int),
            column("doc", Text),
        ],
    ),
    table(
        "learned",
        2,
        &[
            column("tenant", Text),
            column("queue", Text),
            column("doc", Text),
        ],
    ),
    table(
        "customers",
        2,
        &[
            column("tenant", Text),
            column("id", Text),
            column("name", Text),
            column("time_zone", Text),
            column("do_not_call", Bool),
            column("created_at", Int),
            column("revision", Int),
            made(
                "contacts",
                Texts,
                "(SELECT json_group_array(k.contact ORDER BY k.position) FROM customer_contacts AS k
                  WHERE k.tenant = t.tenant AND k.customer = t.id)",
            ),
            column("search", Text),
        ],
    ),
    table(
        "customer_contacts",
        2,
        &[
            column("tenant", Text),
            column("contact", Text),
            column("customer", Text),
        ],
    ),
    Table {
        from: "interactions AS t LEFT JOIN callbacks AS c ON c.tenant = t.tenant AND c.id = t.id",
        ..table(
            "interactions",
            2,
            &[
                column("tenant", Text),
                column("id", Id),
                column("entity_type", Small),
                column("customer", Text),
                column("parent", Id),
                column("thread", Text),
                column("external_id", Text),
                column("owner", Int),
                column("allow_children", Bool),
                column("created_at", Int),
                made("queue", Text, "c.queue"),
                made("search", Text, "c.search"),
                column("doc", Text),
            ],
        )
    },
    table(
        "callbacks",
        2,
        &[
            column("tenant", Text),
            column("id", Id),
            column("queue", Text),
            column("state", Text),
            column("callback_status", Small),
            column("status", Small),
            column("created_at", Int),
            column("start_time", Int),
            column("rank", Int),
            column("by_mail", Bool),
            column("wakes_at", Int),
            column("since", Int),
            column("transferred_to", Int),
            column("agent", Int),
            column("seat", Text),
            column("claim_node", Text),
            column("claim_boot", Id),
            column("claim_until", Int),
            column("fence", Int),
            column("attempt", Id),
            column("ended_at", Int),
            column("revision", Int),
            column("local_edition", Text),
            // SQLite has one writer, and does not count.
            made("writes", Int, "1"),
            column("doc", Text),
        ],
    ),
    Table {
        distinct: true,
        ..table(
            "callback_contacts",
            4,
            &[
                column("tenant", Text),
                column("contact", Text),
                column("created_at", Int),
                column("callback", Id),
            ],
        )
    },
    table(
        "attempts",
        2,
        &[
            column("tenant", Text),
            column("id", Id),
            column("callback", Id),
            column("number", Small),
            column("channel", Text),
            column("route", Text),
            column("agent", Int),
            column("dn", Text),
            column("contact", Text),
            column("by_mail", Bool),
            column("fence", Int),
            column("began_at", Int),
            column("answered_at", Int),
            column("ended_at", Int),
            column("counted", Bool),
            column("verdict", Text),
            column("outcome", Text),
            column("legs", Text),
        ],
    ),
    // Their numbers in the order of commits are kept: they are far below those that PostgreSQL's own will have.
    table(
        "events",
        3,
        &[
            column("tenant", Text),
            column("callback", Id),
            column("number", Small),
            column("seq", Int),
            column("at", Int),
            column("kind", Text),
            column("actor", Text),
            column("detail", Text),
            column("personal", Text),
            column("salt", Text),
            column("personal_hash", Text),
            column("hash", Text),
        ],
    ),
    table(
        "agents",
        2,
        &[
            column("tenant", Text),
            column("id", Int),
            column("name", Text),
            column("dn", Text),
            column("route", Text),
            column("presence", Text),
            column("auto_accept", Bool),
            column("engaged", Id),
            column("idle_since", Int),
            column("revision", Int),
            made(
                "queues",
                Texts,
                "(SELECT json_group_array(q.queue ORDER BY q.position) FROM agent_queues AS q
                  WHERE q.tenant = t.tenant AND q.agent = t.id)",
            ),
        ],
    ),
    table(
        "api_keys",
        2,
        &[
            column("tenant", Text),
            column("id", Id),
            column("name", Text),
            column("hash", Bytes),
            column("application", Int),
            column("scopes", Texts),
            column("created_at", Int),
            column("expires_at", Int),
            column("revoked_at", Int),
        ],
    ),
    table(
        "idempotency",
        3,
        &[
            column("tenant", Text),
            column("application", Int),
            column("key", Text),
            column("fingerprint", Bytes),
            column("answer", Text),
            column("expires_at", Int),
        ],
    ),
    table(
        "slot_places",
        2,
        &[
            column("tenant", Text),
            column("holder", Id),
            column("queue", Text),
            column("starts_at", Int),
            column("customer", Text),
            column("expires_at", Int),
        ],
    ),
    table(
        "uploads",
        2,
        &[
            column("tenant", Text),
            column("id", Id),
            column("touched_at", Int),
            column("chunks", Small),
            column("bytes", Int),
            column("finished", Bool),
        ],
    ),
    Table {
        most: 32,
        ..table(
            "body_chunks",
            3,
            &[
                column("tenant", Text),
                column("upload", Id),
                column("number", Small),
                column("bytes", Bytes),
            ],
        )
    },
    table(
        "bodies",
        3,
        &[
            column("tenant", Text),
            column("interaction", Id),
            column("kind", Text),
            column("upload", Id),
        ],
    ),
];
