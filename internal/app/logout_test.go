package app

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"mcpo/internal/oauthtest"
)

func TestLogout(t *testing.T) {
	for name, c := range map[string]struct {
		o    oauthtest.Options
		code int
		say  string
	}{
		"revoked":           {oauthtest.Options{}, 0, "Logged out of lab. Its tokens were revoked.\n"},
		"no way to revoke":  {oauthtest.Options{NoRevocation: true}, 0, "may still be valid there"},
		"revoking fails":    {oauthtest.Options{Instead: map[string]oauthtest.Answer{"revoke": {Status: http.StatusServiceUnavailable}}}, 1, "logged out of lab here, but revoking the tokens"},
		"nobody is at home": {oauthtest.Options{Instead: map[string]oauthtest.Answer{"revoke": {Status: http.StatusBadRequest, Body: `{"error":"invalid_request"}`}}}, 1, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			s := oauthtest.Start(t, c.o)
			o := protectedBy(t, s.MCP, "")
			if _, _, err := loggedIn(t, o, oauthtest.BrowseOptions{}); err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			err := Logout(t.Context(), o, "lab", &b)
			if c.code != 0 {
				exits(t, err, c.code, c.say)
			} else if err != nil || !strings.Contains(b.String(), c.say) {
				t.Errorf("Logout says %q, %v", b.String(), err)
			}
			b.Reset()
			if err := Logout(t.Context(), o, "lab", &b); err != nil || b.String() != "Not logged in at lab.\n" {
				t.Errorf("after it, Logout says %q, %v", b.String(), err)
			}
			if table := tokens(t, o); !strings.Contains(table, "Nobody is logged in.") {
				t.Errorf("after it, the table is:\n%s", table)
			}
		})
	}
}
