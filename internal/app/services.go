package app

import (
	"strings"

	"mcpo/internal/oauth"
)

// service is what is publicly known of a service's logins, beyond what it tells
// when it is asked.
type service struct {
	name  string
	hosts []string // of its servers and issuers, with all names below them
	hint  string
	// apply puts into the block what the service wants; nil for nothing.
	apply func(*oauthBlock)
}

// services are those that many people use. Only what their own documentation
// says is told, and nothing that mcpo finds out by asking.
func services() []service {
	return []service{
		{
			name: "GitHub", hosts: []string{"github.com", "githubcopilot.com"},
			hint: "it registers no applications by itself. Make an OAuth app in GitHub's developer settings, with the redirect URI above as its callback URL, " +
				"and write its client_id and client_secret: GitHub asks for both.",
		},
		{
			name: "Google", hosts: []string{"accounts.google.com", "googleapis.com"},
			hint: "it registers no applications by itself. Make an OAuth client in the Google Cloud console, with the redirect URI above. " +
				"It gives refresh tokens only with access_type=offline, and after the first login only with prompt=consent.",
			apply: func(b *oauthBlock) {
				b.AuthorizeParams = map[string]string{"access_type": "offline", "prompt": "consent"}
			},
		},
		{
			name: "Microsoft Entra ID", hosts: []string{"login.microsoftonline.com", "login.microsoftonline.us", "sts.windows.net"},
			hint: "it registers no applications by itself. Make an app registration in the Entra admin center, with the redirect URI above. " +
				`Where its login page answers AADSTS901002 or AADSTS9010010 it refuses the resource parameter: "resource": "off" leaves it out, ` +
				"and the scope names the API instead, as in api://APPLICATION-ID/.default.",
			apply: func(b *oauthBlock) {
				b.Resource, b.Scopes = "off", []string{"api://APPLICATION-ID/.default", "offline_access"}
			},
		},
		{name: "Slack", hosts: []string{"slack.com"}, hint: "it registers no applications by itself. Make a Slack app, with the redirect URI above, and write its client_id, and its client_secret unless it is a public one."},
		{name: "Atlassian", hosts: []string{"atlassian.com"}, hint: "it registers mcpo dynamically, so that no client_metadata is needed."},
		{name: "Notion", hosts: []string{"mcp.notion.com"}, hint: "it registers mcpo dynamically, so that no client_metadata is needed."},
		{name: "Linear", hosts: []string{"mcp.linear.app"}, hint: "it registers mcpo dynamically, so that no client_metadata is needed."},
		{name: "Sentry", hosts: []string{"mcp.sentry.dev"}, hint: "it registers mcpo dynamically, so that no client_metadata is needed."},
	}
}

// serviceOf is the service that a server, or its authorization server, belongs
// to; nil for none that is known.
func serviceOf(serverURL string, d *oauth.Diagnosis) *service {
	hosts := []string{hostOf(serverURL)}
	if d.Metadata != nil { // first, as it is what has demands
		hosts = append([]string{hostOf(d.Metadata.Issuer)}, hosts...)
	}
	for _, host := range hosts {
		for _, s := range services() {
			for _, h := range s.hosts {
				if host == h || strings.HasSuffix(host, "."+h) {
					return &s
				}
			}
		}
	}
	return nil
}
