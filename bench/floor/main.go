// Command floor is the least that a proxy can do: it takes a POST, writes it as
// a JSON-RPC line or request, and copies the answer back. It checks nothing,
// limits nothing, and recovers from nothing; mcpo is measured against it.
//
//	floor ADDRESS stdio COMMAND [ARGS...]
//	floor ADDRESS http URL
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
)

const initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"floor","version":"1"}}}`
const initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`

var id atomic.Int64

func main() {
	h := overHTTP
	if os.Args[2] == "stdio" {
		h = overStdio
	}
	log.Fatal(http.ListenAndServe(os.Args[1], h(os.Args[3:])))
}

// message is the line or body that carries one call.
func message(r *http.Request) (int64, []byte) {
	args, _ := io.ReadAll(r.Body)
	n := id.Add(1)
	b := make([]byte, 0, len(args)+128)
	b = fmt.Appendf(b, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"%s","arguments":`, n, r.URL.Path[1:])
	return n, append(append(b, args...), '}', '}')
}

func overStdio(command []string) http.Handler {
	child := exec.Command(command[0], command[1:]...)
	child.Stderr = os.Stderr
	in, _ := child.StdinPipe()
	out, _ := child.StdoutPipe()
	if err := child.Start(); err != nil {
		log.Fatal(err)
	}
	var mu sync.Mutex
	var waiting sync.Map
	fmt.Fprintf(in, "%s\n%s\n", initialize, initialized)
	go func() {
		for r := bufio.NewReaderSize(out, 64<<10); ; {
			line, err := r.ReadBytes('\n')
			if err != nil {
				log.Fatal(err)
			}
			if slot, ok := waiting.LoadAndDelete(idOf(line)); ok {
				slot.(chan []byte) <- line
			}
		}
	}()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, line := message(r)
		slot := make(chan []byte, 1)
		waiting.Store(n, slot)
		mu.Lock()
		_, _ = in.Write(append(line, '\n'))
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(<-slot)
	})
}

// idOf finds the id where servers write it: first or last in the line.
func idOf(line []byte) int64 {
	const first, key = `{"jsonrpc":"2.0","id":`, `"id":`
	i := len(first)
	if !bytes.HasPrefix(line, []byte(first)) {
		i = bytes.LastIndex(line, []byte(key)) + len(key)
	}
	end := i
	for end < len(line) && line[end] >= '0' && line[end] <= '9' {
		end++
	}
	n, _ := strconv.ParseInt(string(line[i:end]), 10, 64)
	return n
}

func overHTTP(url []string) http.Handler {
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}
	session := ""
	post := func(body []byte) *http.Response {
		req, _ := http.NewRequest(http.MethodPost, url[0], bytes.NewReader(body))
		req.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
			"Mcp-Session-Id": {session}, "Mcp-Protocol-Version": {"2025-06-18"}}
		if session == "" {
			req.Header.Del("Mcp-Session-Id")
		}
		resp, err := c.Do(req)
		if err != nil {
			log.Fatal(err)
		}
		return resp
	}
	session = post([]byte(initialize)).Header.Get("Mcp-Session-Id")
	_ = post([]byte(initialized)).Body.Close()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, body := message(r)
		resp := post(body)
		defer resp.Body.Close()
		w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
		_, _ = io.Copy(w, resp.Body)
	})
}
