// A TypeScript SDK walks through deployments one after the other, and says how
// far it came: discovers, becomes known, sends a person away, redeems the code,
// and lists the tools.
// usage: walk.mjs PACKAGE REDIRECT_URI..., deployments as JSON on standard input:
// [{"name", "url", "address", "ca"}], where address is host:port of the server
// that the URL's name leads to; prints {name: null or what was wrong}.
import https from 'node:https';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';

const [sdk, ...redirects] = process.argv.slice(2);
const { Client } = await import(`${sdk}/client/index.js`);
const { UnauthorizedError } = await import(`${sdk}/client/auth.js`);
const { StreamableHTTPClientTransport } = await import(`${sdk}/client/streamableHttp.js`);

let at; // the deployment that every name leads to

// once is a fetch that follows nothing. What cannot be connected to is a
// TypeError, as in a real one.
const once = (url, init) => new Promise((resolve, reject) => {
  if (url.protocol !== 'https:' || url.port) return reject(new TypeError(`${url.origin}: connection refused`));
  const [host, port] = at.address.split(':');
  const headers = { ...Object.fromEntries(new Headers(init.headers)), host: url.host };
  const req = https.request({
    host, port, servername: url.hostname, ca: at.ca, agent: false, method: init.method ?? 'GET', path: url.pathname + url.search, headers,
  }, (res) => {
    const body = [204, 304].includes(res.statusCode) ? null : Readable.toWeb(res);
    const response = new Response(body, { status: res.statusCode, headers: Object.entries(res.headers).flatMap(([n, v]) => [v].flat().map((one) => [n, one])) });
    Object.defineProperty(response, 'url', { value: url.href });
    resolve(response);
  });
  req.on('error', (cause) => reject(new TypeError(`fetch failed: ${cause.message}`)));
  init.signal?.addEventListener('abort', () => req.destroy());
  req.end(init.body?.toString());
});

globalThis.fetch = async (input, init = {}) => {
  let url = new URL(input.url ?? input);
  for (let left = 20; left > 0; left -= 1) {
    const response = await once(url, init);
    const to = response.headers.get('location');
    if (init.redirect === 'manual' || response.status < 300 || response.status > 399 || !to) return response;
    if (response.status < 307) init = { ...init, method: 'GET', body: undefined };
    url = new URL(to, url);
  }
  throw new TypeError('too many redirects');
};

// person allows what the page asks, and returns the code.
const person = async (page) => {
  const shown = await fetch(page);
  const form = /value="([^"]+)"/.exec(await shown.text());
  if (!shown.ok || !form) throw new Error(`the page answers ${shown.status}`);
  const done = await fetch(new URL('/approve', page), {
    method: 'POST', redirect: 'manual', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: new URLSearchParams({ r: form[1] }),
  });
  return new URL(done.headers.get('location')).searchParams.get('code');
};

const walk = async () => {
  const kept = {};
  const authProvider = {
    redirectUrl: redirects[0],
    clientMetadata: { client_name: 'TypeScript SDK', redirect_uris: redirects, token_endpoint_auth_method: 'none', grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'] },
    clientInformation: () => kept.client,
    saveClientInformation: (client) => { kept.client = client; },
    tokens: () => kept.tokens,
    saveTokens: (tokens) => { kept.tokens = tokens; },
    redirectToAuthorization: async (to) => { kept.code = await person(to); },
    saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
    codeVerifier: () => kept.verifier,
  };
  const connect = async () => {
    const client = new Client({ name: 'walk', version: '1' });
    kept.transport = new StreamableHTTPClientTransport(new URL(at.url), { authProvider });
    await client.connect(kept.transport);
    return client;
  };
  let client;
  try {
    client = await connect();
  } catch (cause) {
    if (!(cause instanceof UnauthorizedError) || !kept.code) throw cause;
    await kept.transport.finishAuth(kept.code);
    client = await connect();
  }
  if (!kept.tokens) throw new Error('it never signed in');
  await client.listTools();
  await client.close();
};

const late = (ms) => new Promise((_, reject) => { setTimeout(() => reject(new Error('it hangs')), ms).unref(); });
const said = {};
for (at of JSON.parse(await text(process.stdin))) {
  said[at.name] = await Promise.race([walk(), late(20_000)]).then(() => null, (cause) => String(cause?.message ?? cause));
}
console.log(JSON.stringify(said));
process.exit(0);
