// graphile-worker on the bench's PostgreSQL, set for speed: a local queue of jobs, outcomes written in batches.
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";
import * as measure from "./measure.mjs";

const quiet = new Logger(() => () => {});
const pool = new pg.Pool({ connectionString: measure.url, max: 10 });
// What goes wrong is told by whoever waits for the answer.
pool.on("error", () => {});
pool.on("connect", (client) => client.on("error", () => {}));
const utils = await makeWorkerUtils({ pgPool: pool, logger: quiet });
await utils.migrate();

let done = 0;
let times = [];
const taskList = {
    noop: async () => { done += 1; },
    late: async (payload) => { times.push(Date.now() - payload.due); },
};
const start = () => run({
    pgPool: pool,
    logger: quiet,
    noHandleSignals: true,
    taskList,
    concurrency: 24,
    pollInterval: 100,
    preset: { worker: { concurrentJobs: 24, pollInterval: 100, localQueue: { size: 500 }, completeJobBatchDelay: 0 } },
});

const body = { name: "Ada", subject: "A question about the last bill" };
const enqueue = await measure.enqueue(() => utils.addJob("noop", body, { runAt: new Date(Date.now() + 864e5) }));
// In bites: one statement of a hundred thousand does not end, and the bench is not about that.
async function insert(count, when) {
    for (let left = count; left > 0; left -= 1000) {
        await pool.query(
            `SELECT 1 FROM graphile_worker.add_jobs((SELECT array_agg((
                'noop', json_build_object('n', i), NULL, ${when}, NULL, NULL, NULL, NULL
            )::graphile_worker.job_spec) FROM generate_series(1, $1::int) i))`,
            [Math.min(left, 1000)],
        );
    }
}
await insert(measure.pending, "now() + interval '1 day'");
await insert(measure.burst, "now()");
await pool.query("VACUUM ANALYZE");

const began = performance.now();
const runner = await start();
await measure.until(() => done >= measure.burst);
const dispatch = (measure.burst * 1000) / (performance.now() - began);

const first = Date.now() + 3000;
await Promise.all(Array.from({ length: measure.late }, (_, i) => {
    const due = first + i * 5;
    return utils.addJob("late", { due }, { runAt: new Date(due) });
}));
await measure.until(() => times.length >= measure.late);
const idle = await measure.idle();
await runner.stop();
await utils.release();
await pool.end().catch(() => {});
measure.tell("graphile-worker", { enqueue, dispatch, late: times, idle },
    "a library call, no HTTP; due jobs are polled for (100 ms); a job is deleted when done, nothing is recorded of it");
process.exit(0);
