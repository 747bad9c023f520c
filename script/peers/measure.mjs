// What is the same for every peer: how much is measured, percentiles, and time on a processor.
import { readFileSync, readdirSync } from "node:fs";

const quick = process.env.PEERS_QUICK === "yes";
export const url = process.env.PEERS_URL;
/** How long jobs are enqueued one by one, in milliseconds. */
export const enqueueFor = quick ? 300 : 5000;
/** Jobs that are due at once. */
export const burst = quick ? 200 : 20000;
/** Jobs of the lateness run, 200 due per second. */
export const late = quick ? 100 : 2000;
/** Jobs that wait for another day, while the rest is measured. */
export const pending = quick ? 500 : 100000;
const idleFor = quick ? 1000 : 30000;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function until(done, limit = 120000) {
    const end = Date.now() + limit;
    while (!done()) {
        if (Date.now() > end) throw new Error("it took too long");
        await sleep(2);
    }
}

/** Nearest rank. */
export function percentile(times, percent) {
    const sorted = [...times].sort((a, b) => a - b);
    return sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)];
}

/** Enqueues one by one; how many a second. */
export async function enqueue(one) {
    const began = performance.now();
    let count = 0;
    while (performance.now() - began < enqueueFor) {
        await one(count);
        count += 1;
    }
    return (count * 1000) / (performance.now() - began);
}

function databaseCpu() {
    const postmaster = process.env.PEERS_POSTMASTER;
    const times = (pid) => {
        const rest = readFileSync(`/proc/${pid}/stat`, "utf8").split(")").at(-1).trim().split(/\s+/);
        return { parent: rest[1], own: Number(rest[11]) + Number(rest[12]), ended: Number(rest[13]) + Number(rest[14]) };
    };
    const head = times(postmaster);
    let ticks = head.own + head.ended;
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
        try {
            const found = times(pid);
            if (found.parent === postmaster) ticks += found.own;
        } catch {
            // It ended meanwhile, and its parent counts it.
        }
    }
    return ticks / 100;
}

/** CPU seconds per minute of this process and of the database, while nothing is to be done. */
export async function idle() {
    await sleep(Math.min(5000, idleFor));
    const [own, database, began] = [process.cpuUsage(), databaseCpu(), performance.now()];
    await sleep(idleFor);
    const minutes = (performance.now() - began) / 60000;
    const used = process.cpuUsage(own);
    return {
        idle_cpu: (used.user + used.system) / 1e6 / minutes,
        idle_database_cpu: (databaseCpu() - database) / minutes,
    };
}

export function tell(peer, figures, note) {
    console.log(JSON.stringify({
        peer,
        enqueue_per_second: figures.enqueue,
        dispatch_per_second: figures.dispatch,
        late_p50_ms: percentile(figures.late, 50),
        late_p99_ms: percentile(figures.late, 99),
        idle_cpu: figures.idle.idle_cpu,
        idle_database_cpu: figures.idle.idle_database_cpu,
        note,
    }));
}
