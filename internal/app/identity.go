package app

import (
	"cmp"
	"net/http"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/config"
)

// identities makes what tells callers apart, for each configuration anew.
type identities struct {
	cfg    config.Identity
	issuer *caller.Issuer // nil without an OpenID provider
}

func newIdentities(cfg config.Identity) identities {
	i := identities{cfg: cfg}
	if cfg.OIDC != nil {
		i.issuer = caller.NewIssuer(cfg.OIDC.Issuer, cfg.OIDC.Audience, &http.Client{Timeout: 10 * time.Second})
	}
	return i
}

// of is for the callers of a server, or of all that have no keys of their own
// where s is nil.
func (i identities) of(s *config.OAuth) *caller.Identifier {
	o := caller.Options{SessionKey: i.cfg.WebUISecretKey.Reveal(), Issuer: i.issuer, TrustUserHeaders: i.cfg.TrustUserHeaders}
	for _, key := range i.cfg.ForwardJWTSecrets {
		o.UserKeys = append(o.UserKeys, key.Reveal())
	}
	if s != nil {
		o.SessionKey = cmp.Or(s.WebUISecretKey.Reveal(), o.SessionKey)
		o.AllowUnverified = s.AllowUnverifiedJWT
	}
	return caller.NewIdentifier(o)
}

// warnOfIdentity says where identities are believed that nobody verifies (or are about to
// be).
func (a *app) warnOfIdentity(cfg *config.Config) {
	identities := newIdentities(cfg.Identity)
	for _, s := range cfg.Servers {
		if s.OAuth == nil || !s.OAuth.MultiUser {
			continue
		}
		switch configured := identities.of(s.OAuth).Configured(); {
		case configured:
		case s.OAuth.AllowUnverifiedJWT:
			a.opts.Log.Warn("whoever reaches mcpo can pose as any user of this server, since nobody verifies their tokens (allow_unverified_jwt); "+
				"set webui_secret_key to Open WebUI's WEBUI_SECRET_KEY", "server", s.Name)
		default:
			a.opts.Log.Warn("callers are told apart on this machine only, and unverified; for others set webui_secret_key to Open WebUI's WEBUI_SECRET_KEY",
				"server", s.Name)
		}
	}
	if cfg.Identity.TrustUserHeaders {
		a.opts.Log.Warn("whoever has mcpo's key can pose as any user (trust_user_headers)")
	}
}
