package wire

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkCall measures calls beside the floor: to post the same bytes and to
// copy the answer. Both include the server.
func BenchmarkCall(b *testing.B) {
	for _, size := range []int{300, 1 << 20} {
		result := `{"content":[{"type":"text","text":"` + strings.Repeat("x", size) + `"}]}`
		for _, kind := range []string{typeJSON, typeEvents} {
			before, after := `{"jsonrpc":"2.0","id":`, `,"result":`+result+`}`
			if kind == typeEvents {
				before, after = "event: message\ndata: "+before, after+"\n\n"
			}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				_, rest, _ := bytes.Cut(body, []byte(`"id":`))
				id, _, _ := bytes.Cut(rest, []byte(","))
				w.Header().Set("Content-Type", kind)
				fmt.Fprint(w, before, string(id), after)
			}))
			name := fmt.Sprintf("%s %d", kind, size)
			params := raw(`{"name":"echo","arguments":{"text":"` + strings.Repeat("y", 100) + `"}}`)
			b.Run("floor "+name, func(b *testing.B) {
				b.ReportAllocs()
				trip := NewTransport()
				defer trip.CloseIdleConnections()
				for b.Loop() {
					floor(b, trip, server.URL, appendRequest(nil, 1, "tools/call", params))
				}
			})
			b.Run("call "+name, func(b *testing.B) {
				b.ReportAllocs()
				c := DialHTTP(HTTPOptions{URL: server.URL})
				defer c.Close(context.Background())
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				for b.Loop() {
					if _, err := c.Call(ctx, Request{Method: "tools/call", Params: params}); err != nil {
						b.Fatal(err)
					}
				}
			})
			server.Close()
		}
	}
}

func floor(b *testing.B, trip http.RoundTripper, url string, body []byte) {
	req, err := http.NewRequest("POST", url, bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", typeJSON)
	resp, err := trip.RoundTrip(req)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		b.Fatal(err)
	}
	resp.Body.Close()
}
