package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"mcp-oauth2-proxy/auth/audit"
	"mcp-oauth2-proxy/auth/keys"
	"mcp-oauth2-proxy/auth/store"
)

const (
	// kindAuditHead is where the last signed line of every chain is remembered,
	// so that a file that was cut short does not pass for whole.
	kindAuditHead store.Kind = "audit-head"

	// signAuditEvery is how long lines stay unsigned at most, however seldom keys
	// rotate.
	signAuditEvery = time.Hour

	// maxArguments bounds the arguments of a call in the audit log, in bytes.
	maxArguments = 16 << 10
)

// openAudit begins the chain of this process.
func (g *Gateway) openAudit() error {
	o := audit.Options{Path: g.config.Audit.Path, Out: os.Stdout, Now: g.now, Log: g.log, Sign: g.signAuditHead, Keep: g.keepAuditHead}
	if g.o.Audit != nil {
		o.Path, o.Out = "", g.o.Audit
	}
	var err error
	g.audit, err = audit.Open(o)
	return err
}

func (g *Gateway) signAuditHead(ctx context.Context, payload []byte) ([]byte, error) {
	if g.archive == nil || !g.ring.Ready() {
		return nil, keys.ErrUnavailable
	}
	return g.archive.Sign(ctx, payload, audit.HeadType)
}

func (g *Gateway) keepAuditHead(ctx context.Context, h audit.Head) error {
	return store.Names[audit.Head](g.store, kindAuditHead).Put(ctx, h.Chain, h, g.config.Audit.KeyTTL)
}

// signAudit signs the audit log whenever a key begins to sign, and when it was
// not for long.
func (g *Gateway) signAudit(ctx context.Context) error {
	ticker := time.NewTicker(signAuditEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil // closing it signs it
		case <-g.signing:
		case <-ticker.C:
		}
		if err := g.audit.Sign(ctx); err != nil && ctx.Err() == nil {
			g.log.ErrorContext(ctx, "the audit log is not signed; it is tried again with the next key", "cause", err)
		}
	}
}

// keySigns is told of every key that begins to sign.
func (g *Gateway) keySigns(string) {
	select {
	case g.signing <- struct{}{}:
	default: // it is under way
	}
}

// reopenAudit goes on in the audit file that is at audit.path now, for who has
// moved the old one away.
func (g *Gateway) reopenAudit(ctx context.Context) {
	if err := g.audit.Reopen(ctx); err != nil {
		g.log.ErrorContext(ctx, "the audit log goes on in the old file", "cause", err)
	}
}

// AuditTrust is what an audit log is verified against: the keys that may have
// signed it, as RFC 7517 §5 writes them, and the last signed lines of chains.
type AuditTrust struct {
	Keys  []json.RawMessage `json:"keys"`
	Heads []audit.Head      `json:"heads"`
}

// auditTrust shows what the store has.
func (g *Gateway) auditTrust(w http.ResponseWriter, r *http.Request) {
	trust, err := g.readAuditTrust(r.Context())
	if err != nil {
		g.log.ErrorContext(r.Context(), "read the keys of the audit log", "cause", err)
		writeJSON(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, trust)
}

func (g *Gateway) readAuditTrust(ctx context.Context) (AuditTrust, error) {
	trust := AuditTrust{Keys: []json.RawMessage{}, Heads: []audit.Head{}}
	if err := g.audit.Flush(ctx); err != nil { // what is remembered is in the file
		return trust, err
	}
	set, err := g.archive.Set(ctx)
	if err != nil {
		return trust, err
	}
	if err := json.Unmarshal(set, &trust); err != nil {
		return trust, err
	}
	heads, err := store.Names[audit.Head](g.store, kindAuditHead).List(ctx, "", 0)
	if err != nil {
		return trust, fmt.Errorf("list the heads of the audit log: %w", err)
	}
	for _, h := range heads {
		trust.Heads = append(trust.Heads, h.Value)
	}
	return trust, nil
}

// AuditTrust asks the running gateway what an audit log is verified against.
func (m *Manager) AuditTrust(ctx context.Context) (AuditTrust, error) {
	var trust AuditTrust
	return trust, m.do(ctx, http.MethodGet, "/audit-trust", nil, &trust)
}

// ReadAuditTrust reads what `audit keys` has written.
func ReadAuditTrust(path string) (AuditTrust, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return AuditTrust{}, fmt.Errorf("--keys: %w", err)
	}
	var trust AuditTrust
	if err := json.Unmarshal(raw, &trust); err != nil || trust.Keys == nil {
		return AuditTrust{}, fmt.Errorf("--keys: %s is not what `audit keys` writes", path)
	}
	return trust, nil
}

// open is how signatures are believed.
func (t AuditTrust) open() (audit.Keys, error) {
	raw, err := json.Marshal(t)
	if err != nil {
		return audit.Keys{}, err
	}
	set, err := keys.ParseSet(raw)
	if err != nil {
		return audit.Keys{}, err
	}
	return audit.Keys{Heads: t.Heads, Open: func(jws string) ([]byte, error) {
		payload, err := set.Open(jws, audit.HeadType)
		if errors.Is(err, keys.ErrUnknown) {
			err = audit.ErrUnknownKey
		}
		return payload, err
	}}, nil
}

// VerifyAudit holds an audit log against what is trusted. Where mixed is true
// its lines stand among others, as in the output of a container, and those of
// each chain are verified by themselves.
func VerifyAudit(log io.ReadSeeker, t AuditTrust, mixed bool) ([]audit.Report, error) {
	k, err := t.open()
	if err != nil {
		return nil, err
	}
	if !mixed {
		r, err := audit.Verify(log, k, "")
		return []audit.Report{r}, err
	}
	chains, err := audit.Chains(log)
	if err != nil {
		return nil, err
	}
	var out []audit.Report
	for _, chain := range chains {
		if _, err := log.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		r, err := audit.Verify(log, k, chain)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// DescribeAudit writes what was found, for people, and returns an error if an
// audit log is not what was written, or nothing proves that it is.
func DescribeAudit(w io.Writer, name string, reports []audit.Report) error {
	var bad []error
	for _, r := range reports {
		describeAudit(w, r)
		switch {
		case r.Damage != nil:
			bad = append(bad, fmt.Errorf("%s: %w", name, r.Damage))
		case r.Signed == 0:
			bad = append(bad, fmt.Errorf("%s: no signature of a key that is trusted is in it, so nothing proves it", name))
		}
	}
	if len(reports) == 0 {
		bad = append(bad, fmt.Errorf("%s: there is no line of an audit log in it", name))
	}
	return errors.Join(bad...)
}

func describeAudit(w io.Writer, r audit.Report) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d lines, %d chains\n", r.Lines-r.Skipped, len(r.Chains))
	if r.Skipped > 0 {
		fmt.Fprintf(&b, "%d other lines were passed over\n", r.Skipped)
	}
	for _, note := range r.Notes {
		fmt.Fprintln(&b, note)
	}
	if r.Signed > 0 {
		fmt.Fprintf(&b, "proven up to line %d, signed at %s\n", r.Signed, r.SignedAt)
	}
	switch {
	case r.Uncovered > 0 && r.Signed > 0:
		fmt.Fprintf(&b, "%d lines after that are not signed: they fit together, and nothing proves them\n", r.Uncovered)
	case r.Uncovered > 0:
		fmt.Fprintf(&b, "%d lines fit together, and nothing proves them\n", r.Uncovered)
	}
	if r.Unknown > 0 {
		fmt.Fprintf(&b, "%d signatures there are of keys that are not known\n", r.Unknown)
	}
	_, _ = b.WriteTo(w) // to a terminal
}
