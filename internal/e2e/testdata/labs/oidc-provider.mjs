// An MCP server on the TypeScript SDK that trusts tokens of oidc-provider, which
// runs beside it on a port of its own and has an issuer with a path.
//
// Any name signs in. MCP_PORT and MCP_AUTH_PORT are the ports, ACCESS_TTL is
// how many seconds an access token lives, and REFRESH=offline gives refresh
// tokens only to those who asked for offline_access.
import { createRemoteJWKSet, jwtVerify } from "jose";
import express from "express";
import { errors, Provider } from "oidc-provider";
import { z } from "zod";
import { InvalidTokenError } from "@modelcontextprotocol/sdk/server/auth/errors.js";
import { requireBearerAuth } from "@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";

const env = process.env;
const issuer = `http://127.0.0.1:${env.MCP_AUTH_PORT}/oidc`;
const origin = `http://127.0.0.1:${env.MCP_PORT}`;
const resource = `${origin}/mcp`;
const scope = "mcp:tools";
const ttl = Number(env.ACCESS_TTL ?? 3600);
const day = 24 * 3600;

// said prints what the tests count.
const said = (what) => console.log(`lab: ${what}`);

authorizationServer().listen(Number(env.MCP_AUTH_PORT), "127.0.0.1");
mcpServer().listen(Number(env.MCP_PORT), "127.0.0.1");

function authorizationServer() {
  const configuration = {
    cookies: { keys: ["only for tests"] },
    features: {
      devInteractions: { enabled: true },
      registration: { enabled: true },
      resourceIndicators: { enabled: true, getResourceServerInfo: ownResource, useGrantedResource: () => true },
      revocation: { enabled: true },
    },
    pkce: { required: () => true },
    scopes: ["openid", "offline_access", scope],
    ttl: { AccessToken: ttl, AuthorizationCode: 60, Grant: day, IdToken: 3600, Interaction: 600, RefreshToken: day, Session: day },
  };
  if (env.REFRESH !== "offline") {
    configuration.issueRefreshToken = (_, client) => client.grantTypeAllowed("refresh_token");
  }
  const provider = new Provider(issuer, configuration);
  provider.on("registration_create.success", () => said("registered"));
  provider.on("grant.success", (ctx) => said(`granted ${ctx.oidc.params.grant_type}`));
  for (const event of ["authorization.error", "grant.error", "registration_create.error", "revocation.error"]) {
    provider.on(event, (_, error) => said(`refused ${event} ${error.error} ${error.error_detail ?? error.message}`));
  }
  provider.on("server_error", (_, error) => console.error(error));
  provider.on("grant.revoked", () => said("revoked"));
  return express().use("/oidc", provider.callback());
}

// ownResource makes tokens for this MCP server and for nothing else.
function ownResource(_, indicator) {
  if (indicator !== resource) throw new errors.InvalidTarget();
  return { accessTokenFormat: "jwt", accessTokenTTL: ttl, audience: resource, jwt: { sign: { alg: "RS256" } }, scope };
}

function mcpServer() {
  const metadata = "/.well-known/oauth-protected-resource/mcp";
  const app = express();
  app.get(metadata, (_, res) => res.json({ resource, authorization_servers: [issuer], scopes_supported: [scope] }));
  const guard = requireBearerAuth({ verifier: tokens(), requiredScopes: [scope], resourceMetadataUrl: origin + metadata });
  app.post("/mcp", guard, express.json(), async (req, res) => {
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    res.on("close", () => transport.close());
    await tools().connect(transport);
    await transport.handleRequest(req, res, req.body);
  });
  app.all("/mcp", guard, (_, res) => res.sendStatus(405));
  return app;
}

// tokens checks a JWT with the authorization server's published keys.
function tokens() {
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
  return {
    async verifyAccessToken(token) {
      try {
        const { payload } = await jwtVerify(token, keys, { issuer, audience: resource });
        return { token, clientId: payload.client_id, scopes: payload.scope.split(" "), expiresAt: payload.exp, extra: { user: payload.sub } };
      } catch (error) {
        throw new InvalidTokenError(error.message);
      }
    },
  };
}

function tools() {
  const server = new McpServer({ name: "oidc-provider", version: "1.0.0" });
  server.registerTool("whoami", { description: "Who is signed in." }, ({ authInfo }) => text(authInfo.extra.user));
  server.registerTool("add", { description: "Add two numbers.", inputSchema: { a: z.number(), b: z.number() } }, ({ a, b }) => text(`${a + b}`));
  return server;
}

function text(value) {
  return { content: [{ type: "text", text: value }] };
}
