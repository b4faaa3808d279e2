// BullMQ: a queue and a worker with 100 jobs at a time; results are return values of jobs.
//
//     node main.mjs MEASURE URL SIZE
//
// The measures are those of `benchmarks/peers/measures.py`, which says what each of them is. The
// last line printed is a JSON object, as `benchmarks/peers/__main__.py` prints it.

import { readFileSync } from "node:fs";

import { Queue, QueueEvents, Worker } from "bullmq";

const CONCURRENCY = 100;
const BULK = 500;
const LOOPS = 32;
const PATIENCE = 120_000; // milliseconds within which all jobs of a measure have to run

const [measure, url, text] = process.argv.slice(2);
const size = JSON.parse(text);
const { hostname, port, pathname } = new URL(url);
const connection = { host: hostname, port: Number(port), db: Number(pathname.slice(1)) };
const queue = new Queue("bench", { connection });

const now = () => performance.now() / 1000;
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

function send(number) {
  return queue.add("noop", { number });
}

function sendMany(first, end) {
  const jobs = [];
  for (let number = first; number < end; number++) jobs.push({ name: "noop", data: { number } });
  return queue.addBulk(jobs);
}

async function fill(first, end) {
  for (let start = first; start < end; start += BULK) {
    await sendMany(start, Math.min(start + BULK, end));
  }
}

/** A worker beside the call of `wanted`, which is told of each run. */
async function working(ran, wanted) {
  const noop = async (job) => {
    ran(job.data.number);
    return job.data.number;
  };
  const worker = new Worker("bench", noop, { connection, concurrency: CONCURRENCY });
  const failed = new Promise((_, reject) => worker.on("error", reject));
  try {
    return await Promise.race([wanted(), failed]);
  } finally {
    await worker.close(true);
  }
}

/** Let a worker run the jobs with the numbers below `count`; seconds from the first run to the last. */
async function drained(count) {
  const left = new Set(Array(count).keys());
  let first, last, reached;
  const whole = new Promise((resolve) => (reached = resolve));
  const ran = (number) => {
    first ??= now();
    if (left.delete(number) && left.size === 0) {
      last = now();
      reached();
    }
  };
  const late = new Promise((_, reject) => {
    const fail = () => reject(new Error(`${left.size} tasks were not delivered`));
    setTimeout(fail, PATIENCE).unref();
  });
  await working(ran, () => Promise.race([whole, late]));
  return last - first;
}

const MEASURES = {
  async drain() {
    await fill(0, size.drain);
    return { "tasks/s": (size.drain - 1) / (await drained(size.drain)) };
  },

  async bulk() {
    await fill(0, BULK); // connections are opened beforehand
    const start = now();
    await fill(BULK, BULK + size.bulk);
    const seconds = now() - start;
    await drained(BULK + size.bulk);
    return { "tasks/s": size.bulk / seconds };
  },

  async loops() {
    const each = Math.max(1, Math.floor(size.loops / LOOPS));
    const loop = async (first, count) => {
      for (let number = first; number < first + count; number++) await send(number);
    };
    const all = [...Array(LOOPS).keys()];
    await Promise.all(all.map((number) => loop(number, 1)));
    const start = now();
    await Promise.all(all.map((number) => loop(LOOPS + number * each, each)));
    const seconds = now() - start;
    await drained(LOOPS + LOOPS * each);
    return { "tasks/s": (LOOPS * each) / seconds };
  },

  async one() {
    await send(0);
    const start = now();
    for (let number = 1; number <= size.one; number++) await send(number);
    const seconds = now() - start;
    await drained(1 + size.one);
    return { "tasks/s": size.one / seconds };
  },

  async latency() {
    const events = new QueueEvents("bench", { connection });
    await events.waitUntilReady();
    const result = async (number) => (await send(number)).waitUntilFinished(events, 5000);
    const times = [];
    await working(() => {}, async () => {
      await result(0);
      for (let number = 0; number < size.latency; number++) {
        const start = now();
        const found = await result(number);
        times.push(1000 * (now() - start));
        if (found !== number) throw new Error(`the result of ${number} was ${found}`);
      }
    });
    await events.close();
    times.sort((a, b) => a - b);
    const middle = times.length >> 1;
    const median = times.length % 2 ? times[middle] : (times[middle - 1] + times[middle]) / 2;
    return { "median ms": median, "p99 ms": times[Math.floor(0.99 * times.length)] };
  },

  async idle() {
    return working(() => {}, async () => {
      await sleep(size.warm_up);
      console.log("idle");
      const start = now();
      const before = process.cpuUsage();
      await sleep(size.idle);
      const { user, system } = process.cpuUsage(before);
      const seconds = now() - start;
      console.log("idled");
      return { "% of a core": (100 * (user + system)) / 1e6 / seconds };
    });
  },
};

function version(name) {
  return JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version;
}

await queue.waitUntilReady();
const figures = await MEASURES[measure]();
await queue.close();
const versions = { node: process.versions.node, bullmq: version("bullmq"), ioredis: version("ioredis") };
console.log(JSON.stringify({ figures, python: "", versions }));
process.exit(0);
