-- The first schema. Times are milliseconds since 1970, documents are JSON kept as text.
-- A document is the truth about its row; the columns beside it are its index, written by the same function.
--
-- Every key leads with the tenant, and no foreign key, sequence or unique index reaches across tenants, so that a
-- distributed PostgreSQL can spread tenants over machines. Foreign keys between the large tables are left out on
-- purpose: one program writes them all, in one transaction, and `ringback doctor` looks for rows that belong to
-- nothing; a trigger for every row of every table would cost more than the row.
--
-- Text is compared byte by byte (COLLATE "C"), whatever the database's own language.
--
-- Ids are UUIDs of version 7, which begin with the time: tables that are divided by id are divided by month.

-- What an installation has once.
CREATE TABLE installation (
    one        SMALLINT PRIMARY KEY CHECK (one = 1),
    -- Added to the database's own transaction number to make the order of events; raised when a backup is restored
    -- into a database that counts from a lower number.
    seq_offset BIGINT NOT NULL,
    -- Written to find out whether writing works.
    beats      BIGINT NOT NULL
);

INSERT INTO installation (one, seq_offset, beats) VALUES (1, 0, 0);

-- Ends a transaction in which a row was no longer what it had been read as.
CREATE FUNCTION changed_meanwhile() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a row was changed meanwhile' USING ERRCODE = 'RB001';
END $$;

-- What a callback waits in.
CREATE TABLE queues (
    tenant          TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    -- A supervisor's two switches, and whether the queue is gone.
    intake_paused   BOOLEAN NOT NULL,
    dialling_paused BOOLEAN NOT NULL,
    removed         BOOLEAN NOT NULL,
    created_at      BIGINT NOT NULL,
    -- 1 at first; one more with every change.
    revision        BIGINT NOT NULL CHECK (revision > 0),
    -- The whole queue.
    doc             TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);

-- What a planned queue has learned from what happened: a cache of experience, never the record itself.
CREATE TABLE learned (
    tenant TEXT COLLATE "C" NOT NULL,
    queue  TEXT COLLATE "C" NOT NULL,
    doc    TEXT NOT NULL,
    PRIMARY KEY (tenant, queue)
);

-- Who asked to be called back.
CREATE TABLE customers (
    tenant      TEXT COLLATE "C" NOT NULL,
    id          TEXT COLLATE "C" NOT NULL CHECK (length(id) BETWEEN 1 AND 16),
    name        TEXT,
    -- IANA zone.
    time_zone   TEXT,
    do_not_call BOOLEAN NOT NULL,
    created_at  BIGINT NOT NULL,
    revision    BIGINT NOT NULL CHECK (revision > 0),
    -- Canonical, in the order in which they became known.
    contacts    TEXT[] NOT NULL,
    -- Id and name in lower case, for finding part of either.
    search      TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);

-- A contact belongs to one customer, so that the next request by the same number finds the same person.
CREATE TABLE customer_contacts (
    tenant   TEXT COLLATE "C" NOT NULL,
    -- Canonical: E.164, a SIP URI, an address.
    contact  TEXT COLLATE "C" NOT NULL,
    customer TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, contact)
);

-- The common fields of interactions of every kind, and what lists ask for; callbacks have the rest in `callbacks`.
-- Rows here hardly ever change, so the lists' indexes are written once.
CREATE TABLE interactions (
    tenant         TEXT COLLATE "C" NOT NULL,
    id             UUID NOT NULL,
    -- 5 is a callback.
    entity_type    INTEGER NOT NULL,
    customer       TEXT COLLATE "C" NOT NULL,
    parent         UUID,
    thread         TEXT COLLATE "C",
    external_id    TEXT COLLATE "C",
    owner          BIGINT,
    allow_children BOOLEAN NOT NULL,
    created_at     BIGINT NOT NULL,
    -- Of a callback: what it waits in.
    queue          TEXT COLLATE "C",
    -- Of a callback: subject, category, external id and udata values in lower case, for the search by words.
    search         TEXT,
    -- The whole interaction, unless it is a callback.
    doc            TEXT,
    PRIMARY KEY (tenant, id),
    CHECK ((doc IS NULL) = (entity_type = 5)),
    CHECK ((queue IS NOT NULL) = (entity_type = 5) AND (search IS NOT NULL) = (entity_type = 5))
) PARTITION BY RANGE (id);

CREATE INDEX interactions_newest ON interactions (tenant, created_at, id);
CREATE INDEX interactions_by_customer ON interactions (tenant, customer, created_at, id);
CREATE INDEX interactions_by_queue ON interactions (tenant, queue, created_at, id) WHERE queue IS NOT NULL;
CREATE INDEX interactions_by_thread ON interactions (tenant, thread, created_at, id) WHERE thread IS NOT NULL;
CREATE INDEX interactions_by_parent ON interactions (tenant, parent, created_at, id) WHERE parent IS NOT NULL;
CREATE INDEX interactions_by_external_id ON interactions (tenant, external_id, created_at, id)
    WHERE external_id IS NOT NULL;
CREATE INDEX interactions_by_owner ON interactions (tenant, owner, created_at, id) WHERE owner IS NOT NULL;

-- What changes about the stored requests.
CREATE TABLE callbacks (
    tenant          TEXT COLLATE "C" NOT NULL,
    id              UUID NOT NULL,
    queue           TEXT COLLATE "C" NOT NULL,
    state           TEXT COLLATE "C" NOT NULL CHECK (state IN (
        'received', 'scheduled', 'queued', 'transferred', 'offered', 'assigned', 'dialling', 'talking', 'wrap_up',
        'done', 'cancelled', 'exhausted', 'refused', 'failed', 'replaced', 'expired')),
    -- The resource's two numbers, as the state gives them.
    callback_status INTEGER NOT NULL CHECK (callback_status BETWEEN 0 AND 14),
    status          INTEGER NOT NULL CHECK (status BETWEEN 0 AND 3),
    created_at      BIGINT NOT NULL,
    -- When the window begins.
    start_time      BIGINT NOT NULL,
    -- Place in the order of service: the deadline, made earlier by the priority.
    rank            BIGINT NOT NULL,
    -- Whether the contact to be tried next is an e-mail address.
    by_mail         BOOLEAN NOT NULL,
    -- When the clock alone makes something happen to it.
    wakes_at        BIGINT,
    -- Its place in the queue: set while it waits for an agent or a free place.
    since           BIGINT,
    -- The one agent it waits for.
    transferred_to  BIGINT,
    -- The agent whose hands are full because of it.
    agent           BIGINT,
    -- What kind of seat it takes: an agent, a place at a DN, or one of the queue's own letters.
    seat            TEXT COLLATE "C" CHECK (seat IN ('agent', 'dn', 'template')),
    -- The lease of the node that works on it.
    claim_node      TEXT COLLATE "C",
    claim_boot      UUID,
    claim_until     BIGINT,
    -- Number of the last claim; whoever holds an older one is late.
    fence           BIGINT NOT NULL CHECK (fence >= 0),
    -- The attempt in the air.
    attempt         UUID,
    ended_at        BIGINT,
    revision        BIGINT NOT NULL CHECK (revision > 0),
    -- How often the row was written. Whoever writes says what it was when they read it, and writes nothing if
    -- somebody was faster.
    writes          BIGINT NOT NULL,
    -- The whole callback.
    doc             TEXT NOT NULL,
    PRIMARY KEY (tenant, id),
    -- The states of the life cycle, each with exactly what belongs to it.
    CHECK ((claim_until IS NOT NULL) = (state IN ('offered', 'assigned', 'dialling', 'talking'))),
    CHECK ((claim_node IS NULL) = (claim_until IS NULL) AND (claim_boot IS NULL) = (claim_until IS NULL)),
    CHECK (claim_until IS NULL OR fence > 0),
    CHECK ((since IS NOT NULL) = (state IN ('queued', 'transferred'))),
    CHECK ((transferred_to IS NOT NULL) = (state = 'transferred')),
    CHECK ((seat IS NOT NULL) = (state IN ('offered', 'assigned', 'dialling', 'talking', 'wrap_up'))),
    CHECK ((agent IS NOT NULL) = (seat IS NOT NULL AND seat = 'agent')),
    CHECK (state NOT IN ('offered', 'wrap_up') OR agent IS NOT NULL),
    CHECK ((attempt IS NOT NULL) = (state IN ('dialling', 'talking'))),
    CHECK ((ended_at IS NOT NULL) = (state IN
        ('done', 'cancelled', 'exhausted', 'refused', 'failed', 'replaced', 'expired'))),
    CHECK ((status = 3) = (ended_at IS NOT NULL)),
    CHECK (ended_at IS NULL OR wakes_at IS NULL),
    CHECK (wakes_at IS NOT NULL OR ended_at IS NOT NULL OR state IN ('queued', 'transferred'))
) PARTITION BY RANGE (id);

-- Only what has not ended is in these.
CREATE INDEX callbacks_waking ON callbacks (wakes_at) WHERE wakes_at IS NOT NULL AND claim_until IS NULL;
CREATE INDEX callbacks_leased ON callbacks (claim_until) WHERE claim_until IS NOT NULL;
CREATE INDEX callbacks_waiting ON callbacks (tenant, queue, by_mail, rank, since, id) WHERE state = 'queued';
CREATE INDEX callbacks_transferred ON callbacks (tenant, transferred_to, rank, since, id)
    WHERE state = 'transferred';
CREATE INDEX callbacks_seated ON callbacks (tenant, queue, seat) WHERE seat IS NOT NULL;
CREATE INDEX callbacks_in_hand ON callbacks (tenant, agent, created_at, id) WHERE agent IS NOT NULL;
CREATE INDEX callbacks_open ON callbacks (tenant, queue, id) WHERE ended_at IS NULL;

-- Every contact of every plan, so that a callback is found by any of its numbers.
CREATE TABLE callback_contacts (
    tenant     TEXT COLLATE "C" NOT NULL,
    contact    TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    callback   UUID NOT NULL,
    PRIMARY KEY (tenant, contact, created_at, callback)
);

-- Tries at reaching customers; a row is here before anything leaves the house.
CREATE TABLE attempts (
    tenant      TEXT COLLATE "C" NOT NULL,
    id          UUID NOT NULL,
    callback    UUID NOT NULL,
    -- From 1, without gaps, within the callback.
    number      INTEGER NOT NULL CHECK (number > 0),
    channel     TEXT NOT NULL,
    route       TEXT,
    agent       BIGINT,
    dn          TEXT,
    contact     TEXT COLLATE "C" NOT NULL,
    -- A message rather than a call: several may go to one address at a time.
    by_mail     BOOLEAN NOT NULL,
    -- The claim under which it was placed.
    fence       BIGINT NOT NULL CHECK (fence > 0),
    began_at    BIGINT NOT NULL,
    answered_at BIGINT,
    ended_at    BIGINT,
    -- Whether it counts against the customer's tries; decided at its end.
    counted     BOOLEAN NOT NULL,
    -- What it meant; null while it lasts.
    verdict     TEXT,
    -- Our result with the platform's own code.
    outcome     TEXT,
    -- Dialog identifiers by which a restarted node ends what it left ringing.
    legs        TEXT NOT NULL,
    PRIMARY KEY (tenant, id),
    CHECK ((ended_at IS NULL) = (outcome IS NULL) AND (ended_at IS NULL) = (verdict IS NULL)),
    CHECK (NOT counted OR ended_at IS NOT NULL)
) PARTITION BY RANGE (id);

CREATE INDEX attempts_of ON attempts (tenant, callback, number);

-- Calls to a number in the last day; rows past that are deleted. What is asked before every dial is found here
-- without looking through the months.
CREATE TABLE recent_calls (
    tenant   TEXT COLLATE "C" NOT NULL,
    contact  TEXT COLLATE "C" NOT NULL,
    attempt  UUID NOT NULL,
    callback UUID NOT NULL,
    began_at BIGINT NOT NULL,
    -- Still going on.
    in_call  BOOLEAN NOT NULL,
    -- Whether it rang at the customer's, or may have: what a trunk or the agent's phone failed at does not count.
    rang     BOOLEAN NOT NULL,
    PRIMARY KEY (tenant, contact, attempt)
);

-- At most one call per number and tenant at any time.
CREATE UNIQUE INDEX recent_calls_in_call ON recent_calls (tenant, contact) WHERE in_call;
CREATE INDEX recent_calls_over ON recent_calls (began_at) WHERE NOT in_call;

-- What happened, in order, never changed.
CREATE TABLE events (
    tenant        TEXT COLLATE "C" NOT NULL,
    -- Number of the transaction that wrote it, times 2^20, and its place therein. Nothing that is committed later
    -- comes before what a follower has read, if it reads no further than the oldest transaction that goes on.
    seq           BIGINT NOT NULL,
    -- The interaction it happened to.
    callback      UUID NOT NULL,
    -- From 1, without gaps, within the interaction.
    number        INTEGER NOT NULL CHECK (number > 0),
    at            BIGINT NOT NULL,
    kind          TEXT COLLATE "C" NOT NULL,
    actor         TEXT NOT NULL,
    detail        TEXT NOT NULL,
    -- The personal part and its salt: the only two that may be blanked.
    personal      TEXT,
    salt          TEXT,
    -- Hash of the personal part, which stays when the part itself is blanked.
    personal_hash TEXT,
    -- Hash over the hash before it and everything above that never changes.
    hash          TEXT NOT NULL,
    PRIMARY KEY (tenant, callback, number),
    CHECK ((personal IS NULL) = (salt IS NULL)),
    CHECK (personal IS NULL OR personal_hash IS NOT NULL)
) PARTITION BY RANGE (callback);

CREATE INDEX events_in_order ON events (tenant, seq);

CREATE FUNCTION events_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are never deleted';
END $$;

CREATE TRIGGER events_stay BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION events_stay();

CREATE FUNCTION events_unchanged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are never changed';
END $$;

CREATE TRIGGER events_unchanged BEFORE UPDATE ON events FOR EACH ROW
WHEN ((old.tenant, old.seq, old.callback, old.number, old.at, old.kind, old.actor, old.detail, old.personal_hash,
        old.hash)
    IS DISTINCT FROM (new.tenant, new.seq, new.callback, new.number, new.at, new.kind, new.actor, new.detail,
        new.personal_hash, new.hash)
    OR new.personal IS NOT NULL OR new.salt IS NOT NULL)
EXECUTE FUNCTION events_unchanged();

-- People who serve queues.
CREATE TABLE agents (
    tenant      TEXT COLLATE "C" NOT NULL,
    id          BIGINT NOT NULL,
    name        TEXT NOT NULL,
    -- Where their phone is, and the route by which it is reached.
    dn          TEXT NOT NULL,
    route       TEXT,
    presence    TEXT COLLATE "C" NOT NULL CHECK (presence IN ('ready', 'away', 'busy', 'offline')),
    -- No desk: the phone's ring is the question.
    auto_accept BOOLEAN NOT NULL,
    -- The callback in their hands; while it is set nothing else is offered.
    engaged     UUID,
    -- When they last became free; the longest idle is offered first.
    idle_since  BIGINT NOT NULL,
    revision    BIGINT NOT NULL CHECK (revision > 0),
    -- Which queues the agent serves, as they were listed. A queue may be named before it exists.
    queues      TEXT[] NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE INDEX agents_free ON agents (tenant, idle_since, id) WHERE presence = 'ready' AND engaged IS NULL;

-- Keys of applications; only their hashes are kept.
CREATE TABLE api_keys (
    tenant      TEXT COLLATE "C" NOT NULL,
    id          UUID NOT NULL,
    name        TEXT NOT NULL,
    -- SHA-256 of the key.
    hash        BYTEA NOT NULL CHECK (length(hash) = 32),
    application BIGINT NOT NULL,
    -- Names of what it may do.
    scopes      TEXT[] NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT,
    revoked_at  BIGINT,
    PRIMARY KEY (tenant, id)
);

-- A key is the one thing that is looked up before its tenant is known: it names it.
CREATE INDEX api_keys_by_hash ON api_keys (hash);

-- Answers to be given again for the same key, written with what they speak of.
CREATE TABLE idempotency (
    tenant      TEXT COLLATE "C" NOT NULL,
    application BIGINT NOT NULL,
    key         TEXT COLLATE "C" NOT NULL,
    -- SHA-256 of method, path and body.
    fingerprint BYTEA NOT NULL CHECK (length(fingerprint) = 32),
    answer      TEXT NOT NULL,
    expires_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant, application, key)
);

CREATE INDEX idempotency_expiring ON idempotency (expires_at);

-- Places taken in slots. A slot itself is nowhere stored: it follows from the queue's clock and rules. A row is
-- written, moved and deleted in the transaction that writes the callback it belongs to.
CREATE TABLE slot_places (
    tenant     TEXT COLLATE "C" NOT NULL,
    -- The callback's id; or that of a hold, which keeps a place while a form is filled in.
    holder     UUID NOT NULL,
    queue      TEXT COLLATE "C" NOT NULL,
    -- When the slot began that it was taken of.
    starts_at  BIGINT NOT NULL,
    -- Whose callback it is; null for a hold.
    customer   TEXT COLLATE "C",
    -- When a hold ends by itself; null for a callback.
    expires_at BIGINT,
    PRIMARY KEY (tenant, holder),
    CHECK ((customer IS NULL) <> (expires_at IS NULL))
);

CREATE INDEX slot_places_of ON slot_places (tenant, queue, customer) WHERE customer IS NOT NULL;
CREATE INDEX slot_holds_at ON slot_places (tenant, queue, starts_at) WHERE expires_at IS NOT NULL;
CREATE INDEX slot_holds_expiring ON slot_places (expires_at) WHERE expires_at IS NOT NULL;

-- How many places of a slot callbacks have taken: counted here, so that a full day is not counted again for every
-- request that asks for it.
CREATE TABLE slot_counts (
    tenant    TEXT COLLATE "C" NOT NULL,
    queue     TEXT COLLATE "C" NOT NULL,
    starts_at BIGINT NOT NULL,
    booked    INTEGER NOT NULL CHECK (booked >= 0),
    PRIMARY KEY (tenant, queue, starts_at)
);

-- Bodies on their way in. An upload belongs to nobody until it is put in a body's place.
CREATE TABLE uploads (
    tenant     TEXT COLLATE "C" NOT NULL,
    id         UUID NOT NULL,
    touched_at BIGINT NOT NULL,
    chunks     INTEGER NOT NULL CHECK (chunks >= 0),
    bytes      BIGINT NOT NULL CHECK (bytes >= 0),
    -- Set once it is a body.
    finished   BOOLEAN NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE INDEX uploads_unfinished ON uploads (touched_at) WHERE NOT finished;

CREATE TABLE body_chunks (
    tenant TEXT COLLATE "C" NOT NULL,
    upload UUID NOT NULL,
    -- From 0, without gaps.
    number INTEGER NOT NULL CHECK (number >= 0),
    bytes  BYTEA NOT NULL,
    PRIMARY KEY (tenant, upload, number)
);

-- What was sent compressed already, or is small: no time is spent on squeezing it again.
ALTER TABLE body_chunks ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- Which upload is which body; MIME type and size stand in the interaction itself.
CREATE TABLE bodies (
    tenant      TEXT COLLATE "C" NOT NULL,
    interaction UUID NOT NULL,
    kind        TEXT COLLATE "C" NOT NULL CHECK (kind IN ('plain_text', 'structured_text', 'binary_content')),
    upload      UUID NOT NULL,
    PRIMARY KEY (tenant, interaction, kind)
);

CREATE INDEX bodies_by_upload ON bodies (tenant, upload);
