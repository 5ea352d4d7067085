package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"mcp-oauth2-proxy/auth"
	"mcp-oauth2-proxy/auth/store"

	"github.com/labstack/echo/v4"
)

// failedStep remembers what is refused, and returns the reference that whoever
// is refused is shown: that of the attempt, or one for this alone.
func (g *Gateway) failedStep(c echo.Context, e *auth.Error) string {
	address, _, _ := net.SplitHostPort(c.Request().RemoteAddr) // that of the client, since the door
	step := auth.Step{Attempt: auth.AttemptOf(c), Name: stepAt(c.Request().URL.Path, e), Host: c.Request().Host, Address: address, Error: e}
	if step.Attempt == "" {
		step.Attempt = reference()
	}
	g.attempts.Note(step)
	return step.Attempt
}

// stepAt is the step that a path is for.
func stepAt(path string, e *auth.Error) auth.StepName {
	switch path {
	case "/register":
		return auth.StepRegistration
	case "/authorize":
		return auth.StepAuthorize
	case "/consent":
		return auth.StepConsent
	case "/signin", "/callback", "/account":
		return auth.StepProvider
	case "/token", "/revoke":
		return auth.StepToken
	}
	switch {
	case kindOf(path) == kindMetadata:
		return auth.StepMetadata
	case e.Status == http.StatusUnauthorized:
		return auth.StepChallenge
	}
	return auth.StepCall
}

// refusedCall is what was wrong with a call that was not passed on.
func refusedCall(o *outcome) *auth.Error {
	var e *auth.Error
	if errors.As(o.denied, &e) {
		return e
	}
	reason, needed := whyDenied(o.denied, "")
	for _, call := range o.calls {
		if r, n := whyDenied(o.denied, call.Tool); r != "batch" {
			reason, needed = r, n
		}
	}
	if needed != "" {
		return &auth.Error{Status: o.status, Code: "insufficient_scope", Description: "the call takes the scopes " + needed}
	}
	return &auth.Error{Status: o.status, Code: "call_denied", Description: "the call was denied: " + reason, Cause: o.denied}
}

func statusText(status int) string {
	if status == 0 {
		return "nothing: the client left"
	}
	return strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
}

// sentence makes a description read as one.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

func hashed(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// way is the order of the steps.
var way = []auth.StepName{
	auth.StepChallenge, auth.StepMetadata, auth.StepRegistration, auth.StepAuthorize, auth.StepConsent, auth.StepProvider, auth.StepCode, auth.StepToken, auth.StepCall,
}

// failureOf is what an attempt failed by: the last step that failed, unless one
// as far on the way has worked since. That a program without a token is refused
// is how an attempt begins, and no failure of it.
func failureOf(at attempt) *attemptStep {
	reached := -1
	for _, s := range slices.Backward(at.Steps) {
		place := slices.Index(way, s.Name)
		switch {
		case !s.failed():
			reached = max(reached, place)
		case place > reached && (place >= slices.Index(way, auth.StepRegistration) || len(at.Steps) == 1):
			return &s
		}
	}
	return nil
}

// An Explanation is what happened in one attempt, and if it failed, why.
type Explanation struct {
	Reference string        `json:"reference"`
	Host      string        `json:"host"`
	Network   string        `json:"network,omitempty"`
	Client    string        `json:"client_id,omitempty"`
	Name      string        `json:"client_name,omitempty"`
	Subject   string        `json:"sub,omitempty"`
	Steps     []attemptStep `json:"steps"`

	Verdict string        `json:"verdict"`
	Step    auth.StepName `json:"failed_step,omitempty"`
	Rule    string        `json:"rule,omitempty"` // of a public specification, or of the configuration
	Fix     string        `json:"fix,omitempty"`
}

// explain judges an attempt.
func explain(at attempt, now time.Time) Explanation {
	x := Explanation{
		Reference: at.Reference, Host: at.Host, Network: at.Network, Client: at.Client, Name: at.Name, Subject: at.Subject, Steps: at.Steps,
	}
	if failed := failureOf(at); failed != nil {
		r := ruleOf(*failed)
		x.Step, x.Verdict, x.Rule, x.Fix = failed.Name, failed.Description, r.Rule, r.Fix
		return x
	}
	last := at.Steps[len(at.Steps)-1]
	switch pending := now.Sub(last.Time) < 10*time.Minute; {
	case last.Name == auth.StepCall:
		x.Verdict = "it worked: the client has a token and has used it"
	case last.Name == auth.StepToken:
		x.Verdict = "it worked: the client has a token, and has not been seen to use it"
	case pending:
		x.Verdict = "nothing failed so far; it waits after this step: " + string(last.Name)
	case last.Name == auth.StepCode:
		x.Verdict, x.Step = "the code was never exchanged for a token", auth.StepToken
		x.Fix = "Look at the client: its redirect URI was not reached, or it cannot reach /token. Run doctor against this host."
	default:
		x.Verdict, x.Step = "it was given up after this step: "+string(last.Name), last.Name
		x.Fix = "The person closed the page or waited for more than ten minutes. Connect again."
	}
	return x
}

// explainAttempt answers over the admin socket.
func (g *Gateway) explainAttempt(w http.ResponseWriter, r *http.Request) {
	ref := strings.ToLower(strings.TrimSpace(r.URL.Query().Get("ref")))
	at, err := g.attempts.read(r.Context(), ref)
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && len(at.Steps) == 0:
		writeJSON(w, http.StatusNotFound, map[string]string{"error": "no attempt is remembered by that reference; they are kept for a day, and fewer if there are very many"})
	case err != nil:
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"error": err.Error()})
	default:
		writeJSON(w, http.StatusOK, explain(at, g.now()))
	}
}

// Explain says what happened in the attempt that a reference names.
func (m *Manager) Explain(ctx context.Context, ref string) (Explanation, error) {
	var x Explanation
	return x, m.do(ctx, http.MethodGet, "/explain?"+url.Values{"ref": {ref}}.Encode(), nil, &x)
}

// Describe writes an explanation for people.
func (x Explanation) Describe(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "attempt %s at %s", x.Reference, x.Host)
	for _, about := range [][2]string{{" by ", firstOf(x.Name, x.Client)}, {" from ", x.Network}, {" for ", x.Subject}} {
		if about[1] != "" {
			fmt.Fprint(&b, about[0], about[1])
		}
	}
	fmt.Fprint(&b, "\n\n")
	table := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	for _, s := range x.Steps {
		result := "ok"
		if s.failed() {
			result = "FAILED " + s.Code
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", s.Time.Format("2006-01-02 15:04:05Z07:00"), s.Name, result, s.text())
	}
	_ = table.Flush() // into memory
	fmt.Fprintf(&b, "\n%s\n", sentence(x.Verdict))
	for _, line := range [][2]string{{"step: ", string(x.Step)}, {"rule: ", x.Rule}, {"fix:  ", x.Fix}} {
		if line[1] != "" {
			fmt.Fprintln(&b, line[0]+line[1])
		}
	}
	_, err := b.WriteTo(w)
	return err
}

// text is a step in words.
func (s attemptStep) text() string {
	text := s.What
	for _, more := range []string{s.Description, s.Cause} {
		if more != "" && !strings.Contains(text, more) {
			text = strings.TrimPrefix(text+": "+more, ": ")
		}
	}
	if s.Count > 1 {
		text += fmt.Sprintf(" (%d times)", s.Count)
	}
	return text
}

func firstOf(names ...string) string {
	for _, n := range names {
		if n != "" {
			return n
		}
	}
	return ""
}
