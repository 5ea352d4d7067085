// GitHub, Google and Microsoft as vercel-labs/emulate understands them, under
// their own names; somebody has to lead those names here.
// usage: emulate.mjs REDIRECT_URI PORT PORT PORT; prints "ready".
import { createEmulator } from 'emulate';

const [redirect, ...ports] = process.argv.slice(2);
const client = { client_id: 'gateway', client_secret: process.env.CLIENT_SECRET, name: 'Gateway', redirect_uris: [redirect] };
const services = {
  github: ['https://github.com', {
    users: [{ login: 'ada', name: 'Ada Lovelace', email: 'ada@example.com' }], oauth_apps: [client],
  }],
  google: ['https://accounts.google.com', {
    users: [{ email: 'ada@example.com', name: 'Ada Lovelace', hd: 'example.com' }], oauth_clients: [client],
  }],
  microsoft: ['https://login.microsoftonline.com', {
    users: [{ email: 'ada@example.com', name: 'Ada Lovelace', tenant_id: process.env.TENANT }],
    oauth_clients: [{ ...client, tenant_id: process.env.TENANT }],
  }],
};
for (const [service, [baseUrl, seed]] of Object.entries(services)) {
  await createEmulator({ service, port: Number(ports.shift()), baseUrl, seed: { [service]: seed } });
}
console.log('ready');
