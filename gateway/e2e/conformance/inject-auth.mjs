// Preload for the MCP conformance CLI: adds "Authorization: Bearer $MCP_BEARER"
// to every request whose URL starts with $MCP_BEARER_URL_PREFIX.
// usage: NODE_OPTIONS="--import inject-auth.mjs" MCP_BEARER=... MCP_BEARER_URL_PREFIX=http://localhost:39200
// The suite was written for http. Where the prefix is https, its plain requests
// to that address are made over TLS too, and a forged Host header is sent to
// the server that it is meant for, rather than failing in the TLS handshake.
import { createRequire } from 'node:module';
const tok = process.env.MCP_BEARER;
const prefix = process.env.MCP_BEARER_URL_PREFIX ?? '';
const secure = prefix.startsWith('https:') ? new URL(prefix) : undefined;
if (tok) {
  const orig = globalThis.fetch;
  globalThis.fetch = (input, init = {}) => {
    const url = typeof input === 'string' ? input : input instanceof URL ? input.href : input.url;
    if (prefix && !url.startsWith(prefix)) return orig(input, init);
    const h = new Headers(init.headers ?? (input instanceof Request ? input.headers : undefined));
    if (!h.has('authorization')) h.set('authorization', `Bearer ${tok}`);
    return orig(input, { ...init, headers: h });
  };
  // dns-rebinding-protection uses npm undici's request(), not global fetch.
  const main = process.argv[1];
  if (main) try {
    const undici = createRequire(main)('undici');
    undici.setGlobalDispatcher(new undici.Agent().compose((dispatch) => (opts, handler) => {
      const full = new URL(opts.path ?? '/', opts.origin).href;
      if (!prefix || full.startsWith(prefix)) {
        const hs = opts.headers;
        if (Array.isArray(hs)) { if (!hs.some((v, i) => i % 2 === 0 && String(v).toLowerCase() === 'authorization')) hs.push('authorization', `Bearer ${tok}`); }
        else { const o = { ...(hs ?? {}) }; if (!Object.keys(o).some((k) => k.toLowerCase() === 'authorization')) o.authorization = `Bearer ${tok}`; opts = { ...opts, headers: o }; }
      }
      if (secure && String(opts.origin) === secure.origin) opts = { ...opts, servername: 'localhost' };
      return dispatch(opts, handler);
    }));
  } catch (e) { console.error('inject-auth: undici not patched:', e.message); }
}
// http-header-validation / http-custom-header-server-validation use node:http's request().
if (tok) {
  const http = (await import('node:http')).default;
  const https = (await import('node:https')).default;
  const overTLS = https.request;
  for (const mod of [http, https]) {
    const orig = mod.request;
    mod.request = function (...args) {
      const i = args.findIndex((a) => a && typeof a === 'object' && !(a instanceof URL));
      if (i >= 0) {
        const o = { ...args[i] };
        const h = o.headers;
        if (Array.isArray(h)) { o.headers = [...h, 'Authorization', `Bearer ${tok}`]; }
        else if (!Object.keys(h ?? {}).some((k) => k.toLowerCase() === 'authorization')) o.headers = { ...(h ?? {}), Authorization: `Bearer ${tok}` };
        args[i] = o;
        if (mod === http && secure && o.hostname === secure.hostname && String(o.port) === secure.port) return overTLS.apply(https, args);
      }
      return orig.apply(this, args);
    };
  }
}
