package oauth

import (
	"context"
	"errors"

	"mcpo/internal/store"
	"mcpo/internal/tracing"
)

// traced is a store whose operations are spans of the calls that need them. Of
// keys they show the kind alone: the rest says who the caller is.
type traced struct{ Store }

// Get implements Store. Not to find a record is no failure.
func (t traced) Get(ctx context.Context, key store.Key) (store.Record, error) {
	ctx, span := tracing.Start(ctx, tracing.Internal, "store get", string(key.Kind))
	r, err := t.Store.Get(ctx, key)
	endSpan(span, err)
	return r, err
}

// Put implements Store.
func (t traced) Put(ctx context.Context, r store.Record) error {
	ctx, span := tracing.Start(ctx, tracing.Internal, "store put", string(r.Key.Kind))
	err := t.Store.Put(ctx, r)
	endSpan(span, err)
	return err
}

// Delete implements Store.
func (t traced) Delete(ctx context.Context, key store.Key) error {
	ctx, span := tracing.Start(ctx, tracing.Internal, "store delete", string(key.Kind))
	err := t.Store.Delete(ctx, key)
	endSpan(span, err)
	return err
}

// Take implements Store.
func (t traced) Take(ctx context.Context, key store.Key) (store.Record, error) {
	ctx, span := tracing.Start(ctx, tracing.Internal, "store take", string(key.Kind))
	r, err := t.Store.Take(ctx, key)
	endSpan(span, err)
	return r, err
}

// Lock implements Store. The span is the wait: what is done with the lock is no
// part of it, so the context that is held is made from the one that came.
func (t traced) Lock(ctx context.Context, key store.Key) (context.Context, func(), error) {
	_, span := tracing.Start(ctx, tracing.Internal, "store lock", string(key.Kind))
	held, unlock, err := t.Store.Lock(ctx, key)
	endSpan(span, err)
	return held, unlock, err
}

// endSpan ends a span with what came of its work.
func endSpan(span tracing.Span, err error) {
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		span.Fail(errorType(err))
	}
	span.End()
}

// errorType is an error in a word for traces. An error's text may name a caller.
func errorType(err error) string {
	var required *LoginRequiredError
	var token *TokenError
	switch {
	case errors.As(err, &required):
		return "login_required"
	case errors.As(err, &token):
		return "authorization_server_refused"
	case errors.Is(err, store.ErrUnavailable):
		return "store_unavailable"
	case errors.Is(err, store.ErrLockLost):
		return "lock_lost"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return "_OTHER"
}
