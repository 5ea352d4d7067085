// The official TypeScript SDK's client, as an application would use it: it meets
// a 401, discovers, registers, asks for a browser, waits on its own listener for
// the code, and then lists and calls tools. Where a call needs more than it was
// given, it asks for a browser again.
// usage: GRANT_TYPES (JSON list) client.mjs MCP_URL TOOL JSON_ARGUMENTS; prints one
// JSON object a line: {"authorize": URL} each time it asks for a browser, then
// {"tools": [...], "result": {...}, "token": "..."}.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [url, tool, args] = process.argv.slice(2);
const say = (message) => console.log(JSON.stringify(message));

const listener = createServer();
await new Promise((ready) => listener.listen(0, '127.0.0.1', ready));
const redirectUrl = `http://127.0.0.1:${listener.address().port}/callback`;
const kept = {};
listener.on('request', (req, res) => {
  const at = new URL(req.url, redirectUrl);
  if (at.pathname !== '/callback') return res.writeHead(404).end();
  res.end('You may close this window.');
  kept.answered(at.searchParams);
});

const provider = {
  redirectUrl,
  clientMetadata: {
    client_name: 'TypeScript SDK',
    redirect_uris: [redirectUrl],
    grant_types: JSON.parse(process.env.GRANT_TYPES),
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  state: () => (kept.state = randomUUID()),
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client; },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens; },
  redirectToAuthorization: (to) => {
    kept.answer = new Promise((resolve) => { kept.answered = resolve; });
    say({ authorize: to.href });
  },
  saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
  codeVerifier: () => kept.verifier,
};

let client, transport;
const connect = async () => {
  client = new Client({ name: 'e2e', version: '1' });
  transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
  await client.connect(transport);
};

// consented does what may need somebody's consent, and does it again once there
// is one.
const consented = async (action) => {
  try {
    return await action();
  } catch (err) {
    if (!(err instanceof UnauthorizedError)) throw err;
  }
  const query = await kept.answer;
  if (query.get('error')) throw new Error(`refused: ${query}`);
  if (query.get('state') !== kept.state) throw new Error('state is not ours');
  if (query.get('iss') !== new URL(url).origin) throw new Error(`answered by ${query.get('iss')}`);
  await transport.finishAuth(query.get('code'));
  return action();
};

await consented(connect);
const { tools } = await client.listTools();
const result = await consented(() => client.callTool({ name: tool, arguments: JSON.parse(args) }));
say({ tools: tools.map((t) => t.name), result, token: kept.tokens.access_token });
await client.close();
listener.close();
listener.closeAllConnections();
