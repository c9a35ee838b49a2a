package caller

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// provider is an OpenID provider on a socket of this machine.
type provider struct {
	*httptest.Server
	t      *testing.T
	client *http.Client

	mu     sync.Mutex
	keys   []jose.JSONWebKey // published
	issuer string            // what it calls itself
	down   map[string]bool   // paths that answer 503
	asked  map[string]int    // requests by path
	blanks int               // before the metadata
}

const (
	metadataPath = "/.well-known/openid-configuration"
	keysPath     = "/keys"
	audience     = "mcpo-at-example"
)

func startProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{t: t, down: map[string]bool{}, asked: map[string]int{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	p.issuer = p.URL
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	p.client = &http.Client{Transport: transport, Timeout: time.Minute}
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[r.URL.Path]++
	w.Header().Set("Content-Type", "application/json")
	switch {
	case p.down[r.URL.Path]:
		w.WriteHeader(http.StatusServiceUnavailable)
	case r.URL.Path == metadataPath:
		_, _ = io.WriteString(w, strings.Repeat(" ", p.blanks))
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": p.issuer, "jwks_uri": p.URL + keysPath,
			"authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
			"id_token_signing_alg_values_supported": []string{"RS256", "none", "HS256"}})
	case r.URL.Path == keysPath:
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: p.keys})
	default:
		http.NotFound(w, r)
	}
}

// set changes the provider while it runs.
func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// requests is how often a path was asked for.
func (p *provider) requests(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[path]
}

// identifier takes this provider's tokens.
func (p *provider) identifier(o Options) *Identifier {
	o.Issuer = NewIssuer(p.URL, audience, p.client)
	return NewIdentifier(o)
}

// signer is a key of a provider.
type signer struct {
	algorithm jose.SignatureAlgorithm
	key       jose.JSONWebKey // private
}

func newRSA(t *testing.T, id string) signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return signer{jose.RS256, jose.JSONWebKey{Key: key, KeyID: id, Algorithm: "RS256", Use: "sig"}}
}

func newEC(t *testing.T, id string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{jose.ES256, jose.JSONWebKey{Key: key, KeyID: id, Algorithm: "ES256", Use: "sig"}}
}

// publish makes these the provider's keys, and no others.
func (p *provider) publish(signers ...signer) {
	p.set(func() {
		p.keys = nil
		for _, s := range signers {
			p.keys = append(p.keys, s.key.Public())
		}
	})
}

// sign signs claims as they are.
func (s signer) sign(t *testing.T, claims string) string {
	t.Helper()
	by, err := jose.NewSigner(jose.SigningKey{Algorithm: s.algorithm, Key: s.key}, (&jose.SignerOptions{}).WithType("JWT"))
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

// claimsOf are good claims, with each of the changes, such as `"sub":"bob"`, in
// place of the member of that name; one without a value leaves it out.
func (p *provider) claimsOf(changes ...string) string {
	now := time.Now().Unix()
	members := []string{`"iss":` + quote(p.URL), `"aud":` + quote(audience), `"sub":"ann"`, fmt.Sprintf(`"iat":%d`, now), fmt.Sprintf(`"exp":%d`, now+3600)}
	for _, change := range changes {
		name, value, _ := strings.Cut(change, ":")
		for i, m := range members {
			if strings.HasPrefix(m, name+":") {
				members = append(members[:i], members[i+1:]...)
				break
			}
		}
		if value != "" {
			members = append(members, change)
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}
