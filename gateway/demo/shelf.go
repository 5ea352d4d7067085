package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// What the toolbox holds at most, 64 MiB in all.
const (
	maxResources = 1000
	maxText      = 64 << 10
	maxName      = 200
)

var (
	errNone    = errors.New("there is no resource with this id; list_resources says which there are")
	errFull    = fmt.Errorf("the toolbox is full: it holds %d resources; delete one first", maxResources)
	errName    = fmt.Errorf("a name has 1 to %d bytes of text", maxName)
	errText    = fmt.Errorf("a text has at most %d bytes", maxText)
	errNothing = errors.New("say what to change: name, text or both")
)

// A resource is what the toolbox is there for.
type resource struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Text string `json:"text"`
}

func (r resource) check() error {
	if r.Name == "" || len(r.Name) > maxName || !utf8.ValidString(r.Name) {
		return errName
	}
	if len(r.Text) > maxText || !utf8.ValidString(r.Text) {
		return errText
	}
	return nil
}

// shelf keeps the resources, in the order they were made.
type shelf struct {
	mu   sync.Mutex
	all  []resource
	last int // the highest id so far; ids are not used twice
}

func newShelf() *shelf {
	s := &shelf{}
	for _, r := range []resource{
		{Name: "hammer", Text: "For nails, and for things that look like nails."},
		{Name: "screwdriver", Text: "Crosshead, size PH2. The flat one is lent to the neighbors until Friday."},
		{Name: "tape measure", Text: "5 m. Measure twice, cut once."},
		{Name: "shopping list", Text: "Wood screws 4 x 40, sandpaper 120, a new pencil."},
	} {
		_, _ = s.add(r) // they fit
	}
	return s
}

func (s *shelf) add(r resource) (resource, error) {
	if err := r.check(); err != nil {
		return resource{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= maxResources {
		return resource{}, errFull
	}
	s.last++
	r.ID = strconv.Itoa(s.last)
	s.all = append(s.all, r)
	return r, nil
}

// find is called with the lock held.
func (s *shelf) find(id string) (int, error) {
	i := slices.IndexFunc(s.all, func(r resource) bool { return r.ID == id })
	if i < 0 {
		return 0, errNone
	}
	return i, nil
}

type byID struct {
	ID string `json:"id" jsonschema:"the id of the resource, as list_resources tells it"`
}

type draft struct {
	Name string `json:"name" jsonschema:"what the resource is called"`
	Text string `json:"text" jsonschema:"what it says"`
}

type change struct {
	ID   string  `json:"id" jsonschema:"the id of the resource, as list_resources tells it"`
	Name *string `json:"name,omitempty" jsonschema:"its new name; left out: the old one stays"`
	Text *string `json:"text,omitempty" jsonschema:"its new text; left out: the old one stays"`
}

type entry struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
}

type listing struct {
	Resources []entry `json:"resources"`
}

type deletion struct {
	Deleted resource `json:"deleted"`
}

func (s *shelf) get(_ context.Context, _ *mcp.CallToolRequest, in byID) (*mcp.CallToolResult, resource, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.find(in.ID)
	if err != nil {
		return nil, resource{}, err
	}
	return nil, s.all[i], nil
}

func (s *shelf) list(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, listing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := listing{Resources: []entry{}}
	for _, r := range s.all {
		out.Resources = append(out.Resources, entry{r.ID, r.Name, len(r.Text)})
	}
	return nil, out, nil
}

func (s *shelf) create(_ context.Context, _ *mcp.CallToolRequest, in draft) (*mcp.CallToolResult, resource, error) {
	r, err := s.add(resource{Name: in.Name, Text: in.Text})
	return nil, r, err
}

func (s *shelf) update(_ context.Context, _ *mcp.CallToolRequest, in change) (*mcp.CallToolResult, resource, error) {
	if in.Name == nil && in.Text == nil {
		return nil, resource{}, errNothing
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.find(in.ID)
	if err != nil {
		return nil, resource{}, err
	}
	r := s.all[i]
	if in.Name != nil {
		r.Name = *in.Name
	}
	if in.Text != nil {
		r.Text = *in.Text
	}
	if err := r.check(); err != nil {
		return nil, resource{}, err
	}
	s.all[i] = r
	return nil, r, nil
}

func (s *shelf) delete(_ context.Context, _ *mcp.CallToolRequest, in byID) (*mcp.CallToolResult, deletion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.find(in.ID)
	if err != nil {
		return nil, deletion{}, err
	}
	gone := s.all[i]
	s.all = slices.Delete(s.all, i, i+1)
	return nil, deletion{gone}, nil
}
