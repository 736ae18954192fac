// real_provider.mjs - npm's oidc-provider, where whoever comes is Anna and agrees. Prints its issuer, and serves until its input ends.
import { createServer } from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(process.argv[2] + '/');
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);

let provider;
const server = createServer((request, response) => {
    if (request.url.startsWith('/interaction/')) agree(request, response).catch((error) => { response.statusCode = 500; response.end(String(error)); });
    else provider.callback()(request, response);
});

async function agree(request, response) {
    const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
    if (prompt.name === 'login') return provider.interactionFinished(request, response, { login: { accountId: 'anna-7' } });
    const grant = grantId ? await provider.Grant.find(grantId) : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope((prompt.details.missingOIDCScope ?? []).join(' '));
    grant.addOIDCClaims(prompt.details.missingOIDCClaims ?? []);
    return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
}

server.listen(0, '127.0.0.1', () => {
    const issuer = `http://127.0.0.1:${server.address().port}`;
    const key = { ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: randomBytes(8).toString('hex') };
    provider = new Provider(issuer, {
        clients: [{ client_id: 'flow', client_secret: process.env.SECRET, redirect_uris: [process.env.REDIRECT], grant_types: ['authorization_code'], response_types: ['code'] }],
        jwks: { keys: [key] },
        cookies: { keys: [randomBytes(16).toString('hex')] },
        conformIdTokenClaims: false,
        claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
        features: { devInteractions: { enabled: false } },
        interactions: { url: (context, interaction) => `/interaction/${interaction.uid}` },
        pkce: { methods: ['S256'], required: () => true },
        findAccount: (context, id) => ({ accountId: id, claims: () => ({ sub: id, email: 'anna@example.com', email_verified: true, name: 'Anna' }) }),
    });
    console.log(issuer);
});
process.stdin.on('end', () => process.exit(0)).resume();
