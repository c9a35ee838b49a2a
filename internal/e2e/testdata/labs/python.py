"""An MCP server on the Python SDK that is its own authorization server.

The SDK brings the endpoints of OAuth; the people, their passwords, and the
tokens are here, in memory. MCP_PORT is the port, and ACCESS_TTL is how many
seconds an access token lives. A refresh token is good once: who shows it a
second time loses everything that came of the same login.
"""

import html
import os
import secrets
import time
from dataclasses import dataclass, field

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, AuthorizationCode, RefreshToken, construct_redirect_uri
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthToken
from starlette.responses import HTMLResponse, RedirectResponse

PORT = int(os.environ["MCP_PORT"])
TTL = int(os.environ.get("ACCESS_TTL", "3600"))
ORIGIN = f"http://127.0.0.1:{PORT}"
SCOPE = "mcp:tools"
PASSWORDS = {"alice": "alice-password", "bob": "bob-password"}


def said(what):
    """Prints what the tests count."""
    print(f"lab: {what}", flush=True)


@dataclass
class Login:
    """What one person allowed one client, and every token that came of it."""

    client_id: str
    person: str
    scopes: list
    resource: str | None
    over: bool = False
    access: dict = field(default_factory=dict)
    refresh: dict = field(default_factory=dict)

    def tokens(self):
        """Makes a new pair; the refresh tokens before it are spent."""
        common = {"client_id": self.client_id, "scopes": self.scopes, "resource": self.resource, "subject": self.person}
        now = int(time.time())
        access = AccessToken(token=secrets.token_urlsafe(32), expires_at=now + TTL, **common)
        refresh = RefreshToken(token=secrets.token_urlsafe(32), expires_at=now + 24 * 3600, **common)
        self.access[access.token] = access
        self.refresh = dict.fromkeys(self.refresh) | {refresh.token: refresh}
        return OAuthToken(
            access_token=access.token,
            token_type="Bearer",
            expires_in=TTL,
            scope=" ".join(self.scopes),
            refresh_token=refresh.token,
        )


class Memory:
    """Keeps what the SDK's endpoints ask for, until the process ends."""

    def __init__(self):
        self.clients = {}
        self.asked = {}  # who waits on the login page
        self.codes = {}
        self.logins = []

    async def get_client(self, client_id):
        return self.clients.get(client_id)

    async def register_client(self, client_info):
        said("registered")
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client, params):
        request = secrets.token_urlsafe(16)
        self.asked[request] = (client, params)
        return f"{ORIGIN}/sign-in?request={request}"

    async def load_authorization_code(self, client, authorization_code):
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(self, client, authorization_code):
        code = self.codes.pop(authorization_code.code)
        login = Login(client.client_id, code.subject, code.scopes, code.resource)
        self.logins.append(login)
        said("granted authorization_code")
        return login.tokens()

    def login_of(self, token):
        return next((x for x in self.logins if not x.over and (token in x.access or token in x.refresh)), None)

    async def load_refresh_token(self, client, refresh_token):
        login = self.login_of(refresh_token)
        if login is None:
            return None
        found = login.refresh.get(refresh_token)
        if found is None:
            said("reused a refresh token")
            login.over = True
        return found

    async def exchange_refresh_token(self, client, refresh_token, scopes):
        said("granted refresh_token")
        return self.login_of(refresh_token.token).tokens()

    async def load_access_token(self, token):
        login = self.login_of(token)
        found = login and login.access.get(token)
        return found if found and found.expires_at > time.time() else None

    async def revoke_token(self, token):
        said("revoked")
        self.login_of(token.token).over = True


memory = Memory()
server = MCPServer(
    "python",
    auth_server_provider=memory,
    auth=AuthSettings(
        issuer_url=ORIGIN,
        resource_server_url=f"{ORIGIN}/mcp",
        required_scopes=[SCOPE],
        validate_token_resource=True,
        client_registration_options=ClientRegistrationOptions(enabled=True, valid_scopes=[SCOPE], default_scopes=[SCOPE]),
        revocation_options=RevocationOptions(enabled=True),
    ),
)


@server.custom_route("/sign-in", methods=["GET", "POST"])
async def sign_in(request):
    """Asks for a name and a password first, and for consent then."""
    waiting = request.query_params.get("request")
    if waiting not in memory.asked:
        return HTMLResponse("<h1>Nobody asked for this</h1>", 400)
    filled = await request.form()
    person, password = filled.get("username", ""), filled.get("password", "")
    if not password or PASSWORDS.get(person) != password:
        return page(
            "Sign in",
            '<label>Name <input name="username"></label><label>Password <input name="password" type="password"></label>',
            "sign in",
        )
    if "answer" not in filled:
        kept = "".join(
            f'<input type="hidden" name="{name}" value="{html.escape(value)}">'
            for name, value in (("username", person), ("password", password))
        )
        return page(f"{html.escape(person)}, may it use your tools?", kept, "deny", "approve")
    client, params = memory.asked.pop(waiting)
    return RedirectResponse(outcome(client, params, person, filled["answer"] == "approve"), 302)


def page(title, fields, *buttons):
    name = 'name="answer" ' if len(buttons) > 1 else ""
    buttons = "".join(f'<button {name}value="{b}">{b.capitalize()}</button>' for b in buttons)
    return HTMLResponse(f'<!doctype html><title>{title}</title><h1>{title}</h1><form method="post">{fields}{buttons}</form>')


def outcome(client, params, person, approved):
    """The redirect URI with a code, or with the refusal."""
    told = {"state": params.state}
    if not approved:
        return construct_redirect_uri(str(params.redirect_uri), error="access_denied", **told)
    code = AuthorizationCode(
        code=secrets.token_urlsafe(32),
        client_id=client.client_id,
        scopes=params.scopes or [SCOPE],
        expires_at=time.time() + 60,
        subject=person,
        **params.model_dump(include={"code_challenge", "redirect_uri", "redirect_uri_provided_explicitly", "resource"}),
    )
    memory.codes[code.code] = code
    return construct_redirect_uri(str(params.redirect_uri), code=code.code, **told)


@server.tool()
def whoami() -> str:
    """Who is signed in."""
    return get_access_token().subject


@server.tool()
def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


if __name__ == "__main__":
    server.run(transport="streamable-http", host="127.0.0.1", port=PORT)
