package metrics

import "slices"

// Refreshes.
const (
	RefreshOK      = "ok"
	RefreshFailed  = "failed"  // for now; the login is kept
	RefreshRefused = "refused" // the login has ended
)

// loginOutcomes are what becomes of logins.
func loginOutcomes() []string {
	return []string{"ok", "denied", "other_browser", "other_issuer", "failed"}
}

func refreshOutcomes() []string { return []string{RefreshOK, RefreshFailed, RefreshRefused} }

// Login counts a login at a server that came to an end. outcome is one of "ok",
// "denied", "other_browser", "other_issuer" and "failed", which stands for all
// else.
func (m *Metrics) Login(server, outcome string) {
	s := m.of(server)
	if s == nil {
		return
	}
	if !slices.Contains(loginOutcomes(), outcome) {
		outcome = "failed"
	}
	s.logins.WithLabelValues(outcome).Inc()
}

// Refresh counts a renewal of an access token at a server, or the end of one.
func (m *Metrics) Refresh(server, outcome string) {
	if s := m.of(server); s != nil && slices.Contains(refreshOutcomes(), outcome) {
		s.refreshes.WithLabelValues(outcome).Inc()
	}
}
