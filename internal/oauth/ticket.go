package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"mcpo/internal/caller"
	"mcpo/internal/store"
)

const (
	ticketTime  = 10 * time.Minute
	ticketReuse = 5 * time.Minute // a link that was told lately is told again
)

// ticket is a link that begins a login for one caller at one server.
type ticket struct {
	Server string `json:"server"`
	Caller string `json:"caller"`
	Label  string `json:"label,omitempty"` // what people call the caller
	// Scopes are what the server refused the caller something for want of: the
	// link may be opened at another mcpo, which was not there.
	Scopes []string `json:"scopes,omitempty"`
}

// told is a ticket that is in a link somewhere.
type told struct {
	text   string
	at     time.Time
	scopes []string
}

func ticketKey(text string) store.Key { return store.Key{Kind: store.Tickets, Name: hashed(text)} }

// Ticket makes the secret of a link with which the person can begin a login,
// once, within ten minutes.
func (a *Authorizer) Ticket(ctx context.Context, p caller.Person) (string, error) {
	who := p.ID
	a.mu.Lock()
	last, scopes := a.tickets[who], a.wantedBy(who)
	a.mu.Unlock()
	if last.text != "" && time.Since(last.at) < ticketReuse && slices.Equal(last.scopes, scopes) {
		if _, err := a.TicketOf(ctx, last.text); err == nil {
			return last.text, nil
		}
	}
	value, err := json.Marshal(ticket{Server: a.name, Caller: who.String(), Label: clean(p.Label, 100), Scopes: scopes})
	if err != nil {
		return "", err
	}
	now, text := time.Now(), random()
	if err := a.store.Put(ctx, store.Record{Key: ticketKey(text), Value: value, Expires: now.Add(ticketTime)}); err != nil {
		return "", fmt.Errorf("keeping the ticket: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tickets[who] = told{text, now, scopes}
	return text, nil
}

// TicketOf tells whose ticket it is, and leaves it as it is. The error is
// [ErrUnknownLogin] for one that was used, has run out, or belongs to another
// server.
func (a *Authorizer) TicketOf(ctx context.Context, text string) (caller.Person, error) {
	t, err := a.readTicket(a.store.Get(ctx, ticketKey(text)))
	return t.person(), err
}

// UseTicket is TicketOf for the last time.
func (a *Authorizer) UseTicket(ctx context.Context, text string) (caller.Person, error) {
	if p, err := a.TicketOf(ctx, text); err != nil { // another server's stays there for it
		return p, err
	}
	t, err := a.readTicket(a.store.Take(ctx, ticketKey(text)))
	if err == nil {
		a.alsoWants(t.person().ID, t.Scopes)
	}
	return t.person(), err
}

func (t ticket) person() caller.Person {
	if t.Caller == "" {
		return caller.Person{}
	}
	return caller.Person{ID: caller.FromStore(t.Caller), Label: t.Label}
}

func (a *Authorizer) readTicket(record store.Record, err error) (ticket, error) {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return ticket{}, ErrUnknownLogin
	}
	if err != nil {
		return ticket{}, fmt.Errorf("reading the ticket: %w", err)
	}
	var t ticket
	if err := json.Unmarshal(record.Value, &t); err != nil || t.Server != a.name || t.Caller == "" {
		return ticket{}, ErrUnknownLogin
	}
	return t, nil
}
