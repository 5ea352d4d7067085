package idp

import (
	"context"
	"errors"
	"testing"
)

func TestLocalHashesFewAtOnce(t *testing.T) {
	hash, err := HashPassword([]byte("engine"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLocal(Config{ID: "local", Users: []User{{Username: "ada", PasswordHash: hash}}})
	if err != nil {
		t.Fatal(err)
	}
	for range hashesAtOnce {
		l.turns <- struct{}{} // others are being checked
	}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() {
		_, err := l.SignIn(ctx, "ada", "engine")
		result <- err
	}()
	select {
	case err := <-result:
		t.Fatalf("it did not wait for its turn: %v", err)
	default:
		cancel()
	}
	if err := <-result; !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it gave up", err)
	}
	<-l.turns
	for range 2 { // the turn is given back
		if _, err := l.SignIn(t.Context(), "ada", "engine"); err != nil {
			t.Error(err)
		}
	}
}
