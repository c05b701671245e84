// Package config reads the configuration file of a node. It is the only package that knows HCL.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"hookwheel/certs"
	"hookwheel/scheduler"
	"hookwheel/webhook"
)

// Config is what a node is told when it starts. config.example.hcl is its manual: keep the two in step.
type Config struct {
	Node           string // this node's id, unique in the cluster: 1 to 64 of a-z 0-9 -
	Data           string // folder that holds all the node keeps
	LogLevel       slog.Level
	EncryptionKeys []string // seal the secrets of endpoints, the first one new ones; each at least 32 characters; secret
	API            API
	Cluster        Cluster
	Storage        Storage
	Delivery       Delivery
	Limits         Limits
}

// Limits are how much of what customers share one of them may have; set them the same on all nodes.
type Limits struct {
	Applications int // in all
	EventTypes   int // in all
	Endpoints    int // of an application, unless an admin has given it a limit of its own
	Replays      int // of an application at a time
	ManualSends  int // messages that the portals of an application may have sent by hand in a minute, on each node
}

// API is the HTTP server for producers, customers and operators.
type API struct {
	Listen    string        // host:port; port 0 takes a free one
	Token     string        // what callers must present, at least 16 characters; secret
	JWTSecret string        // signs the JWTs that are taken beside it, as a Svix server does, at least 16 characters or none; secret
	PortalURL string        // the page that portal links lead to; empty: /portal of this server
	MaxBody   int           // the largest request body, in bytes
	Drain     time.Duration // how long a node that stops goes on serving, while its health check says that it stops
	TLS       certs.Files   // has no CA; empty: plain HTTP
}

// Cluster is the nodes and how this one hears the others.
type Cluster struct {
	Listen  string      // host:port
	Address string      // host:port at which the other nodes reach this one
	Peers   []Peer      // the nodes that form the cluster, this one included
	Join    []string    // instead of Peers: addresses of nodes that let this one into their cluster
	Voter   bool        // whether this node has a vote
	Secret  string      // what all nodes of the cluster know, at least 16 characters or none; secret
	TLS     certs.Files // mutual TLS between nodes; empty only if all of them are on this machine
}

// Peer is one node of the cluster.
type Peer struct {
	ID      string
	Address string // host:port at which the other nodes reach it
}

// Storage is what is asked of the disk.
type Storage struct {
	MinFree   int64         // with less free space than this, in bytes, new events are refused; 0 chooses by the size of the file system
	MaxSize   int64         // of messages and attempts, in bytes: beyond it the oldest go that nobody waits for; 0: any
	Retention time.Duration // how long messages are kept that do not say it themselves, with their attempts
}

// Delivery is how messages are sent to endpoints.
type Delivery struct {
	Timeout     time.Duration  // of one attempt, from dialling to the end of the answer
	Workers     int            // attempts in flight, all endpoints together
	PerEndpoint int            // attempts in flight to one endpoint, at most Workers
	Allow       []netip.Prefix // private networks that may be delivered to all the same
	Deny        []netip.Prefix // networks that may not, whatever else is said
	Proxy       *url.URL       // through which requests go out; nil: none; may hold a password
	NoProxy     []string       // what is reached without it
	Retry       webhook.RetryPolicy
	Breaker     scheduler.BreakerPolicy
}

// Default is a single node on this machine. It has no API token.
func Default() Config {
	const node = "n1"
	return Config{
		Node:     node,
		Data:     "./hookwheel-data",
		LogLevel: slog.LevelInfo,
		API:      API{Listen: "127.0.0.1:8071", MaxBody: 1 << 20, Drain: 2 * time.Second},
		Cluster:  singleNode(node),
		Storage:  Storage{Retention: 30 * 24 * time.Hour},
		Delivery: Delivery{
			Timeout:     15 * time.Second,
			Workers:     512,
			PerEndpoint: 64,
			Retry:       webhook.DefaultRetryPolicy(),
			Breaker:     scheduler.DefaultBreakerPolicy(),
		},
		Limits: Limits{Applications: 100_000, EventTypes: 5000, Endpoints: 500, Replays: 50, ManualSends: 300},
	}
}

// singleNode is a node without a cluster block: it does not listen for others. Raft wants an address all the same.
func singleNode(id string) Cluster {
	const address = "127.0.0.1:9071"
	return Cluster{Address: address, Peers: []Peer{{ID: id, Address: address}}, Voter: true}
}

// Load reads an HCL file; what it leaves out is as in DefaultConfig. The error has one line for each thing that is
// wrong, in the order of the file: "file:line:column: what: what is allowed", and perhaps further ones, indented, to be copied.
// It repeats no value but the ids of nodes, as any other may be a secret.
func Load(path string) (Config, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	return parseConfig(path, source)
}

// maxConfigFile keeps HCL's parser, which recurses, from exhausting the stack on what is not a configuration at all.
const maxConfigFile = 64 << 10

func parseConfig(path string, source []byte) (Config, error) {
	if len(source) > maxConfigFile {
		return Config{}, fmt.Errorf("%s: a configuration has at most %s", path, FormatSize(maxConfigFile))
	}
	parsed, diags := hclsyntax.ParseConfig(source, path, hcl.InitialPos)
	if diags.HasErrors() { // to read on after a syntax error would be to guess
		return Config{}, configError(diags)
	}
	file := openConfig(path, parsed.Body)
	config := Default()
	readKey(file, "data", &config.Data, parseFolder)
	readKey(file, "log_level", &config.LogLevel, parseLogLevel)
	readList(file, "encryption_keys", &config.EncryptionKeys, parseEncryptionKey)
	decodeAPI(file.block("api"), &config.API)
	decodeCluster(file, &config)
	decodeStorage(file.block("storage"), &config.Storage)
	decodeDelivery(file.block("delivery"), &config.Delivery)
	decodeLimits(file.block("limits"), &config.Limits)
	if file.diags.HasErrors() {
		return Config{}, configError(*file.diags)
	}
	return config, nil
}

// configError has a line for each of diags, in the order of the file.
func configError(diags hcl.Diagnostics) error {
	slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int { return a.Subject.Start.Byte - b.Subject.Start.Byte })
	var lines []error
	for _, diag := range diags {
		if diag.Summary == "Invalid template control keyword" { // it would quote a secret that holds %{
			diag.Detail = "%{ begins a directive; write %%{ for the two characters themselves."
		}
		text := diag.Summary
		if diag.Detail != "" {
			text += ": " + strings.ReplaceAll(diag.Detail, "\n", " ")
		}
		start := diag.Subject.Start
		lines = append(lines, fmt.Errorf("%s:%d:%d: %s", diag.Subject.Filename, start.Line, start.Column, text))
	}
	return errors.Join(lines...)
}

// configSchema is what each block may hold; the file itself is the block "". Blocks of one name that hold different keys have
// the name of the block around them in front.
var configSchema = map[string]struct{ keys, blocks []string }{
	"":            {keys: []string{"node", "data", "log_level", "encryption_keys"}, blocks: []string{"api", "cluster", "storage", "delivery", "limits"}},
	"api":         {keys: []string{"listen", "token", "jwt_secret", "portal_url", "max_body", "drain"}, blocks: []string{"tls"}},
	"api.tls":     {keys: []string{"cert", "key"}},
	"cluster":     {keys: []string{"listen", "address", "join", "voter", "secret"}, blocks: []string{"peer", "tls"}},
	"cluster.tls": {keys: []string{"ca", "cert", "key"}},
	"peer":        {keys: []string{"address"}},
	"storage":     {keys: []string{"min_free", "max_size", "retention"}},
	"delivery":    {keys: []string{"timeout", "workers", "per_endpoint", "allow", "deny", "proxy", "no_proxy", "disable_after"}, blocks: []string{"retry", "breaker"}},
	"limits":      {keys: []string{"applications", "event_types", "endpoints", "replays", "manual_sends"}},
	"breaker":     {keys: []string{"window", "min_attempts", "failure_rate", "probe", "max_probe"}},
	"retry":       {keys: []string{"schedule", "base", "factor", "max_retries", "jitter"}},
}

func decodeAPI(b configBlock, api *API) {
	readKey(b, "listen", &api.Listen, parseListenAddress)
	b.require("token", `for example token = env("HOOKWHEEL_TOKEN")`)
	readKey(b, "token", &api.Token, parseSecret)
	readKey(b, "jwt_secret", &api.JWTSecret, parseSecret)
	readKey(b, "portal_url", &api.PortalURL, parsePage)
	readKey(b, "max_body", &api.MaxBody, sizeBetween(1<<10, 3<<20))
	readKey(b, "drain", &api.Drain, durationBetween(0, 5*time.Minute))
	decodeTLS(b.block("tls"), &api.TLS)
}

func decodeStorage(b configBlock, storage *Storage) {
	readKey(b, "min_free", &storage.MinFree, sizeBetween[int64](0, 1<<40))
	readKey(b, "max_size", &storage.MaxSize, sizeBetween[int64](0, 1<<50))
	readKey(b, "retention", &storage.Retention, durationBetween(webhook.MinRetention, 10*365*24*time.Hour))
}

func decodeLimits(b configBlock, limits *Limits) {
	readKey(b, "applications", &limits.Applications, intBetween(1, 1_000_000))
	readKey(b, "event_types", &limits.EventTypes, intBetween(1, 100_000))
	readKey(b, "endpoints", &limits.Endpoints, intBetween(1, 100_000))
	readKey(b, "replays", &limits.Replays, intBetween(1, 256))
	readKey(b, "manual_sends", &limits.ManualSends, intBetween(1, 1_000_000))
}

// decodeTLS reads the names of files, of which none may be left out.
func decodeTLS(b configBlock, files *certs.Files) {
	if !b.present {
		return
	}
	if slices.Contains(configSchema[b.kind].keys, "ca") {
		b.require("ca", `for example ca = "certs/ca.pem"; see "hookwheel cert --help"`)
	}
	b.require("cert", `for example cert = "certs/n1.pem"; see "hookwheel cert --help"`)
	b.require("key", `for example key = "certs/n1-key.pem"; see "hookwheel cert --help"`)
	readKey(b, "ca", &files.CA, parseFile)
	readKey(b, "cert", &files.Cert, parseFile)
	readKey(b, "key", &files.Key, parseFile)
}

func decodeDelivery(b configBlock, delivery *Delivery) {
	readKey(b, "timeout", &delivery.Timeout, durationBetween(time.Second, time.Minute))
	readKey(b, "workers", &delivery.Workers, intBetween(1, 10_000))
	delivery.PerEndpoint = min(delivery.PerEndpoint, delivery.Workers)
	readKey(b, "per_endpoint", &delivery.PerEndpoint, intBetween(1, delivery.Workers))
	readList(b, "allow", &delivery.Allow, parseNetwork)
	readList(b, "deny", &delivery.Deny, parseNetwork)
	readKey(b, "proxy", &delivery.Proxy, parseProxy)
	readList(b, "no_proxy", &delivery.NoProxy, parseNoProxy)
	decodeRetry(b.block("retry"), &delivery.Retry)
	decodeBreaker(b.block("breaker"), &delivery.Breaker)
	readKey(b, "disable_after", &delivery.Breaker.Disable, durationBetween(0, 90*24*time.Hour))
}

func decodeBreaker(b configBlock, policy *scheduler.BreakerPolicy) {
	readKey(b, "window", &policy.Window, durationBetween(time.Second, time.Hour))
	readKey(b, "min_attempts", &policy.MinAttempts, intBetween(1, 1_000_000))
	readKey(b, "failure_rate", &policy.FailureRate, numberBetween(0.01, 1))
	readKey(b, "probe", &policy.Probe, durationBetween(time.Second, time.Hour))
	policy.MaxProbe = max(policy.MaxProbe, policy.Probe)
	readKey(b, "max_probe", &policy.MaxProbe, durationBetween(policy.Probe, 24*time.Hour))
}

const longestDelay = 30 * 24 * time.Hour

// decodeRetry reads a list of delays, or the three numbers that an exponential one is made of.
func decodeRetry(b configBlock, policy *webhook.RetryPolicy) {
	if b.has("schedule") {
		for _, key := range []string{"base", "factor", "max_retries"} {
			b.forbid(key, "cannot stand beside schedule; choose one of the two")
		}
		readList(b, "schedule", &policy.Delays, durationBetween(time.Second, longestDelay))
	} else if b.has("base") || b.has("factor") || b.has("max_retries") {
		decodeExponentialRetry(b, policy)
	}
	readKey(b, "jitter", &policy.Jitter, numberBetween(0, 1))
	if err := policy.Validate(); err != nil {
		b.fail(b.at, "", "is wrong: "+err.Error())
	}
}

func decodeExponentialRetry(b configBlock, policy *webhook.RetryPolicy) {
	b.require("base", "the first delay")
	var base time.Duration
	factor, maxRetries := 2.0, 10
	good := readKey(b, "base", &base, durationBetween(time.Second, longestDelay))
	readKey(b, "factor", &factor, numberBetween(1, 10))
	readKey(b, "max_retries", &maxRetries, intBetween(0, 100))
	if !good {
		return
	}
	exponential, err := webhook.ExponentialRetryPolicy(base, factor, maxRetries)
	if err != nil {
		b.fail(b.at, "", "is wrong: "+err.Error())
		return
	}
	policy.Delays = exponential.Delays
}
