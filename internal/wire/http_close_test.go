package wire

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
)

// TestCloseSendsCancellationsFirst: a server learns of a cancelled call even
// if the conversation ends right after.
func TestCloseSendsCancellationsFirst(t *testing.T) {
	var told atomic.Bool
	arrived := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch m := readRequest(r); m.Method {
		case "slow":
			close(arrived)
			<-r.Context().Done()
		case methodCancelled:
			told.Store(true)
			w.WriteHeader(http.StatusAccepted)
		default:
			answerJSON(w, m, `{"id":%s,"result":{}}`)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	if _, err := c.Call(ctx, Request{Method: "slow"}); err == nil {
		t.Error("the call was not cancelled")
	}
	closeConn(t, c)
	if !told.Load() {
		t.Error("the server was not told")
	}
}
