// Queues a scan and prints its result: node scan.mjs https://example.org/
// REDIS_URL and ENVIRONMENT are those of the workers. Needs no package; the npm package `redis` does the same in less.
import net from 'node:net';

const { hostname, port, username, password } = new URL(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379');
const prefix = `sightline:${process.env.ENVIRONMENT ?? 'dev'}:`;
const socket = net.connect(Number(port || 6379), hostname.replace(/^\[|\]$/g, ''));
const waiting = []; // commands whose reply has not come yet, oldest first
let unread = Buffer.alloc(0);

socket.on('data', (piece) => {
  unread = Buffer.concat([unread, piece]);
  for (let reply; (reply = take()) !== undefined; ) waiting.shift()(reply);
});
socket.on('error', (error) => { console.error(`no Redis at REDIS_URL: ${error.message}`); process.exit(3); });

// One whole reply from what has come so far, undefined while it is not whole. XADD, GET and AUTH answer with these kinds.
function take() {
  const end = unread.indexOf('\r\n');
  if (end < 0) return undefined;
  const line = unread.toString('utf8', 1, end);
  if (unread[0] !== 36) { // not "$": a line is all of it
    const isError = unread[0] === 45;
    unread = unread.subarray(end + 2);
    return isError ? new Error(line) : line;
  }
  const size = Number(line), next = size < 0 ? end + 2 : end + 2 + size + 2;
  if (unread.length < next) return undefined;
  const text = size < 0 ? null : unread.toString('utf8', end + 2, end + 2 + size);
  unread = unread.subarray(next);
  return text;
}

async function redis(...words) {
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  socket.write(`*${words.length}\r\n${parts.join('')}`);
  const reply = await new Promise((resolve) => waiting.push(resolve));
  if (reply instanceof Error) throw reply;
  return reply;
}

if (password) await redis('AUTH', ...(username ? [username] : []), decodeURIComponent(password));
const payload = JSON.stringify({ url: process.argv[2] });
const entry = await redis('XADD', `${prefix}jobs:batch`, '*', 'kind', 'scan', 'payload', payload);
let result;
while (!(result = await redis('GET', `${prefix}result:batch-${entry}`))) await new Promise((done) => setTimeout(done, 200));
const scan = JSON.parse(result);
console.log(JSON.stringify({ url: scan.url, status: scan.status, state: scan.state, rules: scan.findings?.map((f) => f.rule) }));
socket.end();
