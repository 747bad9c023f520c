//! What is sent for each table: arrays of values, unnested.

pub(super) const NEW_CUSTOMERS: &str = "
    INSERT INTO customers (tenant, id, name, time_zone, do_not_call, created_at, revision, contacts, search)
    SELECT tenant, id, name, time_zone, do_not_call, created_at, revision, string_to_array(contacts, E'\\n'), search
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::bigint[], $7::bigint[], $8::text[],
        $9::text[]) AS u(tenant, id, name, time_zone, do_not_call, created_at, revision, contacts, search)";

pub(super) const CHANGED_CUSTOMERS: &str = "
    UPDATE customers c SET name = u.name, time_zone = u.time_zone, do_not_call = u.do_not_call,
        revision = u.revision, contacts = string_to_array(u.contacts, E'\\n'), search = u.search
    FROM (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::bigint[], $7::bigint[],
        $8::text[], $9::text[], $10::bigint[]) LIMIT cardinality($1::text[])) AS u(tenant, id, name, time_zone, do_not_call, created_at, revision, contacts, search, stored)
    WHERE c.tenant = u.tenant AND c.id = u.id AND c.revision = u.stored";

pub(super) const GONE_CONTACTS: &str = "
    DELETE FROM customer_contacts c
    USING (SELECT * FROM unnest($1::text[], $2::text[])
    LIMIT cardinality($1::text[])) AS u(tenant, contact)
    WHERE c.tenant = u.tenant AND c.contact = u.contact";

pub(super) const NEW_CONTACTS: &str = "
    INSERT INTO customer_contacts (tenant, contact, customer)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
    ON CONFLICT (tenant, contact) DO UPDATE SET customer = excluded.customer";

pub(super) const NEW_INTERACTIONS: &str = "
    INSERT INTO interactions (tenant, id, entity_type, customer, parent, thread, external_id, owner,
        allow_children, created_at, queue, search)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::int[], $4::text[], $5::uuid[], $6::text[], $7::text[],
        $8::bigint[], $9::bool[], $10::bigint[], $11::text[], $12::text[])";

pub(super) const CHANGED_INTERACTIONS: &str = "
    UPDATE interactions i
    SET thread = u.thread, external_id = u.external_id, owner = u.owner, allow_children = u.allow_children,
        queue = u.queue, search = u.search
    FROM (SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::bool[], $7::text[],
        $8::text[])
    LIMIT cardinality($1::text[])) AS u(tenant, id, thread, external_id, owner, allow_children, queue, search)
    WHERE i.tenant = u.tenant AND i.id = u.id";

pub(super) const NEW_CALLBACKS: &str = "
    INSERT INTO callbacks (tenant, id, queue, state, callback_status, status, created_at, start_time, rank, by_mail,
        wakes_at, since, transferred_to, agent, seat, claim_node, claim_boot, claim_until, fence, attempt, ended_at,
        revision, writes, doc, local_edition)
    SELECT tenant, id, queue, state, callback_status, status, created_at, start_time, rank, by_mail,
        wakes_at, since, transferred_to, agent, seat, claim_node, claim_boot, claim_until, fence, attempt, ended_at,
        revision, writes + 1, doc, local_edition
    FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::int[], $6::int[], $7::bigint[], $8::bigint[],
        $9::bigint[], $10::bool[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::text[],
        $16::text[], $17::uuid[], $18::bigint[], $19::bigint[], $20::uuid[], $21::bigint[], $22::bigint[],
        $23::bigint[], $24::text[], $25::text[])
        AS u(tenant, id, queue, state, callback_status, status, created_at, start_time, rank, by_mail, wakes_at,
            since, transferred_to, agent, seat, claim_node, claim_boot, claim_until, fence, attempt, ended_at,
            revision, writes, doc, local_edition)";

pub(super) const CHANGED_CALLBACKS: &str = "
    UPDATE callbacks c SET queue = u.queue, state = u.state, callback_status = u.callback_status,
        status = u.status, start_time = u.start_time, rank = u.rank, by_mail = u.by_mail, wakes_at = u.wakes_at,
        since = u.since, transferred_to = u.transferred_to, agent = u.agent, seat = u.seat,
        claim_node = u.claim_node, claim_boot = u.claim_boot, claim_until = u.claim_until, fence = u.fence,
        attempt = u.attempt, ended_at = u.ended_at, revision = u.revision, writes = c.writes + 1, doc = u.doc,
        local_edition = u.local_edition
    FROM (SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::int[], $6::int[], $7::bigint[], $8::bigint[],
        $9::bigint[], $10::bool[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::text[],
        $16::text[], $17::uuid[], $18::bigint[], $19::bigint[], $20::uuid[], $21::bigint[], $22::bigint[],
        $23::bigint[], $24::text[], $25::text[]) LIMIT cardinality($1::text[])) AS u(tenant, id, queue, state, callback_status, status, created_at, start_time, rank, by_mail, wakes_at,
            since, transferred_to, agent, seat, claim_node, claim_boot, claim_until, fence, attempt, ended_at,
            revision, writes, doc, local_edition)
    WHERE c.tenant = u.tenant AND c.id = u.id AND c.writes = u.writes";

pub(super) const GONE_NAMES: &str = "
    DELETE FROM callback_contacts c
    USING (SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::uuid[])
    LIMIT cardinality($1::text[])) AS u(tenant, contact, created_at, callback)
    WHERE c.tenant = u.tenant AND c.contact = u.contact AND c.created_at = u.created_at AND c.callback = u.callback";

pub(super) const NEW_NAMES: &str = "
    INSERT INTO callback_contacts (tenant, contact, created_at, callback)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::uuid[])
    ON CONFLICT DO NOTHING";

pub(super) const SET_ASIDE: &str = "
    UPDATE callbacks c
    SET wakes_at = u.at, writes = c.writes + 1,
        claim_until = CASE WHEN c.claim_until IS NULL THEN NULL ELSE u.at END
    FROM (SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[])
    LIMIT cardinality($1::text[])) AS u(tenant, id, at)
    WHERE c.tenant = u.tenant AND c.id = u.id AND c.status <> 3";

pub(super) const NEW_ATTEMPTS: &str = "
    INSERT INTO attempts (tenant, id, callback, number, channel, route, agent, dn, contact, by_mail, fence, began_at,
        answered_at, ended_at, counted, verdict, outcome, legs)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::int[], $5::text[], $6::text[], $7::bigint[],
        $8::text[], $9::text[], $10::bool[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bool[],
        $16::text[], $17::text[], $18::text[])";

pub(super) const CHANGED_ATTEMPTS: &str = "
    UPDATE attempts a SET route = u.route, answered_at = u.answered_at, ended_at = u.ended_at, counted = u.counted,
        verdict = u.verdict, outcome = u.outcome
    FROM (SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bool[], $7::text[], $8::text[]) LIMIT cardinality($1::text[])) AS u(tenant, id, route, answered_at, ended_at, counted, verdict, outcome)
    WHERE a.tenant = u.tenant AND a.id = u.id";

/// Only while the claim is whose it was: somebody who takes it over has read which legs there are, and ends no others.
pub(super) const NEW_LEGS: &str = "
    UPDATE attempts a
    SET legs = u.legs
    FROM (SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::uuid[], $5::bigint[])
    LIMIT cardinality($1::text[])) AS u(tenant, id, legs, callback, fence)
    CROSS JOIN LATERAL (SELECT 1 FROM callbacks c
        WHERE c.tenant = u.tenant AND c.id = u.callback AND c.fence = u.fence AND c.attempt = u.id
        LIMIT 1 FOR SHARE) AS claimed
    WHERE a.tenant = u.tenant AND a.id = u.id";

pub(super) const CALLS: &str = "
    INSERT INTO recent_calls (tenant, contact, attempt, callback, began_at, in_call, rang)
    SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bool[], $7::bool[])
    ON CONFLICT (tenant, contact, attempt) DO UPDATE SET in_call = excluded.in_call, rang = excluded.rang";

pub(super) const GIVEN_PLACES: &str = "
    DELETE FROM slot_places p
    USING (SELECT * FROM unnest($1::text[], $2::uuid[])
    LIMIT cardinality($1::text[])) AS u(tenant, holder)
    WHERE p.tenant = u.tenant AND p.holder = u.holder";

pub(super) const TAKEN_PLACES: &str = "
    INSERT INTO slot_places (tenant, holder, queue, starts_at, customer)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::bigint[], $5::text[])
    ON CONFLICT (tenant, holder) DO UPDATE SET queue = excluded.queue, starts_at = excluded.starts_at, customer = excluded.customer";

pub(super) const LESS_COUNTED: &str = "
    UPDATE slot_counts s
    SET booked = s.booked + u.delta
    FROM (SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::int[])
    LIMIT cardinality($1::text[])) AS u(tenant, queue, starts_at, delta)
    WHERE s.tenant = u.tenant AND s.queue = u.queue AND s.starts_at = u.starts_at";

/// More in some slots, less in others. A count that is proposed as a row is never below nothing: what is to be subtracted
/// is looked up where it came from.
pub(super) const COUNTED: &str = "
    INSERT INTO slot_counts (tenant, queue, starts_at, booked)
    SELECT tenant, queue, starts_at, greatest(delta, 0)
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::int[]) AS u(tenant, queue, starts_at, delta)
    ON CONFLICT (tenant, queue, starts_at) DO UPDATE SET booked = slot_counts.booked + CASE
        WHEN excluded.booked > 0 THEN excluded.booked
        ELSE (SELECT u.delta FROM unnest($1::text[], $2::text[], $3::bigint[], $4::int[])
                AS u(tenant, queue, starts_at, delta)
            WHERE u.starts_at = excluded.starts_at AND u.queue = excluded.queue AND u.tenant = excluded.tenant) END";

pub(super) const CHANGED_AGENTS: &str = "
    UPDATE agents a
    SET engaged = u.engaged, idle_since = coalesce(u.idle_since, a.idle_since),
        presence = CASE WHEN u.away AND a.presence = 'ready' THEN 'away' ELSE a.presence END
    FROM (SELECT * FROM unnest($1::text[], $2::bigint[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bool[])
    LIMIT cardinality($1::text[])) AS u(tenant, id, had, engaged, idle_since, away)
    WHERE a.tenant = u.tenant AND a.id = u.id AND a.engaged IS NOT DISTINCT FROM u.had";

macro_rules! new_events {
    ($only:literal) => {
        concat!(
            "
    INSERT INTO events (tenant, seq, callback, number, at, kind, actor, detail, personal, salt, personal_hash, hash)
    SELECT tenant, base.seq + place, callback, number, at, kind, actor, detail, personal, salt, personal_hash, hash
    FROM (SELECT ((pg_current_xact_id()::text::bigint + $1) << 20) + $2 AS seq) AS base,
        unnest($3::text[], $4::uuid[], $5::int[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[],
            $11::text[], $12::text[], $13::text[]) WITH ORDINALITY
            AS u(tenant, callback, number, at, kind, actor, detail, personal, salt, personal_hash, hash, place)",
            $only
        )
    };
}

/// 2^20 events a transaction: groups have a few thousand at most.
pub(super) const NEW_EVENTS: &str = new_events!("");

/// For a transaction that has had its number since before it read what it goes on from: a younger one may have
/// committed the event before, and nobody may be told of this one first.
pub(super) const NEW_EVENTS_IN_ORDER: &str = new_events!(
    "
    WHERE u.number = 1 OR coalesce((SELECT e.seq FROM events e
        WHERE e.tenant = u.tenant AND e.callback = u.callback AND e.number = u.number - 1), 0) < base.seq + u.place"
);

pub(super) const NEW_ANSWERS: &str = "
    INSERT INTO idempotency (tenant, application, key, fingerprint, answer, expires_at)
    SELECT * FROM unnest($2::text[], $3::bigint[], $4::text[], $5::bytea[], $6::text[], $7::bigint[])
    ON CONFLICT (tenant, application, key) DO UPDATE SET fingerprint = excluded.fingerprint, answer = excluded.answer, expires_at = excluded.expires_at
    WHERE idempotency.expires_at <= $1";
