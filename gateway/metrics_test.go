package gateway

import (
	"crypto/fips140"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/audit"
	"mcp-oauth2-proxy/auth/idp/idptest"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"
)

// scrape reads /metrics from a real listener.
func scrape(t testing.TB, g *Gateway, headers ...string) (string, http.Header) {
	t.Helper()
	s := httptest.NewServer(g.admin())
	defer s.Close()
	a := send(t, s.Client(), newRequest(t, http.MethodGet, s.URL+"/metrics", "", headers...))
	if a.StatusCode != http.StatusOK {
		t.Fatalf("/metrics: %s: %s", a.Status, a.body)
	}
	return a.body, a.Header
}

// samples are the values of all series, by name and labels.
func samples(t testing.TB, g *Gateway) map[string]float64 {
	t.Helper()
	text, _ := scrape(t, g)
	all := map[string]float64{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all[line[:i]] = value
	}
	return all
}

// grown is what happened meanwhile: the series whose values are not what they
// were, by how much.
func grown(was, is map[string]float64) map[string]float64 {
	more := map[string]float64{}
	for name, value := range is {
		if value != was[name] {
			more[name] = value - was[name]
		}
	}
	return more
}

// wantGrowth runs fn and wants that these series grow by it, and no others of
// their names. An answer may be there before it is counted.
func wantGrowth(t testing.TB, g *Gateway, fn func(), want map[string]float64) {
	t.Helper()
	names := map[string]bool{}
	for series := range want {
		name, _, _ := strings.Cut(series, "{")
		names[name] = true
	}
	was := samples(t, g)
	fn()
	for deadline := time.Now().Add(5 * time.Second); ; {
		more := grown(was, samples(t, g))
		maps.DeleteFunc(more, func(series string, _ float64) bool {
			name, _, _ := strings.Cut(series, "{")
			return !names[name]
		})
		if maps.Equal(more, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("counted %v, want %v", more, want)
			return
		}
	}
}

func TestRequestsAreCountedByHostKindAndStatus(t *testing.T) {
	f := newFixture(t)
	_, tok := f.connected(t, "notes:read")
	count := func(host, kind, status string) string {
		return fmt.Sprintf(`http_request_duration_seconds_count{host=%q,kind=%q,status=%q}`, host, kind, status)
	}
	for name, tc := range map[string]struct {
		ask  func()
		want string
	}{
		"a call":               {func() { f.call(t, notes, tok.access, "read_note") }, count("notes.example.com", "call", "200")},
		"another spelling":     {func() { f.call(t, "https://NOTES.example.com:443", tok.access, "read_note") }, count("notes.example.com", "call", "200")},
		"a call that is none":  {func() { f.call(t, notes, "", "read_note") }, count("notes.example.com", "call", "401")},
		"a call that may not":  {func() { f.call(t, notes, tok.access, "delete_note") }, count("notes.example.com", "call", "403")},
		"a page":               {func() { f.get(t, mail+"/authorize") }, count("mail.example.com", "page", "400")},
		"metadata":             {func() { f.get(t, notes+"/.well-known/oauth-protected-resource") }, count("notes.example.com", "metadata", "200")},
		"the token endpoint":   {func() { f.ask(t, http.MethodPost, notes+"/token", "") }, count("notes.example.com", "token", "400")},
		"/authenticate":        {func() { f.get(t, notes+"/authenticate") }, count("notes.example.com", "forward_auth", "401")},
		"a host that is none":  {func() { f.get(t, "https://other.example.com/token") }, count("unknown", "unknown", "421")},
		"a host that is empty": {func() { f.get(t, notes+"/mcp", "Host", ".") }, count("unknown", "unknown", "421")},
	} {
		t.Run(name, func(t *testing.T) { wantGrowth(t, f.Gateway, tc.ask, map[string]float64{tc.want: 1}) })
	}
}

// A server may answer with any number, and strangers may make it do so.
func TestAStatusThatIsNoneIsCountedByItsClass(t *testing.T) {
	o := notesServer()
	o.Before = func(w http.ResponseWriter, r *http.Request) bool {
		status, err := strconv.Atoi(r.Header.Get("X-Want"))
		if err == nil {
			w.WriteHeader(status)
		}
		return err == nil
	}
	f := newFixture(t, before(o))
	token := f.tokenOf(t, ada, "client-1")
	for status, class := range map[string]string{"200": "200", "299": "2xx", "418": "418", "431": "431", "499": "4xx", "599": "5xx", "799": "7xx", "999": "9xx"} {
		wantGrowth(t, f.Gateway, func() { f.say(t, token, "{}", "X-Want", status) },
			map[string]float64{`http_request_duration_seconds_count{host="notes.example.com",kind="call",status="` + class + `"}`: 1})
	}
}

func TestARequestThatItsClientLeavesIsNoSuccess(t *testing.T) {
	asked := make(chan struct{})
	o := notesServer()
	o.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Wait") == "" {
			return false
		}
		asked <- struct{}{}
		<-r.Context().Done()
		return true
	}
	f := newFixture(t, before(o))
	r := newRequest(t, http.MethodGet, notes+"/slow", "", "Authorization", "Bearer "+f.tokenOf(t, ada, "client-1"), "X-Wait", "yes")
	go func() {
		<-asked
		f.listener.CloseClientConnections()
	}()
	if res, err := (&http.Client{Transport: f}).Do(r); err == nil {
		_ = res.Body.Close()
		t.Fatalf("there is an answer: %s", res.Status)
	}
	const left = `http_request_duration_seconds_count{host="notes.example.com",kind="call",status="4xx"}`
	for deadline := time.Now().Add(10 * time.Second); samples(t, f.Gateway)[left] != 1; {
		if time.Now().After(deadline) {
			t.Fatal("it is not counted")
		}
	}
}

func TestOpenStreamsAreCounted(t *testing.T) {
	f := newFixture(t)
	_, tok := f.connected(t, "notes:read")
	const open = `mcp_streams_open{host="notes.example.com"}`
	wait := func(want float64) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; {
			is := samples(t, f.Gateway)[open]
			if is == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%g streams are open, want %g", is, want)
			}
		}
	}
	wait(0)
	first := f.stream(t, tok.access)
	wait(1)
	second := f.stream(t, tok.access)
	wait(2)
	_ = first.Body.Close()
	_ = second.Body.Close()
	wait(0)
}

func TestAccessTokenChecksAreCountedByWhatTheTokenWasWorth(t *testing.T) {
	f := newFixture(t)
	_, tok := f.connected(t, "notes:read")
	_, revoked := f.connected(t, "notes:read")
	for _, step := range []struct {
		result string
		ask    func()
	}{
		{"ok", func() { f.call(t, notes, tok.access, "read_note") }},
		{"ok", func() { f.get(t, notes+"/authenticate", "Authorization", "Bearer "+tok.access) }},
		{"none", func() { f.call(t, notes, "", "read_note") }},
		{"malformed", func() { f.get(t, notes+"/mcp", "Authorization", "Bearer a b") }},
		{"invalid", func() { f.call(t, notes, tok.access+"x", "read_note") }},
		{"revoked", func() { f.call(t, notes, revoked.access, "read_note") }},
		{"expired", func() { f.call(t, notes, tok.access, "read_note") }},
		{"unavailable", func() {
			f.call(t, notes, f.forged(t, f.tokenOf(t, ada, "x"))["with a kid that nobody has"], "read_note")
		}},
	} {
		switch step.result {
		case "revoked":
			grant, _ := claims(t, revoked.access)["sid"].(string)
			revokeAt(t, f, Revocation{Grant: grant})
		case "expired":
			f.forward(t, 2*time.Hour)
		case "unavailable":
			if err := f.engine.Close(); err != nil {
				t.Fatal(err)
			}
		}
		wantGrowth(t, f.Gateway, step.ask, map[string]float64{`access_token_checks_total{host="notes.example.com",result="` + step.result + `"}`: 1})
	}
}

func TestRegistrationsAreCounted(t *testing.T) {
	f := newFixture(t)
	at := func(host, result string) map[string]float64 {
		return map[string]float64{fmt.Sprintf("client_registrations_total{host=%q,result=%q}", host, result): 1}
	}
	wantGrowth(t, f.Gateway, func() { f.newClient(t, nil) }, at("notes.example.com", "ok"))
	wantGrowth(t, f.Gateway, func() { f.newClientAt(t, mail, nil) }, at("mail.example.com", "ok"))
	wantGrowth(t, f.Gateway, func() { f.register(t, notes, map[string]any{"redirect_uris": []string{"javascript:0"}}) }, at("notes.example.com", "refused"))
	wantGrowth(t, f.Gateway, func() { f.ask(t, http.MethodPost, notes+"/register", "{}") }, at("notes.example.com", "refused"))
}

func TestConsentDecisionsAreCounted(t *testing.T) {
	f := newFixture(t)
	at := func(decision string) map[string]float64 {
		return map[string]float64{`consent_decisions_total{decision="` + decision + `",host="notes.example.com"}`: 1}
	}
	c, b := f.webClient(t), f.newBrowser(t)
	wantGrowth(t, f.Gateway, func() { c.code(t, b) }, at("given"))
	wantGrowth(t, f.Gateway, func() { c.code(t, b) }, at("unasked")) // it returns to https, and ada said yes before
	wantGrowth(t, f.Gateway, func() { b.deny(t, b.open(t, c.authorizeURL("prompt", "consent"))) }, at("denied"))
}

func TestSigninsAreCountedByProviderAndResult(t *testing.T) {
	server := idptest.New(t)
	h := newHouse(t, signinConfig(oidcProvider(server, "company", "allowedEmailDomains: [example.com]")+`,
		{name: local, users: [{username: ada, passwordHash: "`+hashOfPassphrase+`", email: ada@example.com}]}`, ""), server.Client())
	at := func(provider, result string) map[string]float64 {
		return map[string]float64{fmt.Sprintf("signins_total{provider=%q,result=%q}", provider, result): 1}
	}
	through := func(visit func(testing.TB, string) url.Values) func() {
		return func() {
			p := h.person(t, visit)
			v := p.follow(t, p.asks(t, notes, nil)) // the page on which to choose
			p.follow(t, p.post(t, notes+"/signin", url.Values{"r": {v.field("r")}, "provider": {"company"}}))
		}
	}
	with := func(password string) func() {
		return func() {
			p := h.person(t, nil)
			v := p.follow(t, p.asks(t, notes, nil))
			p.follow(t, p.post(t, notes+"/signin", url.Values{"r": {v.field("r")}, "username": {"ada"}, "password": {password}}))
		}
	}
	wantGrowth(t, h.Gateway, through(server.Visit), at("company", "ok"))
	wantGrowth(t, h.Gateway, with(passphrase), at("local", "ok"))
	for range 3 { // server.limits.failedSigninsPerMinute
		wantGrowth(t, h.Gateway, with("wrong"), at("local", "refused"))
	}
	wantGrowth(t, h.Gateway, with(passphrase), at("local", "refused")) // too many in a minute
	server.Deny("access_denied")
	wantGrowth(t, h.Gateway, through(server.Visit), at("company", "cancelled"))
	server.Deny("")
	server.Fail(idptest.Token, idptest.Broken)
	wantGrowth(t, h.Gateway, through(server.Visit), at("company", "unavailable"))
	server.Fail(idptest.Token, idptest.None)
	server.Tweak(func(a *idptest.Answer) { a.Forged = true })
	wantGrowth(t, h.Gateway, through(server.Visit), at("company", "failed"))
	server.Tweak(nil)
	server.SignIn(idptest.User{Sub: "2", Email: "eve@elsewhere.example"})
	wantGrowth(t, h.Gateway, through(server.Visit), at("company", "refused"))
}

func TestOperationsOfTheStoreAreCounted(t *testing.T) {
	f := newFixture(t)
	count := func(verb, result string) float64 {
		return samples(t, f.Gateway)[fmt.Sprintf("store_operation_duration_seconds_count{operation=%q,result=%q}", verb, result)]
	}
	was := map[string]float64{}
	for _, verb := range verbNames {
		was[verb] = count(verb, "ok")
	}
	c, tok := f.connected(t, "notes:read")
	c.refresh(t, tok.refresh).tokens(t)
	for _, verb := range []string{"get", "put", "create", "update"} {
		if is := count(verb, "ok"); is <= was[verb] {
			t.Errorf("%s: %g, was %g", verb, is, was[verb])
		}
	}
	for _, call := range []func(){
		func() { _, _ = f.store.Take(t.Context(), "test", "nobody") },
		func() { _ = f.store.Delete(t.Context(), "test", "nobody") },
		func() { _, _ = f.store.List(t.Context(), "test", "", 1) },
	} {
		call()
	}
	for _, verb := range []string{"take", "delete", "list"} {
		if is := count(verb, "ok"); is <= was[verb] {
			t.Errorf("%s: that there is no such record is an error: %g, was %g", verb, is, was[verb])
		}
		if is := count(verb, "error"); is != 0 {
			t.Errorf("%s: %g errors before there was one", verb, is)
		}
	}
	if err := f.engine.Close(); err != nil {
		t.Fatal(err)
	}
	c.refresh(t, tok.refresh)
	if n := count("get", "error") + count("update", "error"); n == 0 {
		t.Error("a store that is closed has no errors")
	}
}

func TestWhatIsKeptElsewhereIsRead(t *testing.T) {
	f := newFixture(t)
	f.tokenOf(t, ada, "client-1") // there is a key from then on
	f.o.Build = ThisBuild("v1.2.3", "0123abc")
	f.clock.forward(10 * time.Minute)
	all := samples(t, f.Gateway)
	for series, want := range map[string]float64{
		"store_behind_seconds": 0,
		`build_info{fips="` + fmt.Sprint(fips140.Enabled()) + `",go_version="` + runtime.Version() + `",revision="0123abc",version="v1.2.3"}`: 1,
		"signing_key_age_seconds": 600,
	} {
		if is, ok := all[series]; !ok || is != want {
			t.Errorf("%s is %g (%t), want %g", series, is, ok, want)
		}
	}
	if all["go_goroutines"] == 0 {
		t.Error("there are no metrics of the Go runtime")
	}
	if _, ok := all["process_start_time_seconds"]; !ok && runtime.GOOS == "linux" {
		t.Error("there are no metrics of the process")
	}
	f.forward(t, time.Hour) // and another key signs
	if is := samples(t, f.Gateway)["signing_key_age_seconds"]; is != 0 {
		t.Errorf("the age of a new key is %g", is)
	}
}

func TestAnAuditLogThatCannotKeepUpIsSeen(t *testing.T) {
	f := newFixture(t)
	if is := samples(t, f.Gateway); is["audit_wait_seconds_total"] != 0 {
		t.Fatalf("somebody has waited before: %v", is)
	}
	f.audited.mu.Lock() // the file takes nothing
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 5000 {
			f.audit.Record(t.Context(), audit.Reloaded)
		}
	}()
	// Full, and still full when looked at again: somebody waits.
	deadline := time.Now().Add(10 * time.Second)
	for full := 0; full < 3 && time.Now().Before(deadline); {
		if samples(t, f.Gateway)["audit_queue_length"] >= 1024 {
			full++
		}
	}
	f.audited.mu.Unlock()
	<-done
	if is := samples(t, f.Gateway)["audit_wait_seconds_total"]; is <= 0 {
		t.Errorf("nobody has waited: %g", is)
	}
	for samples(t, f.Gateway)["audit_queue_length"] != 0 {
		if time.Now().After(deadline) {
			t.Fatal("the queue does not become empty")
		}
	}
}

func TestLinesThatTheLogLosesAreCounted(t *testing.T) {
	f := newFixture(t)
	r, w := io.Pipe() // that nobody reads
	f.Gateway.logged = newLogBuffer(w)
	line := make([]byte, 1024)
	for range 2 * maxLogged / len(line) {
		_, _ = f.Gateway.logged.Write(line)
	}
	if is, want := samples(t, f.Gateway)["log_lines_dropped_total"], f.Gateway.logged.Dropped(); is == 0 || is != float64(want) {
		t.Errorf("%g lines are counted, %d were dropped", is, want)
	}
	_ = r.Close() // and the writer ends
}

func TestAReloadDropsTheSeriesOfHostsAndProvidersThatAreGone(t *testing.T) {
	f := newFixture(t)
	_, tok := f.connected(t, "notes:read")
	f.call(t, notes, tok.access, "read_note")
	f.get(t, mail+"/mcp")
	was := samples(t, f.Gateway)
	f.reload(t, serving(`[{"host":"notes.example.com","endpoint":"%[1]s"},{"host":"new.example.com","endpoint":"%[1]s"}]`),
		signInAt(strings.Replace(localProvider, `"name":"local"`, `"name":"local","id":"staff"`, 1)))
	is := samples(t, f.Gateway)
	for series, value := range was {
		if strings.Contains(series, `_total{`) && strings.Contains(series, `"notes.example.com"`) && is[series] < value {
			t.Errorf("%s falls from %g to %g", series, value, is[series])
		}
	}
	for series := range is {
		if strings.Contains(series, `"mail.example.com"`) || strings.Contains(series, `provider="local"`) {
			t.Errorf("%s is still there", series)
		}
	}
	for _, series := range []string{`access_token_checks_total{host="new.example.com",result="none"}`, `signins_total{provider="staff",result="ok"}`} {
		if value, ok := is[series]; !ok || value != 0 {
			t.Errorf("%s is %g (%t), want 0", series, value, ok)
		}
	}
	f.reload(t, serving(`[{"host":"notes.example.com","endpoint":"%[1]s","public":true}]`))
	for series := range samples(t, f.Gateway) {
		if strings.HasPrefix(series, "access_token_checks_total") {
			t.Errorf("%s is there, though nobody is asked for a token", series)
		}
	}
}

// A reload that is refused changes nothing of what is shown either.
func TestAReloadThatFailsShowsNothingNew(t *testing.T) {
	f := newFixture(t)
	was := slices.Sorted(maps.Keys(samples(t, f.Gateway)))
	s := f.setup
	serving(`[{"host":"new.example.com","endpoint":"%[1]s"}]`)(&s)
	c := s.config(t, f.upstream.URL)
	c.Logging.Level = "error"
	if err := f.Reload(t.Context(), c); err == nil {
		t.Fatal("it is not refused")
	}
	if is := slices.Sorted(maps.Keys(samples(t, f.Gateway))); !slices.Equal(was, is) {
		t.Errorf("there were %d series and are %d", len(was), len(is))
	}
}

// What strangers say is in no label, however they say it.
func TestH10_ten_thousand_paths_hosts_tools_and_clients_add_no_series(t *testing.T) {
	f := newFixture(t)
	_, tok := f.connected(t, "notes:read")
	f.logged.discard()
	f.audited.discard()
	ask := func(n int, word string) {
		switch n % 6 {
		case 0:
			f.get(t, "https://"+word+".example.org/"+word)
		case 1:
			f.get(t, notes+"/"+word)
		case 2:
			f.call(t, notes, tok.access, word)
		case 3:
			f.get(t, notes+"/authorize?client_id="+word+"&state="+word)
		case 4:
			f.ask(t, http.MethodPost, notes+"/token", "grant_type="+word+"&client_id="+word, "Content-Type", "application/x-www-form-urlencoded")
		case 5:
			f.ask(t, strings.ToUpper(word), notes+"/mcp", "", "X-Forwarded-Host", word, "User-Agent", word)
		}
	}
	for n := range 6 {
		ask(n, "first")
	}
	f.register(t, notes, map[string]any{"client_name": "x"})
	was := samples(t, f.Gateway)
	var work sync.WaitGroup
	for worker := range 4 {
		work.Go(func() {
			for n := range 2500 {
				ask(n, fmt.Sprintf("x%dx%d", worker, n))
			}
		})
	}
	most := 0
	done := make(chan struct{})
	go func() { defer close(done); work.Wait() }()
	for under := true; under; { // while they are at it
		select {
		case <-done:
			under = false
		case <-time.After(50 * time.Millisecond):
		}
		most = max(most, len(samples(t, f.Gateway)))
	}
	counted := func() (n float64) {
		for series, value := range grown(was, samples(t, f.Gateway)) {
			if strings.HasPrefix(series, "http_request_duration_seconds_count") {
				n += value
			}
		}
		return n
	}
	for deadline := time.Now().Add(5 * time.Second); counted() != 10_000; {
		if time.Now().After(deadline) {
			t.Fatalf("%g requests were counted", counted())
		}
	}
	for series := range samples(t, f.Gateway) {
		if _, there := was[series]; !there {
			t.Errorf("%s is new", series)
		}
	}
	if most > len(was) {
		t.Errorf("there were up to %d series, %d before", most, len(was))
	}
}

func TestMetricsAreWrittenAsTheScraperAsks(t *testing.T) {
	f := newFixture(t)
	f.get(t, notes+"/mcp")
	text, h := scrape(t, f.Gateway, "Accept", "application/openmetrics-text;version=1.0.0")
	if !strings.HasPrefix(h.Get("Content-Type"), "application/openmetrics-text; version=1.0.0") || !strings.HasSuffix(text, "# EOF\n") {
		t.Errorf("OpenMetrics was asked for, and the answer is %q, ending in %q", h.Get("Content-Type"), text[len(text)-10:])
	}
	const unit = `http_request_duration_seconds_bucket{host="notes.example.com",kind="call",status="401",le="+Inf"} 1`
	if !strings.Contains(text, unit) {
		t.Errorf("there is no %s", unit)
	}
	if text, h = scrape(t, f.Gateway); !strings.HasPrefix(h.Get("Content-Type"), "text/plain; version=0.0.4") || !strings.Contains(text, unit) {
		t.Errorf("without a wish it is %q", h.Get("Content-Type"))
	}
	text, _ = scrape(t, f.Gateway, "Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	for in := strings.NewReader(text); ; {
		var family dto.MetricFamily
		if err := protodelim.UnmarshalFrom(in, &family); errors.Is(err, io.EOF) {
			t.Fatal("the histogram is not there")
		} else if err != nil {
			t.Fatal(err)
		}
		if family.GetName() != "http_request_duration_seconds" {
			continue
		}
		hist := family.GetMetric()[0].GetHistogram()
		if hist.GetSchema() != 3 || len(hist.GetPositiveSpan()) == 0 || len(hist.GetBucket()) != len(requestBuckets) {
			t.Errorf("it is not both native and classic: %v", hist)
		}
		return
	}
}

// promlint knows the conventions; what it does not like has its reason here.
func TestMetricsAreNamedAsPrometheusWants(t *testing.T) {
	f := newFixture(t)
	f.get(t, notes+"/mcp")
	text, _ := scrape(t, f.Gateway)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestH10_calls_of_tools_are_counted_by_name_and_by_whether_they_were_passed_on(t *testing.T) {
	f := newFixture(t)
	_, tok := f.connected(t, "notes:read")
	at := func(calls float64, counted ...string) map[string]float64 {
		want := map[string]float64{`mcp_tool_call_duration_seconds_count{host="notes.example.com"}`: calls}
		for i := 0; i < len(counted); i += 2 {
			want[fmt.Sprintf("mcp_tool_calls_total{decision=%q,host=%q,tool=%q}", counted[i+1], "notes.example.com", counted[i])]++
		}
		return want
	}
	for name, tc := range map[string]struct {
		ask  func()
		want map[string]float64
	}{
		"one that is granted":           {func() { f.call(t, notes, tok.access, "read_note") }, at(1, "read_note", "allowed")},
		"one that is not":               {func() { f.call(t, notes, tok.access, "delete_note") }, at(1, "delete_note", "denied")},
		"one that no scope covers":      {func() { f.call(t, notes, tok.access, "ping") }, at(1, "ping", "allowed")},
		"one that is not there":         {func() { f.call(t, notes, tok.access, "made_up") }, at(1, "other", "allowed")},
		"one in another case":           {func() { f.call(t, notes, tok.access, "READ_NOTE") }, at(1, "read_note", "allowed")},
		"several, of which one may not": {func() { f.say(t, tok.access, batch) }, at(1, "read_note", "denied", "delete_note", "denied")},
	} {
		t.Run(name, func(t *testing.T) {
			was := samples(t, f.Gateway)
			tc.ask()
			// What a histogram sums up is not told beforehand.
			for deadline := time.Now().Add(5 * time.Second); ; {
				more := grown(was, samples(t, f.Gateway))
				maps.DeleteFunc(more, func(s string, _ float64) bool {
					return !strings.HasPrefix(s, "mcp_tool_calls_total") && !strings.HasPrefix(s, "mcp_tool_call_duration_seconds_count")
				})
				if maps.Equal(more, tc.want) {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("counted %v, want %v", more, tc.want)
				}
			}
		})
	}
	f.say(t, tok.access, initialize) // is no call of a tool
	is := samples(t, f.Gateway)
	f.say(t, tok.access, initialize)
	for series := range grown(is, samples(t, f.Gateway)) {
		if strings.HasPrefix(series, "mcp_tool_") {
			t.Errorf("%s has grown", series)
		}
	}
}

func TestToolsHaveSeriesOfTheirOwnUpToAHundred(t *testing.T) {
	h := newHostMetrics("notes.example.com", true)
	for n := range 3 * maxTools {
		h.tools.called(fmt.Sprint("tool ", n), n%3 != 0, true)
	}
	if n := len(*h.tools.known.Load()); n != maxTools+1 {
		t.Errorf("%d tools have series", n)
	}
	if _, ok := (*h.tools.known.Load())["tool 0"]; ok {
		t.Error("a tool that nobody lists has series of its own")
	}
}

func TestStatusesHaveTheirNames(t *testing.T) {
	for status, want := range map[int]string{
		200: "200", 404: "404", 418: "418", 511: "511", 204: "204", 299: "2xx", 499: "4xx", 600: "6xx", 999: "9xx", 0: "1xx", -1: "1xx", math.MaxInt: "1xx",
	} {
		if got := statusNames[statusIndex(status)]; got != want {
			t.Errorf("%d is counted as %s, want %s", status, got, want)
		}
	}
}

// BenchmarkObserve is what counting adds to a request.
func BenchmarkObserve(b *testing.B) {
	h := newHostMetrics("notes.example.com", true)
	b.ReportAllocs()
	for b.Loop() {
		rec := recorders.Get().(*recorder)
		*rec = recorder{host: h, began: time.Now()}
		rec.at(h, kindCall)
		rec.status = http.StatusOK
		rec.end()
	}
}

// BenchmarkObserveTool is what a call of a tool adds to that.
func BenchmarkObserveTool(b *testing.B) {
	h := newHostMetrics("notes.example.com", true)
	h.tools.called("read_note", true, true)
	b.ReportAllocs()
	for b.Loop() {
		h.tools.called("read_note", true, true)
		h.tools.time.Observe(.012)
	}
}
