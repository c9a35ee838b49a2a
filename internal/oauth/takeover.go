package oauth

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/store"
)

// TakeOver takes the tokens that a Python mcpo left in a folder (such as
// ~/.mcpo/tokens) for this server, if the caller has no grant yet. The files
// are renamed, so that a later logout is one. taken is false when there was
// nothing to take.
func (a *Authorizer) TakeOver(ctx context.Context, who caller.ID, folder string) (taken bool, err error) {
	if _, err := a.read(ctx, who); !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	sum := md5.Sum([]byte(a.name + "_default")) // no secret: it is how the files are named
	base := filepath.Join(folder, hex.EncodeToString(sum[:])[:12])
	tokenFile, clientFile := base+"_tokens.json", base+"_client.json"
	o, at, err := readOld(tokenFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("taking over %s: %w", tokenFile, err)
	}
	t, err := readTokens(o)
	if err != nil {
		return false, fmt.Errorf("taking over %s: %w", tokenFile, err)
	}
	d, err := a.Discover(ctx) // the files do not say where they are from
	if err != nil {
		return false, fmt.Errorf("taking over %s: %w", tokenFile, err)
	}
	g := &grant{Server: a.url.String(), Issuer: d.Metadata.Issuer, Resource: d.Indicator, Registration: a.oldRegistration(clientFile, d.Metadata)}
	g.take(t, at)
	if err := a.keep(ctx, who, g); err != nil {
		return false, err
	}
	for _, name := range []string{tokenFile, clientFile} {
		if err := os.Rename(name, name+".taken-over"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			a.log.Warn("a file that was taken over cannot be renamed; remove it", "file", name, "error", err)
		}
	}
	a.log.Info("took over the login of the Python mcpo", "caller", who.String(), "file", tokenFile)
	a.changed(who)
	return true, nil
}

// readOld reads a small JSON file, and when it was written.
func readOld(name string) (object, time.Time, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, time.Time{}, err
	}
	if info.Size() > answerMax {
		return nil, time.Time{}, errors.New("it is larger than 1 MiB")
	}
	body, err := os.ReadFile(name)
	if err != nil {
		return nil, time.Time{}, err
	}
	o, err := answer{body: body}.object()
	return o, info.ModTime(), err
}

// oldRegistration is the registration beside the tokens. Without it the access
// token can be used, and nothing renewed.
func (a *Authorizer) oldRegistration(name string, m *Metadata) registration {
	if byHand := a.byHand(m); byHand != nil {
		return *byHand
	}
	o, _, err := readOld(name)
	if err != nil {
		return registration{ClientID: staticClientID, AuthMethod: authNone}
	}
	r := registration{ClientID: o.text("client_id"), Secret: o.text("client_secret"), AuthMethod: o.text("token_endpoint_auth_method")}
	switch {
	case r.Secret == "":
		r.AuthMethod = authNone
	case !strings.HasPrefix(r.AuthMethod, "client_secret_"):
		r.AuthMethod = authPost
	}
	return r
}
