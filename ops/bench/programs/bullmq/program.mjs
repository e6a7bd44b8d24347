// Runs BullMQ, with its defaults except for the number of concurrent jobs; measures what measure.py measures.
// process.hrtime is CLOCK_MONOTONIC, like Python's time.monotonic.
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";

const [command, url, rest] = process.argv.slice(2);
const AT_ONCE = 32;
const WARM_UP = 100;
const GAP_MS = [10, 20];
const NAP_MS = 100;
const NAPS_PER_S = 160;
const QUEUE = "bench";
const OPTIONS = { attempts: 3 };
const connection = { url, maxRetriesPerRequest: null };

const now = () => Number(process.hrtime.bigint()) / 1e9;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function work() {
  const notes = new Redis(url);
  const kinds = {
    noop: async ({ n }) => n,
    nap: () => pause(NAP_MS),
    mark: ({ sent_at }) => notes.rpush("bench:marks", now() - sent_at),
    hold: async () => {
      await notes.rpush("bench:holds:bullmq", now());
      await new Promise(() => {});
    },
  };
  await notes.rpush("bench:started", now());
  new Worker(QUEUE, async (job) => kinds[job.name](job.data), { connection, concurrency: AT_ONCE });
}

async function submit(queue, count) {
  for (let n = 0; n < WARM_UP; n++) await queue.add("noop", { n }, OPTIONS);
  const began = now();
  for (let n = 0; n < count; n++) await queue.add("noop", { n }, OPTIONS);
  return now() - began;
}

async function submitMany(queue, count, options = OPTIONS) {
  const began = now();
  for (let from = 0; from < count; from += 1000) {
    const jobs = [];
    for (let n = from; n < Math.min(from + 1000, count); n++) jobs.push({ name: "noop", data: { n }, opts: options });
    await queue.addBulk(jobs);
  }
  return now() - began;
}

async function pickup(queue, count, options = OPTIONS) {
  const marks = new Redis(url);
  const waits = [];
  for (let n = 0; n < count; n++) {
    await pause(GAP_MS[0] + Math.random() * (GAP_MS[1] - GAP_MS[0]));
    await queue.add("mark", { sent_at: now() }, options);
    waits.push(Number((await marks.blpop("bench:marks", 30))[1]) * 1000);
  }
  marks.disconnect();
  return waits;
}

async function pickupLoaded(queue, count) {
  let ended = false;
  const load = (async () => {
    while (!ended) {
      await pause((-Math.log(1 - Math.random()) * 1000) / NAPS_PER_S);
      await queue.add("nap", {}, OPTIONS);
    }
  })();
  await pause(1000);
  const waits = await pickup(queue, count);
  ended = true;
  await load;
  return waits;
}

async function produce() {
  const queue = new Queue(QUEUE, { connection });
  await queue.waitUntilReady();
  const count = Number(rest ?? 1);
  const commands = {
    submit: () => submit(queue, count),
    submit_many: () => submitMany(queue, count),
    backlog: () => submitMany(queue, count, { ...OPTIONS, priority: 10 }),
    pickup: () => pickup(queue, count),
    pickup_loaded: () => pickupLoaded(queue, count),
    pickup_first: () => pickup(queue, count, { ...OPTIONS, priority: 1 }),
    hold: () => queue.add("hold", {}, OPTIONS).then(() => null),
  };
  console.log(JSON.stringify(await commands[command]()));
  await queue.close();
}

await (command === "work" ? work() : produce());
