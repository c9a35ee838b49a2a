package httpapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"mcpo/internal/audit"
	"mcpo/internal/caller"
	"mcpo/internal/limit"
	"mcpo/internal/metrics"
	"mcpo/internal/openapi"
	"mcpo/internal/tracing"
	"mcpo/internal/upstream"
	"mcpo/internal/wire"
)

// rawResult is the media type of a whole CallToolResult, untouched.
const rawResult = "application/vnd.mcp.result+json"

// serveCall is the walk of a tool call, with one line in the log at its end.
func (h *Handler) serveCall(w http.ResponseWriter, r *http.Request, m *mount, tool string) {
	start := time.Now()
	id := h.ids.of(r)
	r, span := h.trace(r, m)
	defer span.End()
	w.Header()["X-Request-Id"] = []string{id}
	seen := h.opts.Metrics.Begin(m.server.Name())
	who, body, err := h.call(w, measuredBy(seen, r), m, tool, id)
	status, refusal := http.StatusOK, (*answer)(nil)
	if err != nil {
		refusal = answerOf(err, m.server.Name(), tool)
		status = refusal.status
	}
	traceAnswer(span, status, refusal)
	seen.End(measured(err, refusal))
	written := h.writesCall(who)
	if written {
		h.opts.Audit.Write(audit.Entry{ // before anybody has the answer
			Event: audit.Call, Caller: who.String(), Server: m.server.Name(), Tool: cut(tool, 100), Outcome: strconv.Itoa(status),
			Duration: time.Since(start), RequestID: id,
		})
	}
	h.letGo(w)
	switch {
	case refusal != nil:
		refusal.write(w)
	case wantsRaw(r.Header):
		writeBody(w, status, rawResultType, body)
	default:
		writeBody(w, status, jsonType, body)
	}
	if written {
		h.logCall(r.Context(), m.server.Name(), tool, status, time.Since(start), id, err)
	}
}

// measuredBy is a request whose call is measured.
func measuredBy(seen *metrics.Call, r *http.Request) *http.Request {
	if seen == nil {
		return r
	}
	return r.WithContext(seen.With(r.Context()))
}

// call does everything up to the response's body, and tells who called.
func (h *Handler) call(w http.ResponseWriter, r *http.Request, m *mount, tool, id string) (caller.ID, []byte, error) {
	who, refused := h.whoTraced(r, m)
	if refused != nil {
		return caller.ID{}, nil, refused
	}
	t := h.talkOf(r, m, who.ID, tool, id)
	body, err := h.callWithin(w, t.listen(r), m, who.ID, tool)
	err = h.loginError(r.Context(), m, who, err)
	t.end(err, who.ID, &h.hopes)
	return who.ID, body, err
}

// callAs is the call of a caller who may make it, when its place says so.
func (h *Handler) callAs(w http.ResponseWriter, r *http.Request, m *mount, who caller.ID, tool string, place *limit.Place[caller.ID]) ([]byte, error) {
	var op *openapi.Operation
	err := h.atServer(r.Context(), m, func(m *mount) (err error) {
		op, err = h.operation(r.Context(), m, who, tool)
		return err
	})
	if err != nil {
		return nil, err
	}
	metrics.CallOf(r.Context()).Tool(tool)
	body, err := h.bodyInTurn(w, r, place)
	if err != nil {
		return nil, err
	}
	op.WarnUnchecked(func(reason error) {
		h.opts.Log.Warn("arguments of a tool go to its server unchecked", "server", m.server.Name(), "tool", cut(tool, 100), "error", reason)
	})
	args, err := op.Arguments(body)
	if err != nil {
		return nil, err
	}
	var reply wire.Reply
	err = h.atServer(r.Context(), m, func(m *mount) (err error) {
		reply, err = m.server.Call(r.Context(), who, tool, args, r.Header)
		return err
	})
	if err != nil {
		return nil, err
	}
	if reply.Error != nil {
		return nil, reply.Error
	}
	if wantsRaw(r.Header) {
		return reply.Result, nil
	}
	return openapi.ResultBody(reply.Result)
}

// atServer asks a server, or the one that has taken its place in a reload. Its time
// counts as the server's.
func (h *Handler) atServer(ctx context.Context, m *mount, ask func(*mount) error) error {
	seen := metrics.CallOf(ctx)
	seen.Waiting()
	defer seen.Server()
	err := ask(m)
	for next := h.successor(m, err); next != nil; next = h.successor(m, err) {
		m = next
		err = ask(m)
	}
	return err
}

// bodyInTurn reads the body and waits for the call's turn. Its time counts as the
// caller's.
func (h *Handler) bodyInTurn(w http.ResponseWriter, r *http.Request, place *limit.Place[caller.ID]) ([]byte, error) {
	seen := metrics.CallOf(r.Context())
	seen.Waiting()
	defer seen.Caller()
	body, err := h.readBody(w, r)
	if err == nil {
		err = waitTraced(r.Context(), place)
	}
	return body, err
}

// successor is the server that took the place of m in a reload, if err says
// that m was removed, or nil.
func (h *Handler) successor(m *mount, err error) *mount {
	if !errors.Is(err, upstream.ErrRemoved) {
		return nil
	}
	if next := h.current.Load().byName[m.server.Name()]; next != m {
		return next
	}
	return nil
}

// operation finds the tool, waiting for a server that has just been started.
func (h *Handler) operation(ctx context.Context, m *mount, who caller.ID, tool string) (*openapi.Operation, error) {
	list, err := m.server.Ready(ctx, who)
	if err != nil {
		return nil, err
	}
	op := h.document(m, view{list: list}).Operations[tool] // of this list, whatever becomes of the connection
	if op == nil {
		return nil, upstream.ErrUnknownTool
	}
	return op, nil
}

// expectBody begins a request with a body: it has to arrive in time, and until
// it was read the answer ends the connection, so that nobody is kept waiting
// for the rest of a body that nobody reads.
func (h *Handler) expectBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.letGo(w)
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.opts.BodyTime)) // every connection has deadlines
			w.Header()["Connection"] = closeConnection
		}
		next.ServeHTTP(w, r)
	})
}

// bodyRead undoes expectBody.
func (h *Handler) bodyRead(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	delete(w.Header(), "Connection")
	h.letGo(w)
}

// readBody reads the request's body within --max-body.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > h.opts.MaxBody {
		return nil, &http.MaxBytesError{Limit: h.opts.MaxBody}
	}
	if r.ContentLength == 0 {
		return nil, nil
	}
	in := http.MaxBytesReader(w, r.Body, h.opts.MaxBody)
	var body []byte
	var err error
	if r.ContentLength > 0 {
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(in, body)
	} else {
		body, err = io.ReadAll(in)
	}
	if err != nil {
		return nil, unreadable(err)
	}
	h.bodyRead(w)
	return body, nil
}

// unreadable words the errors of a body that did not arrive whole.
func unreadable(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return say(http.StatusRequestTimeout, "The request body did not arrive in time.")
	}
	return say(http.StatusBadRequest, "The request body did not arrive whole.")
}

// wantsRaw reports whether the caller asked for the whole CallToolResult.
func wantsRaw(h http.Header) bool {
	for _, accept := range h["Accept"] {
		if strings.Contains(accept, rawResult) {
			return true
		}
	}
	return false
}

// logCall writes the line of a call. It never holds arguments or results.
func (h *Handler) logCall(ctx context.Context, server, tool string, status int, took time.Duration, id string, err error) {
	level := slog.LevelInfo
	if status >= 500 && status != http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	if !h.opts.Log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("server", server), slog.String("tool", cut(tool, 100)), slog.Int("status", status),
		slog.Duration("duration", took.Round(time.Microsecond)), slog.String("request_id", id)}
	if traceID, spanID := tracing.IDs(ctx); traceID != "" {
		attrs = append(attrs, slog.String("trace_id", traceID), slog.String("span_id", spanID))
	}
	if err != nil && level == slog.LevelWarn {
		attrs = append(attrs, slog.Any("error", err))
	}
	h.opts.Log.LogAttrs(ctx, level, "call", attrs...)
}
