package gateway

import (
	"net/http"
	"sync"
	"sync/atomic"

	"mcp-oauth2-proxy/auth"
)

// firstCalls are the grants that have a token and have not called yet. To ask
// for one costs a call nothing where none is awaited, and else a lock that few
// others want.
type firstCalls struct {
	awaited atomic.Int64
	shards  [16]struct {
		mu   sync.RWMutex
		refs map[string]string // by grant
	}
}

// maxAwaited bounds a shard.
const maxAwaited = 1000

func (f *firstCalls) shard(grant string) int { return int(grant[len(grant)-1]) % len(f.shards) }

// expect waits for the first call of a grant.
func (f *firstCalls) expect(grant, ref string) {
	if grant == "" {
		return
	}
	s := &f.shards[f.shard(grant)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refs == nil {
		s.refs = map[string]string{}
	}
	if _, there := s.refs[grant]; !there {
		for old := range s.refs {
			if len(s.refs) < maxAwaited {
				break
			}
			delete(s.refs, old)
			f.awaited.Add(-1)
		}
		f.awaited.Add(1)
	}
	s.refs[grant] = ref
}

// take is the attempt whose first call this is; empty if it is none.
func (f *firstCalls) take(grant string) string {
	if f.awaited.Load() == 0 || grant == "" {
		return ""
	}
	s := &f.shards[f.shard(grant)]
	s.mu.RLock()
	ref, there := s.refs[grant]
	s.mu.RUnlock()
	if !there {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.refs[grant]; !there {
		return ""
	}
	delete(s.refs, grant)
	f.awaited.Add(-1)
	return ref
}

// called notes the first request with a token of an attempt.
func (a *attempts) called(host string, o *outcome) {
	ref := a.first.take(o.token.Grant)
	if ref == "" {
		return
	}
	step := auth.Step{Attempt: ref, Name: auth.StepCall, Host: host, What: "the MCP server was called and answered " + statusText(o.status), Approved: true}
	if o.denied != nil {
		step.What, step.Error = "the call was not passed on", refusedCall(o)
	}
	if o.denied == nil && o.status >= http.StatusInternalServerError {
		step.Error = &auth.Error{Status: o.status, Code: "upstream_unavailable", Description: "the MCP server does not answer"}
	}
	a.Note(step)
}
