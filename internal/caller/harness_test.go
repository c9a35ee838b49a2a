package caller

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// The keys of these tests. Each is long enough to be found in a message.
const (
	sessionKey = "the-session-key-0123456789"
	userKey    = "the-user-key-0123456789"
	oldUserKey = "the-old-user-key-0123456789"
	wrongKey   = "the-wrong-key-0123456789"
)

const hs256 = `{"alg":"HS256","typ":"JWT"}`

// encode is the base64 of JWTs (RFC 7515 §2).
func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// sign makes a JWT of a header and claims as they are, signed with HS256
// whatever the header says.
func sign(header, claims, key string) string {
	text := encode(header) + "." + encode(claims)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return text + "." + encode(string(mac.Sum(nil)))
}

// valid is the claims of a token that holds for an hour, with more in front.
func valid(more string) string {
	now := time.Now()
	return fmt.Sprintf(`{%s,"iat":%d,"exp":%d}`, more, now.Unix(), now.Add(time.Hour).Unix())
}

// quote makes a JSON string.
func quote(s string) string {
	b, _ := json.Marshal(s) // strings always can
	return string(b)
}

// sessionOf, callOf and unsignedOf are good proofs for an account: a session
// JWT, a user JWT, and a token that nobody signed.
func sessionOf(id string) string { return sign(hs256, valid(`"id":`+quote(id)), sessionKey) }

func callOf(id string) string {
	return sign(hs256, valid(`"iss":"open-webui","sub":`+quote(id)), userKey)
}

func unsignedOf(id string) string {
	return encode(`{"alg":"none"}`) + "." + encode(valid(`"id":`+quote(id))) + "."
}

// request makes a request with header fields: names and values in turn.
func request(t testing.TB, fields ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/server/tool", http.NoBody)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return r
}

// refused checks that a proof was refused in words that help, that give nothing
// of the proof or a key away, and that hold what is wanted. It must have left
// nobody.
func refused(t testing.TB, what string, r *http.Request, p Person, found bool, err error, want string) {
	t.Helper()
	var refusal *RefusedError
	switch {
	case p != Person{} || found:
		t.Errorf("%s: identified %q", what, p.ID)
	case !errors.As(err, &refusal):
		t.Errorf("%s: the error is %v, want a *RefusedError", what, err)
	case !strings.Contains(err.Error(), want):
		t.Errorf("%s: refused with %q, want %q", what, err, want)
	case !strings.HasSuffix(err.Error(), ".") || len(err.Error()) > 500:
		t.Errorf("%s: no sentence: %q", what, err)
	}
	if err != nil {
		repeatsNothing(t, what, r.Header, err.Error())
	}
}

// between reports whether a character is none of a token's or a key's.
func between(c rune) bool {
	return (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && !strings.ContainsRune("_=~+/-", c)
}

func repeatsNothing(t testing.TB, what string, h http.Header, message string) {
	t.Helper()
	secrets := []string{sessionKey, userKey, oldUserKey, wrongKey}
	for _, values := range h {
		for _, v := range values {
			for word := range strings.FieldsFuncSeq(v, between) {
				if len(word) >= 8 { // shorter ones may be of a sentence
					secrets = append(secrets, word)
				}
			}
		}
	}
	for _, s := range secrets {
		if strings.Contains(message, s) {
			t.Errorf("%s: the message repeats %q: %q", what, s, message)
		}
	}
}
