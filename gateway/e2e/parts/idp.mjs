// An OpenID provider: panva's, with its own sign-in and consent pages. Any login
// is believed; whoever types "ada" is ada, ada@example.com.
// usage: CLIENT_ID CLIENT_SECRET REDIRECT_URIS (JSON list); prints its issuer.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const { CLIENT_ID, CLIENT_SECRET, REDIRECT_URIS } = process.env;

const server = createServer();
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: CLIENT_ID,
    client_secret: CLIENT_SECRET,
    redirect_uris: JSON.parse(REDIRECT_URIS),
    grant_types: ['authorization_code'],
    response_types: ['code'],
  }],
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['name', 'preferred_username'],
  },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: true } },
  async findAccount(_ctx, id) {
    return {
      accountId: id,
      claims: async () => ({
        sub: id,
        email: `${id}@example.com`,
        email_verified: true,
        name: id,
        preferred_username: id,
      }),
    };
  },
});
provider.on('server_error', (_ctx, err) => console.error(err));
provider.on('authorization.error', (_ctx, err) => console.error('authorization', err.message, err.error_description));
provider.on('grant.error', (_ctx, err) => console.error('grant', err.message, err.error_description));

server.on('request', provider.callback());
console.log(`issuer ${issuer}`);
