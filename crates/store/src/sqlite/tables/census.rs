//! Walks over everything there is, for the examination.

use super::events::{EVENT, event_of};
use super::{all, number, tenant_of, uuid};
use crate::Result;
use crate::rows::{count, time};
use crate::tables::{Census, Link, Strays};
use ringback_callbacks::ids::{AgentId, InteractionId};
use rusqlite::{Connection, Row};

pub(super) fn walk_events(
    conn: &Connection,
    visit: &mut dyn FnMut(Result<Link>) -> Result<()>,
) -> Result<()> {
    let sql = format!("SELECT {EVENT} FROM events ORDER BY tenant, callback, number");
    let mut statement = conn.prepare(&sql)?;
    let mut lines = statement.query([])?;
    while let Some(row) = lines.next()? {
        let link = event_of(row).and_then(|event| {
            Ok(Link {
                event,
                salt: row.get(11)?,
            })
        });
        visit(link)?;
    }
    Ok(())
}

pub(super) fn walk_callbacks(
    conn: &Connection,
    visit: &mut dyn FnMut(Census) -> Result<()>,
) -> Result<()> {
    let mut statement = conn.prepare(
        "SELECT callbacks.tenant, callbacks.id,
             (SELECT count(*) FROM events WHERE events.tenant = callbacks.tenant AND events.callback = callbacks.id),
             (SELECT count(*) FROM attempts
                 WHERE attempts.tenant = callbacks.tenant AND attempts.callback = callbacks.id),
             (SELECT count(*) FROM attempts WHERE attempts.tenant = callbacks.tenant
                 AND attempts.callback = callbacks.id AND attempts.ended_at IS NULL
                 AND attempts.id IS NOT callbacks.attempt),
             callbacks.state, callbacks.revision, callbacks.fence, slot_places.queue, slot_places.starts_at
         FROM callbacks
         LEFT JOIN slot_places ON slot_places.tenant = callbacks.tenant AND slot_places.holder = callbacks.id
         ORDER BY callbacks.tenant, callbacks.id",
    )?;
    let mut lines = statement.query([])?;
    while let Some(row) = lines.next()? {
        visit(census_of(row)?)?;
    }
    Ok(())
}

fn census_of(row: &Row<'_>) -> Result<Census> {
    let queue: Option<String> = row.get(8)?;
    let place = match queue {
        Some(queue) => Some((queue, time(row.get(9)?, "slot_places", "starts_at")?)),
        None => None,
    };
    Ok(Census {
        tenant: tenant_of(row, 0, "callbacks")?,
        id: InteractionId(uuid(row, 1, "callbacks", "id")?),
        events: count(row.get(2)?),
        attempts: count(row.get(3)?),
        stray_attempts: count(row.get(4)?),
        state: row.get(5)?,
        revision: count(row.get(6)?),
        fence: count(row.get(7)?),
        place,
    })
}

pub(super) fn strays(conn: &Connection) -> Result<Strays> {
    let agents = all(
        conn,
        "SELECT agents.id FROM agents
         WHERE engaged IS NOT NULL AND NOT EXISTS (SELECT 1 FROM callbacks
             WHERE callbacks.tenant = agents.tenant AND callbacks.id = agents.engaged
                 AND callbacks.agent = agents.id)
         UNION ALL
         SELECT callbacks.agent FROM callbacks
         WHERE callbacks.agent IS NOT NULL AND NOT EXISTS (SELECT 1 FROM agents
             WHERE agents.tenant = callbacks.tenant AND agents.id = callbacks.agent
                 AND agents.engaged = callbacks.id)",
        &[],
        |row| Ok(AgentId(row.get(0)?)),
    )?;
    let places = number(
        conn,
        "SELECT count(*) FROM slot_places
         WHERE expires_at IS NULL AND NOT EXISTS (SELECT 1 FROM callbacks
             WHERE callbacks.tenant = slot_places.tenant AND callbacks.id = slot_places.holder)",
        &[],
    )?;
    let uploads = number(
        conn,
        "SELECT count(*) FROM uploads
         WHERE finished = 1 AND NOT EXISTS (SELECT 1 FROM bodies WHERE bodies.tenant = uploads.tenant AND bodies.upload = uploads.id)",
        &[],
    )?;
    Ok(Strays {
        agents,
        places,
        uploads,
    })
}
