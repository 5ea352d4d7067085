package doctor

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

var (
	// ErrUsage is a question that cannot be understood.
	ErrUsage = errors.New("doctor")
	// ErrWrong is a deployment that at least one client fails at.
	ErrWrong = errors.New("doctor: something is wrong")
)

// Print walks the deployment and writes what it found, step by step for people,
// or at the end as JSON. The error is ErrWrong if something is wrong.
func Print(ctx context.Context, w io.Writer, address string, o Options, asJSON bool) error {
	if !asJSON {
		o.Each = func(s Step) { WriteStep(w, s) }
	}
	report, err := Run(ctx, address, o)
	if err != nil {
		return err
	}
	if asJSON {
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		out.SetEscapeHTML(false)
		err = out.Encode(report)
	} else {
		fmt.Fprintln(w)
		report.WriteOutcomes(w)
	}
	if err == nil && report.Failed() {
		return ErrWrong
	}
	return err
}

// ReadCA is the system's authorities and those in a file; without a file, nil.
func ReadCA(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a system without any still has this file
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}

// ReadSecret is the text of a file, without the end of its line; without a
// file, nothing.
func ReadSecret(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	return strings.TrimRight(string(text), "\r\n"), err
}
