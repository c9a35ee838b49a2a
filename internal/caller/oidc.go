package caller

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
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

// algorithms are the ones with a public key (RFC 7518 §3.1, RFC 8037): what a
// provider lists is for its ID tokens, and others may be signed otherwise.
func algorithms() []string {
	return []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}
}

// issued are the tokens of an OpenID provider.
func issued() kind {
	return kind{maker: "the OpenID provider",
		malformed: "Send one of the OpenID provider of identity.oidc.issuer as it is.",
		expired:   "Sign in again.",
		endless:   "Let the OpenID provider of identity.oidc.issuer make tokens that end."}
}

// issuerPause is the time between two tries to find a provider.
const issuerPause = 5 * time.Second

// NewIssuer makes an Issuer. The URL, which has no space, and the audience have
// to be the tokens' to the letter. The client bounds the time of a request.
// Nothing is asked before the first token.
func NewIssuer(url, audience string, client *http.Client) *Issuer {
	return &Issuer{url: url, audience: audience, client: calmed(client)}
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
	i.verifier = provider.VerifierContext(oidc.ClientContext(context.Background(), i.client), &oidc.Config{
		SupportedSigningAlgs: algorithms(),
		// The claims are checked by personOf, which says what is wrong with them.
		SkipClientIDCheck: true, SkipIssuerCheck: true, SkipExpiryCheck: true,
	})
	return i.verifier, nil
}

func (i *Issuer) verify(ctx context.Context, token string) (Person, error) {
	if len(token) > maxToken {
		return Person{}, explain(errTooLong, issued())
	}
	verifier, err := i.find(ctx)
	var other *oidc.IssuerMismatchError
	switch {
	case errors.As(err, &other):
		return Person{}, refusef("The user's token cannot be verified: the OpenID provider calls itself otherwise than identity.oidc.issuer does. " +
			"Write the issuer of its metadata there, to the letter.")
	case err != nil:
		return Person{}, refusef("The user's token cannot be verified now: the OpenID provider of identity.oidc.issuer cannot be reached. Try again in a moment.")
	}
	verified, err := verifier.Verify(oidc.ClientContext(ctx, i.client), token)
	if err != nil {
		return Person{}, refusef("The user's token is refused: its signature fits none of the keys of the OpenID provider of identity.oidc.issuer. " +
			"If it is one of that provider's tokens, its keys cannot be fetched now: try again in a moment.")
	}
	c := &claims{}
	if err := verified.Claims(c); err != nil {
		return Person{}, explain(err, issued())
	}
	return i.personOf(c)
}

// personOf checks the claims of a token with a good signature, each by its name
// to the letter (OpenID Connect Core §3.1.3.7).
func (i *Issuer) personOf(c *claims) (Person, error) {
	if issuer, err := c.GetIssuer(); err != nil || issuer != i.url {
		return Person{}, refusef("The user's token is refused: its iss is not identity.oidc.issuer.")
	}
	if audience, err := c.GetAudience(); err != nil || !slices.Contains(audience, i.audience) {
		return Person{}, refusef("The user's token is refused: it is not for mcpo, since its aud has not what identity.oidc.audience says.")
	}
	if err := validate(c, jwt.WithExpirationRequired()); err != nil {
		return Person{}, explain(err, issued())
	}
	p, err := personOf(c, "sub")
	if err != nil {
		return Person{}, err
	}
	return Person{ID: ID{issuerPrefix + i.url + " " + p.ID.Name()}, Label: p.Label}, nil
}
