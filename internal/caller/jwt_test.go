package caller

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// token is a JWT that is good or bad in one respect.
type token struct {
	name string
	make func(key string) string // key is the one that fits
	want string                  // a part of the refusal; "" when it holds
}

// claim makes a token with these claims beside the usual ones.
func claim(claims string) func(string) string {
	return func(key string) string { return sign(hs256, valid(claims), key) }
}

// at makes a token whose times are seconds from now.
func at(exp, iat, nbf int) func(string) string {
	return func(key string) string {
		now := int(time.Now().Unix())
		return sign(hs256, fmt.Sprintf(`{"id":"ann","exp":%d,"iat":%d,"nbf":%d}`, now+exp, now+iat, now+nbf), key)
	}
}

// by makes a token with another algorithm.
func by(t *testing.T, method jwt.SigningMethod, signer any) func(string) string {
	return func(key string) string {
		if signer == nil {
			signer = []byte(key)
		}
		s, err := jwt.NewWithClaims(method, jwt.MapClaims{"id": "ann", "exp": time.Now().Add(time.Hour).Unix()}).SignedString(signer)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// headed makes a token with another header, its signature that of HS256.
func headed(header string) func(string) string {
	return func(key string) string { return sign(header, valid(`"id":"ann"`), key) }
}

// tokens are the ways in which a JWT can be wrong, and those in which it cannot.
func tokens(t *testing.T) []token {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const never, notHS256, noID = "it has no exp", "not plainly signed with HS256", "claim id"
	return []token{
		{"good", claim(`"id":"ann"`), ""},
		{"only sub", claim(`"sub":"ann"`), ""},
		{"id before sub", claim(`"sub":"bob","id":"ann"`), ""},
		{"other claims", claim(`"id":"ann","typ":"subagent","ID":"bob","Id":7,"role":["x"],"deep":{"id":"bob"}`), ""},
		{"just within the leeway", at(-29, 30, 30), ""},

		{"alg none", func(string) string { return unsignedOf("ann") }, notHS256},
		{"alg none, signed", headed(`{"alg":"none"}`), notHS256},
		{"alg NONE", headed(`{"alg":"NONE"}`), notHS256},
		{"alg hs256", headed(`{"alg":"hs256"}`), notHS256},
		{"alg empty", headed(`{"alg":""}`), notHS256},
		{"alg missing", headed(`{"typ":"JWT"}`), notHS256},
		{"alg a list", headed(`{"alg":["HS256"]}`), notHS256},
		{"alg twice", headed(`{"alg":"HS256","alg":"none"}`), notHS256},
		{"alg RS256", by(t, jwt.SigningMethodRS256, private), notHS256},
		{"alg PS256", by(t, jwt.SigningMethodPS256, private), notHS256},
		{"alg RS256 in name", headed(`{"alg":"RS256"}`), notHS256},
		{"alg HS384", by(t, jwt.SigningMethodHS384, nil), notHS256},
		{"alg HS512", by(t, jwt.SigningMethodHS512, nil), notHS256},
		{"critical header", headed(`{"alg":"HS256","crit":["b64"],"b64":false}`), notHS256},

		{"wrong key", func(string) string { return sign(hs256, valid(`"id":"ann"`), wrongKey) }, "its signature does not fit. Set "},
		{"empty key", func(string) string { return sign(hs256, valid(`"id":"ann"`), "") }, "its signature does not fit. Set "},
		{"signature cut off", func(key string) string { s := claim(`"id":"ann"`)(key); return s[:strings.LastIndex(s, ".")+1] }, "its signature does not fit"},
		{"signature of another", func(key string) string {
			a, b := claim(`"id":"ann"`)(key), claim(`"id":"bob"`)(key)
			return a[:strings.LastIndex(a, ".")] + b[strings.LastIndex(b, "."):]
		}, "its signature does not fit"},
		{"signature with other last bits", func(key string) string { // base64 has two bits to spare
			s := claim(`"id":"ann"`)(key)
			const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
			return s[:len(s)-1] + string(letters[strings.IndexByte(letters, s[len(s)-1])|1])
		}, "it is no JWT"},

		{"expired", at(-3600, -7200, -7200), "it has expired"},
		{"just beyond the leeway", at(-30, -60, -60), "it has expired"},
		{"nbf 0", claim(`"id":"ann","nbf":0`), ""},
		{"issued in the far future", at(7200, 3600, 0), "it is from the future"},
		{"issued just beyond the leeway", at(7200, 31, 0), "it is from the future"},
		{"not yet valid", at(7200, 0, 3600), "it is from the future"},
		{"not just yet valid", at(7200, 0, 31), "it is from the future"},
		{"no exp", func(key string) string { return sign(hs256, `{"id":"ann"}`, key) }, never},
		{"exp 0", func(key string) string { return sign(hs256, `{"id":"ann","exp":0}`, key) }, never},
		{"exp below 0", func(key string) string { return sign(hs256, `{"id":"ann","exp":-1}`, key) }, "it has expired"},
		{"exp null", func(key string) string { return sign(hs256, `{"id":"ann","exp":null}`, key) }, "exp, nbf or iat is no time"},
		{"exp a string", func(key string) string { return sign(hs256, `{"id":"ann","exp":"4000000000"}`, key) }, "exp, nbf or iat is no time"},
		{"exp beyond numbers", func(key string) string { return sign(hs256, `{"id":"ann","exp":1e999}`, key) }, "it is no JWT"},
		{"iat a string", func(key string) string { return sign(hs256, `{"id":"ann","exp":4000000000,"iat":"0"}`, key) }, "exp, nbf or iat is no time"},
		{"nbf a list", func(key string) string { return sign(hs256, `{"id":"ann","exp":4000000000,"nbf":[]}`, key) }, "exp, nbf or iat is no time"},

		{"no id", claim(`"email":"ann@h"`), "it has no claim id or sub"},
		{"ID in capitals", claim(`"ID":"ann","SUB":"ann"`), "it has no claim id or sub"},
		{"id empty", claim(`"id":""`), noID + " is empty"},
		{"id empty, with a sub", claim(`"id":"","sub":"ann"`), noID + " is empty"},
		{"sub empty", claim(`"sub":""`), "claim sub is empty"},
		{"id a number", claim(`"id":7`), noID + " is no string"},
		{"id null", claim(`"id":null`), noID + " is no string"},
		{"id null, with a sub", claim(`"id":null,"sub":"ann"`), noID + " is no string"},
		{"id a list", claim(`"id":["ann"]`), noID + " is no string"},
		{"id an object", claim(`"id":{"id":"ann"}`), noID + " is no string"},
		{"id true", claim(`"id":true`), noID + " is no string"},
		{"id of 256 bytes", claim(`"id":"` + strings.Repeat("ä", 128) + `"`), ""},
		{"id of 257 bytes", claim(`"id":"` + strings.Repeat("x", 257) + `"`), noID + " is longer than 256 bytes"},
		{"id of 1 MB", claim(`"id":"` + strings.Repeat("x", 1<<20) + `"`), "it is longer than 16384 bytes"},
		{"a token of 1 MB", claim(`"id":"ann","x":"` + strings.Repeat("x", 1<<20) + `"`), "it is longer than 16384 bytes"},
		{"id with a line break", claim(`"id":"ann\nlevel=ERROR"`), noID + " has characters that no id has"},
		{"id with NUL", claim(`"id":"ann\u0000"`), noID + " has characters"},
		{"id with DEL", claim(`"id":"ann\u007f"`), noID + " has characters"},
		{"id with a C1 control", claim(`"id":"ann\u009b31m"`), noID + " has characters"},
		{"id not UTF-8", claim("\"id\":\"ann\xff\""), noID + " has characters"},
		{"id overlong in UTF-8", claim("\"id\":\"\xc0\xaf\""), noID + " has characters"},
		{"id half a surrogate", claim(`"id":"\ud800"`), noID + " has characters"},
		{"sub not UTF-8", claim("\"sub\":\"\xff\""), "claim sub has characters"},

		{"id twice", claim(`"id":"ann","id":"bob"`), "it has a claim twice"},
		{"id twice, once escaped", claim(`"id":"bob","\u0069d":"ann"`), "it has a claim twice"},
		{"exp twice", claim(`"id":"ann","exp":1`), "it has a claim twice"},
		{"claims twice", func(key string) string { return sign(hs256, valid(`"id":"ann"`)+valid(`"id":"bob"`), key) }, "it is no JWT"},

		{"empty", func(string) string { return "." }, "it is no JWT"},
		{"garbage", func(string) string { return "c2VjcmV0LWdhcmJhZ2U" }, "it is no JWT"},
		{"dots", func(string) string { return ".." }, "it is no JWT"},
		{"no signature and no dot", func(key string) string { s := claim(`"id":"ann"`)(key); return s[:strings.LastIndex(s, ".")] }, "it is no JWT"},
		{"a dot too many", func(key string) string { return claim(`"id":"ann"`)(key) + "." }, "it is no JWT"},
		{"five parts", func(key string) string { return claim(`"id":"ann"`)(key) + ".AAAA.BBBB" }, "it is no JWT"},
		{"a dot in front", func(key string) string { return "." + claim(`"id":"ann"`)(key) }, "it is no JWT"},
		{"padded", func(key string) string { return claim(`"id":"ann"`)(key) + "=" }, "it is no JWT"},
		{"two at once", func(key string) string { return claim(`"id":"ann"`)(key) + ", " + claim(`"id":"bob"`)(key) }, "it is no JWT"},
		{"claims a list", func(key string) string { return sign(hs256, `["id"]`, key) }, "it is no JWT"},
		{"claims null", func(key string) string { return sign(hs256, `null`, key) }, never},
		{"claims empty", func(key string) string { return sign(hs256, ``, key) }, "it is no JWT"},
		{"claims nested deeply", func(key string) string { return sign(hs256, strings.Repeat("[", 12_000), key) }, "it is no JWT"},
		{"header null", headed(`null`), notHS256},
		{"header no JSON", headed(`alg`), "it is no JWT"},
	}
}

// holders are the places where a JWT of Open WebUI may stand. advice is what
// each refusal that is about the token itself has to name.
func holders(t *testing.T) map[string]struct {
	key, advice string
	identify    func(token string) (*http.Request, Person, bool, error)
} {
	t.Helper()
	both := NewIdentifier(Options{SessionKey: sessionKey, UserKeys: []string{userKey}})
	type holder = struct {
		key, advice string
		identify    func(token string) (*http.Request, Person, bool, error)
	}
	return map[string]holder{
		"session": {sessionKey, "webui_secret_key", func(token string) (*http.Request, Person, bool, error) {
			r := request(t, "Authorization", "Bearer "+token)
			p, found, err := both.Identify(r, false, true)
			return r, p, found, err
		}},
		"call": {userKey, "forward_jwt_secret", func(token string) (*http.Request, Person, bool, error) {
			r := request(t, "X-OpenWebUI-User-Jwt", token)
			p, found, err := both.Identify(r, true, true)
			return r, p, found, err
		}},
		"cookie": {sessionKey, "webui_secret_key", func(token string) (*http.Request, Person, bool, error) {
			p, err := both.BySession(token)
			return request(t, "Cookie", "token="+token), p, err == nil, err
		}},
	}
}

// TestTokens holds how each token is taken, wherever it stands. The time stands
// still meanwhile (threats 18).
func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for where, h := range holders(t) {
			for _, c := range tokens(t) {
				r, p, found, err := h.identify(c.make(h.key))
				name := where + ", " + c.name
				if c.want != "" {
					refused(t, name, r, p, found, err, c.want)
				} else if !found || err != nil || !strings.HasPrefix(p.ID.String(), "user:") || p.ID.Name() != "ann" && p.ID.Name() != strings.Repeat("ä", 128) {
					t.Errorf("%s: identified %q, %v: %v", name, p.ID, found, err)
				}
				if c.want == "its signature does not fit. Set " && err != nil && !strings.Contains(err.Error(), "Set "+h.advice+" in mcpo's configuration to what ") {
					t.Errorf("%s: %q does not say to set %s", name, err, h.advice)
				}
			}
		}
	})
}

// TestTokensSayWhatToDo: the same mistake has another cure in each place
// (threats 18).
func TestTokensSayWhatToDo(t *testing.T) {
	const garbage, endless, old = "a.b.c", `{"id":"ann"}`, `{"id":"ann","exp":1}`
	for where, want := range map[string][3]string{
		"session": {"authentication to Session", "JWT_EXPIRES_IN", "Sign in to Open WebUI again"},
		"call":    {"FORWARD_USER_INFO_HEADER_JWT_SECRET", "nothing but Open WebUI set X-OpenWebUI-User-Jwt", "compare the clocks"},
		"cookie":  {"authentication to Session", "JWT_EXPIRES_IN", "Sign in to Open WebUI again"},
	} {
		h := holders(t)[where]
		for i, token := range []string{garbage, sign(hs256, endless, h.key), sign(hs256, old, h.key)} {
			r, p, found, err := h.identify(token)
			refused(t, where, r, p, found, err, want[i])
		}
	}
}

// TestLabels: a name for people, which decides nothing.
func TestLabels(t *testing.T) {
	i := NewIdentifier(Options{SessionKey: sessionKey})
	for claims, want := range map[string]string{
		`"id":"ann"`: "", `"id":"ann","email":"ann@h"`: "ann@h", `"id":"ann","name":"Ann"`: "Ann",
		`"id":"ann","email":"ann@h","name":"Ann"`: "ann@h", `"id":"ann","email":7,"name":["x"]`: "",
	} {
		p, err := i.BySession(sign(hs256, valid(claims), sessionKey))
		if err != nil || p.ID != User("ann") || p.Label != want {
			t.Errorf("%s gives %+v, %v; want the label %q", claims, p, err, want)
		}
	}
}

// TestKeysOfCallsChange: during a change of keys the old one and the new one
// fit, afterwards the new one alone.
func TestKeysOfCallsChange(t *testing.T) {
	byOld, byNew := sign(hs256, valid(`"sub":"ann"`), oldUserKey), sign(hs256, valid(`"sub":"ann"`), userKey)
	late := sign(hs256, `{"sub":"ann","exp":1}`, oldUserKey)
	for _, c := range []struct {
		keys  []string
		token string
		want  string
	}{
		{[]string{userKey, oldUserKey}, byOld, ""},
		{[]string{userKey, oldUserKey}, byNew, ""},
		{[]string{oldUserKey, userKey}, byNew, ""},
		{[]string{userKey}, byNew, ""},
		{[]string{userKey}, byOld, "its signature does not fit. Set forward_jwt_secret"},
		{[]string{userKey, oldUserKey}, sign(hs256, valid(`"sub":"ann"`), wrongKey), "its signature does not fit. Set forward_jwt_secret"},
		{[]string{userKey, oldUserKey}, late, "it has expired"},
		{[]string{oldUserKey, userKey}, late, "it has expired"},
		{[]string{userKey, oldUserKey}, sign(hs256, valid(`"sub":""`), oldUserKey), "claim sub is empty"},
	} {
		r := request(t, "X-OpenWebUI-User-Jwt", c.token)
		p, found, err := NewIdentifier(Options{UserKeys: c.keys}).Identify(r, true, false)
		switch {
		case c.want != "":
			refused(t, fmt.Sprint(c.keys), r, p, found, err, c.want)
		case err != nil || !found || p.ID != User("ann"):
			t.Errorf("%v: identified %q, %v: %v", c.keys, p.ID, found, err)
		}
	}
}
