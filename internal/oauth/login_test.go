package oauth

import (
	"errors"
	"testing"

	"mcpo/internal/oauthtest"
)

// TestLogin is the whole walk: no grant, login, a request, renewal, logout.
func TestLogin(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{})
	a := authorizer(t, s.MCP, nil)
	var required *LoginRequiredError
	if _, err := ask(t, a); !errors.As(err, &required) || required.Gone {
		t.Fatalf("without a grant: %v", err)
	}
	if err := logIn(t, a); err != nil {
		t.Fatal(err)
	}
	if status, err := ask(t, a); err != nil || status != 200 {
		t.Fatalf("with a grant: %d, %v", status, err)
	}
	s.Expire()
	if status, err := ask(t, a); err != nil || status != 200 {
		t.Fatalf("after the token ran out: %d, %v", status, err)
	}
	if n := s.Requests("refresh"); n != 1 {
		t.Errorf("%d refreshes", n)
	}
	if had, err := a.Logout(testContext(t), who); !had || err != nil {
		t.Fatalf("Logout = %v, %v", had, err)
	}
	if n := s.Requests("revoke"); n != 2 {
		t.Errorf("%d revocations", n)
	}
	if _, err := ask(t, a); !errors.As(err, &required) {
		t.Fatalf("after the logout: %v", err)
	}
}
