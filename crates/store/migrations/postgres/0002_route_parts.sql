-- What each node holds of a route's limits. Routes stand in the nodes' configuration and belong to no tenant; there
-- are as many rows as nodes times routes, and they are looked at once a second, under one lock. Nothing is lost when
-- they are: a node takes its part anew.
CREATE TABLE route_parts (
    route      TEXT COLLATE "C" NOT NULL,
    node       TEXT COLLATE "C" NOT NULL,
    -- The run of the node: one that was started again uses nothing yet.
    boot       UUID NOT NULL,
    granted    BIGINT NOT NULL CHECK (granted >= 0),
    used       BIGINT NOT NULL CHECK (used >= 0),
    wanted     BIGINT NOT NULL CHECK (wanted >= 0),
    -- By the database's own clock, because the nodes' clocks may differ.
    lapses_at  BIGINT NOT NULL,
    PRIMARY KEY (route, node)
);
