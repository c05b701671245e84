// Package config reads the configuration file of a node. It is the only package that knows HCL.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"hookwheel/config/certs"
	"hookwheel/scheduler"
	"hookwheel/webhook"
)

// Config is the configuration of a node. config.example.hcl is its manual: keep the two in step.
type Config struct {
	Node           string // this node's id, unique in the cluster: 1 to 64 of a-z 0-9 -
	Data           string // folder that holds everything the node stores
	LogLevel       slog.Level
	LogJSON        bool     // rather than text
	EncryptionKeys []string // encrypt the secrets of endpoints, the first one new ones; secret
	API            API
	Portal         Portal
	Cluster        Cluster
	Storage        Storage
	Delivery       Delivery
	Limits         Limits
	Tracing        Tracing
	Backup         Backup

	// Purge is how often what was removed leaves the disk; 0: as often as the store and the log
	// have it. It is no setting: tests set it.
	Purge time.Duration

	sources map[string]string // where settings come from, if not from Default
	unread  []string          // see Warnings
	loaded  bool              // by Load
	path    string            // of its file; empty: only variables
}

// Warnings returns what an operator should know about the environment variables that were there.
func (c *Config) Warnings() []string { return c.unread }

// Limits bound how much of what customers share each of them may use. They must be the same on all
// nodes.
type Limits struct {
	Applications   int // in total
	EventTypes     int // in total
	Endpoints      int // per application, unless an admin has set a different limit for it
	Replays        int // per application, unfinished
	ManualSends    int // per application, minute and node: messages that its portals may send manually
	KeyRequests    int // per API key, second and node; 0: no limit
	PortalRequests int // of the tokens of an application, likewise
}

// API is the HTTP server for producers, customers and operators.
type API struct {
	Listen    string        // host:port; port 0 takes a free one
	Token     string        // that callers must present, at least 16 characters; secret
	JWTSecret string        // signs JWTs that are accepted, too, at least 16 characters or none; secret
	PortalURL string        // page that portal links lead to; empty: /portal of this server
	CORS      []string      // origins whose pages may use the API in a browser, or "*" for all
	Metrics   Metrics       // where metrics are served, and to whom
	AccessLog bool          // whether requests are logged
	MaxBody   int           // largest request body, in bytes
	Pprof     bool          // whether admins get profiles of the process
	MaxBatch  int           // largest batch of messages, in bytes; MaxBody if that is larger
	Tails     int           // streams of events that may be open
	Drain     time.Duration // how long a stopping node keeps serving, while its health check says so
	TLS       certs.Files   // without a CA; empty: plain HTTP
}

// Metrics says where metrics and the reference page are served: by the API, unless they have an
// address of their own.
type Metrics struct {
	Listen string // host:port; empty: the API serves them
	Token  bool   // whether metrics need a token
}

// Portal is what customers see.
type Portal struct {
	Listen         string   // host:port at which only the portal is served; empty: the API serves it
	FrameAncestors []string // origins whose pages may show the portal in a frame, or "*" for all
	RefreshURL     string   // page that gives a new link to customers whose link has expired; may be empty
}

// Cluster lists the nodes and says how they communicate.
type Cluster struct {
	Listen  string      // host:port
	Address string      // host:port at which the other nodes reach this one
	Peers   []Peer      // nodes that form the cluster, including this one
	Join    []string    // instead of Peers: addresses of nodes of the cluster to join
	Voter   bool        // whether this node has a vote
	Secret  string      // shared by all nodes, at least 16 characters or none; secret
	TLS     certs.Files // mutual TLS between nodes; empty only if all are on this machine
}

// Peer is one node of the cluster.
type Peer struct {
	ID      string
	Address string // host:port at which the other nodes reach it
}

// Storage says how much disk space to use, and for how long.
type Storage struct {
	MinFree      int64         // with fewer bytes free, new events are refused; 0: depends on the file system
	MaxSize      int64         // of records, in bytes: beyond it, the oldest ones are deleted early; 0: no limit
	MaxEndpoints int64         // of the records of endpoints, in bytes; 0: no limit but MaxSize
	Retention    time.Duration // how long messages and attempts are stored, unless a message says otherwise
}

// Delivery says how messages are sent to endpoints.
type Delivery struct {
	Timeout     time.Duration  // of one attempt, from dialing to the end of the response
	Workers     int            // attempts in flight, in total
	PerEndpoint int            // attempts in flight to one endpoint, at most Workers
	Allow       []netip.Prefix // private networks to which deliveries are allowed
	Deny        []netip.Prefix // networks to which they are not, regardless of Allow
	Proxy       *url.URL       // for all requests; nil: none; may contain a password
	NoProxy     []string       // hosts and networks that are reached without it
	// SourceAddresses are shown to customers: the public addresses that deliveries come from.
	SourceAddresses []netip.Prefix
	Retry           webhook.RetryPolicy
	Breaker         scheduler.BreakerPolicy
}

// Tracing says where traces of messages go.
type Tracing struct {
	Endpoint    string      // URL to which spans are sent; empty: nothing is traced
	Headers     http.Header // of each request to it; secret
	Sample      float64     // share of the messages without a traceparent that are traced
	PropagateTo []string    // names and addresses of receivers that get the context of their attempts, or "*" for all
}

// Default returns the configuration of a single node on this machine, without an API token.
func Default() Config {
	const node = "n1"
	return Config{
		Node:     node,
		Data:     "./hookwheel-data",
		LogLevel: slog.LevelInfo,
		API:      API{Listen: "127.0.0.1:8071", MaxBody: 1 << 20, MaxBatch: 16 << 20, Tails: 1000, Drain: 2 * time.Second},
		Cluster:  singleNode(node),
		Storage:  Storage{MaxEndpoints: 256 << 20, Retention: 30 * 24 * time.Hour},
		Delivery: Delivery{
			Timeout:     15 * time.Second,
			Workers:     512,
			PerEndpoint: 64,
			Retry:       webhook.DefaultRetryPolicy(),
			Breaker:     scheduler.DefaultBreakerPolicy(),
		},
		Limits:  Limits{Applications: 100_000, EventTypes: 5000, Endpoints: 500, Replays: 50, ManualSends: 300, PortalRequests: 50},
		Tracing: Tracing{Sample: 1},
		Backup:  defaultBackup(),
	}
}

// singleNode returns the settings of a node without a cluster block. It does not listen for
// others, but Raft needs an address.
func singleNode(id string) Cluster {
	const address = "127.0.0.1:9071"
	return Cluster{Address: address, Peers: []Peer{{ID: id, Address: address}}, Voter: true}
}

// Load reads an HCL file, or with an empty path nothing but environment variables, which take
// precedence; settings that neither has are as in Default. The error has one line for each
// mistake, in the order of the file: "file:line:column: what: what is allowed", or "VARIABLE:
// what", possibly followed by indented lines to copy. It repeats no value except ids of nodes, as
// any other may be a secret.
func Load(path string) (Config, error) {
	name, source, err := readFile(path)
	if err != nil {
		return Config{}, err
	}
	config, err := parseConfig(name, source)
	if err != nil {
		return Config{}, err
	}
	config.loaded, config.path = true, path
	return config, nil
}

const (
	noFile        = "environment" // as the name of a file, for errors
	maxConfigFile = 64 << 10      // keeps HCL's recursive parser from exhausting the stack on other files
)

func readFile(path string) (name string, source []byte, err error) {
	if path == "" {
		return noFile, nil, nil
	}
	source, err = os.ReadFile(path)
	return path, source, err
}

func parseConfig(path string, source []byte) (Config, error) {
	config, found, err := decode(path, source)
	if err == nil {
		err = configError(found.diags)
	}
	if err != nil {
		return Config{}, err
	}
	return config, nil
}

// decode returns as much of a configuration as can be read, and what is wrong with the rest. The
// error is about what can't be read at all.
func decode(path string, source []byte) (Config, *reading, error) {
	file, err := parse(path, source)
	if err != nil {
		return Config{}, nil, err
	}
	config := Default()
	readKey(file, "data", &config.Data, parseFolder)
	readKey(file, "log_level", &config.LogLevel, parseLogLevel)
	readKey(file, "log_format", &config.LogJSON, parseLogFormat)
	readList(file, "encryption_keys", &config.EncryptionKeys, parseEncryptionKey)
	decodeAPI(file.block("api"), &config.API)
	decodePortal(file.block("portal"), &config.Portal)
	decodeCluster(file, &config)
	decodeStorage(file.block("storage"), &config.Storage)
	decodeDelivery(file.block("delivery"), &config.Delivery)
	decodeLimits(file.block("limits"), &config.Limits)
	decodeTracing(file.block("tracing"), &config.Tracing)
	decodeBackup(file.block("backup"), &config.Backup)
	config.unread = file.checkVariables()
	config.sources = file.sources
	return config, file.reading, nil
}

// parse parses the text of a file.
func parse(path string, source []byte) (configBlock, error) {
	if len(source) > maxConfigFile {
		return configBlock{}, fmt.Errorf("%s: a configuration file must have at most %s", path, formatSize(maxConfigFile))
	}
	parsed, diags := hclsyntax.ParseConfig(source, path, hcl.InitialPos)
	if diags.HasErrors() { // reading on after a syntax error would be guessing
		return configBlock{}, configError(diags)
	}
	return openConfig(path, parsed.Body), nil
}

// configError returns an error with a line for each of diags, in the order of the file, or nil.
func configError(diags hcl.Diagnostics) error {
	slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int { return a.Subject.Start.Byte - b.Subject.Start.Byte })
	var lines []error
	for _, diag := range diags {
		if diag.Summary == "Invalid template control keyword" { // it would quote a secret that contains %{
			diag.Detail = "%{ starts a directive; write %%{ for these two characters."
		}
		text := diag.Summary
		if diag.Detail != "" {
			text += ": " + strings.ReplaceAll(diag.Detail, "\n", " ")
		}
		at := place(*diag.Subject)
		if start := diag.Subject.Start; start.Line > 0 {
			at = fmt.Sprintf("%s:%d", at, start.Column)
		}
		lines = append(lines, fmt.Errorf("%s: %s", at, text))
	}
	return errors.Join(lines...)
}

// configSchema says what each block may contain, by its name with those of the blocks around it;
// the file itself is the block "". Each key can also be set by an environment variable: see
// Variable.
var configSchema = map[string]struct{ keys, blocks []string }{
	"": {keys: []string{"node", "data", "log_level", "log_format", "encryption_keys"},
		blocks: []string{"api", "portal", "cluster", "storage", "delivery", "limits", "tracing", "backup"}},
	"api":          {keys: []string{"listen", "token", "jwt_secret", "portal_url", "cors", "metrics", "access_log", "max_body", "max_batch", "tails", "drain", "pprof"}, blocks: []string{"tls"}},
	"api.tls":      {keys: []string{"cert", "key"}},
	"portal":       {keys: []string{"listen", "frame_ancestors", "refresh_url"}},
	"cluster":      {keys: []string{"listen", "address", "join", "voter", "secret"}, blocks: []string{"peer", "tls"}},
	"cluster.tls":  {keys: []string{"ca", "cert", "key"}},
	"cluster.peer": {keys: []string{"address"}},
	"storage":      {keys: []string{"min_free", "max_size", "max_endpoints", "retention"}},
	"delivery": {keys: []string{"timeout", "workers", "per_endpoint", "allow", "deny", "proxy", "no_proxy", "source_addresses", "disable_after"},
		blocks: []string{"retry", "breaker"}},
	"delivery.breaker": {keys: []string{"window", "min_attempts", "failure_rate", "probe", "max_probe"}},
	"delivery.retry":   {keys: []string{"schedule", "base", "factor", "max_retries", "jitter"}},
	"limits":           {keys: []string{"applications", "event_types", "endpoints", "replays", "manual_sends", "key_requests", "portal_requests"}},
	"tracing":          {keys: []string{"endpoint", "headers", "sample", "propagate_to"}},
	"backup":           {keys: []string{"to", "every", "keep", "keep_for", "encryption_key"}, blocks: []string{"s3"}},
	"backup.s3":        {keys: []string{"endpoint", "region", "path_style", "ca", "access_key_id", "secret_access_key", "session_token"}},
}

func decodeAPI(b configBlock, api *API) {
	readKey(b, "listen", &api.Listen, parseListenAddress)
	b.require("token", `for example token = env("HOOKWHEEL_TOKEN")`)
	readKey(b, "token", &api.Token, parseSecret)
	readKey(b, "jwt_secret", &api.JWTSecret, parseSecret)
	readKey(b, "portal_url", &api.PortalURL, parsePage)
	readOrigins(b, "cors", &api.CORS)
	readKey(b, "metrics", &api.Metrics, parseMetrics)
	readKey(b, "access_log", &api.AccessLog, parseBool)
	readKey(b, "pprof", &api.Pprof, parseBool)
	readKey(b, "max_body", &api.MaxBody, sizeBetween(1<<10, 3<<20))
	readKey(b, "max_batch", &api.MaxBatch, sizeBetween(1<<10, 16<<20))
	readKey(b, "tails", &api.Tails, intBetween(8, 10_000))
	readKey(b, "drain", &api.Drain, durationBetween(0, 5*time.Minute))
	decodeTLS(b.block("tls"), &api.TLS)
}

func decodePortal(b configBlock, portal *Portal) {
	readKey(b, "listen", &portal.Listen, parseListenAddress)
	readOrigins(b, "frame_ancestors", &portal.FrameAncestors)
	readKey(b, "refresh_url", &portal.RefreshURL, parsePage)
}

// readOrigins reads origins, or a list of only "*".
func readOrigins(b configBlock, key string, origins *[]string) {
	if readList(b, key, origins, parseOrigin) && len(*origins) > 1 && slices.Contains(*origins, "*") {
		b.fail(b.valueAt(key), key, `"*" allows all origins, so it must be the only one`)
	}
}

func decodeStorage(b configBlock, storage *Storage) {
	readKey(b, "min_free", &storage.MinFree, sizeBetween[int64](0, 1<<40))
	readKey(b, "max_size", &storage.MaxSize, sizeBetween[int64](0, 1<<50))
	readKey(b, "max_endpoints", &storage.MaxEndpoints, sizeBetween[int64](0, 1<<40))
	readKey(b, "retention", &storage.Retention, durationBetween(webhook.MinRetention, 10*365*24*time.Hour))
}

func decodeLimits(b configBlock, limits *Limits) {
	readKey(b, "applications", &limits.Applications, intBetween(1, 1_000_000))
	readKey(b, "event_types", &limits.EventTypes, intBetween(1, 100_000))
	readKey(b, "endpoints", &limits.Endpoints, intBetween(1, 100_000))
	readKey(b, "replays", &limits.Replays, intBetween(1, 256))
	readKey(b, "manual_sends", &limits.ManualSends, intBetween(1, 1_000_000))
	readKey(b, "key_requests", &limits.KeyRequests, intBetween(0, 1_000_000))
	readKey(b, "portal_requests", &limits.PortalRequests, intBetween(0, 1_000_000))
}

func decodeTracing(b configBlock, tracing *Tracing) {
	if b.has("headers") || b.has("sample") || b.has("propagate_to") {
		b.require("endpoint", `for example endpoint = "http://localhost:4318", the address of a collector for OTLP over HTTP`)
	}
	readKey(b, "endpoint", &tracing.Endpoint, parseCollector)
	readKey(b, "headers", &tracing.Headers, parseCollectorHeaders)
	readKey(b, "sample", &tracing.Sample, numberBetween(0, 1))
	if readList(b, "propagate_to", &tracing.PropagateTo, parseReceiver) && len(tracing.PropagateTo) > 1 && slices.Contains(tracing.PropagateTo, "*") {
		b.fail(b.valueAt("propagate_to"), "propagate_to", `"*" includes all receivers, so it must be the only one`)
	}
}

// decodeTLS reads the names of files, all of which are required.
func decodeTLS(b configBlock, files *certs.Files) {
	if !b.present {
		return
	}
	if slices.Contains(configSchema[b.path].keys, "ca") {
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
	readKey(b, "per_endpoint", &delivery.PerEndpoint, upToWorkers(delivery.Workers))
	readList(b, "allow", &delivery.Allow, parseNetwork)
	readList(b, "deny", &delivery.Deny, parseNetwork)
	readKey(b, "proxy", &delivery.Proxy, parseProxy)
	readList(b, "no_proxy", &delivery.NoProxy, parseNoProxy)
	readList(b, "source_addresses", &delivery.SourceAddresses, parseAddressOrNetwork)
	decodeRetry(b.block("retry"), &delivery.Retry)
	decodeBreaker(b.block("breaker"), &delivery.Breaker)
	readKey(b, "disable_after", &delivery.Breaker.Disable, durationBetween(0, 90*24*time.Hour))
}

// upToWorkers limits a number to that of all workers.
func upToWorkers(workers int) func(string) (int, error) {
	parse := intBetween(1, workers)
	return func(text string) (int, error) {
		n, err := parse(text)
		if err != nil {
			err = fmt.Errorf("%w, the value of delivery.workers", err)
		}
		return n, err
	}
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

// decodeRetry reads a list of delays, or the three numbers of an exponential one.
func decodeRetry(b configBlock, policy *webhook.RetryPolicy) {
	if b.has("schedule") {
		for _, key := range []string{"base", "factor", "max_retries"} {
			b.forbid(key, "can't be combined with schedule; choose one of the two")
		}
		readList(b, "schedule", &policy.Delays, durationBetween(time.Second, longestDelay))
	} else if b.has("base") || b.has("factor") || b.has("max_retries") {
		decodeExponentialRetry(b, policy)
	}
	readKey(b, "jitter", &policy.Jitter, numberBetween(0, 1))
	if err := policy.Validate(); err != nil {
		b.fail(b.at, "", "is invalid: "+err.Error())
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
		b.fail(b.at, "", "is invalid: "+err.Error())
		return
	}
	policy.Delays = exponential.Delays
	b.sources[b.name("schedule")] = b.sources[b.name("base")] // as Effective shows it
}
