package oauth

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcpo/internal/config"
	"mcpo/internal/oauthtest"
	"mcpo/internal/store"
)

// pythonLogin is a folder as a Python mcpo leaves it after a login: the file
// names are the beginning of the MD5 sum of "test_default".
func pythonLogin(t testing.TB, s *oauthtest.Server) (folder, tokenFile, clientFile string) {
	t.Helper()
	g := storedGrant(t, granted(t, s, nil))
	folder = t.TempDir()
	tokenFile, clientFile = filepath.Join(folder, "cbced03074cb_tokens.json"), filepath.Join(folder, "cbced03074cb_client.json")
	write(t, tokenFile, map[string]any{"access_token": g.AccessToken, "token_type": "Bearer", "expires_in": 3600, "scope": "mcp", "refresh_token": g.RefreshToken})
	write(t, clientFile, map[string]any{"client_id": g.Registration.ClientID, "client_secret": orNull(g.Registration.Secret), "client_id_issued_at": 1, "client_secret_expires_at": nil,
		"redirect_uris": []string{"http://localhost:3030/callback"}, "token_endpoint_auth_method": g.Registration.AuthMethod, "scope": nil})
	return folder, tokenFile, clientFile
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func write(t testing.TB, name string, content any) {
	t.Helper()
	text, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTakeOver: nobody logs in again who has logged in with the Python mcpo.
func TestTakeOver(t *testing.T) {
	for _, method := range []string{"none", "client_secret_post", "client_secret_basic"} {
		t.Run(method, func(t *testing.T) {
			s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true, AuthMethod: method})
			folder, tokenFile, clientFile := pythonLogin(t, s)
			a := authorizer(t, s.MCP, nil)
			if taken, err := a.TakeOver(testContext(t), who, folder); !taken || err != nil {
				t.Fatalf("TakeOver = %v, %v", taken, err)
			}
			works(t, a)
			if status, err := a.Status(testContext(t), who); err != nil || strings.Join(status.Scopes, " ") != "mcp" || time.Until(status.ExpiresAt) < time.Minute {
				t.Errorf("Status = %+v, %v", status, err)
			}
			s.Expire()
			works(t, a)
			for _, name := range []string{tokenFile, clientFile} {
				if _, err := os.Stat(name); err == nil {
					t.Errorf("%s is still there", name)
				}
				if _, err := os.Stat(name + ".taken-over"); err != nil {
					t.Error(err)
				}
			}
			if had, err := a.Logout(testContext(t), who); !had || err != nil {
				t.Errorf("Logout = %v, %v", had, err)
			}
			if taken, err := a.TakeOver(testContext(t), who, folder); taken || err != nil {
				t.Errorf("after a logout, TakeOver = %v, %v", taken, err)
			}
		})
	}
}

// TestTakeOverOldFiles: the age of the file counts.
func TestTakeOverOldFiles(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	folder, tokenFile, _ := pythonLogin(t, s)
	yesterday := time.Now().Add(-24 * time.Hour)
	if err := os.Chtimes(tokenFile, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	a := authorizer(t, s.MCP, nil)
	if taken, err := a.TakeOver(testContext(t), who, folder); !taken || err != nil {
		t.Fatalf("TakeOver = %v, %v", taken, err)
	}
	works(t, a)
	if n := s.Requests("refresh"); n != 1 {
		t.Errorf("%d refreshes", n)
	}
}

// TestTakeOverWithoutClient: the access token is used, and no more than that.
func TestTakeOverWithoutClient(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	folder, _, clientFile := pythonLogin(t, s)
	if err := os.Remove(clientFile); err != nil {
		t.Fatal(err)
	}
	a := authorizer(t, s.MCP, nil)
	if taken, err := a.TakeOver(testContext(t), who, folder); !taken || err != nil {
		t.Fatalf("TakeOver = %v, %v", taken, err)
	}
	works(t, a)
	s.Expire()
	_, err := ask(t, a)
	needsLogin(t, err, true)
}

// TestTakeOverByHand: the configuration knows better who mcpo is.
func TestTakeOverByHand(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	folder, _, _ := pythonLogin(t, s)
	a := authorizer(t, s.MCP, func(o *Options) {
		o.Server.OAuth.ClientMetadata = &config.ClientMetadata{ClientID: "mine", ClientSecret: "hidden"}
	})
	if taken, err := a.TakeOver(testContext(t), who, folder); !taken || err != nil {
		t.Fatalf("TakeOver = %v, %v", taken, err)
	}
	if id := storedGrant(t, a).Registration.ClientID; id != "mine" {
		t.Errorf("the client id is %q", id)
	}
}

// TestNothingToTakeOver: no file, another server's, or a grant that is there.
func TestNothingToTakeOver(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	folder, _, _ := pythonLogin(t, s)
	for name, a := range map[string]*Authorizer{
		"another server":  authorizer(t, s.MCP, func(o *Options) { o.Server.Name = "other" }),
		"has a grant":     granted(t, s, nil),
		"unlike a folder": authorizer(t, s.MCP, func(o *Options) { o.Server.Name = "../test" }),
	} {
		if taken, err := a.TakeOver(testContext(t), who, folder); taken || err != nil {
			t.Errorf("%s: TakeOver = %v, %v", name, taken, err)
		}
	}
	if taken, err := authorizer(t, s.MCP, nil).TakeOver(testContext(t), who, filepath.Join(folder, "none")); taken || err != nil {
		t.Errorf("no folder: TakeOver = %v, %v", taken, err)
	}
}

// TestDamagedTakeOver leaves the files, and says which.
func TestDamagedTakeOver(t *testing.T) {
	s := oauthtest.Start(t, oauthtest.Options{AutoApprove: true})
	folder, tokenFile, _ := pythonLogin(t, s)
	for _, content := range []string{"", "null", "[]", "{", `{"access_token":null}`, `{"access_token":"a","token_type":"mac"}`, `{"access_token":"` + strings.Repeat("a", answerMax) + `"}`} {
		if err := os.WriteFile(tokenFile, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		a := authorizer(t, s.MCP, nil)
		if taken, err := a.TakeOver(testContext(t), who, folder); taken || err == nil || !strings.Contains(err.Error(), tokenFile) {
			t.Errorf("%.20q: TakeOver = %v, %v", content, taken, err)
		}
		if n := kept(t, a, store.Grants); n != 0 {
			t.Errorf("%.20q: %d grants", content, n)
		}
		if _, err := os.Stat(tokenFile); err != nil {
			t.Error(err)
		}
	}
}
