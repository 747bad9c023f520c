//! The database's own catalog says what a distributed PostgreSQL needs: every key leads with the tenant, and nothing
//! reaches across tenants.

use crate::database;
use crate::town::*;
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::state::Canceller;
use serde_json::json;

/// Tables that belong to the installation, and to no tenant: which migrations were run, its one row, and what each node
/// uses of a route, because a trunk's lines are the house's own whoever is called by them.
const OF_NO_TENANT: [&str; 3] = ["installation", "migrations", "route_parts"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_leads_with_the_tenant() {
    let town = postgres().await;
    let database = database(&town);
    let tables = database.sql(
        "SELECT c.relname FROM pg_class c
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY 1",
    );
    let tables: Vec<&str> = tables
        .lines()
        .filter(|table| !OF_NO_TENANT.contains(table))
        .collect();
    // The large ones with their months and the rest.
    assert!(tables.len() > 30, "{tables:?}");
    for table in &tables {
        let keys = database.sql(&format!(
            "SELECT i.indexrelid::regclass, i.indisprimary,
                 (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = i.indkey[0])
             FROM pg_index i WHERE i.indrelid = '{table}'::regclass AND i.indisunique"
        ));
        assert!(
            keys.lines().any(|key| key.contains("|t|")),
            "{table} has a primary key: {keys}"
        );
        for key in keys.lines() {
            assert!(key.ends_with("|tenant"), "{table}: {key}");
        }
        let tenant = database.sql(&format!(
            "SELECT a.attnotnull FROM pg_attribute a WHERE a.attrelid = '{table}'::regclass AND a.attname = 'tenant'"
        ));
        assert_eq!(tenant, "t", "{table}");
    }
    for table in OF_NO_TENANT {
        let columns = database.sql(&format!(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attname = 'tenant'"
        ));
        assert_eq!(columns, "0", "{table}");
    }
    // What a migration may have left undone, say an index that was made beside the running server and broke off.
    assert_eq!(
        database.sql("SELECT count(*) FROM pg_index WHERE NOT indisvalid"),
        "0"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_reaches_across_tenants() {
    let town = postgres().await;
    let database = database(&town);
    for (what, sql) in [
        (
            "foreign keys",
            "SELECT conname FROM pg_constraint WHERE contype = 'f'",
        ),
        (
            "sequences",
            "SELECT relname FROM pg_class WHERE relkind = 'S'",
        ),
        (
            "columns that count by themselves",
            "SELECT attrelid::regclass, attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
             WHERE c.relnamespace = 'public'::regnamespace AND a.attidentity <> ''",
        ),
        (
            "exclusions",
            "SELECT conname FROM pg_constraint WHERE contype = 'x'",
        ),
    ] {
        assert_eq!(database.sql(sql), "", "no {what}");
    }
}

/// What has ended is found by its id and in lists, and is in none of the indexes that are asked all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ended_is_in_no_hot_index() {
    let town = postgres().await;
    town.staffed().await;
    for last in 1..4 {
        town.book("billing", voice(last), monday()).await;
    }
    let database = database(&town);
    let indexes = database.sql(
        "SELECT i.indexrelid::regclass, pg_get_expr(i.indpred, i.indrelid) FROM pg_index i
         WHERE i.indrelid = 'callbacks'::regclass AND NOT i.indisprimary",
    );
    let indexes: Vec<(&str, &str)> = indexes
        .lines()
        .filter_map(|line| line.split_once('|'))
        .collect();
    assert!(indexes.len() >= 7, "{indexes:?}");
    let held = |predicate: &str| {
        assert_ne!(predicate, "", "it holds a part only");
        database.sql(&format!("SELECT count(*) FROM callbacks WHERE {predicate}"))
    };
    let open = indexes
        .iter()
        .filter(|(_, predicate)| held(predicate) != "0")
        .count();
    assert!(open >= 2, "what is open is in them");

    let dialling = town.call(later(1)).await;
    let talked = town.settle(&dialling, reached(), later(60)).await;
    for callback in town
        .store
        .open_in_queue(&tenant(), &queue_id("billing"), None, 10)
        .await
        .unwrap()
    {
        if callback.interaction.id != talked.interaction.id {
            let by = Canceller::Customer;
            town.must(&callback, Command::Cancel { by, reason: None }, later(61))
                .await;
        }
    }
    town.claim("one", later(100_000)).await;
    assert!(town.get(&talked).await.state.is_ended());
    for (index, predicate) in &indexes {
        assert_eq!(held(predicate), "0", "{index}");
    }
    // The questions that are asked all the time can be answered by these indexes.
    let queue = json!("billing");
    for (sql, index) in [
        (
            "SELECT 1 FROM callbacks WHERE wakes_at <= 5 AND wakes_at IS NOT NULL AND claim_until IS NULL
             ORDER BY wakes_at LIMIT 10"
                .to_owned(),
            "wakes_at_idx",
        ),
        (
            format!(
                "SELECT 1 FROM callbacks WHERE tenant = 'default' AND queue = '{}' AND by_mail = false
                 AND state = 'queued' ORDER BY rank, since, id LIMIT 1",
                queue.as_str().unwrap()
            ),
            "rank_since_id_idx",
        ),
    ] {
        let plan = database.sql(&format!("SET enable_seqscan = off; EXPLAIN {sql}"));
        assert!(plan.contains(index), "{plan}");
    }
}
