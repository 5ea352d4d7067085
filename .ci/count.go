// Command count reads the output of go test -json, prints what a person wants
// to see of it, and adds one line to a file: how many tests passed, failed, and
// were skipped. A test with subtests is not counted beside them, unless it
// failed and none of them did; a package that failed without a test counts as
// one failure.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
)

type event struct {
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64
}

type results struct{ passed, failed, skipped int }

// A tally is what is known so far.
type tally struct {
	result map[[2]string]results  // of each test or package, however often it ran
	output map[[2]string][]string // what each test or package has printed
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: go test -json ./... | count FILE")
	}
	t := tally{map[[2]string]results{}, map[[2]string][]string{}}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text())
			continue
		}
		t.take(e)
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
	passed, failed, skipped := t.count()
	fmt.Printf("%d passed, %d failed, %d skipped in this stage\n", passed, failed, skipped)
	f, err := os.OpenFile(os.Args[1], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	if _, err = fmt.Fprintln(f, passed, failed, skipped); err != nil {
		log.Fatal(err)
	}
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
}

func (t tally) take(e event) {
	at := [2]string{e.Package, e.Test}
	switch e.Action {
	case "output":
		t.output[at] = append(t.output[at], e.Output)
	case "build-output":
		fmt.Print(e.Output)
	case "fail", "pass", "skip":
		r := t.result[at]
		switch e.Action {
		case "fail":
			r.failed++
		case "pass":
			r.passed++
		default:
			r.skipped++
		}
		t.result[at] = r
		t.tell(e, at)
		delete(t.output, at)
	}
}

// tell prints what a failed or skipped test has said, and one line a package.
func (t tally) tell(e event, at [2]string) {
	switch {
	case e.Test == "" && e.Action == "skip": // a package without tests
	case e.Test == "" && e.Action == "pass":
		fmt.Printf("ok   %s %.1fs\n", e.Package, e.Elapsed)
	case e.Action != "pass":
		fmt.Printf("%s %s %s\n%s", strings.ToUpper(e.Action), e.Package, e.Test, strings.Join(t.output[at], ""))
	}
}

func (t tally) count() (passed, failed, skipped int) {
	parent, blamed := map[[2]string]bool{}, map[[2]string]bool{}
	for at, r := range t.result {
		for up := above(at); up != at; at, up = up, above(up) {
			parent[up] = true
			blamed[up] = blamed[up] || r.failed > 0
		}
	}
	for at, r := range t.result {
		if !blamed[at] {
			failed += r.failed
		}
		if !parent[at] && at[1] != "" {
			passed, skipped = passed+r.passed, skipped+r.skipped
		}
	}
	return passed, failed, skipped
}

// above is the test's parent, the package of a test without one, or itself.
func above(at [2]string) [2]string {
	i := strings.LastIndex(at[1], "/")
	return [2]string{at[0], at[1][:max(i, 0)]}
}
