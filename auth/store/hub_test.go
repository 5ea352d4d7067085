package store_test

import (
	"fmt"
	"testing"

	"mcp-oauth2-proxy/auth/store"
)

func TestHub(t *testing.T) {
	t.Run("a reader that does not read costs a bounded queue and is told to read again", func(t *testing.T) {
		var h store.Hub
		changes, err := h.Watch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		const n = 100_000
		for i := range n {
			h.Publish(store.Change{Kind: "code", Key: fmt.Sprint(i)})
		}
		h.Publish(store.Change{Kind: "grant", Key: "ada"}) // another kind is not lost in it
		got, again, grant := 0, false, false
		for !again || !grant {
			c := <-changes
			got++
			again = again || c == store.Change{Kind: "code"}
			grant = grant || c == store.Change{Kind: "grant", Key: "ada"}
		}
		if got > 1000 {
			t.Errorf("%d changes were kept", got)
		}
		h.Publish(store.Change{Kind: "code", Key: "after"})
		if c := <-changes; c.Key != "after" {
			t.Errorf("after reading, %v is reported", c)
		}
	})
	t.Run("a key that changes often is reported once until it is read", func(t *testing.T) {
		var h store.Hub
		changes, err := h.Watch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 10_000 {
			h.Publish(store.Change{Kind: "code", Key: "a"})
		}
		h.Publish(store.Change{Kind: "code", Key: "b"})
		got := 0
		for c := range changes {
			got++
			if c.Key == "" {
				t.Error("one key filled the queue")
			}
			if c.Key == "b" {
				break
			}
		}
		if got > 10 { // one may be on its way while the next is queued
			t.Errorf("%d changes for two keys", got)
		}
	})
	t.Run("closing ends a watch that nobody reads", func(t *testing.T) {
		var h store.Hub
		changes, err := h.Watch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h.Publish(store.Change{Kind: "code", Key: "a"})
		h.Close()
		h.Close()
		for c := range changes {
			if c.Key != "a" {
				t.Errorf("%v is reported", c)
			}
		}
		h.Publish(store.Change{Kind: "code", Key: "b"})
	})
}
