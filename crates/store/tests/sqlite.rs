//! What is SQLite's own: the file, its rights, and what `examine` finds when somebody edits it.

#[path = "conformance/town.rs"]
#[allow(dead_code)]
mod town;

use ringback_callbacks::callback::Callback;
use ringback_callbacks::state::State;
use ringback_store::{OpenOptions, Store, StoreError, WindowsSeen};
use rusqlite::Connection;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use town::*;

fn path(town: &Town) -> PathBuf {
    match &town.ground {
        Ground::Folder(folder) => folder.path().join("ringback.db"),
        Ground::Memory | Ground::Database(_) | Ground::Elsewhere => panic!("a town in a file"),
    }
}

/// Edits the file behind the store's back, triggers off, as somebody with rights to it could.
fn edit(town: &Town, sql: &str) {
    let conn = Connection::open(path(town)).unwrap();
    conn.busy_timeout(std::time::Duration::from_secs(10))
        .unwrap();
    conn.execute_batch(
        "PRAGMA foreign_keys = OFF; DROP TRIGGER events_stay; DROP TRIGGER events_unchanged;",
    )
    .unwrap();
    conn.execute_batch(sql).unwrap();
}

async fn faults(town: &Town) -> Vec<String> {
    town.store.examine().await.unwrap().faults
}

async fn open(url: &str) -> ringback_store::Result<Arc<dyn Store>> {
    ringback_store::open(url, OpenOptions::default(), Dice::new(1)).await
}

/// A town with one callback whose story has several events and an attempt.
async fn storied() -> Town {
    let town = sqlite_file().await;
    town.staffed().await;
    town.book("billing", voice(1), monday()).await;
    let dialling = town.call(later(1)).await;
    town.settle(&dialling, reached(), later(60)).await;
    town.is_healthy().await;
    town
}

#[tokio::test]
async fn tampering_is_found() {
    let table = [
        (
            "UPDATE events SET detail = json_set(detail, '$.queue', 'other') WHERE number = 1",
            "event 1 of",
        ),
        (
            "UPDATE events SET at = at + 60000 WHERE number = 3",
            "event 3 of",
        ),
        (
            "UPDATE events SET actor = 'agent:9' WHERE number = 2",
            "event 2 of",
        ),
        (
            "UPDATE events SET kind = 'cancelled' WHERE number = 2",
            "event 2 of",
        ),
        (
            "UPDATE events SET personal = '{\"customer_number\":\"+12127360009\"}' WHERE number = 1",
            "personal part of event 1",
        ),
        ("DELETE FROM events WHERE number = 2", "number 2 is missing"),
        (
            "DELETE FROM events WHERE number = (SELECT max(number) FROM events)",
            "does not end where",
        ),
        ("DELETE FROM events", "0 are there"),
        ("DELETE FROM attempts", "placed 1 attempts, 0 are there"),
        (
            "UPDATE attempts SET ended_at = NULL, outcome = NULL, verdict = NULL, counted = 0",
            "never ended",
        ),
        (
            "UPDATE callbacks SET fence = fence + 1",
            "are not those of its document",
        ),
        (
            "UPDATE callbacks SET doc = json_set(doc, '$.last_hash', 'x')",
            "does not end where",
        ),
        (
            "UPDATE callbacks SET doc = json_set(doc, '$.contacts', json('[]'))",
            "no contact",
        ),
        (
            "UPDATE agents SET engaged = NULL",
            "disagree about what is in hand",
        ),
        ("DELETE FROM interactions", "points at nothing"),
    ];
    for (sql, told) in table {
        let town = storied().await;
        edit(&town, sql);
        let faults = faults(&town).await;
        assert!(
            faults.iter().any(|fault| fault.contains(told)),
            "{sql}: {faults:?}"
        );
        assert!(
            !faults.join(" ").contains(&number(1)),
            "{sql}: a number was told"
        );
    }
}

#[tokio::test]
async fn a_blanked_personal_part_leaves_the_chain_whole() {
    let town = storied().await;
    let conn = Connection::open(path(&town)).unwrap();
    conn.busy_timeout(std::time::Duration::from_secs(10))
        .unwrap();
    let erased = conn
        .execute("UPDATE events SET personal = NULL, salt = NULL", [])
        .unwrap();
    assert!(erased > 0);
    town.is_healthy().await;
}

#[tokio::test]
async fn events_cannot_be_changed_by_a_slip() {
    let town = storied().await;
    let conn = Connection::open(path(&town)).unwrap();
    conn.busy_timeout(std::time::Duration::from_secs(10))
        .unwrap();
    for sql in [
        "DELETE FROM events",
        "UPDATE events SET detail = '{}'",
        "UPDATE events SET personal = '1', salt = '2'",
    ] {
        assert!(conn.execute(sql, []).is_err(), "{sql}");
    }
    town.is_healthy().await;
}

#[tokio::test]
async fn a_damaged_row_does_not_stop_the_clock() {
    let town = sqlite_file().await;
    town.staffed().await;
    let broken = town.book("billing", voice(1), monday()).await;
    let whole = town.book("billing", voice(2), later(1)).await;
    let id = hex::encode(broken.interaction.id.0.as_bytes());
    edit(
        &town,
        &format!(
            "UPDATE callbacks SET doc = json_set(doc, '$.priority', 'high') WHERE hex(id) = upper('{id}')"
        ),
    );
    assert_eq!(
        town.claim_one(later(2)).await.interaction.id,
        whole.interaction.id
    );
    assert!(
        town.next_wake().await > Some(later(2)),
        "it is set aside, not spun on"
    );
    let read = town.store.callback(&tenant(), broken.interaction.id).await;
    assert!(matches!(
        read,
        Err(StoreError::Damaged {
            table: "callbacks",
            column: "doc",
            ..
        })
    ));
}

#[tokio::test]
async fn a_damaged_row_does_not_block_the_line() {
    let town = sqlite_file().await;
    town.queue("pbx", dn_rules(1)).await;
    let broken = town.book("pbx", voice(1), monday()).await;
    let whole = town.book("pbx", voice(2), later(1)).await;
    let wait = ringback_store::ClaimOrder {
        places: 0,
        picks: Vec::new(),
        ..claim_order("one", later(2))
    };
    town.store.claim_due(wait).await.unwrap();
    let id = hex::encode(broken.interaction.id.0.as_bytes());
    edit(
        &town,
        &format!("UPDATE callbacks SET doc = '{{}}' WHERE hex(id) = upper('{id}')"),
    );
    let claimed = town.claim("one", later(3)).await;
    assert_eq!(claimed.callbacks.len(), 1);
    assert_eq!(claimed.callbacks[0].interaction.id, whole.interaction.id);
    assert!(!claimed.more, "it is looked at once, not over and over");
}

#[tokio::test]
async fn rules_that_cannot_be_read_hold() {
    let town = sqlite_file().await;
    town.staffed().await;
    let booked = town.book("billing", voice(1), monday()).await;
    edit(
        &town,
        "UPDATE queues SET doc = json_set(doc, '$.rules.hours.opening_hours', 'when it suits')",
    );
    assert!(town.claim("one", later(1)).await.callbacks.is_empty());
    let State::Scheduled { reason, .. } = town.get(&booked).await.state else {
        panic!("on the timer")
    };
    assert_eq!(format!("{reason:?}"), "Held(RulesUnreadable)");
    // A list of holidays that this node was not given: nobody knows when it is closed.
    let mut gone = rules(json!({}));
    gone.hours.opening_hours = "24/7; PH off".to_owned();
    gone.hours.holidays.lists = vec!["gone".to_owned()];
    town.queue("billing", gone).await;
    assert!(town.claim("one", later(300)).await.callbacks.is_empty());
    let held = town.get(&booked).await.held.unwrap();
    assert_eq!(held.guard.name(), "rules_unreadable");
    edit_again(&town, "UPDATE queues SET doc = '{}'");
    assert!(town.claim("one", later(600)).await.callbacks.is_empty());
    assert!(
        !town.get(&booked).await.state.is_ended(),
        "it waits for a readable rule"
    );
    // Writing the queue anew mends it.
    town.queue("billing", rules(json!({}))).await;
    assert_eq!(
        town.claim_one(later(1200)).await.interaction.id,
        booked.interaction.id
    );
}

fn edit_again(town: &Town, sql: &str) {
    let conn = Connection::open(path(town)).unwrap();
    conn.busy_timeout(std::time::Duration::from_secs(10))
        .unwrap();
    conn.execute_batch(sql).unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_reads_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let town = storied().await;
    for name in ["ringback.db", "ringback.db-wal"] {
        let file = path(&town).with_file_name(name);
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn closing_folds_the_log_into_the_file() {
    let town = storied().await;
    town.store.close().await;
    let log = path(&town).with_file_name("ringback.db-wal");
    let left = std::fs::metadata(log).map_or(0, |file| file.len());
    assert_eq!(left, 0);
    let town = town.reopened().await;
    town.is_healthy().await;
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let folder = tempfile::TempDir::new().unwrap();
    let refused = async |url: String| match open(&url).await {
        Err(StoreError::Configuration(why)) => why,
        Err(other) => panic!("a reason, not {other}"),
        Ok(_) => panic!("{url} was opened"),
    };
    let nowhere = format!(
        "sqlite:{}",
        folder.path().join("no/such/folder/ringback.db").display()
    );
    assert!(refused(nowhere).await.contains("cannot be created"));
    assert!(refused("oracle:thing".to_owned()).await.contains("sqlite:"));
    let theirs = folder.path().join("theirs.db");
    Connection::open(&theirs)
        .unwrap()
        .execute_batch("CREATE TABLE photos (x)")
        .unwrap();
    assert!(
        refused(format!("sqlite:{}", theirs.display()))
            .await
            .contains("another program")
    );
    let newer = folder.path().join("newer.db");
    let url = format!("sqlite:{}", newer.display());
    open(&url).await.unwrap().close().await;
    Connection::open(&newer)
        .unwrap()
        .pragma_update(None, "user_version", 999)
        .unwrap();
    assert!(refused(url).await.contains("newer program"));
}

/// The questions the clock and the lists ask are answered by indexes, whatever has piled up.
#[tokio::test]
async fn hot_questions_use_their_indexes() {
    let town = storied().await;
    let conn = Connection::open(path(&town)).unwrap();
    let table = [
        ("SELECT min(wakes_at) FROM callbacks WHERE wakes_at IS NOT NULL AND claim_until IS NULL", "callbacks_waking"),
        ("SELECT tenant, id FROM callbacks WHERE wakes_at <= 5 AND claim_until IS NULL ORDER BY wakes_at LIMIT 5", "callbacks_waking"),
        ("SELECT tenant, id FROM callbacks WHERE claim_until <= 5", "callbacks_leased"),
        ("SELECT tenant, id FROM callbacks WHERE claim_until IS NOT NULL AND claim_node = 'a' AND claim_boot <> 'b'", "callbacks_leased"),
        ("SELECT id FROM callbacks WHERE tenant = 't' AND state = 'queued' AND queue = 'q' AND by_mail = 0
          AND (rank, since, id) > (1, 2, x'00')
          ORDER BY rank, since, id LIMIT 1", "callbacks_waiting"),
        ("SELECT count(*) FROM callbacks WHERE tenant = 't' AND queue = 'q' AND seat = 'dn'", "callbacks_seated"),
        ("SELECT state, count(*) FROM callbacks WHERE tenant = 't' AND queue = 'q' AND ended_at IS NULL GROUP BY state", "callbacks_live"),
        ("SELECT doc FROM callbacks c WHERE c.tenant = 't' AND (c.created_at, c.id) < (5, x'00')
          ORDER BY c.created_at DESC, c.id DESC LIMIT 5", "callbacks_newest"),
        ("SELECT began_at FROM attempts WHERE tenant = 't' AND contact = 'c' AND by_mail = 0 AND began_at > 5
          ORDER BY began_at DESC LIMIT 5", "attempts_to"),
        ("SELECT callback FROM attempts WHERE tenant = 't' AND contact = 'c' AND ended_at IS NULL AND by_mail = 0", "attempts_in_call"),
        ("SELECT * FROM events WHERE tenant = 't' AND seq > 5 ORDER BY seq LIMIT 5", "events_in_order"),
        ("SELECT local_edition, id, doc FROM callbacks
          WHERE tenant = 't' AND ended_at IS NULL AND local_edition < 'b' AND (local_edition, id) > ('a', x'00')
          UNION ALL
          SELECT local_edition, id, doc FROM callbacks
          WHERE tenant = 't' AND ended_at IS NULL AND local_edition > 'b' AND (local_edition, id) > ('a', x'00')
          ORDER BY 1, 2 LIMIT 5", "callbacks_in_local_time"),
        ("SELECT 1 FROM interactions i WHERE i.tenant = 't' AND i.thread = 'x' ORDER BY i.created_at DESC, i.id DESC", "interactions_by_thread"),
    ];
    for (sql, index) in table {
        let plan: Vec<String> = conn
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap()
            .query_map([], |row| row.get(3))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert!(
            plan.iter().any(|line| line.contains(index)),
            "{sql}: {plan:?}"
        );
        assert!(
            !plan.iter().any(|line| line.contains("TEMP B-TREE")),
            "{sql}: {plan:?}"
        );
    }
}

#[tokio::test]
async fn who_only_looks_changes_nothing() {
    let town = storied().await;
    let looking = OpenOptions {
        read_only: true,
        ..OpenOptions::default()
    };
    // Beside the store that is at work.
    let store = ringback_store::open(&town.url, looking.clone(), Dice::new(1))
        .await
        .unwrap();
    let queues = store.queues(&tenant()).await.unwrap();
    assert_eq!(queues, town.store.queues(&tenant()).await.unwrap());
    let error = store.put_queue(queues[0].clone(), None).await.unwrap_err();
    assert!(error.to_string().contains("reading only"), "{error}");
    store.close().await;
    town.is_healthy().await;
    // A schema of another age is not brought up to date, and a file that is not there is not made.
    Connection::open(path(&town))
        .unwrap()
        .pragma_update(None, "user_version", 0)
        .unwrap();
    let error = ringback_store::open(&town.url, looking.clone(), Dice::new(1))
        .await
        .err()
        .expect("an older schema is refused");
    assert!(error.to_string().contains("schema 0"), "{error}");
    let none = path(&town).with_file_name("none.db");
    let url = format!("sqlite:{}", none.display());
    let missing = ringback_store::open(&url, looking, Dice::new(1)).await;
    assert!(missing.is_err() && !none.exists());
}

#[tokio::test]
async fn what_an_older_program_wrote_is_looked_at_once() {
    let town = sqlite_file().await;
    town.staffed().await;
    let booked = town.book("billing", voice(1), monday()).await;
    let local = json!({ "start_time": "2026-07-01T09:00", "end_time": "2026-07-01T10:00", "time_zone": "Europe/Berlin" });
    let local = town.book("billing", with(voice(2), local), monday()).await;
    let edition = |callback: &Callback| -> Option<String> {
        let conn = Connection::open(path(&town)).unwrap();
        let id = callback.interaction.id.0.as_bytes().to_vec();
        conn.query_row(
            "SELECT local_edition FROM callbacks WHERE id = ?1",
            [id],
            |row| row.get(0),
        )
        .unwrap()
    };
    let written = edition(&local);
    assert!(written.as_ref().is_some_and(|edition| !edition.is_empty()));
    edit(&town, "UPDATE callbacks SET local_edition = ''");
    let seen = town.store.look_at_windows(&tenant(), None, 10).await;
    assert_eq!(seen.unwrap(), WindowsSeen::default());
    assert_eq!((edition(&booked), edition(&local)), (None, written));
    town.is_healthy().await;
}
