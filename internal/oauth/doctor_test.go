package oauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcpo/internal/config"
	"mcpo/internal/oauthtest"
)

// finding is the last one about a topic.
func finding(d *Diagnosis, topic string) Finding {
	last := Finding{State: "not told"}
	for _, f := range d.Findings {
		if f.Topic == topic {
			last = f
		}
	}
	return last
}

// TestDiagnoseAgreesWithLogins holds that what is found is what a login meets.
func TestDiagnoseAgreesWithLogins(t *testing.T) {
	for name, o := range map[string]oauthtest.Options{
		"good":                 {},
		"separate":             {SeparateOrigin: true, IssuerPath: "/tenant", Metadata: oauthtest.OIDCAppended},
		"bare challenge":       {BareChallenge: true},
		"root only":            {ResourceAtRoot: true},
		"no resource metadata": {NoResourceMetadata: true, OptionalResource: true},
		"nowhere":              {NoResourceMetadata: true, Metadata: oauthtest.Nowhere},
		"slash":                {IssuerSlash: true, SlashRedirect: true},
		"pages":                {HTMLForUnknown: true, BareChallenge: true},
		"no S256":              {PKCEMethods: []string{}},
		"no registration":      {NoRegistration: true},
		"wrong issuer":         {Override: map[string]any{"issuer": "https://other.example"}},
		"wrong resource":       {Resource: map[string]any{"resource": "https://other.example"}},
		"no endpoints":         {Override: map[string]any{"authorization_endpoint": nil}},
		"in trouble":           {Instead: map[string]oauthtest.Answer{"metadata": {Status: 502}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := oauthtest.Start(t, o)
			d := authorizer(t, s.MCP, nil).Diagnose(testContext(t), who)
			if err := logIn(t, authorizer(t, s.MCP, nil)); (err == nil) != d.Works() {
				t.Errorf("a login gives %v, and the findings are %+v", err, d.Findings)
			}
		})
	}
}

// TestDiagnoseStaysOutOfNetworks holds that looking goes nowhere where a login
// does not go.
func TestDiagnoseStaysOutOfNetworks(t *testing.T) {
	for name, o := range map[string]oauthtest.Options{
		"challenge": {ChallengeMetadata: "https://169.254.169.254/latest/meta-data"},
		"issuer":    {Resource: map[string]any{"authorization_servers": []string{"https://10.0.0.7/as"}}},
		"token":     {Override: map[string]any{"token_endpoint": "https://192.168.0.1/token"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := oauthtest.Start(t, o)
			reached := ""
			d := authorizer(t, s.MCP, func(o *Options) {
				o.Network.Dial = func(ctx context.Context, network string, address netip.AddrPort) (net.Conn, error) {
					if !address.Addr().IsLoopback() {
						reached = address.String()
						return nil, errors.New("not to be reached")
					}
					return new(net.Dialer).DialContext(ctx, network, address.String())
				}
			}).Diagnose(testContext(t), who)
			if d.Works() || reached != "" {
				t.Errorf("it reached %q, and finds %+v", reached, d.Findings)
			}
		})
	}
}

func TestDiagnoseFindsSSE(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Www-Authenticate", `Bearer scope="read"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(server.Close)
	d := authorizer(t, server.URL+"/sse", func(o *Options) { o.Server.Transport = config.Auto }).Diagnose(testContext(t), who)
	if f := d.Findings[0]; f.State != OK || !strings.Contains(f.Fix, `"type": "sse"`) || !strings.Contains(finding(d, "challenge").Text, "read") {
		t.Errorf("it finds %+v", d.Findings)
	}
}

func TestDiagnoseOfAnUntrustedCertificate(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	d := authorizer(t, server.URL+"/mcp", nil).Diagnose(testContext(t), who)
	if f := finding(d, "server"); !f.Blocks || !strings.Contains(f.Fix, "SSL_CERT_FILE") {
		t.Errorf("it finds %+v", d.Findings)
	}
}

func TestCertificatesAndClocks(t *testing.T) {
	u := &url.URL{Scheme: "https", Host: "as.example"}
	for days, want := range map[int]State{200: OK, 5: Wrong, -1: Wrong} {
		d := &doctor{Diagnosis: &Diagnosis{}}
		end := time.Now().Add(time.Duration(days)*24*time.Hour + time.Hour)
		d.aboutTLS("certificate", u, &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{NotAfter: end}}})
		if f := finding(d.Diagnosis, "certificate"); f.State != want || !strings.Contains(f.Text, end.Format(time.DateOnly)) {
			t.Errorf("with %d days to go it finds %+v", days, f)
		}
	}
	for skew, want := range map[time.Duration]string{
		0: "agrees", 20 * time.Second: "agrees", -20 * time.Second: "agrees", 5 * time.Minute: "ahead of", -5 * time.Minute: "behind",
	} {
		d := &doctor{Diagnosis: &Diagnosis{}}
		d.aboutClock("clock", http.Header{"Date": {time.Now().Add(skew).UTC().Format(http.TimeFormat)}}, time.Now())
		if f := finding(d.Diagnosis, "clock"); !strings.Contains(f.Text, want) || f.Blocks {
			t.Errorf("at a skew of %s it finds %+v", skew, f)
		}
	}
	d := &doctor{Diagnosis: &Diagnosis{}}
	d.aboutClock("clock", http.Header{"Date": {"today"}}, time.Now())
	if len(d.Findings) > 0 {
		t.Errorf("of no date it finds %+v", d.Findings)
	}
}

func TestWaysOutOfNetworkErrors(t *testing.T) {
	for want, err := range map[string]error{
		"SSL_CERT_FILE": &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}},
		"out of date":   x509.CertificateInvalidError{Reason: x509.Expired},
		"another name":  x509.HostnameError{Certificate: &x509.Certificate{}, Host: "h"},
		"DNS":           &net.DNSError{Err: "no such host", Name: "h"},
		"listens":       &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
		"firewalls":     context.DeadlineExceeded,
	} {
		if fix := fixFor(fmt.Errorf("asking: %w", err)); !strings.Contains(fix, want) {
			t.Errorf("the way out of %v is %q, without %q", err, fix, want)
		}
	}
	if fix := fixFor(errors.New("what nobody knows")); fix != "" {
		t.Errorf("the way out of the unknown is %q", fix)
	}
}
