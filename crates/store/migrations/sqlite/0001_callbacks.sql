-- The first schema. Ids are 16-byte UUIDs, times are milliseconds since 1970, documents are JSON.
-- A document is the truth about its row; the columns beside it are its index, written by the same function.
--
-- Three habits of SQLite shape it, each measured. A table of small rows that are only ever found by their key is
-- WITHOUT ROWID: one tree instead of two. `x IN (a, b, c)` in a CHECK builds a temporary table for every row
-- written, so conditions are spelled out. And `json_valid` parses a document again that was serialised a moment
-- before: what is written on every step is not asked again.

-- What a callback waits in.
CREATE TABLE queues (
    tenant          TEXT NOT NULL,
    id              TEXT NOT NULL,
    -- A supervisor's two switches, and whether the queue is gone.
    intake_paused   INTEGER NOT NULL CHECK (intake_paused IN (0, 1)),
    dialling_paused INTEGER NOT NULL CHECK (dialling_paused IN (0, 1)),
    removed         INTEGER NOT NULL CHECK (removed IN (0, 1)),
    created_at      INTEGER NOT NULL,
    -- 1 at first; one more with every change.
    revision        INTEGER NOT NULL CHECK (revision > 0),
    -- The whole queue.
    doc             TEXT NOT NULL CHECK (json_valid(doc)),
    PRIMARY KEY (tenant, id)
) STRICT;

-- Who asked to be called back.
CREATE TABLE customers (
    tenant      TEXT NOT NULL,
    id          TEXT NOT NULL CHECK (length(id) BETWEEN 1 AND 16),
    name        TEXT,
    -- IANA zone.
    time_zone   TEXT,
    do_not_call INTEGER NOT NULL CHECK (do_not_call IN (0, 1)),
    created_at  INTEGER NOT NULL,
    revision    INTEGER NOT NULL CHECK (revision > 0),
    -- Id and name in lower case, for finding part of either.
    search      TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

-- A contact belongs to one customer, so that the next request by the same number finds the same person.
CREATE TABLE customer_contacts (
    tenant   TEXT NOT NULL,
    -- Canonical: E.164, a SIP URI, an address.
    contact  TEXT NOT NULL,
    customer TEXT NOT NULL,
    -- Order in which the customer's contacts became known.
    position INTEGER NOT NULL,
    PRIMARY KEY (tenant, contact),
    FOREIGN KEY (tenant, customer) REFERENCES customers (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX customer_contacts_of ON customer_contacts (tenant, customer, position);

-- The common fields of interactions of every kind; callbacks have the rest in `callbacks`.
CREATE TABLE interactions (
    tenant         TEXT NOT NULL,
    id             BLOB NOT NULL CHECK (length(id) = 16),
    -- 5 is a callback.
    entity_type    INTEGER NOT NULL,
    customer       TEXT NOT NULL,
    parent         BLOB CHECK (parent IS NULL OR length(parent) = 16),
    thread         TEXT,
    external_id    TEXT,
    owner          INTEGER,
    allow_children INTEGER NOT NULL CHECK (allow_children IN (0, 1)),
    created_at     INTEGER NOT NULL,
    -- The whole interaction, unless it is a callback.
    doc            TEXT CHECK (json_valid(doc)),
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, customer) REFERENCES customers (tenant, id),
    FOREIGN KEY (tenant, parent) REFERENCES interactions (tenant, id),
    CHECK ((doc IS NULL) = (entity_type = 5))
) STRICT, WITHOUT ROWID;

-- Callbacks have an index of their own for this; the list of everything merges the two.
CREATE INDEX interactions_newest ON interactions (tenant, created_at, id) WHERE entity_type <> 5;
CREATE INDEX interactions_by_customer ON interactions (tenant, customer, created_at, id);
CREATE INDEX interactions_by_thread ON interactions (tenant, thread, created_at, id) WHERE thread IS NOT NULL;
CREATE INDEX interactions_by_parent ON interactions (tenant, parent, created_at, id) WHERE parent IS NOT NULL;
CREATE INDEX interactions_by_external_id ON interactions (tenant, external_id, created_at, id)
    WHERE external_id IS NOT NULL;
CREATE INDEX interactions_by_owner ON interactions (tenant, owner, created_at, id) WHERE owner IS NOT NULL;

-- The stored requests and all that became of them.
CREATE TABLE callbacks (
    tenant          TEXT NOT NULL,
    id              BLOB NOT NULL,
    queue           TEXT NOT NULL,
    state           TEXT NOT NULL,
    -- The resource's two numbers, as the state gives them.
    callback_status INTEGER NOT NULL CHECK (callback_status BETWEEN 0 AND 14),
    status          INTEGER NOT NULL CHECK (status BETWEEN 0 AND 3),
    created_at      INTEGER NOT NULL,
    -- The window.
    start_time      INTEGER NOT NULL,
    end_time        INTEGER,
    -- Place in the order of service: the deadline, made earlier by the priority.
    rank            INTEGER NOT NULL,
    priority        INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 100),
    -- Whether the contact to be tried next is an e-mail address.
    by_mail         INTEGER NOT NULL CHECK (by_mail IN (0, 1)),
    -- When the clock alone makes something happen to it.
    wakes_at        INTEGER,
    -- Its place in the queue: set while it waits for an agent or a free place.
    since           INTEGER,
    -- The one agent it waits for.
    transferred_to  INTEGER,
    -- The agent whose hands are full because of it.
    agent           INTEGER,
    -- What kind of seat it takes: an agent, a place at a DN, or one of the queue's own letters.
    seat            TEXT CHECK (seat = 'agent' OR seat = 'dn' OR seat = 'template'),
    -- The lease of the node that works on it.
    claim_node      TEXT,
    claim_boot      BLOB CHECK (claim_boot IS NULL OR length(claim_boot) = 16),
    claim_until     INTEGER,
    -- Number of the last claim; whoever holds an older one is late.
    fence           INTEGER NOT NULL CHECK (fence >= 0),
    -- The attempt in the air.
    attempt         BLOB CHECK (attempt IS NULL OR length(attempt) = 16),
    ended_at        INTEGER,
    revision        INTEGER NOT NULL CHECK (revision > 0),
    -- Subject, category, external id and udata values in lower case, for the search by words.
    search          TEXT NOT NULL,
    -- The whole callback.
    doc             TEXT NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, id) REFERENCES interactions (tenant, id),
    FOREIGN KEY (tenant, queue) REFERENCES queues (tenant, id),
    -- The states of the life cycle, each with exactly what belongs to it. The commonest come first.
    CHECK (CASE state
        WHEN 'scheduled'   THEN wakes_at IS NOT NULL
        WHEN 'queued'      THEN since IS NOT NULL
        WHEN 'assigned'    THEN claim_until IS NOT NULL AND seat IS NOT NULL
        WHEN 'dialling'    THEN claim_until IS NOT NULL AND seat IS NOT NULL AND attempt IS NOT NULL
        WHEN 'talking'     THEN claim_until IS NOT NULL AND seat IS NOT NULL AND attempt IS NOT NULL
        WHEN 'offered'     THEN claim_until IS NOT NULL AND agent IS NOT NULL
        WHEN 'wrap_up'     THEN wakes_at IS NOT NULL AND agent IS NOT NULL
        WHEN 'transferred' THEN since IS NOT NULL AND transferred_to IS NOT NULL
        WHEN 'received'    THEN wakes_at IS NOT NULL
        WHEN 'done'        THEN ended_at IS NOT NULL
        WHEN 'cancelled'   THEN ended_at IS NOT NULL
        WHEN 'exhausted'   THEN ended_at IS NOT NULL
        WHEN 'refused'     THEN ended_at IS NOT NULL
        WHEN 'failed'      THEN ended_at IS NOT NULL
        WHEN 'replaced'    THEN ended_at IS NOT NULL
        WHEN 'expired'     THEN ended_at IS NOT NULL
        ELSE 0 END),
    CHECK (claim_until IS NULL OR (fence > 0 AND wakes_at IS NOT NULL
        AND (state = 'offered' OR state = 'assigned' OR state = 'dialling' OR state = 'talking'))),
    CHECK ((claim_node IS NULL) = (claim_until IS NULL) AND (claim_boot IS NULL) = (claim_until IS NULL)),
    CHECK (since IS NULL OR state = 'queued' OR state = 'transferred'),
    CHECK (transferred_to IS NULL OR state = 'transferred'),
    CHECK (seat IS NULL OR state = 'offered' OR state = 'assigned' OR state = 'dialling' OR state = 'talking'
        OR state = 'wrap_up'),
    CHECK ((agent IS NOT NULL) = (seat IS NOT NULL AND seat = 'agent')),
    CHECK (attempt IS NULL OR state = 'dialling' OR state = 'talking'),
    CHECK ((status = 3) = (ended_at IS NOT NULL)),
    CHECK (ended_at IS NULL OR (wakes_at IS NULL AND claim_until IS NULL AND since IS NULL AND seat IS NULL
        AND attempt IS NULL))
) STRICT;

-- Hot indexes hold only what is not ended.
CREATE INDEX callbacks_waking ON callbacks (wakes_at) WHERE wakes_at IS NOT NULL AND claim_until IS NULL;
-- There are never more claims than calls going on: those of an earlier run of a node are found by looking through all.
CREATE INDEX callbacks_leased ON callbacks (claim_until, claim_node, claim_boot) WHERE claim_until IS NOT NULL;
CREATE INDEX callbacks_waiting ON callbacks (tenant, queue, by_mail, rank, since, id)
    WHERE state = 'queued';
CREATE INDEX callbacks_transferred ON callbacks (tenant, transferred_to, rank, since, id)
    WHERE state = 'transferred';
CREATE INDEX callbacks_seated ON callbacks (tenant, queue, seat) WHERE seat IS NOT NULL;
CREATE INDEX callbacks_in_hand ON callbacks (tenant, agent, created_at, id) WHERE agent IS NOT NULL;
CREATE INDEX callbacks_live ON callbacks (tenant, queue, state) WHERE ended_at IS NULL;
-- Lists, newest first.
CREATE INDEX callbacks_newest ON callbacks (tenant, created_at, id);
CREATE INDEX callbacks_by_queue ON callbacks (tenant, queue, created_at, id);
CREATE INDEX callbacks_by_status ON callbacks (tenant, callback_status, created_at, id);

-- Every contact of every plan, so that a callback is found by any of its numbers.
CREATE TABLE callback_contacts (
    tenant     TEXT NOT NULL,
    callback   BLOB NOT NULL,
    -- Place in the plan, from 0.
    step       INTEGER NOT NULL,
    contact    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, contact, created_at, callback, step),
    FOREIGN KEY (tenant, callback) REFERENCES callbacks (tenant, id)
) STRICT, WITHOUT ROWID;

-- Tries at reaching customers; a row is here before anything leaves the house.
CREATE TABLE attempts (
    tenant      TEXT NOT NULL,
    id          BLOB NOT NULL CHECK (length(id) = 16),
    callback    BLOB NOT NULL,
    -- From 1, without gaps, within the callback.
    number      INTEGER NOT NULL CHECK (number > 0),
    channel     TEXT NOT NULL,
    route       TEXT,
    agent       INTEGER,
    dn          TEXT,
    contact     TEXT NOT NULL,
    -- A message rather than a call: several may go to one address at a time.
    by_mail     INTEGER NOT NULL CHECK (by_mail IN (0, 1)),
    -- The claim under which it was placed.
    fence       INTEGER NOT NULL CHECK (fence > 0),
    began_at    INTEGER NOT NULL,
    answered_at INTEGER,
    ended_at    INTEGER,
    -- Whether it counts against the customer's tries; decided at its end.
    counted     INTEGER NOT NULL CHECK (counted IN (0, 1)),
    -- What it meant; null while it lasts.
    verdict     TEXT,
    -- Our result with the platform's own code.
    outcome     TEXT,
    -- Dialog identifiers by which a restarted node ends what it left ringing.
    legs        TEXT NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, callback, number),
    FOREIGN KEY (tenant, callback) REFERENCES callbacks (tenant, id),
    CHECK ((ended_at IS NULL) = (outcome IS NULL) AND (ended_at IS NULL) = (verdict IS NULL)),
    CHECK (counted = 0 OR ended_at IS NOT NULL)
) STRICT;

-- At most one call per number and tenant at any time.
CREATE UNIQUE INDEX attempts_in_call ON attempts (tenant, contact) WHERE ended_at IS NULL AND by_mail = 0;
-- Calls to a number in the last day.
CREATE INDEX attempts_to ON attempts (tenant, contact, began_at) WHERE by_mail = 0;

-- What happened, in order, never changed.
CREATE TABLE events (
    -- Order over the whole store, which is the order of commits. Events are never deleted, so no number comes twice.
    seq           INTEGER PRIMARY KEY,
    tenant        TEXT NOT NULL,
    -- The interaction it happened to.
    callback      BLOB NOT NULL,
    -- From 1, without gaps, within the interaction.
    number        INTEGER NOT NULL CHECK (number > 0),
    at            INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    actor         TEXT NOT NULL,
    detail        TEXT NOT NULL,
    -- The personal part and its salt: the only two that may be blanked.
    personal      TEXT,
    salt          TEXT,
    -- Hash of the personal part, which stays when the part itself is blanked.
    personal_hash TEXT,
    -- Hash over the hash before it and everything above that never changes.
    hash          TEXT NOT NULL,
    UNIQUE (tenant, callback, number),
    FOREIGN KEY (tenant, callback) REFERENCES interactions (tenant, id),
    CHECK ((personal IS NULL) = (salt IS NULL)),
    CHECK (personal IS NULL OR personal_hash IS NOT NULL)
) STRICT;

CREATE INDEX events_in_order ON events (tenant, seq);

CREATE TRIGGER events_stay BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are never deleted');
END;

CREATE TRIGGER events_unchanged BEFORE UPDATE ON events
WHEN new.seq IS NOT old.seq OR new.tenant IS NOT old.tenant OR new.callback IS NOT old.callback
    OR new.number IS NOT old.number OR new.at IS NOT old.at OR new.kind IS NOT old.kind
    OR new.actor IS NOT old.actor OR new.detail IS NOT old.detail
    OR new.personal_hash IS NOT old.personal_hash OR new.hash IS NOT old.hash
    OR new.personal IS NOT NULL OR new.salt IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'events are never changed');
END;

-- People who serve queues.
CREATE TABLE agents (
    tenant      TEXT NOT NULL,
    id          INTEGER NOT NULL,
    name        TEXT NOT NULL,
    -- Where their phone is, and the route by which it is reached.
    dn          TEXT NOT NULL,
    route       TEXT,
    presence    TEXT NOT NULL CHECK (presence IN ('ready', 'away', 'busy', 'offline')),
    -- No desk: the phone's ring is the question.
    auto_accept INTEGER NOT NULL CHECK (auto_accept IN (0, 1)),
    -- The callback in their hands; while it is set nothing else is offered.
    engaged     BLOB CHECK (engaged IS NULL OR length(engaged) = 16),
    -- When they last became free; the longest idle is offered first.
    idle_since  INTEGER NOT NULL,
    revision    INTEGER NOT NULL CHECK (revision > 0),
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, engaged) REFERENCES callbacks (tenant, id)
) STRICT;

CREATE INDEX agents_free ON agents (tenant, idle_since, id) WHERE presence = 'ready' AND engaged IS NULL;

-- Which queues an agent serves. A queue may be named before it exists.
CREATE TABLE agent_queues (
    tenant   TEXT NOT NULL,
    agent    INTEGER NOT NULL,
    queue    TEXT NOT NULL,
    -- Order in which they were listed.
    position INTEGER NOT NULL,
    PRIMARY KEY (tenant, agent, queue),
    FOREIGN KEY (tenant, agent) REFERENCES agents (tenant, id)
) STRICT;

CREATE INDEX agent_queues_of ON agent_queues (tenant, queue, agent);

-- Keys of applications; only their hashes are kept.
CREATE TABLE api_keys (
    tenant      TEXT NOT NULL,
    id          BLOB NOT NULL CHECK (length(id) = 16),
    name        TEXT NOT NULL,
    -- SHA-256 of the key.
    hash        BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    application INTEGER NOT NULL,
    -- Names of what it may do.
    scopes      TEXT NOT NULL CHECK (json_valid(scopes)),
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    revoked_at  INTEGER,
    PRIMARY KEY (tenant, id)
) STRICT;

-- Answers to be given again for the same key, written with what they speak of. They are kept equally long, so they
-- end in the order in which they were written.
CREATE TABLE idempotency (
    tenant      TEXT NOT NULL,
    application INTEGER NOT NULL,
    key         TEXT NOT NULL,
    -- SHA-256 of method, path and body.
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    answer      TEXT NOT NULL,
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant, application, key)
) STRICT;

-- Places taken in slots. A slot itself is nowhere stored: it follows from the queue's clock and rules. A row is
-- written, moved and deleted in the transaction that writes the callback it belongs to.
CREATE TABLE slot_places (
    tenant     TEXT NOT NULL,
    -- The callback's id; or that of a hold, which keeps a place while a form is filled in.
    holder     BLOB NOT NULL CHECK (length(holder) = 16),
    queue      TEXT NOT NULL,
    -- When the slot began that it was taken of.
    starts_at  INTEGER NOT NULL,
    -- Whose callback it is; null for a hold.
    customer   TEXT,
    -- When a hold ends by itself; null for a callback.
    expires_at INTEGER,
    PRIMARY KEY (tenant, holder),
    FOREIGN KEY (tenant, queue) REFERENCES queues (tenant, id),
    CHECK ((customer IS NULL) <> (expires_at IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX slot_places_held ON slot_places (tenant, queue, starts_at) WHERE expires_at IS NOT NULL;
CREATE INDEX slot_places_of ON slot_places (tenant, queue, customer) WHERE customer IS NOT NULL;
CREATE INDEX slot_places_expiring ON slot_places (expires_at) WHERE expires_at IS NOT NULL;

-- How many of them callbacks have in each slot, so that nobody counts a hundred thousand rows to sell one more.
CREATE TABLE slot_counts (
    tenant    TEXT NOT NULL,
    queue     TEXT NOT NULL,
    starts_at INTEGER NOT NULL,
    booked    INTEGER NOT NULL CHECK (booked > 0),
    PRIMARY KEY (tenant, queue, starts_at)
) STRICT, WITHOUT ROWID;

-- What a planned queue has learned from what happened: a cache of experience, never the record itself.
CREATE TABLE learned (
    tenant TEXT NOT NULL,
    queue  TEXT NOT NULL,
    -- Figures by name, as the planner writes them.
    doc    TEXT NOT NULL CHECK (json_valid(doc)),
    PRIMARY KEY (tenant, queue),
    FOREIGN KEY (tenant, queue) REFERENCES queues (tenant, id)
) STRICT;

-- Bodies on their way in. An upload belongs to nobody until it is put in a body's place.
CREATE TABLE uploads (
    tenant     TEXT NOT NULL,
    id         BLOB NOT NULL CHECK (length(id) = 16),
    touched_at INTEGER NOT NULL,
    chunks     INTEGER NOT NULL CHECK (chunks >= 0),
    bytes      INTEGER NOT NULL CHECK (bytes >= 0),
    -- Set once it is a body.
    finished   INTEGER NOT NULL CHECK (finished IN (0, 1)),
    PRIMARY KEY (tenant, id)
) STRICT;

CREATE INDEX uploads_unfinished ON uploads (touched_at) WHERE finished = 0;

CREATE TABLE body_chunks (
    tenant TEXT NOT NULL,
    upload BLOB NOT NULL,
    -- From 0, without gaps.
    number INTEGER NOT NULL CHECK (number >= 0),
    bytes  BLOB NOT NULL,
    PRIMARY KEY (tenant, upload, number),
    FOREIGN KEY (tenant, upload) REFERENCES uploads (tenant, id)
) STRICT;

-- Which upload is which body; MIME type and size stand in the interaction itself.
CREATE TABLE bodies (
    tenant      TEXT NOT NULL,
    interaction BLOB NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('plain_text', 'structured_text', 'binary_content')),
    upload      BLOB NOT NULL,
    PRIMARY KEY (tenant, interaction, kind),
    UNIQUE (tenant, upload),
    FOREIGN KEY (tenant, interaction) REFERENCES interactions (tenant, id),
    FOREIGN KEY (tenant, upload) REFERENCES uploads (tenant, id)
) STRICT;

-- One row that is written to find out whether writing works.
CREATE TABLE pulse (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    beats INTEGER NOT NULL
) STRICT;

INSERT INTO pulse (one, beats) VALUES (1, 0);
