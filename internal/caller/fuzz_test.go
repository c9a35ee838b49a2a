package caller

import (
	"errors"
	"testing"
)

// FuzzIdentify sends arbitrary fields to every kind of Identifier. Whatever they
// hold, a request ends as an account, as nobody, or refused, and never as one
// without a proof.
func FuzzIdentify(f *testing.F) {
	for _, c := range calls() {
		for _, s := range sessions() {
			if len(c.values) < 2 && len(s.values) < 2 {
				f.Add(append(c.values, "")[0], append(s.values, "")[0], "eve", byte(0))
			}
		}
	}
	f.Add("", "Bearer "+encode(`{"alg":"none"}`)+"."+encode("{\"id\":\"\xff\"}")+".", "\xff", byte(2))
	f.Add(sign(hs256, `{"sub":"a","exp":1e308}`, userKey), "Basic eDp5", "shared", byte(1))
	f.Fuzz(func(t *testing.T, call, authorization, plain string, flags byte) {
		keyed, local := flags&1 > 0, flags&2 > 0
		for _, o := range []Options{
			{AllowUnverified: flags&4 > 0}, {TrustUserHeaders: true},
			{SessionKey: sessionKey, UserKeys: []string{userKey, oldUserKey}, TrustUserHeaders: flags&4 > 0},
		} {
			r := request(t, "X-OpenWebUI-User-Jwt", call, "Authorization", authorization)
			if plain != "" {
				r.Header.Add("X-OpenWebUI-User-Id", plain)
			}
			p, found, err := NewIdentifier(o).Identify(r, keyed, local)
			var refusal *RefusedError
			switch {
			case err != nil && (found || p != Person{} || !errors.As(err, &refusal) || refusal.Message == ""):
				t.Errorf("refused, but as %q: %v", p.ID, err)
			case err == nil && found != (p.ID != ID{}):
				t.Errorf("found %v, but %q", found, p.ID)
			case found:
				checkAccount(t, p.ID)
			}
			if found && o.SessionKey == "" && !o.TrustUserHeaders && !local && !o.AllowUnverified {
				t.Errorf("a token from afar is believed unverified: %q", p.ID)
			}
			if found && o.TrustUserHeaders && len(o.UserKeys) == 0 && !keyed {
				t.Errorf("a plain header is believed without the key: %q", p.ID)
			}
		}
	})
}
