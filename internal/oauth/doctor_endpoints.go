package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"mcpo/internal/caller"
)

// aboutMetadata tells of everything that an authorization server offers.
func (d *doctor) aboutMetadata(ctx context.Context) {
	d.connection(ctx)
	d.aboutEndpoints()
	d.askTokenEndpoint(ctx)
	d.aboutRegistration(ctx)
	d.aboutAuthentication()
	d.aboutPKCE()
	d.aboutParameters()
	d.aboutScopes()
	d.aboutRevocation()
}

func (d *doctor) aboutEndpoints() {
	m := d.Metadata
	for _, e := range []struct {
		topic, name, url string
		needed           bool
	}{
		{"authorization endpoint", "authorization_endpoint", m.AuthorizationEndpoint, true},
		{"token endpoint", "token_endpoint", m.TokenEndpoint, true},
		{"registration endpoint", "registration_endpoint", m.RegistrationEndpoint, false},
		{"revocation endpoint", "revocation_endpoint", m.RevocationEndpoint, false},
	} {
		if e.url == "" && e.needed {
			d.block(e.topic, "the operator of the authorization server has to add it to its metadata", "the metadata has no %s", e.name)
		}
		if e.url == "" {
			continue // what is not needed is told of where it matters
		}
		u, err := d.a.guard.checkEndpoint(e.name, e.url)
		switch {
		case err != nil:
			d.failed(e.topic, err)
		case u.Scheme == "http":
			d.add(e.topic, OK, "", "%s (http, and allowed there)", clean(e.url, 200))
		default:
			d.add(e.topic, OK, "", "%s", clean(e.url, 200))
		}
	}
}

// askTokenEndpoint sends a request that has nothing to exchange, only to hear
// whether somebody is there who would.
func (d *doctor) askTokenEndpoint(ctx context.Context) {
	const topic = "token endpoint"
	u, err := d.a.guard.checkEndpoint("token_endpoint", d.Metadata.TokenEndpoint)
	if err != nil {
		return // told of before
	}
	got, err := d.a.guard.postForm(ctx, u, url.Values{"grant_type": {"authorization_code"}}, nil)
	if err != nil {
		d.failed(topic, err)
		return
	}
	o, notJSON := got.object()
	switch {
	case got.status/100 == 3:
		d.block(topic, "the operator of the authorization server has to name the final address", "it redirects (%d), which requests with secrets do not follow", got.status)
	case got.status == http.StatusNotFound, got.status == http.StatusMethodNotAllowed:
		fix := ""
		if d.Metadata.From == "" {
			fix = `write the authorization server's address as "server_url"`
		}
		d.block(topic, fix, "there is none at %s (%d)", clean(d.Metadata.TokenEndpoint, 200), got.status)
	case got.status >= 500:
		d.block(topic, "see the authorization server's log, or try again later", "it is in trouble: it answers %d", got.status)
	case got.status/100 == 2 && notJSON != nil && got.json:
		d.block(topic, "", "it answers %d with what is no JSON object", got.status)
	default:
		d.add(topic, OK, "", "it answers a request without a code with %d %s", got.status, clean(o.text("error"), 64))
	}
}

// aboutRegistration tells how mcpo gets its client id.
func (d *doctor) aboutRegistration(ctx context.Context) {
	const topic = "registration"
	m, c := d.Metadata, d.a.cfg.ClientMetadata
	if byHand := d.a.byHand(m); byHand != nil {
		if err := d.a.checkIssuerOf(ctx, byHand, m); err != nil {
			d.failed(topic, err)
			return
		}
		d.add(topic, OK, "", "by hand: client_id %s with %s", clean(byHand.ClientID, 100), byHand.AuthMethod)
		return
	}
	document := d.a.documentURL()
	switch {
	case document != "" && m.DocumentSupported:
		d.add(topic, OK, "", "by mcpo's metadata document, %s, which has to be reachable from there", document)
	case m.RegistrationEndpoint != "" && m.From == "":
		d.add(topic, OK, "", "dynamic, at a guessed address; only a login finds out whether that works")
	case m.RegistrationEndpoint != "":
		d.add(topic, OK, "", "dynamic (RFC 7591)")
	case c != nil:
		d.ByHand = true
		d.add(topic, Missing, d.byHandFix(), "it registers nobody by itself, and client_metadata has no client_id; a login tries %q", staticClientID)
	default:
		d.ByHand = true
		d.block(topic, d.byHandFix(), "it registers nobody by itself")
		d.Findings[len(d.Findings)-1].State = Missing
	}
}

func (d *doctor) byHandFix() string {
	fix := fmt.Sprintf(`register mcpo there by hand, with the redirect URI %s, and write "client_metadata": {"client_id": "…", "client_secret": "…"}`, d.redirectURIs())
	if d.Metadata.DocumentSupported {
		fix += `; or let people reach mcpo over https and write "public_url", as it takes metadata documents`
	}
	return fix
}

// redirectURIs are those of all callers.
func (d *doctor) redirectURIs() string {
	others := d.a.RedirectURI(caller.User("anybody"))
	if !d.a.cfg.MultiUser || others == d.RedirectURI {
		return d.RedirectURI
	}
	return d.RedirectURI + " (for who is at this machine) and " + others + " (for everybody else)"
}

// aboutAuthentication tells how mcpo shows its client id at the token endpoint.
func (d *doctor) aboutAuthentication() {
	const topic = "client authentication"
	methods := d.Metadata.AuthMethods
	ours := slices.ContainsFunc(methods, func(m string) bool { return m == authNone || m == authBasic || m == authPost })
	byHand := d.a.byHand(d.Metadata)
	switch listed := clean(strings.Join(methods, ", "), 200); {
	case len(methods) == 0:
		d.add(topic, OK, "", "it lists no methods; mcpo has none, client_secret_basic and client_secret_post")
	case !ours:
		d.block(topic, "use another registration there, for one of none, client_secret_basic and client_secret_post", "it takes %s, and mcpo has none of these", listed)
	case byHand != nil && !slices.Contains(methods, byHand.AuthMethod):
		d.add(topic, Wrong, `write a "token_endpoint_auth_method" that it lists, or a "client_secret" if it wants one`, "it takes %s, and not %s", listed, byHand.AuthMethod)
	default:
		d.add(topic, OK, "", "it takes %s", listed)
	}
}

func (d *doctor) aboutPKCE() {
	const topic = "PKCE"
	m := d.Metadata
	listed := "no methods"
	if len(m.ChallengeMethods) > 0 {
		listed = "only " + clean(strings.Join(m.ChallengeMethods, ", "), 100)
	}
	switch {
	case slices.Contains(m.ChallengeMethods, "S256"):
		d.add(topic, OK, "", "S256 is supported")
	case m.From == "":
		d.add(topic, Missing, "", "without metadata nobody says whether S256 is supported; mcpo uses it all the same")
	case d.a.cfg.AllowMissingPKCE:
		d.add(topic, Missing, "", "it lists %s, which allow_missing_pkce lets pass", listed)
	default:
		d.block(topic, `ask its operator for S256; if it is known to work all the same, write "allow_missing_pkce": true`,
			"it lists %s in code_challenge_methods_supported, and OAuth 2.1 asks for S256", listed)
	}
}

// aboutParameters tells of what requests and callbacks carry.
func (d *doctor) aboutParameters() {
	switch indicator := d.a.resourceIndicator(d.resource); {
	case indicator == "":
		d.add("resource parameter", OK, "", "none is sent, as the configuration says")
	default:
		d.add("resource parameter", OK, "", "resource=%s is sent (RFC 8707)", clean(indicator, 200))
	}
	if d.Metadata.IssInCallback {
		d.add("iss parameter", OK, "", "callbacks name their issuer (RFC 9207), which mcpo checks")
		return
	}
	d.add("iss parameter", Missing, "", "callbacks do not name their issuer (RFC 9207)")
}

// aboutScopes tells what is asked for, and whether logins last.
func (d *doctor) aboutScopes() {
	m := d.Metadata
	scopes := d.a.scopesFor(&Discovered{Challenge: d.challenge, Resource: d.resource, Metadata: m}, d.who)
	if len(scopes) == 0 {
		d.add("scopes", OK, "", "none are asked for; the authorization server decides")
	} else {
		d.add("scopes", OK, "", "%s", clean(strings.Join(scopes, " "), 300))
	}
	const topic = "refresh tokens"
	switch offline := slices.Contains(m.Scopes, "offline_access"); {
	case len(m.GrantTypes) > 0 && !slices.Contains(m.GrantTypes, "refresh_token"):
		d.add(topic, Missing, "", "it offers none, so that people log in again when their access token runs out")
	case offline && !slices.Contains(scopes, "offline_access"):
		d.add(topic, Missing, `add "offline_access" to "scopes"`, "it may give none without the scope offline_access, which it lists")
	case offline:
		d.add(topic, OK, "", "asked for by the scope offline_access")
	default:
		d.add(topic, OK, "", "it lists no scope for them (offline_access), and gives them as it sees fit")
	}
}

func (d *doctor) aboutRevocation() {
	if d.Metadata.RevocationEndpoint == "" {
		d.add("revocation", Missing, "", "after a logout, tokens stay valid there until they run out; access is removed in one's account there")
		return
	}
	d.add("revocation", OK, "", "a logout revokes tokens (RFC 7009)")
}

// aboutRedirect tells where browsers come back to, and whether somebody can be
// there.
func (d *doctor) aboutRedirect(ctx context.Context) {
	const topic = "redirect URI"
	u, err := url.Parse(d.RedirectURI)
	if err == nil && u.Scheme == "http" && !isLoopbackName(u.Hostname()) {
		d.add(topic, Wrong, `most authorization servers want https there; write an https address as "public_url"`, "%s", d.redirectURIs())
		return
	}
	done, elsewhere, err := d.a.openPort(ctx, d.RedirectURI)
	if inUse, ok := errors.AsType[*PortInUseError](err); ok {
		d.block(topic, fmt.Sprintf(`write another "callback_port", or end the program that has port %d`, inUse.Port), "%s, where another program has the port", d.RedirectURI)
		return
	}
	if err != nil {
		d.failed(topic, err)
		return
	}
	done()
	switch {
	case elsewhere:
		d.add(topic, OK, "", "%s, where another mcpo has the port and takes what comes", d.redirectURIs())
	default:
		d.add(topic, OK, "", "%s", d.redirectURIs())
	}
}
