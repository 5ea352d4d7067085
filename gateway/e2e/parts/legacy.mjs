// The official TypeScript SDK's client over the transport of 2024-11-05: a
// stream of events, whose first one says where to post.
// usage: TOKEN=... legacy.mjs SSE_URL TOOL JSON_ARGUMENTS; prints one JSON object
// a line: {"tools": [...], "result": {...}, "progress": n, "endpoint": "..."}, and
// ends when its input does.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';

const [url, tool, args] = process.argv.slice(2);
const transport = new SSEClientTransport(new URL(url), {
  requestInit: { headers: { Authorization: `Bearer ${process.env.TOKEN}` } },
});
const client = new Client({ name: 'e2e', version: '1' });
await client.connect(transport);
const { tools } = await client.listTools();
let progress = 0;
const result = await client.callTool({ name: tool, arguments: JSON.parse(args) }, undefined, { onprogress: () => { progress += 1; } });
console.log(JSON.stringify({ tools: tools.map((t) => t.name), result, progress, endpoint: transport._endpoint.href }));
for await (const _ of process.stdin);
await client.close();
