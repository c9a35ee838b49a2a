package caller

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// proof is what a request proves: whose account of what kind it comes from.
// Requests of one proof are one caller's, those of two are two's.
type proof struct{ kind, account string }

// provers make a request with a proof, each in its way.
func provers(t testing.TB) map[string]func(account string) (proof, ID, error) {
	t.Helper()
	i := NewIdentifier(Options{SessionKey: sessionKey, UserKeys: []string{userKey}})
	trusting := NewIdentifier(Options{TrustUserHeaders: true})
	with := func(kind string, i *Identifier, keyed bool, name string, value func(string) string) func(string) (proof, ID, error) {
		return func(account string) (proof, ID, error) {
			p, _, err := i.Identify(request(t, name, value(account)), keyed, true)
			return proof{kind, account}, p.ID, err
		}
	}
	issuer := func(url string) func(string) (proof, ID, error) {
		return func(account string) (proof, ID, error) {
			c := &claims{map[string]any{"iss": url, "aud": "mcpo", "sub": account, "exp": float64(time.Now().Add(time.Hour).Unix())}}
			p, err := NewIssuer(url, "mcpo", http.DefaultClient).personOf(c)
			return proof{url, account}, p.ID, err
		}
	}
	same := func(s string) string { return s }
	return map[string]func(string) (proof, ID, error){
		"session":    with("Open WebUI", i, false, "Authorization", func(s string) string { return "Bearer " + sessionOf(s) }),
		"call":       with("Open WebUI", i, false, "X-OpenWebUI-User-Jwt", callOf),
		"plain":      with("Open WebUI", trusting, true, "X-OpenWebUI-User-Id", same),
		"unverified": with("nobody", NewIdentifier(Options{}), false, "Authorization", func(s string) string { return "Bearer " + unsignedOf(s) }),
		"issuer":     issuer("https://id.example"),
		"issuer/":    issuer("https://id.example/"),
		"issuer/a":   issuer("https://id.example/a"),
	}
}

// accounts are ids that somebody could take for another, or for a path.
func accounts() []string {
	return []string{
		"ann", "Ann", "ANN", "ann ", " ann", "ann.", "ann\u200b", "a\u0301nn", "\u00e1nn", "аnn", "ａｎｎ", "ann\u202e", "K", "\u212a", "s", "\u017f", "ß", "ss", "ẞ", "i", "ı", "İ",
		"a_b", "a_b_c", "a b", "a  b", "a:b", "a/b", "a\\b", "a%2fb", "a%2Fb", "a/./b", "a//b", "../x", "..", ".", "/", "/x", "x/", "~", "C:x", "CON", "x.json",
		"shared", "local", "user", "user:", "user:x", "user:user:x", "user:shared", "unverified:x", "oidc:x", "oidc:https://id.example x", "https://id.example x", "a x", "/a x", "x",
		"0", "00", "null", "true", "{}", "*", "?", "'", `"`, "`", "$(x)", ";", "#", strings.Repeat("x", 255), strings.Repeat("x", 256),
	}
}

// TestProofsAreApart: any two different proofs give different callers, and equal
// ones the same. It goes through all accounts above, and ones put together from
// pieces of them by chance.
func TestProofsAreApart(t *testing.T) {
	all := accounts()
	chance := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		a, b := all[chance.IntN(len(all))], all[chance.IntN(len(all))]
		if s := a + b; len(s) <= maxAccount {
			all = append(all, s)
		}
	}
	proofs, callers := map[ID]proof{}, map[proof]ID{}
	for how, prove := range provers(t) {
		for _, account := range all {
			what, id, err := prove(account)
			if err != nil {
				t.Errorf("%s: %q is refused: %v", how, account, err)
				continue
			}
			if other, there := proofs[id]; there && other != what {
				t.Errorf("%+v and %+v are both %q", what, other, id)
			}
			if other, there := callers[what]; there && other != id {
				t.Errorf("%+v is both %q and %q", what, other, id)
			}
			proofs[id], callers[what] = what, id
			checkAccount(t, id)
		}
	}
	names := map[string]bool{}
	for id := range proofs {
		if names[id.String()] {
			t.Errorf("two callers are named %q", id)
		}
		names[id.String()] = true
	}
}

// checkAccount holds what is true of the caller behind any proof.
func checkAccount(t testing.TB, id ID) {
	t.Helper()
	switch {
	case id == Shared() || id == Local() || id == ID{} || !id.IsOne():
		t.Errorf("a proof gives %q, which is no account", id)
	case FromStore(id.String()) != id:
		t.Errorf("%q does not come back from a store", id)
	case !utf8.ValidString(id.String()) || strings.ContainsFunc(id.String(), odd):
		t.Errorf("%q has characters that no id has", id)
	case id.Name() == "" || !strings.HasSuffix(id.String(), id.Name()):
		t.Errorf("%q is called %q", id, id.Name())
	}
}

// TestNames: what people are called is their account, without its kind.
func TestNames(t *testing.T) {
	for how, prove := range provers(t) {
		_, id, err := prove("user:x")
		want := "user:x"
		if strings.HasPrefix(how, "issuer") {
			want = fmt.Sprintf("%s user:x", strings.Replace("https://id.example"+how, "issuer", "", 1))
		}
		if err != nil || id.Name() != want {
			t.Errorf("%s is called %q, %v; want %q", how, id.Name(), err, want)
		}
	}
}

// TestUnreadableAccountsAreNobody: what a reader of JSON would replace, so that
// two accounts became one, is refused everywhere.
func TestUnreadableAccountsAreNobody(t *testing.T) {
	for how, prove := range provers(t) {
		for _, account := range []string{"", "\ufffd", "a\ufffdb", "a\xff", "\xc3\x28", "\x00", "a\nb", "a\rb", "a\x1b[31m", "\u0085", strings.Repeat("x", 257), strings.Repeat("ä", 129)} {
			if _, id, err := prove(account); err == nil || id != (ID{}) {
				t.Errorf("%s: %q gives %q, %v", how, account, id, err)
			}
		}
	}
}

// TestSpecialCallers: those who are no account.
func TestSpecialCallers(t *testing.T) {
	for _, id := range []ID{{}, Shared(), Local()} {
		if id.IsOne() || FromStore(id.String()) != id || id.Name() != id.String() {
			t.Errorf("%q: is an account %v, called %q", id, id.IsOne(), id.Name())
		}
	}
	if Shared() == Local() || User("shared") == Shared() || User("local") == Local() || !User("").IsOne() {
		t.Error("callers of different kinds are one")
	}
}
