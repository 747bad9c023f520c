// pg-boss on the bench's PostgreSQL: large batches, the shortest polling it allows.
import * as boss from "pg-boss";
import pg from "pg";
import * as measure from "./measure.mjs";

const PgBoss = boss.PgBoss ?? boss.default;
const queue = new PgBoss({ connectionString: measure.url, max: 10 });
queue.on("error", (error) => console.error("pg-boss:", error.message));
await queue.start();
await queue.createQueue("noop");
await queue.createQueue("late");

const body = { name: "Ada", subject: "A question about the last bill" };
const tomorrow = () => new Date(Date.now() + 864e5);
const enqueue = await measure.enqueue(() => queue.send("noop", body, { startAfter: tomorrow() }));
const insert = async (name, count, more) => {
    for (let left = count; left > 0; left -= 1000) {
        await queue.insert(name, Array.from({ length: Math.min(left, 1000) }, (_, i) => ({ data: { i }, ...more })));
    }
};
await insert("noop", measure.pending, { startAfter: tomorrow() });
await insert("noop", measure.burst, {});
const client = new pg.Client({ connectionString: measure.url });
await client.connect();
await client.query("VACUUM ANALYZE");
await client.end();

let done = 0;
let times = [];
const began = performance.now();
const options = { batchSize: 500, pollingIntervalSeconds: 0.5 };
for (let worker = 0; worker < 4; worker += 1) {
    await queue.work("noop", options, async (jobs) => { done += jobs.length; });
}
await measure.until(() => done >= measure.burst);
const dispatch = (measure.burst * 1000) / (performance.now() - began);

await queue.work("late", options, async (jobs) => {
    for (const job of jobs) times.push(Date.now() - job.data.due);
});
const first = Date.now() + 3000;
await Promise.all(Array.from({ length: measure.late }, (_, i) => {
    const due = first + i * 5;
    return queue.send("late", { due }, { startAfter: new Date(due) });
}));
await measure.until(() => times.length >= measure.late);
const idle = await measure.idle();
await queue.stop({ graceful: false });
measure.tell("pg-boss", { enqueue, dispatch, late: times, idle },
    "a library call, no HTTP; due jobs are polled for (500 ms); a job's row and output are kept, no history");
process.exit(0);
