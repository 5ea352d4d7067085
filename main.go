// Command mcp-oauth2-proxy puts OAuth 2.1 in front of MCP servers.
//
// README.md says what it is for; `mcp-oauth2-proxy help` lists the commands.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"mcp-oauth2-proxy/gateway"
	"mcp-oauth2-proxy/gateway/demo"
	"mcp-oauth2-proxy/gateway/doctor"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// version and revision are stamped by the release build.
var version, revision = "dev", ""

// Exit codes: 0 good, 1 the thing failed, 2 wrong usage.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, err)
	var usage *usageError
	if errors.As(err, &usage) || errors.Is(err, doctor.ErrUsage) {
		os.Exit(exitUsage)
	}
	os.Exit(exitFailed)
}

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func usage(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err}
}

// command is the whole command line. Without a command it serves.
func command() *cobra.Command {
	root := serveCommand()
	root.Use = "mcp-oauth2-proxy"
	root.Short = "OAuth 2.1 in front of MCP servers"
	root.SilenceErrors, root.SilenceUsage = true, true
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return gateway.ThisBuild(version, revision).CheckFIPS() }
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	root.PersistentFlags().String("config", "", "configuration file (default: $MCP_OAUTH2_PROXY_CONFIG, else /etc/mcp-oauth2-proxy/config/config.yaml)")
	serve := serveCommand()
	serve.Use = "serve"
	root.AddCommand(
		serve, demoCommand(), checkCommand(), doctorCommand(), hashPasswordCommand(),
		connectionsCommand(), revokeCommand(), rotateKeysCommand(),
		backupCommand(), migrateStoreCommand(), auditCommand(), explainCommand(),
		selfsignedCACommand(), healthCommand(), versionCommand(),
	)
	for _, c := range append(root.Commands(), root) {
		if c.Args == nil {
			c.Args = none
		}
	}
	return root
}

// none refuses arguments, a mistyped command among them.
func none(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage(fmt.Errorf("unknown argument %q for %q; see %q", args[0], c.CommandPath(), "mcp-oauth2-proxy help"))
}

// load reads the configuration that a command is about.
func load(c *cobra.Command) (*gateway.Config, string, error) {
	path, err := c.Flags().GetString("config")
	if err != nil {
		return nil, "", err
	}
	if path == "" {
		path = gateway.DefaultPath(os.Environ())
	}
	config, err := gateway.Load(path, os.Environ())
	return config, path, err
}

// managing runs what asks the gateway that runs with the configuration.
func managing(run func(c *cobra.Command, m *gateway.Manager, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		config, _, err := load(c)
		if err != nil {
			return err
		}
		return run(c, gateway.Manage(config), args)
	}
}

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Short: "Run the gateway (the default)",
		RunE: func(c *cobra.Command, _ []string) error {
			config, path, err := load(c)
			if err != nil {
				return err
			}
			sockets, err := gateway.HandedOver(os.Getenv, os.Getpid())
			if err != nil {
				return err
			}
			supervisor, err := gateway.SupervisedBy(os.Getenv, os.Getpid())
			if err != nil {
				return err
			}
			g, err := gateway.New(c.Context(), config, gateway.Options{Build: gateway.ThisBuild(version, revision), Listeners: sockets, Supervisor: supervisor})
			if err != nil {
				return err
			}
			defer g.Close()
			for _, w := range config.Warnings() {
				g.Log().Warn(w)
			}
			ctx, cancel := context.WithCancel(c.Context())
			defer cancel()
			go reloadOnHangup(ctx, g, path)
			return g.Run(ctx)
		},
	}
}

// reloadOnHangup reads the configuration again on SIGHUP.
func reloadOnHangup(ctx context.Context, g *gateway.Gateway, path string) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			g.ReloadFrom(ctx, path, os.Environ())
		}
	}
}

func demoCommand() *cobra.Command {
	c := &cobra.Command{Use: "demo", Short: "Try everything on this machine: no account, no file"}
	addr := c.Flags().String("addr", "127.0.0.1:8080", "loopback address to listen on")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := demo.CheckAddr(*addr); err != nil {
			return usage(err)
		}
		return runDemo(c.Context(), c.OutOrStdout(), *addr)
	}
	return c
}

// runDemo serves the toolbox MCP server on a port of its own, and the gateway
// in front of it.
func runDemo(ctx context.Context, out io.Writer, addr string) error {
	var open net.ListenConfig
	l, err := open.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	toolbox := &http.Server{Handler: demo.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go toolbox.Serve(l) //nolint:errcheck // it ends with the program
	defer toolbox.Close()
	config, err := gateway.Parse([]byte(demo.Config(addr, "http://"+l.Addr().String()+"/mcp")), nil)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	username, password := demo.Account()
	g, err := gateway.New(ctx, config, gateway.Options{
		Log:  slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Demo: &gateway.DemoSignin{Username: username, Password: password}, Audit: io.Discard,
		Listening: func() { fmt.Fprint(out, demo.Banner(addr)) },
	})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer g.Close()
	return g.Run(ctx)
}

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "Report every fault of the configuration",
		RunE: func(c *cobra.Command, _ []string) error {
			config, path, err := load(c)
			if err != nil {
				return err
			}
			for _, w := range config.Warnings() {
				fmt.Fprintln(c.OutOrStdout(), "warning:", w)
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: good\n", path)
			return nil
		},
	}
}

func doctorCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "doctor URL", Short: "Walk a live deployment as real clients do; say which step is wrong and what fixes it",
		Args: exactly("URL"),
	}
	var o doctor.Options
	f := c.Flags()
	f.StringSliceVar(&o.Profiles, "as", nil, "clients to play, of "+strings.Join(doctor.Names(), ", ")+" (default: all)")
	asJSON := f.Bool("json", false, "print one JSON document, as docs/doctor.md describes it")
	noSignIn := f.Bool("no-signin", false, "stop before a person has to sign in")
	ca := f.String("ca", "", "file with certificates of authorities to believe, besides the system's")
	secretFile := f.String("client-secret-file", "", "file with the secret of --client-id")
	f.StringVar(&o.ClientID, "client-id", "", "client to sign in as, where the server registers nobody")
	f.IntVar(&o.CallbackPort, "callback-port", 0, "port on 127.0.0.1 for the answer of the sign-in (default: any)")
	f.DurationVar(&o.Patience, "timeout", 10*time.Second, "how long one answer may take")
	f.DurationVar(&o.Idle, "idle", 5*time.Second, "how long a silent stream has to live")
	c.RunE = func(c *cobra.Command, args []string) error {
		var err error
		if o.CA, err = doctor.ReadCA(*ca); err != nil {
			return usage(fmt.Errorf("--ca: %w", err))
		}
		if o.ClientSecret, err = doctor.ReadSecret(*secretFile); err != nil {
			return usage(fmt.Errorf("--client-secret-file: %w", err))
		}
		if !*noSignIn {
			o.SignIn = func(_ context.Context, address string) error {
				_, err := fmt.Fprintf(c.ErrOrStderr(), "\nopen this in a browser on this machine, and sign in:\n\n  %s\n\n", address)
				return err
			}
		}
		return doctor.Print(c.Context(), c.OutOrStdout(), args[0], o, *asJSON)
	}
	return c
}

func hashPasswordCommand() *cobra.Command {
	return &cobra.Command{
		Use: "hash-password", Short: "Print the hash of a password, for provider.users",
		RunE: func(c *cobra.Command, _ []string) error {
			password, err := readPassword(c.InOrStdin(), c.ErrOrStderr())
			if err != nil {
				return err
			}
			hash, err := gateway.HashPassword(password)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), hash)
			return nil
		},
	}
}

// readPassword reads one line; on a terminal it asks twice and shows nothing.
func readPassword(in io.Reader, prompt io.Writer) ([]byte, error) {
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(prompt, "password: ")
		first, err := term.ReadPassword(int(f.Fd()))
		if err != nil {
			return nil, fmt.Errorf("read the password: %w", err)
		}
		fmt.Fprint(prompt, "\nonce more: ")
		second, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(prompt)
		if err != nil {
			return nil, fmt.Errorf("read the password: %w", err)
		}
		if string(first) != string(second) {
			return nil, errors.New("the two passwords differ")
		}
		return notEmpty(first)
	}
	line, err := bufio.NewReader(io.LimitReader(in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the password: %w", err)
	}
	return notEmpty([]byte(strings.TrimRight(line, "\r\n")))
}

func notEmpty(password []byte) ([]byte, error) {
	if len(password) == 0 {
		return nil, errors.New("the password is empty")
	}
	return password, nil
}

func connectionsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "connections", Short: "List who granted what to which client",
		RunE: managing(func(c *cobra.Command, m *gateway.Manager, _ []string) error {
			list, err := m.Connections(c.Context())
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 4, 2, ' ', 0)
			fmt.Fprintln(w, "GRANT\tHOST\tUSER\tCLIENT\tSCOPES\tGIVEN\tUSED")
			for _, x := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.Grant, x.Host, x.User, x.Label(), strings.Join(x.Scopes, " "), x.Given.Format(time.DateTime), x.Used.Format(time.DateTime))
			}
			return w.Flush()
		}),
	}
}

func revokeCommand() *cobra.Command {
	c := &cobra.Command{Use: "revoke", Short: "End grants now, open streams included"}
	var v gateway.Revocation
	c.Flags().StringVar(&v.User, "user", "", "every grant of this user (subject, e-mail or login)")
	c.Flags().StringVar(&v.Client, "client", "", "every grant of this client, and refuse it from now on")
	c.Flags().BoolVar(&v.Allow, "allow", false, "with --client: accept the client again")
	c.Flags().StringVar(&v.Grant, "grant", "", "this grant, as `connections` lists it")
	c.Flags().StringVar(&v.Host, "host", "", "every grant at this host")
	c.Flags().BoolVar(&v.All, "all", false, "every grant and every session")
	c.MarkFlagsMutuallyExclusive("user", "client", "grant", "host", "all")
	c.MarkFlagsOneRequired("user", "client", "grant", "host", "all")
	c.RunE = managing(func(c *cobra.Command, m *gateway.Manager, _ []string) error {
		if v.Allow && v.Client == "" {
			return usage(errors.New("--allow goes with --client"))
		}
		ended, err := m.Revoke(c.Context(), v)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%d grants ended\n", ended)
		return nil
	})
	return c
}

func rotateKeysCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rotate-keys", Short: "Sign with a new key from now on; issued tokens stay good",
		RunE: managing(func(c *cobra.Command, m *gateway.Manager, _ []string) error { return m.RotateKeys(c.Context()) }),
	}
}

func backupCommand() *cobra.Command {
	return &cobra.Command{
		Use: "backup FILE", Short: "Copy the running gateway's state file, as it is now, to FILE",
		Args: exactly("FILE"),
		RunE: managing(func(c *cobra.Command, m *gateway.Manager, args []string) error {
			size, err := m.Backup(c.Context(), args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: %d bytes\n", args[0], size)
			return nil
		}),
	}
}

func migrateStoreCommand() *cobra.Command {
	return &cobra.Command{
		Use: "migrate-store FROM TO", Short: "Copy all records from one store to another, such as bolt:///path to postgres://…; no gateway may run on either",
		Args: exactly("FROM", "TO"),
		RunE: func(c *cobra.Command, args []string) error {
			copied, err := gateway.MigrateStore(c.Context(), args[0], args[1])
			if copied > 0 || err == nil {
				fmt.Fprintf(c.OutOrStdout(), "%d records copied\n", copied)
			}
			return err
		},
	}
}

// exactly wants these arguments.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return usage(fmt.Errorf("%s takes %s", c.CommandPath(), strings.Join(names, " and ")))
	}
}

func explainCommand() *cobra.Command {
	c := &cobra.Command{Use: "explain REF", Short: "What happened in one authorization attempt, and what fixes it", Args: exactly("REF")}
	asJSON := c.Flags().Bool("json", false, "for programs")
	c.RunE = managing(func(c *cobra.Command, m *gateway.Manager, args []string) error {
		x, err := m.Explain(c.Context(), args[0])
		switch {
		case err != nil:
			return err
		case *asJSON:
			return json.NewEncoder(c.OutOrStdout()).Encode(x)
		}
		return x.Describe(c.OutOrStdout())
	})
	return c
}

func auditCommand() *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "Verify the audit log", Args: none, RunE: func(*cobra.Command, []string) error {
		return usage(errors.New("audit takes verify FILE or keys"))
	}}
	c.AddCommand(auditVerifyCommand(), &cobra.Command{
		Use: "keys", Short: "Print what the audit log is verified against, for --keys on another machine", Args: none,
		RunE: managing(func(c *cobra.Command, m *gateway.Manager, _ []string) error {
			trust, err := m.AuditTrust(c.Context())
			if err != nil {
				return err
			}
			return json.NewEncoder(c.OutOrStdout()).Encode(trust)
		}),
	})
	return c
}

func auditVerifyCommand() *cobra.Command {
	c := &cobra.Command{Use: "verify FILE", Short: "Name the first line that is not as it was written", Args: exactly("FILE")}
	keys := c.Flags().String("keys", "", "what `audit keys` wrote; default: ask the running gateway")
	mixed := c.Flags().Bool("mixed", false, "FILE has other lines too, such as the log, or lines of several replicas")
	c.RunE = func(c *cobra.Command, args []string) error {
		trust, err := auditTrust(c, *keys)
		if err != nil {
			return err
		}
		f, err := os.Open(args[0]) // after the keys: what is remembered is in the file
		if err != nil {
			return err
		}
		defer f.Close()
		reports, err := gateway.VerifyAudit(f, trust, *mixed)
		if err != nil {
			return err
		}
		return gateway.DescribeAudit(c.OutOrStdout(), args[0], reports)
	}
	return c
}

// auditTrust is what an audit log is verified against, from a file or from the
// running gateway.
func auditTrust(c *cobra.Command, file string) (gateway.AuditTrust, error) {
	if file != "" {
		return gateway.ReadAuditTrust(file)
	}
	config, _, err := load(c)
	if err != nil {
		return gateway.AuditTrust{}, err
	}
	return gateway.Manage(config).AuditTrust(c.Context())
}

func selfsignedCACommand() *cobra.Command {
	return &cobra.Command{
		Use: "selfsigned-ca", Short: "Print the certificate of the local CA (tls.mode selfsigned), for clients to trust",
		RunE: managing(func(c *cobra.Command, m *gateway.Manager, _ []string) error {
			pem, err := m.SelfSignedCA(c.Context())
			if err != nil {
				return err
			}
			fmt.Fprint(c.OutOrStdout(), pem)
			return nil
		}),
	}
}

func healthCommand() *cobra.Command {
	return &cobra.Command{
		Use: "health", Short: "Ask the running gateway whether it is ready",
		RunE: func(c *cobra.Command, _ []string) error {
			config, _, err := load(c)
			if err != nil {
				return err
			}
			return gateway.Health(c.Context(), config)
		},
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print what program this is",
		// Also of a build that refuses everything else.
		PersistentPreRun: func(*cobra.Command, []string) {},
		Run: func(c *cobra.Command, _ []string) {
			fmt.Fprintln(c.OutOrStdout(), gateway.ThisBuild(version, revision))
		},
	}
}
