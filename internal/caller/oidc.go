package caller

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// Issuer verifies the tokens of an OpenID provider (OpenID Connect Core §3.1.3.7
// and Discovery), whose keys are fetched when the first token comes, and again
// when one is signed with an unknown key.
type Issuer struct {
	url, audience string
	client        *http.Client

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier // nil until the provider was found
	tried    time.Time             // the last time that it was not
	failed   error
}

// issuerPause is the time between two tries to find a provider.
const issuerPause = 5 * time.Second

// NewIssuer makes an Issuer. The tokens have to be for the audience. Nothing is
// asked before the first token.
func NewIssuer(url, audience string, client *http.Client) *Issuer {
	return &Issuer{url: url, audience: audience, client: client}
}

// find gives what verifies tokens. One that could not be found is not looked for
// at every request.
func (i *Issuer) find(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.verifier != nil {
		return i.verifier, nil
	}
	if i.failed != nil && time.Since(i.tried) < issuerPause {
		return nil, i.failed
	}
	// The provider keeps the context for the keys that it fetches later.
	ctx, cancel := context.WithTimeout(oidc.ClientContext(context.WithoutCancel(ctx), i.client), 10*time.Second)
	defer cancel()
	provider, err := oidc.NewProvider(ctx, i.url)
	if err != nil {
		i.failed, i.tried = err, time.Now()
		return nil, err
	}
	i.verifier = provider.VerifierContext(oidc.ClientContext(context.Background(), i.client), &oidc.Config{ClientID: i.audience})
	return i.verifier, nil
}

func (i *Issuer) verify(ctx context.Context, token string) (Person, error) {
	if len(token) > maxToken {
		return Person{}, refusef("The user's token is refused: it is longer than any token.")
	}
	verifier, err := i.find(ctx)
	if err != nil {
		return Person{}, refusef("The user's token cannot be verified now: the OpenID provider of identity.oidc.issuer cannot be reached. Try again in a moment.")
	}
	verified, err := verifier.Verify(oidc.ClientContext(ctx, i.client), token)
	var expired *oidc.TokenExpiredError
	switch {
	case errors.As(err, &expired):
		return Person{}, refusef("The user's token is refused: it has expired. Sign in again.")
	case err != nil:
		return Person{}, refusef("The user's token is refused: it is not signed by the OpenID provider of identity.oidc.issuer, or not for identity.oidc.audience.")
	}
	id, err := accountID(verified.Subject, "its claim sub")
	if err != nil {
		return Person{}, err
	}
	var claims struct {
		Email string `json:"email"`
	}
	_ = verified.Claims(&claims) // a label only
	return Person{ID: ID{issuerPrefix + i.url + " " + id}, Label: claims.Email}, nil
}
