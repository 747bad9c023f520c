//! The writer under fire: groups, panics, full disks, failing commits.

use super::*;
use rusqlite::ffi;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Desk {
    writer: Writer,
    commits: Arc<AtomicUsize>,
    fatal: Arc<Mutex<Vec<String>>>,
}

fn desk(queue: usize, fail: impl Fn(usize) -> Option<i32> + Send + 'static) -> Desk {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t (x INTEGER PRIMARY KEY, y TEXT) STRICT")
        .unwrap();
    let commits = Arc::new(AtomicUsize::new(0));
    let fatal = Arc::new(Mutex::new(Vec::new()));
    let (counted, told) = (Arc::clone(&commits), Arc::clone(&fatal));
    let parts = WriterParts {
        conn,
        queue,
        group: 256,
        signals: broadcast::channel(16).0,
        commit: Box::new(move |conn| {
            let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
            match fail(number) {
                Some(code) => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)),
                None => conn.execute_batch("COMMIT"),
            }
        }),
        on_fatal: Arc::new(move |why| told.lock().unwrap().push(why.to_owned())),
    };
    Desk {
        writer: Writer::start(parts).unwrap(),
        commits,
        fatal,
    }
}

async fn put(writer: &Writer, x: i64) -> Result<()> {
    writer
        .write(move |conn, _, _| {
            conn.execute("INSERT INTO t (x) VALUES (?1)", [x])?;
            Ok(())
        })
        .await
}

async fn rows(writer: &Writer) -> Vec<i64> {
    writer
        .write(|conn, _, _| {
            let mut statement = conn.prepare("SELECT x FROM t ORDER BY x")?;
            let rows = statement
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(rows)
        })
        .await
        .unwrap()
}

/// Holds the thread inside a job until let go, so that what gathers behind it is one group.
fn gate(
    writer: &Writer,
) -> (
    std::sync::mpsc::Sender<()>,
    tokio::task::JoinHandle<Result<()>>,
    std::sync::mpsc::Receiver<()>,
) {
    let (open, wait) = std::sync::mpsc::channel::<()>();
    let (inside, entered) = std::sync::mpsc::channel::<()>();
    let writer = writer.clone();
    let held = tokio::spawn(async move {
        writer
            .write(move |_, _, _| {
                // Nobody waits for it any more when it is run again.
                let _ = inside.send(());
                let _ = wait.recv();
                Ok(())
            })
            .await
    });
    (open, held, entered)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_gathers_is_one_commit() {
    let desk = desk(1000, |_| None);
    let (open, held, entered) = gate(&desk.writer);
    tokio::task::spawn_blocking(move || entered.recv().unwrap())
        .await
        .unwrap();
    let mut waiting = Vec::new();
    for x in 0..200 {
        let (sender, answer) = oneshot::channel();
        let work = move |conn: &Connection, _: Care, _: &mut Told| {
            conn.execute("INSERT INTO t (x) VALUES (?1)", [x])?;
            Ok(())
        };
        assert!(
            desk.writer
                .jobs
                .try_send(Message::Job(task(work, sender)))
                .is_ok()
        );
        waiting.push(answer);
    }
    assert_eq!(
        desk.commits.load(Ordering::SeqCst),
        0,
        "nobody is answered before the commit"
    );
    open.send(()).unwrap();
    held.await.unwrap().unwrap();
    for answer in waiting {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(
        desk.commits.load(Ordering::SeqCst),
        1,
        "the gate and all behind it share one commit"
    );
    assert_eq!(rows(&desk.writer).await.len(), 200);
}

fn task(
    work: impl FnMut(&Connection, Care, &mut Told) -> Result<()> + Send + 'static,
    sender: oneshot::Sender<Result<()>>,
) -> Box<dyn Job> {
    Box::new(Task {
        work,
        sender,
        result: None,
    })
}

/// A group whose last job but one writes and fails: the others are kept, and everybody learns their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spoiled_group_is_run_again() {
    let desk = desk(1000, |_| None);
    let (open, held, entered) = gate(&desk.writer);
    tokio::task::spawn_blocking(move || entered.recv().unwrap())
        .await
        .unwrap();
    let runs = Arc::new(AtomicUsize::new(0));
    let mut waiting = Vec::new();
    for x in 0..10 {
        let (sender, answer) = oneshot::channel();
        let counted = Arc::clone(&runs);
        let work = move |conn: &Connection, _: Care, _: &mut Told| {
            counted.fetch_add(1, Ordering::SeqCst);
            conn.execute("INSERT INTO t (x) VALUES (?1)", [x])?;
            match x {
                8 => Err(StoreError::NotFound("anything")),
                7 => panic!("a bug"),
                _ => Ok(()),
            }
        };
        let sent = desk.writer.jobs.try_send(Message::Job(task(work, sender)));
        assert!(sent.is_ok());
        waiting.push(answer);
    }
    open.send(()).unwrap();
    // Run again, the gate finds nobody who would let it go.
    drop(open);
    held.await.unwrap().unwrap();
    let mut kept = Vec::new();
    for (x, answer) in waiting.into_iter().enumerate() {
        match answer.await.unwrap() {
            Ok(()) => kept.push(x as i64),
            Err(StoreError::NotFound("anything")) => assert_eq!(x, 8),
            Err(StoreError::Failed(_)) => assert_eq!(x, 7),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(kept, [0, 1, 2, 3, 4, 5, 6, 9]);
    assert_eq!(rows(&desk.writer).await, kept);
    assert_eq!(
        runs.load(Ordering::SeqCst),
        18,
        "eight of them twice, no more"
    );
    assert_eq!(
        desk.commits.load(Ordering::SeqCst),
        2,
        "one group, and who looked"
    );
}

#[tokio::test]
async fn a_failed_job_takes_nobody_with_it() {
    let desk = desk(10, |_| None);
    put(&desk.writer, 1).await.unwrap();
    let twice = put(&desk.writer, 1).await;
    assert!(matches!(
        twice,
        Err(StoreError::Conflict {
            code: "constraint",
            ..
        })
    ));
    let half: Result<()> = desk
        .writer
        .write(|conn, _, _| {
            conn.execute("INSERT INTO t (x) VALUES (2)", [])?;
            Err(StoreError::NotFound("anything"))
        })
        .await;
    assert!(matches!(half, Err(StoreError::NotFound("anything"))));
    let asked = desk
        .writer
        .write(|conn, _, told| {
            conn.execute("INSERT INTO t (x) VALUES (3)", [])?;
            told.discard = true;
            Ok(7)
        })
        .await;
    assert_eq!(asked.unwrap(), 7);
    assert_eq!(rows(&desk.writer).await, [1]);
}

#[tokio::test]
async fn a_panic_is_undone_and_survived() {
    let desk = desk(10, |_| None);
    let broke: Result<()> = desk
        .writer
        .write(|conn, _, _| {
            conn.execute("INSERT INTO t (x) VALUES (1)", [])?;
            panic!("a bug");
        })
        .await;
    assert!(matches!(broke, Err(StoreError::Failed(_))));
    put(&desk.writer, 2).await.unwrap();
    assert_eq!(rows(&desk.writer).await, [2]);
}

#[tokio::test]
async fn a_full_disk_is_told_and_survived() {
    let desk = desk(10, |number| (number == 1).then_some(ffi::SQLITE_FULL));
    assert!(matches!(put(&desk.writer, 1).await, Err(StoreError::Full)));
    put(&desk.writer, 2).await.unwrap();
    assert_eq!(rows(&desk.writer).await, [2]);
    assert!(desk.fatal.lock().unwrap().is_empty());
}

/// The real thing: SQLite itself says that there is no page left.
#[tokio::test]
async fn no_page_left() {
    let desk = desk(10, |_| None);
    desk.writer
        .write(|conn, _, _| Ok(conn.pragma_update(None, "max_page_count", 20)?))
        .await
        .unwrap();
    let large = |x: i64| {
        desk.writer.write(move |conn, _, _| {
            conn.execute(
                "INSERT INTO t (x, y) VALUES (?1, ?2)",
                rusqlite::params![x, "y".repeat(20_000)],
            )?;
            Ok(())
        })
    };
    let mut kept = 0;
    loop {
        match large(kept).await {
            Ok(()) => kept += 1,
            Err(error) => {
                assert!(matches!(error, StoreError::Full), "{error}");
                break;
            }
        }
        assert!(kept < 20, "it never filled up");
    }
    assert_eq!(
        rows(&desk.writer).await.len(),
        usize::try_from(kept).unwrap()
    );
    desk.writer
        .write(|conn, _, _| Ok(conn.pragma_update(None, "max_page_count", 1000)?))
        .await
        .unwrap();
    large(kept).await.expect("there is space again");
}

#[tokio::test]
async fn an_input_output_error_in_a_commit_is_the_end() {
    let desk = desk(10, |number| {
        (number == 2).then_some(ffi::SQLITE_IOERR_FSYNC)
    });
    put(&desk.writer, 1).await.unwrap();
    assert!(matches!(
        put(&desk.writer, 2).await,
        Err(StoreError::Failed(_))
    ));
    assert_eq!(desk.fatal.lock().unwrap().len(), 1, "told once");
    assert!(matches!(
        put(&desk.writer, 3).await,
        Err(StoreError::Closed | StoreError::Failed(_))
    ));
    assert_eq!(desk.fatal.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_inbox_says_busy() {
    let desk = desk(2, |_| None);
    let (open, held, entered) = gate(&desk.writer);
    tokio::task::spawn_blocking(move || entered.recv().unwrap())
        .await
        .unwrap();
    for _ in 0..2 {
        assert!(
            desk.writer
                .jobs
                .try_send(Message::Job(task(|_, _, _| Ok(()), oneshot::channel().0)))
                .is_ok()
        );
    }
    assert!(matches!(put(&desk.writer, 1).await, Err(StoreError::Busy)));
    open.send(()).unwrap();
    held.await.unwrap().unwrap();
}

#[tokio::test]
async fn closing_keeps_what_was_gathered() {
    let desk = desk(10, |_| None);
    put(&desk.writer, 1).await.unwrap();
    desk.writer.close().await;
    assert!(matches!(
        put(&desk.writer, 2).await,
        Err(StoreError::Closed)
    ));
    desk.writer.close().await;
}
