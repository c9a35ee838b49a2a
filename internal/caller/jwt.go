package caller

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// leeway is by how much clocks may differ.
	leeway = 30 * time.Second
	// maxToken is the longest token that is looked at, in bytes.
	maxToken = 16 << 10
)

// parser takes HS256 with an expiry only (RFC 7519 §4.1, RFC 8725 §3.1).
func parser() *jwt.Parser {
	return jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithLeeway(leeway), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithStrictDecoding())
}

// verifySession takes the session JWT of Open WebUI, whose claim id is the
// account.
func verifySession(token, key string) (Person, error) {
	claims, err := verify(token, key)
	if err != nil {
		return Person{}, explain(err, "webui_secret_key", "WEBUI_SECRET_KEY",
			"set JWT_EXPIRES_IN in Open WebUI to a time such as 4w, since sessions without an end are not taken")
	}
	return personOf(claims)
}

// verifyUser takes the JWT that Open WebUI makes for one call, whose claim sub
// is the account. Of several keys one has to fit.
func verifyUser(token string, keys []string) (Person, error) {
	var first error
	for _, key := range keys {
		claims, err := verify(token, key)
		if err == nil {
			return personOf(claims)
		}
		if first == nil || !errors.Is(err, jwt.ErrTokenSignatureInvalid) {
			first = err
		}
	}
	return Person{}, explain(first, "forward_jwt_secret", "FORWARD_USER_INFO_HEADER_JWT_SECRET", "take the one of Open WebUI, which has one")
}

func verify(token, key string) (jwt.MapClaims, error) {
	if len(token) > maxToken {
		return nil, jwt.ErrTokenMalformed
	}
	claims := jwt.MapClaims{}
	_, err := parser().ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return []byte(key), nil })
	return claims, err
}

// explain says which check failed and what to set where. ours is the name of
// the key in mcpo's configuration, theirs in Open WebUI's, expiry what to do
// about a token that never ends.
func explain(err error, ours, theirs, expiry string) error {
	const refused = "The user's token is refused: "
	switch {
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return refusef(refused+"it has no exp, so it would be valid for ever; %s.", expiry)
	case errors.Is(err, jwt.ErrTokenExpired):
		return refusef(refused + "it has expired. Sign in to Open WebUI again.")
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued), errors.Is(err, jwt.ErrTokenNotValidYet):
		return refusef(refused + "it is from the future. Compare the clocks of mcpo's machine and Open WebUI's.")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return refusef(refused+"its signature does not fit, or it is not signed with HS256. Set %s in mcpo's configuration to what %s is in Open WebUI.", ours, theirs)
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return refusef(refused + "it is not signed with HS256.")
	case errors.Is(err, jwt.ErrTokenInvalidClaims):
		return refusef(refused + "its claims are not what they should be.")
	}
	return refusef(refused + "it is no JWT. In Open WebUI set the connection's authentication to Session.")
}

// personOf reads whose token it is. Open WebUI's sessions have id, its tokens
// for calls sub.
func personOf(claims jwt.MapClaims) (Person, error) {
	name := "id"
	value, there := claims[name]
	if !there {
		name = "sub"
		value, there = claims[name]
	}
	id, ok := value.(string)
	switch {
	case !there:
		return Person{}, refusef("The user's token is refused: it has no claim id (and no sub) that says whose it is.")
	case !ok:
		return Person{}, refusef("The user's token is refused: its claim %s is no string.", name)
	}
	id, err := accountID(id, "its claim "+name)
	if err != nil {
		return Person{}, err
	}
	label, _ := claims["email"].(string)
	if label == "" {
		label, _ = claims["name"].(string)
	}
	return Person{ID: User(id), Label: label}, nil
}

// readUnverified believes a token's claims; what they have to be stays.
func readUnverified(token string) (Person, error) {
	if len(token) > maxToken {
		return Person{}, explain(jwt.ErrTokenMalformed, "", "", "")
	}
	claims := jwt.MapClaims{}
	if _, _, err := parser().ParseUnverified(token, claims); err != nil {
		return Person{}, explain(jwt.ErrTokenMalformed, "", "", "")
	}
	validator := jwt.NewValidator(jwt.WithLeeway(leeway), jwt.WithIssuedAt())
	if err := validator.Validate(claims); err != nil {
		return Person{}, explain(err, "", "", "")
	}
	p, err := personOf(claims)
	if err != nil {
		return Person{}, err
	}
	return Person{ID: ID{unverifiedPrefix + p.ID.Name()}, Label: p.Label}, nil
}

// algorithmOf is what a token's header says that it is signed with; "" when that
// cannot be read.
func algorithmOf(token string) string {
	head, _, _ := strings.Cut(token[:min(len(token), maxToken)], ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return ""
	}
	var header map[string]json.RawMessage
	var alg string
	if json.Unmarshal(raw, &header) != nil || json.Unmarshal(header["alg"], &alg) != nil {
		return ""
	}
	return alg
}
