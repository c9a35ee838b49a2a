package oauthtest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// client finds a client by its id: a registered one, or one that a client ID
// metadata document describes. It is nil for all others.
func (s *Server) client(ctx context.Context, o Options, id string) *client {
	s.mu.Lock()
	c := s.records.clients[id]
	s.mu.Unlock()
	if c != nil || !o.ClientDocuments || !strings.Contains(id, "://") {
		return c
	}
	c, err := fetchClient(ctx, cmp.Or(o.DocumentClient, http.DefaultClient), id)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records.clients[id] = c
	return c
}

// fetchClient reads the document at id, which has to name itself.
func fetchClient(ctx context.Context, by *http.Client, id string) (*client, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, id, nil)
	if err != nil {
		return nil, fmt.Errorf("fetching a client's document: %w", err)
	}
	resp, err := by.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetching a client's document: %w", err)
	}
	defer resp.Body.Close()
	var document map[string]any
	if err := json.NewDecoder(io.LimitReader(resp.Body, 5<<10)).Decode(&document); err != nil {
		return nil, fmt.Errorf("reading a client's document: %w", err)
	}
	if resp.StatusCode != http.StatusOK || document["client_id"] != id {
		return nil, fmt.Errorf("the document at %s is of another client", id)
	}
	c, refused := newClient(document)
	if refused != nil {
		return nil, fmt.Errorf("reading a client's document: %s", refused.description)
	}
	c.id = id
	return c, nil
}
