package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"hookwheel/webhook"
)

// Config is what a node is told when it starts. config.example.hcl is its manual: keep the two in step.
type Config struct {
	Node     string // this node's id, unique in the cluster: 1 to 64 of a-z 0-9 -
	Data     string // folder that holds all the node keeps
	LogLevel slog.Level
	API      APIConfig
	Cluster  ClusterConfig
	Storage  StorageConfig
	Delivery DeliveryConfig
}

// APIConfig is the HTTP server for producers, customers and operators.
type APIConfig struct {
	Listen  string // host:port; port 0 takes a free one
	Token   string // what callers must present, at least 16 characters; secret
	MaxBody int    // the largest request body, in bytes
}

// ClusterConfig is the nodes and how this one hears the others.
type ClusterConfig struct {
	Listen string // host:port
	Peers  []Peer // all nodes, this one included
}

// Peer is one node of the cluster.
type Peer struct {
	ID      string
	Address string // host:port at which the other nodes reach it
}

// StorageConfig is what is asked of the disk.
type StorageConfig struct {
	MinFree int64 // with less free space than this, in bytes, new events are refused; 0 chooses by the size of the file system
}

// DeliveryConfig is how messages are sent to endpoints.
type DeliveryConfig struct {
	Timeout     time.Duration  // of one attempt, from dialling to the end of the answer
	Workers     int            // attempts in flight, all endpoints together
	PerEndpoint int            // attempts in flight to one endpoint, at most Workers
	Allow       []netip.Prefix // private networks that may be delivered to all the same
	Retry       webhook.RetryPolicy
}

// DefaultConfig is a single node on this machine. It has no API token.
func DefaultConfig() Config {
	const node = "n1"
	return Config{
		Node:     node,
		Data:     "./hookwheel-data",
		LogLevel: slog.LevelInfo,
		API:      APIConfig{Listen: "127.0.0.1:8071", MaxBody: 1 << 20},
		Cluster:  singleNode(node),
		Delivery: DeliveryConfig{
			Timeout:     15 * time.Second,
			Workers:     256,
			PerEndpoint: 64,
			Retry:       webhook.DefaultRetryPolicy(),
		},
	}
}

func singleNode(id string) ClusterConfig {
	const address = "127.0.0.1:9071"
	return ClusterConfig{Listen: address, Peers: []Peer{{ID: id, Address: address}}}
}

// LoadConfig reads an HCL file; what it leaves out is as in DefaultConfig. The error has one line for each thing that is
// wrong, in the order of the file: "file:line:column: what: what is allowed". It repeats no value, as any may be a secret.
func LoadConfig(path string) (Config, error) {
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
		return Config{}, fmt.Errorf("%s: a configuration has at most %s", path, formatSize(maxConfigFile))
	}
	parsed, diags := hclsyntax.ParseConfig(source, path, hcl.InitialPos)
	if diags.HasErrors() { // to read on after a syntax error would be to guess
		return Config{}, configError(diags)
	}
	file := openConfig(path, parsed.Body)
	config := DefaultConfig()
	readKey(file, "data", &config.Data, parseFolder)
	readKey(file, "log_level", &config.LogLevel, parseLogLevel)
	decodeAPI(file.block("api"), &config.API)
	decodeCluster(file, &config)
	readKey(file.block("storage"), "min_free", &config.Storage.MinFree, sizeBetween[int64](0, 1<<40))
	decodeDelivery(file.block("delivery"), &config.Delivery)
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

// configSchema is what each block may hold; the file itself is the block "".
var configSchema = map[string]struct{ keys, blocks []string }{
	"":         {keys: []string{"node", "data", "log_level"}, blocks: []string{"api", "cluster", "storage", "delivery"}},
	"api":      {keys: []string{"listen", "token", "max_body"}},
	"cluster":  {keys: []string{"listen"}, blocks: []string{"peer"}},
	"peer":     {keys: []string{"address"}},
	"storage":  {keys: []string{"min_free"}},
	"delivery": {keys: []string{"timeout", "workers", "per_endpoint", "allow"}, blocks: []string{"retry"}},
	"retry":    {keys: []string{"schedule", "base", "factor", "max_retries", "jitter"}},
}

func decodeAPI(b configBlock, api *APIConfig) {
	readKey(b, "listen", &api.Listen, parseListenAddress)
	b.require("token", `for example token = env("HOOKWHEEL_TOKEN")`)
	readKey(b, "token", &api.Token, parseToken)
	readKey(b, "max_body", &api.MaxBody, sizeBetween(1<<10, 3<<20))
}

// decodeCluster also reads the node's id, which must be one of the peers. Beside peers it has no default, or else three
// machines with a copy of one file would all take themselves for n1.
func decodeCluster(file configBlock, config *Config) {
	b := file.block("cluster")
	if !b.present {
		readKey(file, "node", &config.Node, parseID)
		config.Cluster = singleNode(config.Node)
		return
	}
	peers := decodePeers(b)
	if len(peers) == 0 {
		b.fail(b.at, "peer", "blocks are missing, one for each node; a single node needs no cluster block at all")
		return
	}
	file.require("node", "which of the peers is this node?")
	readKey(file, "node", &config.Node, idOfOne(peers))
	config.Cluster = ClusterConfig{Listen: addressOf(config.Node, peers), Peers: peers}
	readKey(b, "listen", &config.Cluster.Listen, parseListenAddress)
}

func decodePeers(b configBlock) []Peer {
	var peers []Peer
	ids, addresses := map[string]bool{}, map[string]bool{}
	for _, block := range b.blocks("peer") {
		peer := Peer{ID: block.label}
		if _, err := parseID(peer.ID); err != nil {
			block.fail(block.labelAt, "", err.Error())
		}
		if ids[peer.ID] {
			block.fail(block.labelAt, "", "has the id of another one; each node needs its own")
		}
		block.require("address", "the host:port at which the other nodes reach this one")
		if readKey(block, "address", &peer.Address, parsePeerAddress) && addresses[peer.Address] {
			block.fail(block.valueAt("address"), "address", "is another peer's already; each node needs its own")
		}
		ids[peer.ID], addresses[peer.Address] = true, true
		peers = append(peers, peer)
	}
	return peers
}

func addressOf(id string, peers []Peer) string {
	for _, peer := range peers {
		if peer.ID == id {
			return peer.Address
		}
	}
	return ""
}

func decodeDelivery(b configBlock, delivery *DeliveryConfig) {
	readKey(b, "timeout", &delivery.Timeout, durationBetween(time.Second, time.Minute))
	readKey(b, "workers", &delivery.Workers, intBetween(1, 10_000))
	delivery.PerEndpoint = min(delivery.PerEndpoint, delivery.Workers)
	readKey(b, "per_endpoint", &delivery.PerEndpoint, intBetween(1, delivery.Workers))
	readList(b, "allow", &delivery.Allow, parseNetwork)
	decodeRetry(b.block("retry"), &delivery.Retry)
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
