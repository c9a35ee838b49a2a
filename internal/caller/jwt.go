package caller

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
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

// kind is a kind of tokens, in the words that a refusal needs.
type kind struct {
	maker string // who makes them
	// ours and theirs name the key in mcpo's configuration, and in the maker's.
	ours, theirs string
	// What to do about one that is no JWT, has expired, or never ends.
	malformed, expired, endless string
}

// session is the session JWT of Open WebUI.
func session() kind {
	return kind{maker: "Open WebUI", ours: "webui_secret_key", theirs: "WEBUI_SECRET_KEY",
		malformed: "In Open WebUI set the connection's authentication to Session.",
		expired:   "Sign in to Open WebUI again.",
		endless:   "Set JWT_EXPIRES_IN in Open WebUI to a time such as 4w, since sessions without an end are not taken."}
}

// forwarded is the JWT that Open WebUI makes for one call.
func forwarded() kind {
	return kind{maker: "Open WebUI", ours: "forward_jwt_secret", theirs: "FORWARD_USER_INFO_HEADER_JWT_SECRET",
		malformed: "Let nothing but Open WebUI set X-OpenWebUI-User-Jwt, with FORWARD_USER_INFO_HEADER_JWT_SECRET.",
		expired:   "Open WebUI makes one for each call, so compare the clocks of mcpo's machine and Open WebUI's.",
		endless:   "Let nothing but Open WebUI set X-OpenWebUI-User-Jwt, whose tokens have one."}
}

// verifySession takes the session JWT of Open WebUI, whose claim id is the
// account.
func verifySession(token, key string) (Person, error) {
	p, _, err := verifySessionUntil(token, key)
	return p, err
}

// verifySessionUntil is verifySession, with the token's exp.
func verifySessionUntil(token, key string) (Person, time.Time, error) {
	c, err := verify(token, key)
	if err != nil {
		return Person{}, time.Time{}, explain(err, session())
	}
	expiry, err := c.GetExpirationTime()
	if err != nil || expiry == nil {
		return Person{}, time.Time{}, explain(jwt.ErrTokenRequiredClaimMissing, session())
	}
	p, err := personOf(c, "id", "sub")
	return p, expiry.Time, err
}

// verifyUser takes the JWT that Open WebUI makes for one call, whose claim sub
// is the account. Of several keys one has to fit.
func verifyUser(token string, keys []string) (Person, error) {
	var first error
	for _, key := range keys {
		c, err := verify(token, key)
		if err == nil {
			return personOf(c, "id", "sub")
		}
		if first == nil || !errors.Is(err, jwt.ErrTokenSignatureInvalid) {
			first = err
		}
	}
	return Person{}, explain(first, forwarded())
}

func verify(token, key string) (*claims, error) {
	if len(token) > maxToken {
		return nil, errTooLong
	}
	c := &claims{}
	t, err := parser().ParseWithClaims(token, c, func(*jwt.Token) (any, error) { return []byte(key), nil })
	if t != nil && t.Method != nil && (t.Method.Alg() != "HS256" || t.Header["crit"] != nil) { // RFC 7515 §4.1.11
		return nil, jwt.ErrTokenUnverifiable
	}
	return c, err
}

var (
	errTooLong = errors.New("the token is too long")
	errTwice   = errors.New("a claim is there twice")
)

// claims are a token's. Names that appear twice are refused, for readers differ
// on which of the two counts (RFC 7519 §4).
type claims struct{ jwt.MapClaims }

// UnmarshalJSON implements json.Unmarshaler.
func (c *claims) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &c.MapClaims); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if _, err := d.Token(); err != nil {
		return err
	}
	names := 0
	for ; d.More(); names++ {
		var value json.RawMessage
		if _, err := d.Token(); err != nil {
			return err
		}
		if err := d.Decode(&value); err != nil {
			return err
		}
	}
	if names != len(c.MapClaims) {
		return errTwice
	}
	return nil
}

// explain says which check failed, and what to set where.
func explain(err error, k kind) error {
	const refused = "The user's token is refused: "
	switch {
	case errors.Is(err, errTooLong):
		return refusef(refused+"it is longer than %d bytes. %s", maxToken, k.malformed)
	case errors.Is(err, errTwice):
		return refusef(refused+"it has a claim twice. %s", k.malformed)
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return refusef(refused+"it has no exp, so it would be valid for ever. %s", k.endless)
	case errors.Is(err, jwt.ErrTokenExpired):
		return refusef(refused+"it has expired. %s", k.expired)
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued), errors.Is(err, jwt.ErrTokenNotValidYet):
		return refusef(refused+"it is from the future. Compare the clocks of mcpo's machine and of %s.", k.maker)
	case errors.Is(err, jwt.ErrTokenInvalidClaims):
		return refusef(refused+"its exp, nbf or iat is no time. %s", k.malformed)
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return refusef(refused+"its signature does not fit. Set %s in mcpo's configuration to what %s is in %s.", k.ours, k.theirs, k.maker)
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return refusef(refused+"it is not plainly signed with HS256, as those of %s are. %s", k.maker, k.malformed)
	}
	return refusef(refused+"it is no JWT. %s", k.malformed)
}

// personOf reads whose token it is: the first of the names that is among the
// claims says it. Open WebUI's sessions have id, its tokens for calls sub.
func personOf(c *claims, names ...string) (Person, error) {
	i := slices.IndexFunc(names, func(name string) bool { _, there := c.MapClaims[name]; return there })
	if i < 0 {
		return Person{}, refusef("The user's token is refused: it has no claim %s that says whose it is.", strings.Join(names, " or "))
	}
	name := names[i]
	id, ok := c.MapClaims[name].(string)
	if !ok {
		return Person{}, refusef("The user's token is refused: its claim %s is no string.", name)
	}
	id, err := accountID(id, "its claim "+name)
	if err != nil {
		return Person{}, err
	}
	label, _ := c.MapClaims["email"].(string)
	if label == "" {
		label, _ = c.MapClaims["name"].(string)
	}
	return Person{ID: User(id), Label: label}, nil
}

// validate checks the times of claims; they may be missing unless the options
// say otherwise.
func validate(c *claims, more ...jwt.ParserOption) error {
	options := append([]jwt.ParserOption{jwt.WithLeeway(leeway), jwt.WithIssuedAt()}, more...)
	if err := jwt.NewValidator(options...).Validate(c); err != nil {
		return errors.Join(jwt.ErrTokenInvalidClaims, err) // as a parser reports it
	}
	return nil
}

// readUnverified believes a token's claims; what they have to be stays.
func readUnverified(token string) (Person, error) {
	if len(token) > maxToken {
		return Person{}, explain(errTooLong, session())
	}
	c := &claims{}
	if _, _, err := parser().ParseUnverified(token, c); err != nil {
		return Person{}, explain(err, session())
	}
	if err := validate(c); err != nil {
		return Person{}, explain(err, session())
	}
	p, err := personOf(c, "id", "sub")
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
