//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mcpo/internal/oauthtest"
)

// gate is the running program of bench/protected: an MCP server that is open
// and closed, and the authorization server of the closed one.
type gate struct{ *process }

// gateState is what it tells of itself.
type gateState struct {
	Issuer    string
	Resource  string // what tokens are asked for
	Refreshes int    // requests for a new token with a refresh token, so far
}

func (p *peers) gate() (gate, error) {
	addr, err := freeAddr()
	if err != nil {
		return gate{}, err
	}
	running, err := start(p.dir, addr, nil, p.built("protected"), addr)
	if err != nil {
		return gate{}, err
	}
	if err := running.listening(); err != nil {
		running.stop()
		return gate{}, err
	}
	return gate{running}, nil
}

func (g gate) state() (s gateState, err error) {
	resp, err := http.Get("http://" + g.addr + "/state")
	if err != nil {
		return s, fmt.Errorf("asking the authorization server: %w", err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return s, fmt.Errorf("asking the authorization server: %w", err)
	}
	return s, nil
}

// expire ends all access tokens; those that are issued from now on live so long.
func (g gate) expire(life time.Duration) error {
	resp, err := http.PostForm("http://"+g.addr+"/expire", url.Values{"life": {strconv.Itoa(int(life.Seconds()))}})
	if err != nil {
		return fmt.Errorf("ending access tokens: %w", err)
	}
	return resp.Body.Close()
}

// configure writes a configuration. It has the open server, and the closed one
// under some names, each with further members of its oauth block; more is other
// members of the whole. Grants are kept in a folder, as an operator's would be.
func (p *peers) configure(name string, g gate, closed map[string]map[string]any, more map[string]any) (path string, err error) {
	s, err := g.state()
	if err != nil {
		return "", err
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	servers := map[string]any{"open": map[string]any{"type": "streamable-http", "url": "http://" + g.addr + "/open"}}
	for name, oauth := range closed {
		block := map[string]any{"server_url": s.Issuer, "resource": s.Resource, "callback_port": port}
		maps.Copy(block, oauth)
		servers[name] = map[string]any{"type": "streamable-http", "url": "http://" + g.addr + "/closed", "oauth": block}
	}
	content := map[string]any{"storage": map[string]any{"path": filepath.Join(p.dir, name)}, "mcpServers": servers}
	maps.Copy(content, more)
	return p.config(name, content)
}

func freePort() (int, error) {
	addr, err := freeAddr()
	if err != nil {
		return 0, err
	}
	_, port, _ := strings.Cut(addr, ":")
	return strconv.Atoi(port)
}

// login takes the link of a refused call and does what a person would do with
// it. Authorization is what the caller sends, "" for nothing.
func (p *process) login(ctx context.Context, path, authorization string) error {
	link, err := p.link(ctx, path, authorization)
	if err != nil {
		return err
	}
	page, err := oauthtest.Browse(ctx, link, oauthtest.BrowseOptions{})
	if err != nil {
		return fmt.Errorf("logging in: %w, see %s", err, p.log)
	}
	if page.Status != http.StatusOK {
		return fmt.Errorf("logging in: the last page had status %d, see %s", page.Status, p.log)
	}
	return nil
}

// link calls a tool and gives the link that the answer has.
func (p *process) link(ctx context.Context, path, authorization string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.addr+path, strings.NewReader(`{"message":"ready?"}`))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("asking for a link: %w", err)
	}
	defer resp.Body.Close()
	var refused struct {
		Detail struct {
			AuthorizationURL string `json:"authorization_url"`
		} `json:"detail"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&refused); err != nil || refused.Detail.AuthorizationURL == "" {
		return "", fmt.Errorf("asking for a link: %s answered %s without one", path, resp.Status)
	}
	return refused.Detail.AuthorizationURL, nil
}
