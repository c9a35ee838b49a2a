package caller

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// variant is one way to fill a header field.
type variant struct {
	name   string
	values []string // one header line each; none: the field is absent
	// good is whether it holds where it is verified, claimed whether its claims
	// do where nobody verifies it.
	good, claimed bool
}

func calls() []variant {
	return []variant{
		{name: "no call"},
		{name: "call", values: []string{callOf("ann")}, good: true},
		{name: "call of another key", values: []string{sign(hs256, valid(`"sub":"ann"`), sessionKey)}},
		{name: "call expired", values: []string{sign(hs256, `{"sub":"ann","exp":1}`, userKey)}},
		{name: "call unsigned", values: []string{unsignedOf("ann")}},
		{name: "call empty", values: []string{""}},
		{name: "call twice", values: []string{callOf("ann"), callOf("ann")}},
		{name: "call good, then bad", values: []string{callOf("ann"), "x"}},
	}
}

func sessions() []variant {
	return []variant{
		{name: "no session"},
		{name: "session", values: []string{"Bearer " + sessionOf("bob")}, good: true, claimed: true},
		{name: "session of another key", values: []string{"Bearer " + sign(hs256, valid(`"id":"bob"`), wrongKey)}, claimed: true},
		{name: "session unsigned", values: []string{"Bearer " + unsignedOf("bob")}, claimed: true},
		{name: "session expired", values: []string{"Bearer " + sign(hs256, `{"id":"bob","exp":1}`, sessionKey)}},
		{name: "session without id", values: []string{"Bearer " + sign(hs256, valid(`"email":"bob"`), sessionKey)}},
		{name: "session garbage", values: []string{"Bearer c2VjcmV0LWdhcmJhZ2U"}},
		{name: "API key of Open WebUI", values: []string{"Bearer sk-0123456789abcdef0123456789abcdef"}},
		{name: "session twice", values: []string{"Bearer " + sessionOf("bob"), "Bearer " + sessionOf("bob")}},
		{name: "session good, then Basic", values: []string{"Bearer " + sessionOf("bob"), "Basic eDp5"}},
	}
}

func plains() []variant {
	return []variant{
		{name: "no plain header"},
		{name: "plain", values: []string{"eve"}, good: true},
		{name: "plain empty", values: []string{""}},
		{name: "plain of 257 bytes", values: []string{strings.Repeat("x", 257)}},
		{name: "plain with a control", values: []string{"eve\x07"}},
		{name: "plain not UTF-8", values: []string{"eve\xff"}},
		{name: "plain twice", values: []string{"eve", "eve"}},
	}
}

// expected says who a request is: a caller's name, "" for nobody, or "refused".
// It is the order of the proofs: the first that is there decides.
func expected(o Options, call, session, plain variant, keyed, local bool) string {
	decide := func(v variant, good bool, name string) string {
		if good && len(v.values) == 1 {
			return name
		}
		return "refused"
	}
	there := func(v variant) bool { return len(v.values) > 0 }
	switch {
	case len(o.UserKeys) > 0 && there(call):
		return decide(call, call.good, "user:ann")
	case len(o.UserKeys) > 0 && there(plain), len(session.values) > 1:
		return "refused"
	case !keyed && there(session) && o.SessionKey != "":
		return decide(session, session.good, "user:bob")
	case !keyed && there(session) && len(o.UserKeys) == 0 && !o.TrustUserHeaders:
		return decide(session, session.claimed && (local || o.AllowUnverified), "unverified:bob")
	case there(plain) && o.TrustUserHeaders:
		return decide(plain, plain.good && keyed, "user:eve")
	}
	return ""
}

// TestNothingFallsThrough goes through all combinations of proofs, good and bad.
func TestNothingFallsThrough(t *testing.T) {
	for _, o := range []Options{
		{}, {AllowUnverified: true},
		{SessionKey: sessionKey}, {SessionKey: sessionKey, AllowUnverified: true},
		{UserKeys: []string{userKey}}, {UserKeys: []string{userKey}, AllowUnverified: true},
		{TrustUserHeaders: true}, {TrustUserHeaders: true, AllowUnverified: true},
		{SessionKey: sessionKey, UserKeys: []string{userKey}},
		{SessionKey: sessionKey, TrustUserHeaders: true},
		{SessionKey: sessionKey, UserKeys: []string{userKey}, TrustUserHeaders: true, AllowUnverified: true},
	} {
		i := NewIdentifier(o)
		for _, call := range calls() {
			for _, session := range sessions() {
				for _, plain := range plains() {
					for n := range 4 {
						checkWho(t, i, call, session, plain, n&1 > 0, n&2 > 0)
					}
				}
			}
		}
	}
}

func checkWho(t *testing.T, i *Identifier, call, session, plain variant, keyed, local bool) {
	t.Helper()
	r := request(t)
	r.Header["X-Openwebui-User-Jwt"] = slices.Clone(call.values)
	r.Header["Authorization"] = slices.Clone(session.values)
	r.Header["X-Openwebui-User-Id"] = slices.Clone(plain.values)
	for name, values := range r.Header {
		if len(values) == 0 {
			delete(r.Header, name)
		}
	}
	p, found, err := i.Identify(r, keyed, local)
	what := call.name + ", " + session.name + ", " + plain.name
	switch want := expected(i.o, call, session, plain, keyed, local); {
	case want == "refused":
		refused(t, what, r, p, found, err, "")
	case err != nil || found != (want != "") || p.ID.String() != want:
		t.Errorf("%+v, %s, keyed %v, local %v: identified %q, %v: %v; want %q", i.o, what, keyed, local, p.ID, found, err, want)
	}
}

// TestRefusalsSayWhatToSet holds the words of the refusals that are not about
// the token itself.
func TestRefusalsSayWhatToSet(t *testing.T) {
	open, both := Options{}, Options{SessionKey: sessionKey, UserKeys: []string{userKey}}
	trusting := Options{TrustUserHeaders: true}
	bearer := "Bearer " + sessionOf("bob")
	for _, c := range []struct {
		name         string
		o            Options
		keyed, local bool
		fields       []string
		want         []string
	}{
		{"unverified from afar", open, false, false, []string{"Authorization", bearer}, []string{"WEBUI_SECRET_KEY", `"webui_secret_key"`}},
		{"API key of Open WebUI", both, false, true, []string{"Authorization", "Bearer sk-0123456789abcdef"}, []string{"(sk-…)", "FORWARD_USER_INFO_HEADER_JWT_SECRET", "forward_jwt_secret"}},
		{"API key, unverified", open, false, true, []string{"Authorization", "Bearer sk-0123456789abcdef"}, []string{"(sk-…)", "FORWARD_USER_INFO_HEADER_JWT_SECRET", "forward_jwt_secret"}},
		{"plain where the call's JWT is wanted", both, true, true, []string{"X-OpenWebUI-User-Id", "eve-0123456789"}, []string{"plain header", "FORWARD_USER_INFO_HEADER_JWT_SECRET"}},
		{"plain, with a session", both, false, true, []string{"X-OpenWebUI-User-Id", "eve-0123456789", "Authorization", bearer}, []string{"plain header"}},
		{"plain without the key", trusting, false, true, []string{"X-OpenWebUI-User-Id", "eve-0123456789"}, []string{"--api-key", "Bearer token in Open WebUI"}},
		{"plain twice", trusting, true, true, []string{"X-OpenWebUI-User-Id", "eve-0123456789", "X-OpenWebUI-User-Id", "ann-0123456789"}, []string{"more than one X-OpenWebUI-User-Id"}},
		{"calls twice", both, true, true, []string{"X-OpenWebUI-User-Jwt", callOf("ann"), "x-openwebui-user-jwt", callOf("ann")}, []string{"more than one X-OpenWebUI-User-Jwt"}},
		{"sessions twice", both, false, true, []string{"Authorization", bearer, "authorization", bearer}, []string{"more than one Authorization"}},
		{"sessions twice, and the key", both, true, true, []string{"Authorization", bearer, "authorization", bearer}, []string{"more than one Authorization"}},
	} {
		r := request(t, c.fields...)
		p, found, err := NewIdentifier(c.o).Identify(r, c.keyed, c.local)
		for _, want := range c.want {
			refused(t, c.name, r, p, found, err, want)
		}
	}
}

// TestUnverified holds what is believed without a key.
func TestUnverified(t *testing.T) {
	now := time.Now().Unix()
	for claims, want := range map[string]string{
		`{"id":"ann"}`: "unverified:ann", `{"sub":"ann"}`: "unverified:ann", `{"id":"ann","sub":"bob"}`: "unverified:ann",
		`{"id":"user:x"}`: "unverified:user:x", `{"id":"unverified:x"}`: "unverified:unverified:x", `{"id":"shared"}`: "unverified:shared",
		fmt.Sprintf(`{"id":"ann","exp":%d}`, now+600): "unverified:ann",
		fmt.Sprintf(`{"id":"ann","exp":%d}`, now-600): "!it has expired", fmt.Sprintf(`{"id":"ann","nbf":%d}`, now+600): "!it is from the future",
		fmt.Sprintf(`{"id":"ann","iat":%d}`, now+600): "!it is from the future", `{"id":"ann","exp":"x"}`: "!exp, nbf or iat is no time",
		`{}`: "!it has no claim id or sub", `null`: "!it has no claim id or sub", `{"id":7}`: "!claim id is no string", `{"id":""}`: "!claim id is empty",
		`{"id":"ann","id":"bob"}`: "!it has a claim twice", `[]`: "!it is no JWT", "{\"id\":\"\xff\"}": "!claim id has characters",
		`{"id":"` + strings.Repeat("x", 257) + `"}`: "!claim id is longer than 256 bytes", `{"id":"` + strings.Repeat("x", 1<<20) + `"}`: "!it is longer than 16384 bytes",
	} {
		r := request(t, "Authorization", "Bearer "+encode(`{"alg":"none"}`)+"."+encode(claims)+".")
		p, found, err := NewIdentifier(Options{}).Identify(r, false, true)
		if words, bad := strings.CutPrefix(want, "!"); bad {
			refused(t, claims[:min(len(claims), 60)], r, p, found, err, words)
		} else if err != nil || !found || p.ID.String() != want {
			t.Errorf("%s: identified %q, %v: %v", claims, p.ID, found, err)
		}
	}
	for _, o := range []Options{{SessionKey: sessionKey}, {UserKeys: []string{userKey}}, {TrustUserHeaders: true}} {
		o.AllowUnverified = true
		p, _, _ := NewIdentifier(o).Identify(request(t, "Authorization", "Bearer "+unsignedOf("ann")), false, true)
		if p.ID.IsOne() {
			t.Errorf("%+v: a token that nobody signed is believed where others are verified: %q", o, p.ID)
		}
	}
}

// TestAuthorization holds what counts as a Bearer token (RFC 9110 §11.4), and
// what is nobody's business here (threats 18).
func TestAuthorization(t *testing.T) {
	token := sessionOf("bob")
	for value, want := range map[string]string{
		"Bearer " + token: "user:bob", "bearer " + token: "user:bob", "BEARER   " + token + " ": "user:bob",
		"": "", "Bearer": "", "Bearer ": "", "Basic eDp5": "", token: "", "Token " + token: "", "Bearer\t" + token: "", "Bearer," + token: "",
	} {
		p, found, err := NewIdentifier(Options{SessionKey: sessionKey}).Identify(request(t, "Authorization", value), false, false)
		if err != nil || found != (want != "") || p.ID.String() != want {
			t.Errorf("%.10q…: identified %q, %v: %v; want %q", value, p.ID, found, err, want)
		}
	}
}

// TestByToken holds when a token may stand in the place of mcpo's key.
func TestByToken(t *testing.T) {
	verifying := Options{SessionKey: sessionKey, UserKeys: []string{userKey}}
	for _, c := range []struct {
		o      Options
		fields []string
		want   string // a caller, "" for no token, or a part of the refusal after "!"
	}{
		{verifying, []string{"Authorization", "Bearer " + sessionOf("bob")}, "user:bob"},
		{verifying, []string{"Authorization", "Bearer " + sessionOf("bob"), "X-OpenWebUI-User-Jwt", callOf("ann")}, "user:bob"},
		{verifying, nil, ""},
		{verifying, []string{"X-OpenWebUI-User-Jwt", callOf("ann")}, ""},
		{verifying, []string{"X-OpenWebUI-User-Id", "eve"}, ""},
		{verifying, []string{"Authorization", "Bearer a-wrong-key-of-mcpo"}, ""},
		{verifying, []string{"Authorization", "Bearer " + sessionOf("bob") + ".x"}, ""},
		{verifying, []string{"Authorization", "Basic eDp5"}, ""},
		{verifying, []string{"Authorization", "Bearer " + unsignedOf("bob")}, "!not plainly signed"},
		{verifying, []string{"Authorization", "Bearer " + callOf("ann")}, "!its signature does not fit. Set webui_secret_key"},
		{verifying, []string{"Authorization", "Bearer sk-0123456789abcdef"}, "!(sk-…)"},
		{verifying, []string{"Authorization", "Bearer " + sessionOf("bob"), "Authorization", "Bearer " + sessionOf("bob")}, "!more than one Authorization"},
		{Options{}, []string{"Authorization", "Bearer " + unsignedOf("bob")}, ""},
		{Options{AllowUnverified: true}, []string{"Authorization", "Bearer " + unsignedOf("bob")}, ""},
		{Options{UserKeys: []string{userKey}}, []string{"Authorization", "Bearer " + callOf("ann")}, ""},
		{Options{TrustUserHeaders: true}, []string{"X-OpenWebUI-User-Id", "eve"}, ""},
	} {
		r := request(t, c.fields...)
		p, found, err := NewIdentifier(c.o).ByToken(r)
		if words, bad := strings.CutPrefix(c.want, "!"); bad {
			refused(t, words, r, p, found, err, words)
		} else if err != nil || found != (c.want != "") || p.ID.String() != c.want {
			t.Errorf("%+v %v: identified %q, %v: %v", c.o, c.fields, p.ID, found, err)
		}
	}
	p, err := NewIdentifier(Options{UserKeys: []string{userKey}}).BySession(callOf("ann"))
	refused(t, "a cookie without a key", &http.Request{}, p, false, err, "no key")
}

func TestWhatIsConfigured(t *testing.T) {
	for _, c := range []struct {
		o                    Options
		verifies, configured bool
	}{
		{Options{}, false, false}, {Options{AllowUnverified: true}, false, false}, {Options{SessionKey: "x"}, true, true},
		{Options{Issuer: &Issuer{}}, true, true}, {Options{UserKeys: []string{"x"}}, false, true}, {Options{TrustUserHeaders: true}, false, true},
	} {
		if i := NewIdentifier(c.o); i.Verifies() != c.verifies || i.Configured() != c.configured {
			t.Errorf("%+v: verifies %v, configured %v", c.o, i.Verifies(), i.Configured())
		}
	}
}
