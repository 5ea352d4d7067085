package gateway

import (
	"container/list"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"mcp-oauth2-proxy/auth"
	"mcp-oauth2-proxy/auth/grants"
	"mcp-oauth2-proxy/auth/store"
)

const (
	attemptLife = 24 * time.Hour
	preludeLife = 10 * time.Minute // of what a program did before there was an attempt

	attemptMemory = 8 << 20 // bytes, about; once for those of browsers and once for all others
	attemptSteps  = 24      // of one; what comes later replaces the last
	attemptText   = 300     // bytes of one text
	maxPreludes   = 5000
	preludeSteps  = 6
)

// An attempt is what is remembered of one: of a browser that came to /authorize,
// or of a program that was shown a reference without one.
type attempt struct {
	Reference string        `json:"reference"`
	Host      string        `json:"host"`
	Network   string        `json:"network,omitempty"` // of the client
	Client    string        `json:"client_id,omitempty"`
	Name      string        `json:"client_name,omitempty"` // a claim
	Subject   string        `json:"sub,omitempty"`
	Steps     []attemptStep `json:"steps"`

	approved bool
	grant    string
	size     int
	home     *list.List
}

type attemptStep struct {
	Time  time.Time     `json:"time"`
	Name  auth.StepName `json:"step"`
	What  string        `json:"what,omitempty"`
	Count int           `json:"count,omitempty"` // where it was repeated

	Code        string `json:"error,omitempty"`
	Description string `json:"error_description,omitempty"`
	Cause       string `json:"cause,omitempty"` // for the operator
}

func (s attemptStep) failed() bool { return s.Code != "" }

// same tells whether a step is another one once more.
func (s attemptStep) same(o attemptStep) bool {
	return s.Name == o.Name && s.What == o.What && s.Code == o.Code && s.Description == o.Description
}

func (s attemptStep) size() int {
	return 120 + len(s.What) + len(s.Code) + len(s.Description) + len(s.Cause)
}

// attempts remembers what happened in authorization attempts. It implements
// auth.Attempts.
//
// Memory is bounded: of too many the oldest go. Those that somebody approved are
// also kept in the store, by run, so that every replica explains them.
type attempts struct {
	now   func() time.Time
	log   *slog.Logger
	store store.Store // nil until it is open

	saving sync.Mutex // by one save at a time

	mu       sync.Mutex
	byRef    map[string]*list.Element // of *attempt
	byGrant  map[string]string        // references
	browsers *list.List               // those of browsers, the oldest first
	strays   *list.List               // those without
	sizes    map[*list.List]int
	preludes map[string]*list.Element // of *prelude
	order    *list.List               // of preludes, the oldest first
	dirty    map[string]bool          // not yet in the store
	wake     chan struct{}

	first firstCalls
}

// A prelude is what a program did before its attempt, by what connects the two:
// the host and the network, or the client.
type prelude struct {
	key   string
	steps []attemptStep
}

func newAttempts(now func() time.Time, log *slog.Logger) *attempts {
	return &attempts{
		now: now, log: log, byRef: map[string]*list.Element{}, byGrant: map[string]string{},
		browsers: list.New(), strays: list.New(), sizes: map[*list.List]int{},
		preludes: map[string]*list.Element{}, order: list.New(), dirty: map[string]bool{}, wake: make(chan struct{}, 1),
	}
}

// Note implements auth.Attempts.
func (a *attempts) Note(s auth.Step) {
	s.Host = cut(s.Host) // it may be whatever a client has sent
	step := attemptStep{Time: a.now().UTC(), Name: s.Name, What: cut(s.What)}
	if e := s.Error; e != nil {
		step.Code, step.Description = e.Code, cut(e.Description)
		if e.Cause != nil {
			step.Cause = cut(e.Cause.Error())
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if s.Attempt == "" || step.Name == auth.StepChallenge || step.Name == auth.StepMetadata || step.Name == auth.StepRegistration {
		a.prepare(s, step)
	}
	if s.Attempt == "" {
		return
	}
	at := a.find(s)
	if s.Name == auth.StepAuthorize && len(at.Steps) == 0 {
		at.Steps = a.before(s)
	}
	a.tell(at, s)
	at.Steps = withStep(at.Steps, step, attemptSteps)
	a.weigh(at)
	a.shrink(at.home)
	if at.approved {
		a.dirty[at.Reference] = true
		a.rouse()
	}
}

// prepare remembers what a program does, for the attempt that may come of it.
func (a *attempts) prepare(s auth.Step, step attemptStep) {
	step.Cause = ""
	keys := []string{preludeKey(s.Host, s.Address)}
	if s.Client != "" {
		keys = append(keys, s.Host+" of "+hashed(s.Client))
	}
	for _, key := range keys {
		e := a.preludes[key]
		if e == nil {
			e = a.order.PushBack(&prelude{key: key})
			a.preludes[key] = e
		}
		a.order.MoveToBack(e)
		p := e.Value.(*prelude)
		p.steps = withStep(p.steps, step, preludeSteps)
	}
	for a.order.Len() > maxPreludes {
		delete(a.preludes, a.order.Remove(a.order.Front()).(*prelude).key)
	}
}

func preludeKey(host, address string) string { return host + " from " + network(address) }

// before is what was done on the way to an attempt.
func (a *attempts) before(s auth.Step) (steps []attemptStep) {
	since := a.now().Add(-preludeLife)
	for _, key := range []string{preludeKey(s.Host, s.Address), s.Host + " of " + hashed(s.Client)} {
		if e := a.preludes[key]; e != nil {
			for _, step := range e.Value.(*prelude).steps {
				if step.Time.After(since) && !slices.ContainsFunc(steps, step.same) {
					steps = append(steps, step)
				}
			}
		}
	}
	slices.SortStableFunc(steps, func(x, y attemptStep) int { return x.Time.Compare(y.Time) })
	return steps
}

// find is the attempt that a step is of, a new one if need be.
func (a *attempts) find(s auth.Step) *attempt {
	if e := a.byRef[s.Attempt]; e != nil {
		return e.Value.(*attempt)
	}
	at := &attempt{Reference: s.Attempt, Host: s.Host, home: a.strays}
	if s.Approved || slices.Contains([]auth.StepName{auth.StepAuthorize, auth.StepConsent, auth.StepProvider}, s.Name) && s.Error == nil {
		at.home = a.browsers
	}
	a.byRef[s.Attempt] = at.home.PushBack(at)
	return at
}

// tell adds to what is known of an attempt.
func (a *attempts) tell(at *attempt, s auth.Step) {
	for _, known := range []struct {
		of  *string
		new string
	}{{&at.Network, grants.Network(s.Address)}, {&at.Client, cut(s.Client)}, {&at.Name, cut(s.ClientName)}, {&at.Subject, cut(s.Subject)}} {
		if *known.of == "" {
			*known.of = known.new
		}
	}
	at.approved = at.approved || s.Approved
	if s.Grant != "" && at.grant == "" {
		at.grant = s.Grant
		a.byGrant[s.Grant] = at.Reference
	}
	if s.Name == auth.StepToken && s.Error == nil {
		a.first.expect(s.Grant, at.Reference)
	}
}

// weigh counts what an attempt takes.
func (a *attempts) weigh(at *attempt) {
	size := 400 + len(at.Host) + len(at.Network) + len(at.Client) + len(at.Name) + len(at.Subject)
	for _, s := range at.Steps {
		size += s.size()
	}
	a.sizes[at.home] += size - at.size
	at.size = size
}

// withStep adds a step; one that is repeated is counted.
func withStep(steps []attemptStep, step attemptStep, most int) []attemptStep {
	if i := slices.IndexFunc(steps, step.same); i >= 0 && (i == len(steps)-1 || most == preludeSteps) {
		step.Count = max(steps[i].Count, 1) + 1
		return append(slices.Delete(steps, i, i+1), step)
	}
	if len(steps) >= most {
		steps = steps[:most-1]
	}
	return append(steps, step)
}

// shrink forgets the oldest.
func (a *attempts) shrink(home *list.List) {
	for old := a.now().Add(-attemptLife); home.Len() > 0; {
		at := home.Front().Value.(*attempt)
		over := a.sizes[home] > attemptMemory && home.Len() > 1
		if !over && (len(at.Steps) == 0 || at.Steps[len(at.Steps)-1].Time.After(old)) {
			return
		}
		home.Remove(home.Front())
		a.sizes[home] -= at.size
		delete(a.byRef, at.Reference)
		delete(a.byGrant, at.grant)
	}
}

// Of implements auth.Attempts.
func (a *attempts) Of(grant string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byGrant[grant]
}

// remembered is a copy of what memory has of an attempt.
func (a *attempts) remembered(ref string) (attempt, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.byRef[ref]
	if e == nil {
		return attempt{}, false
	}
	at := *e.Value.(*attempt)
	at.Steps = slices.Clone(at.Steps)
	return at, true
}

func (a *attempts) rouse() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// cut bounds a text.
func cut(s string) string {
	if len(s) <= attemptText {
		return s
	}
	return s[:attemptText] + "…"
}

// open gives attempts a place that outlives this process.
func (a *attempts) open(s store.Store) { a.store = s }

var _ auth.Attempts = (*attempts)(nil)

// run writes what was approved to the store, in the background: nobody waits for
// it, and what fails is tried with the next step.
func (a *attempts) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			a.save(last)
			return nil
		case <-a.wake:
			a.save(ctx)
		}
	}
}
