// OpenID providers that lie, each in one way: oauth2-mock-server signs whatever
// it is told to. Prints {"<the lie>": "<its issuer>", ...}.
import { OAuth2Server } from 'oauth2-mock-server';

const claims = (change) => (server) => {
  server.service.on('beforeTokenSigning', (token) => {
    Object.assign(token.payload, {
      sub: 'ada', email: 'ada@example.com', email_verified: true, preferred_username: 'ada', groups: [],
    });
    change(token.payload);
  });
};
const idToken = (change) => (server) => {
  claims(() => {})(server);
  server.service.on('beforeResponse', (response) => {
    response.body.id_token = change(response.body.id_token.split('.'));
  });
};
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

const lies = {
  'nothing': claims(() => {}),
  'iss': claims((c) => { c.iss = 'https://evil.example'; }),
  'aud': claims((c) => { c.aud = 'another'; }),
  'nonce': claims((c) => { if (c.nonce) c.nonce = 'another'; }),
  'no nonce': claims((c) => { delete c.nonce; }),
  'expired': claims((c) => { c.exp = Math.floor(Date.now() / 1000) - 3600; }),
  'no sub': claims((c) => { delete c.sub; }),
  'unverified e-mail': claims((c) => { c.email_verified = false; }),
  'not signed': idToken(([, payload]) => `${encode({ alg: 'none' })}.${payload}.`),
  'signature': idToken(([header, payload, signature]) => `${header}.${payload}.${signature.split('').reverse().join('')}`),
  'changed after it was signed': idToken(([header, payload, signature]) => {
    const changed = { ...JSON.parse(Buffer.from(payload, 'base64url')), sub: 'root' };
    return `${header}.${encode(changed)}.${signature}`;
  }),
  'no ID token': (server) => {
    server.service.on('beforeResponse', (response) => { delete response.body.id_token; });
  },
  'a page': (server) => {
    server.service.on('beforeResponse', (response) => { response.body = '<h1>Under maintenance</h1>'; });
  },
  'an error': (server) => {
    server.service.on('beforeResponse', (response) => { response.statusCode = 500; });
  },
  'denied': (server) => {
    server.service.on('beforeAuthorizeRedirect', ({ url }) => {
      url.searchParams.delete('code');
      url.searchParams.set('error', 'access_denied');
    });
  },
};

const issuers = {};
for (const [lie, tell] of Object.entries(lies)) {
  const server = new OAuth2Server();
  await server.issuer.keys.generate('RS256');
  await server.start(0, '127.0.0.1');
  tell(server);
  issuers[lie] = server.issuer.url;
}
console.log(JSON.stringify(issuers));
