package oauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"mcpo/internal/caller"
	"mcpo/internal/config"
	"mcpo/internal/store"
)

// Store keeps grants, registrations and logins. What is changed with the held
// context of a lock is refused once another has the lock: store.ErrLockLost.
type Store interface {
	Get(ctx context.Context, key store.Key) (store.Record, error)
	Put(ctx context.Context, r store.Record) error
	Delete(ctx context.Context, key store.Key) error
	Take(ctx context.Context, key store.Key) (store.Record, error)
	List(ctx context.Context, kind store.Kind) ([]store.Record, error)
	Lock(ctx context.Context, key store.Key) (held context.Context, unlock func(), err error)
}

// Options say for which server grants are kept, and with what.
type Options struct {
	// Server is the configured server; its OAuth block is not nil.
	Server config.Server
	Store  Store
	// Loopback receives browsers on this machine; nil where nobody waits.
	Loopback *Loopback
	// PublicURL is where browsers reach mcpo, without a slash at its end.
	PublicURL string
	// WebCallback says that browsers are to come back to the public URL, and
	// not to the loopback port.
	WebCallback bool
	// Changed is told, if not nil, when a caller has logged in or out.
	Changed func(caller.ID)
	// ChangedElsewhere is told, if not nil, by Recheck of a login that another
	// process has made or given up.
	ChangedElsewhere func(caller.ID)
	// Happened is told, if not nil, what became of a caller's login.
	Happened func(Happening)
	// Burst is how many logins a caller may begin at once; 0 stands for 5. One
	// every two seconds comes on top.
	Burst   int
	Network Network
	Log     *slog.Logger
	// Step, in tests, is told how far a refresh has come.
	Step func(string)
}

// Authorizer gets, keeps and renews the grants for one server. It is safe for
// concurrent use.
type Authorizer struct {
	name        string
	url         *url.URL
	transport   config.Transport
	headers     map[string]string
	cfg         *config.OAuth
	store       Store
	loopback    *Loopback
	publicURL   string
	web         bool
	onChange    func(caller.ID)
	onElsewhere func(caller.ID)
	onHappen    func(Happening)
	onStep      func(string)
	guard       *guard
	direct      *http.Transport // to the server itself, for its challenge
	log         *slog.Logger

	grants  sync.Map // caller.ID → held
	unsaved sync.Map // caller.ID → *unsaved
	flights singleflight.Group

	watching sync.WaitGroup // logins that another mcpo finishes
	working  sync.WaitGroup // refreshes, exchanges and logouts, which nothing ends half way
	mu       sync.Mutex
	closed   bool                 // nothing more begins to work
	drops    int                  // grants that were removed
	rechecks int                  // grants that another process may have changed
	known    map[string]*Metadata // by issuer
	wants    map[caller.ID]*want
	tickets  map[caller.ID]told
	gone     map[caller.ID]bool // had a grant that was refused, and no login since
	awaiting map[string]waiter  // by the hash of the state
	burst    int
	begins   map[caller.ID]*rate.Limiter
}

// New makes an Authorizer. Close frees its connections.
func New(o Options) (*Authorizer, error) {
	u, err := url.Parse(o.Server.URL)
	if err != nil || u.Host == "" || o.Server.OAuth == nil {
		return nil, fmt.Errorf("server %q has no URL or no oauth block", o.Server.Name)
	}
	u.Fragment = ""
	log := o.Log.With("server", o.Server.Name)
	direct := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: requestTime, DisableKeepAlives: true}
	a := &Authorizer{
		name: o.Server.Name, url: u, transport: o.Server.Transport, headers: o.Server.Headers, cfg: o.Server.OAuth,
		store: traced{o.Store}, loopback: o.Loopback, publicURL: strings.TrimSuffix(o.PublicURL, "/"), web: o.WebCallback,
		onChange: o.Changed, onElsewhere: o.ChangedElsewhere, onHappen: o.Happened, onStep: o.Step, guard: newGuard(o.Network, u.Hostname(), o.Server.OAuth.AllowHosts, log), direct: direct, log: log,
		known: map[string]*Metadata{}, wants: map[caller.ID]*want{}, tickets: map[caller.ID]told{}, gone: map[caller.ID]bool{}, awaiting: map[string]waiter{}, burst: cmp.Or(o.Burst, beginBurst), begins: map[caller.ID]*rate.Limiter{},
	}
	if o.Loopback != nil {
		o.Loopback.use(a)
	}
	return a, nil
}

// closeTime is how long closing waits for what is half done, such as a refresh
// token that is under way.
const closeTime = 10 * time.Second

// Close ends what waits for browsers and frees connections. Before, it lets
// refreshes and logins that are being finished come to their end, for ten
// seconds at most.
func (a *Authorizer) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	if a.loopback != nil {
		a.loopback.unuse(a)
	}
	if !waitFor(&a.working, closeTime) {
		a.log.Warn("a refresh or a login was still in progress at the end; it may have to be made again")
	}
	a.saveAll()
	a.stopWaiting()
	a.watching.Wait()
	a.guard.close()
	a.direct.CloseIdleConnections()
}

// errClosed refuses what would not be waited for.
var errClosed = errors.New("mcpo is stopping, or has a new configuration")

// enter has Close wait until a.working.Done is called.
func (a *Authorizer) enter() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return errClosed
	}
	a.working.Add(1)
	return nil
}

// waitFor waits for all of them, for so long at most, and reports whether all
// have ended.
func waitFor(all *sync.WaitGroup, long time.Duration) bool {
	ended := make(chan struct{})
	go func() {
		all.Wait()
		close(ended)
	}()
	late := time.NewTimer(long)
	defer late.Stop()
	select {
	case <-ended:
		return true
	case <-late.C:
		return false
	}
}

// Config is the server's oauth block.
func (a *Authorizer) Config() *config.OAuth { return a.cfg }

// RedirectURI is where the caller's browser comes back to: the configuration's
// if it has one, else the loopback port for who is at this machine, and mcpo's
// own pages for everybody else.
func (a *Authorizer) RedirectURI(who caller.ID) string {
	if c := a.cfg.ClientMetadata; c != nil && len(c.RedirectURIs) > 0 {
		return c.RedirectURIs[0]
	}
	if a.web || who.IsOne() {
		return a.publicURL + "/oauth/" + url.PathEscape(a.name) + "/callback"
	}
	return fmt.Sprintf("http://localhost:%d%s", a.cfg.CallbackPort, CallbackPath)
}

// usesLoopback reports whether a browser that comes back there is to be met at
// the loopback port.
func (a *Authorizer) usesLoopback(redirectURI string) bool {
	if a.loopback == nil || !a.cfg.UseLoopback {
		return false
	}
	u, err := url.Parse(redirectURI)
	return err == nil && u.Scheme == "http" && isLoopbackName(u.Hostname()) && u.Path == CallbackPath
}

// Pasted reports whether the caller has to copy the address that the browser
// ends at: nobody answers there.
func (a *Authorizer) Pasted(who caller.ID) bool {
	redirectURI := a.RedirectURI(who)
	return !a.usesLoopback(redirectURI) && !strings.HasPrefix(redirectURI, a.publicURL+"/")
}

func (a *Authorizer) changed(who caller.ID) {
	if a.onChange != nil {
		a.onChange(who)
	}
}

func (a *Authorizer) step(name string) {
	if a.onStep != nil {
		a.onStep(name)
	}
}
