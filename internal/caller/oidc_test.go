package caller

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// bear identifies a request with a token.
func bear(t *testing.T, i *Identifier, token string) (ID, error) {
	t.Helper()
	r := request(t, "Authorization", "Bearer "+token)
	p, found, err := i.Identify(r, false, true)
	if err != nil {
		refused(t, "token", r, p, found, err, "")
	} else if !found {
		t.Errorf("the token was not looked at")
	}
	return p.ID, err
}

// TestIssuersTokens holds which tokens of a provider are taken.
func TestIssuersTokens(t *testing.T) {
	p := startProvider(t)
	rsa, ec, foreign := newRSA(t, "r1"), newEC(t, "e1"), newEC(t, "e1")
	p.publish(rsa, ec)
	i := p.identifier(Options{})
	now := time.Now().Unix()
	const signature, audienceSays = "its signature fits none of the keys", "what identity.oidc.audience says"
	for _, c := range []struct {
		name, token, want string // want is the account, or a part of the refusal after "!"
	}{
		{"RS256", rsa.sign(t, p.claimsOf()), "ann"},
		{"ES256", ec.sign(t, p.claimsOf()), "ann"},
		{"one audience of several", ec.sign(t, p.claimsOf(`"aud":["x",`+quote(audience)+`]`)), "ann"},
		{"names in other cases", ec.sign(t, p.claimsOf(`"Sub":"bob"`, `"SUB":"bob"`, `"id":"bob"`, `"Iss":"x"`, `"Aud":"x"`, `"EXP":1`)), "ann"},

		{"key of another", foreign.sign(t, p.claimsOf()), "!" + signature},
		{"unknown key", newEC(t, "e2").sign(t, p.claimsOf()), "!" + signature},
		{"alg none", encode(`{"alg":"none"}`) + "." + encode(p.claimsOf()) + ".", "!" + signature},
		{"alg HS256 by the public key", sign(hs256, p.claimsOf(), publicPEM(t, rsa)), "!" + signature},
		{"alg HS256 in name", sign(`{"alg":"HS256","kid":"r1"}`, p.claimsOf(), wrongKey), "!" + signature},
		{"garbage", "c2VjcmV0LWdhcmJhZ2U", "!" + signature},
		{"a dot too many", ec.sign(t, p.claimsOf()) + ".x", "!" + signature},
		{"critical header", critical(t, ec, p.claimsOf()), "!" + signature},
		{"API key of Open WebUI", "sk-0123456789abcdef0123", "!(sk-…)"},
		{"1 MB", ec.sign(t, p.claimsOf(`"x":"`+strings.Repeat("x", 1<<20)+`"`)), "!it is longer than 16384 bytes"},

		{"wrong issuer", ec.sign(t, p.claimsOf(`"iss":"https://id.example"`)), "!its iss is not identity.oidc.issuer"},
		{"issuer with a slash", ec.sign(t, p.claimsOf(`"iss":`+quote(p.URL+"/"))), "!its iss is not identity.oidc.issuer"},
		{"no issuer", ec.sign(t, p.claimsOf(`"iss":`)), "!its iss is not identity.oidc.issuer"},
		{"wrong audience", ec.sign(t, p.claimsOf(`"aud":"another"`)), "!" + audienceSays},
		{"wrong audiences", ec.sign(t, p.claimsOf(`"aud":["a","b"]`)), "!" + audienceSays},
		{"audience in capitals", ec.sign(t, p.claimsOf(`"aud":`+quote(strings.ToUpper(audience)))), "!" + audienceSays},
		{"no audience", ec.sign(t, p.claimsOf(`"aud":`)), "!" + audienceSays},
		{"empty audience", ec.sign(t, p.claimsOf(`"aud":[]`)), "!" + audienceSays},
		{"only azp", ec.sign(t, p.claimsOf(`"aud":"x"`, `"azp":`+quote(audience))), "!" + audienceSays},
		{"expired", ec.sign(t, p.claimsOf(fmt.Sprintf(`"exp":%d`, now-600))), "!it has expired. Sign in again"},
		{"no exp", ec.sign(t, p.claimsOf(`"exp":`)), "!it has no exp"},
		{"from the future", ec.sign(t, p.claimsOf(fmt.Sprintf(`"iat":%d`, now+600))), "!it is from the future. Compare the clocks of mcpo's machine and of the OpenID provider"},
		{"not yet valid", ec.sign(t, p.claimsOf(fmt.Sprintf(`"nbf":%d`, now+600))), "!it is from the future"},
		{"no sub", ec.sign(t, p.claimsOf(`"sub":`, `"id":"ann"`)), "!it has no claim sub"},
		{"sub in capitals", ec.sign(t, p.claimsOf(`"sub":`, `"SUB":"ann"`)), "!it has no claim sub"},
		{"sub empty", ec.sign(t, p.claimsOf(`"sub":""`)), "!claim sub is empty"},
		{"sub of 257 bytes", ec.sign(t, p.claimsOf(`"sub":"`+strings.Repeat("x", 257)+`"`)), "!claim sub is longer than 256 bytes"},
		{"sub with a line break", ec.sign(t, p.claimsOf(`"sub":"a\nb"`)), "!claim sub has characters"},
		{"sub not UTF-8", ec.sign(t, p.claimsOf("\"sub\":\"a\xff\"")), "!claim sub has characters"},
		{"sub twice", ec.sign(t, strings.Replace(p.claimsOf(), "{", `{"sub":"bob",`, 1)), "!it has a claim twice"},
	} {
		id, err := bear(t, i, c.token)
		if words, bad := strings.CutPrefix(c.want, "!"); bad && (err == nil || !strings.Contains(err.Error(), words)) {
			t.Errorf("%s: identified %q: %v; want %q", c.name, id, err, words)
		} else if !bad && id.String() != "oidc:"+p.URL+" "+c.want {
			t.Errorf("%s: identified %q: %v; want %q", c.name, id, err, c.want)
		}
	}
}

// TestIssuersLeeway holds the bounds of a token's times to the second. The time
// stands still meanwhile.
func TestIssuersLeeway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := NewIssuer("https://id.example", audience, http.DefaultClient)
		for _, c := range []struct {
			exp, iat, nbf int
			want          string
		}{
			{-29, 0, 0, ""}, {-30, 0, 0, "it has expired"}, {60, 30, 30, ""}, {60, 31, 0, "it is from the future"}, {60, 0, 31, "it is from the future"},
		} {
			in := func(seconds int) float64 { return float64(time.Now().Unix() + int64(seconds)) }
			p, err := i.personOf(&claims{map[string]any{"iss": "https://id.example", "aud": audience, "sub": "ann", "exp": in(c.exp), "iat": in(c.iat), "nbf": in(c.nbf)}})
			if c.want != "" {
				refused(t, fmt.Sprint(c), request(t), p, false, err, c.want)
			} else if err != nil {
				t.Errorf("%+v: %v", c, err)
			}
		}
	})
}

// publicPEM is what an attacker knows of a key.
func publicPEM(t *testing.T, s signer) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.key.Public().Key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// critical signs with a header that a reader must know (RFC 7515 §4.1.11).
func critical(t *testing.T, s signer, claims string) string {
	t.Helper()
	by, err := jose.NewSigner(jose.SigningKey{Algorithm: s.algorithm, Key: s.key},
		(&jose.SignerOptions{}).WithCritical("https://h/x").WithHeader("https://h/x", true))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := by.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestIssuersKeysChange: a new key is found when the first token is signed with
// it, and the old one is gone with it. No token asks for the metadata again.
func TestIssuersKeysChange(t *testing.T) {
	p := startProvider(t)
	before, after := newRSA(t, "before"), newEC(t, "after")
	p.publish(before)
	i := p.identifier(Options{})
	for range 3 {
		if _, err := bear(t, i, before.sign(t, p.claimsOf())); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.requests(keysPath); n != 1 {
		t.Errorf("three tokens of one key asked for the keys %d times", n)
	}
	p.publish(after)
	if _, err := bear(t, i, after.sign(t, p.claimsOf())); err != nil {
		t.Errorf("the new key: %v", err)
	}
	if id, err := bear(t, i, before.sign(t, p.claimsOf())); err == nil {
		t.Errorf("a key that is gone still makes %q", id)
	}
	if n := p.requests(metadataPath); n != 1 {
		t.Errorf("the metadata was asked for %d times", n)
	}
}

// TestIssuerDownAndBack: nobody gets in while the provider cannot be asked, it
// is not asked at every request, and all is well once it is back.
func TestIssuerDownAndBack(t *testing.T) {
	p := startProvider(t)
	key := newEC(t, "e1")
	p.publish(key)
	p.set(func() { p.down[metadataPath], p.down[keysPath] = true, true })
	i := p.identifier(Options{})
	token := key.sign(t, p.claimsOf())
	for range 3 {
		if id, err := bear(t, i, token); err == nil || !strings.Contains(err.Error(), "identity.oidc.issuer cannot be reached. Try again") {
			t.Errorf("without a provider: %q, %v", id, err)
		}
	}
	if n := p.requests(metadataPath); n != 1 {
		t.Errorf("three requests in a row asked %d times", n)
	}
	p.set(func() { p.down[metadataPath] = false })
	i.o.Issuer.tried = i.o.Issuer.tried.Add(-issuerPause) // time passes
	if id, err := bear(t, i, token); err == nil || !strings.Contains(err.Error(), "its keys cannot be fetched now: try again") {
		t.Errorf("without keys: %q, %v", id, err)
	}
	p.set(func() { p.down[keysPath] = false })
	if _, err := bear(t, i, token); err != nil {
		t.Errorf("back again: %v", err)
	}
	p.set(func() { p.down[metadataPath], p.down[keysPath] = true, true })
	if _, err := bear(t, i, token); err != nil {
		t.Errorf("with keys that are known: %v", err)
	}
	p.Close()
	if _, err := bear(t, i, token); err != nil {
		t.Errorf("with keys that are known, the provider gone: %v", err)
	}
}

// TestIssuerOfAnotherName: metadata that is somebody else's is not believed
// (OpenID Connect Discovery §4.3).
func TestIssuerOfAnotherName(t *testing.T) {
	p := startProvider(t)
	key := newEC(t, "e1")
	p.publish(key)
	for _, name := range []string{p.URL + "/", "https://id.example", ""} {
		p.set(func() { p.issuer = name })
		id, err := bear(t, p.identifier(Options{}), key.sign(t, p.claimsOf()))
		if err == nil || !strings.Contains(err.Error(), "calls itself otherwise than identity.oidc.issuer") {
			t.Errorf("metadata of %q: %q, %v", name, id, err)
		}
	}
}

// TestIssuerAmongOthers: a provider's tokens beside Open WebUI's. Each token
// goes to the one verifier that it can be for, and no other.
func TestIssuerAmongOthers(t *testing.T) {
	p := startProvider(t)
	key := newRSA(t, "r1")
	p.publish(key)
	i := p.identifier(Options{SessionKey: sessionKey, UserKeys: []string{userKey}, AllowUnverified: true})
	good := key.sign(t, p.claimsOf())
	if id, err := bear(t, i, good); err != nil || id.String() != "oidc:"+p.URL+" ann" {
		t.Errorf("the provider's: %q, %v", id, err)
	}
	if id, err := bear(t, i, sessionOf("bob")); err != nil || id != User("bob") {
		t.Errorf("Open WebUI's: %q, %v", id, err)
	}
	for name, token := range map[string]string{
		"claims of the provider, signed by Open WebUI for nobody": sign(hs256, p.claimsOf(), wrongKey),
		"claims of a session, signed by the provider":             key.sign(t, valid(`"id":"bob"`)),
		"HS256 by the public key":                                 sign(hs256, valid(`"id":"bob"`), publicPEM(t, key)),
		"unsigned":                                                unsignedOf("bob"),
		"algorithm unreadable":                                    "x." + encode(valid(`"id":"bob"`)) + ".x",
	} {
		if id, err := bear(t, i, token); err == nil {
			t.Errorf("%s: identified %q", name, id)
		}
	}
	for name, call := range map[string]string{"a bad call beside a good token": "x.y.z", "an empty one": ""} {
		r := request(t, "Authorization", "Bearer "+good, "X-OpenWebUI-User-Jwt", call)
		who, found, err := i.Identify(r, false, true)
		refused(t, name, r, who, found, err, "it is no JWT")
	}
	r := request(t, "Authorization", "Bearer "+good, "X-OpenWebUI-User-Jwt", callOf("eve"))
	if who, _, err := i.Identify(r, false, true); err != nil || who.ID != User("eve") {
		t.Errorf("the call's JWT is first, but got %q, %v", who.ID, err)
	}
}

// TestIssuerManyAtOnce: the first tokens come together, and ask once.
func TestIssuerManyAtOnce(t *testing.T) {
	p := startProvider(t)
	key := newEC(t, "e1")
	p.publish(key)
	i := p.identifier(Options{})
	token := key.sign(t, p.claimsOf())
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := bear(t, i, token); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := p.requests(metadataPath); n != 1 {
		t.Errorf("the metadata was asked for %d times", n)
	}
}

// TestIssuerIsNotFlooded: a flood of tokens with unknown keys, which anybody can
// make, is none for the provider; those who have a good token do not notice.
func TestIssuerIsNotFlooded(t *testing.T) {
	p := startProvider(t)
	key, unknown := newEC(t, "e1"), newEC(t, "e2")
	p.publish(key)
	i := p.identifier(Options{})
	good, bad, began := key.sign(t, p.claimsOf()), unknown.sign(t, p.claimsOf()), time.Now()
	for range 200 {
		if id, err := bear(t, i, bad); err == nil {
			t.Errorf("an unknown key makes %q", id)
		}
		if _, err := bear(t, i, good); err != nil {
			t.Error(err)
		}
	}
	if n, most := p.requests(keysPath), burst+1+int(time.Since(began)/respite); n > most {
		t.Errorf("the keys were asked for %d times, at most %d would do", n, most)
	}
}

// TestIssuerAnswersTooMuch: what is too long to be metadata or keys is read no
// further.
func TestIssuerAnswersTooMuch(t *testing.T) {
	p := startProvider(t)
	key := newEC(t, "e1")
	p.publish(key)
	p.set(func() { p.blanks = maxAnswer })
	if id, err := bear(t, p.identifier(Options{}), key.sign(t, p.claimsOf())); err == nil || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("%q, %v", id, err)
	}
}

// TestIssuerThatHangs: the client's time bounds the wait.
func TestIssuerThatHangs(t *testing.T) {
	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(hanging.Close)
	t.Cleanup(func() { close(release) })
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	i := NewIdentifier(Options{Issuer: NewIssuer(hanging.URL, audience, &http.Client{Transport: transport, Timeout: 20 * time.Millisecond})})
	if id, err := bear(t, i, newEC(t, "e1").sign(t, `{}`)); err == nil || !strings.Contains(err.Error(), "cannot be reached. Try again") {
		t.Errorf("%q, %v", id, err)
	}
}
