package gateway

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"time"

	"mcp-oauth2-proxy/auth"
)

// maxBuckets bounds how many of them are remembered; the one that was quiet
// for longest is forgotten first.
const maxBuckets = 50_000

// limitRequests is what a user sends to MCP servers.
const limitRequests auth.Limit = "requests"

// limits counts what client addresses and users do in a minute, as token buckets. It
// implements auth.Limiter.
type limits struct {
	perMinute map[auth.Limit]int // 0: no limit
	now       func() time.Time

	mu      sync.Mutex
	buckets map[bucketKey]*list.Element
	order   *list.List // of *bucket, the last used first
}

type bucketKey struct {
	what auth.Limit
	key  string
}

type bucket struct {
	key    bucketKey
	tokens float64
	at     time.Time
}

func newLimits(perMinute map[auth.Limit]int, now func() time.Time) *limits {
	return &limits{perMinute: perMinute, now: now, buckets: map[bucketKey]*list.Element{}, order: list.New()}
}

// Take implements auth.Limiter.
func (l *limits) Take(what auth.Limit, address string) (time.Duration, bool) {
	return l.take(what, network(address))
}

// take is Take for what has no address, such as a user.
func (l *limits) take(what auth.Limit, key string) (time.Duration, bool) {
	limit := float64(l.perMinute[what])
	if limit <= 0 {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(bucketKey{what, key}, limit)
	now := l.now()
	if elapsed := now.Sub(b.at); elapsed > 0 { // the clock may jump back
		b.tokens = min(limit, b.tokens+limit*elapsed.Minutes())
	}
	b.at = now
	if b.tokens < 1 {
		return time.Duration((1 - b.tokens) / limit * float64(time.Minute)), false
	}
	b.tokens--
	return 0, true
}

// Give implements auth.Limiter.
func (l *limits) Give(what auth.Limit, key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.buckets[bucketKey{what, network(key)}]; ok {
		b := e.Value.(*bucket)
		b.tokens = min(float64(l.perMinute[what]), b.tokens+1)
	}
}

// bucket finds or makes a bucket and marks it used. The caller holds the lock.
func (l *limits) bucket(k bucketKey, full float64) *bucket {
	if e, ok := l.buckets[k]; ok {
		l.order.MoveToFront(e)
		return e.Value.(*bucket)
	}
	if l.order.Len() >= maxBuckets {
		oldest := l.order.Back()
		delete(l.buckets, l.order.Remove(oldest).(*bucket).key)
	}
	b := &bucket{k, full, l.now()}
	l.buckets[k] = l.order.PushFront(b)
	return b
}

// network is what counts as one client: an IPv4 address, or the 64 bits of
// IPv6 that one household or machine is given.
func network(address string) string {
	host := address
	if h, _, err := net.SplitHostPort(address); err == nil {
		host = h
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return address
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, _ := a.Prefix(64)
	return p.String()
}
